//! When a worker process counts as working, and how often others look whether it lives.
//!
//! The process that sends jobs looks at all others, since it can send on at once what they
//! held; each of the others looks at that one only. So the number of locks that are tried
//! grows with the number of processes, not with its square.

use std::time::Duration;

/// A process that was silent for longer does not count: its slots are not filled, and
/// people are told that no worker runs.
pub const FRESH: Duration = Duration::from_secs(10);

/// Longest time between two heartbeats of a process: several fit into [`FRESH`], whatever lease it takes.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// A process that was silent for longer missed a heartbeat: what it told of itself may be over.
pub const LATE: Duration = Duration::from_secs(4);

/// Time between two heartbeats of a process that takes leases this long: two may fail before one ends.
pub fn heartbeat_every(lease: Duration) -> Duration {
    (lease / 3).min(HEARTBEAT)
}

/// A process that began less than this ago leaves the work of the dead to others. One that is
/// killed again and again soon after its start took the same batches each time, until they
/// were suspects (`crate::poison`) and waited for one another.
pub const YOUNG: Duration = Duration::from_secs(1);

/// How often the relay looks whether others are dead.
const RELAY_LOOKS: Duration = Duration::from_millis(50);
/// How often each of the others looks whether the relay is dead.
const OTHERS_LOOK: Duration = Duration::from_millis(100);
/// Number of looks after which the relay takes back leases that ran out.
const RELAY_TAKES: u32 = 5;
/// Number of looks after which the others take back leases that ran out, those that the relay left too.
const OTHERS_TAKE: u32 = 10;
/// Number of looks after which runs are looked at: once a second.
const RELAY_SWEEPS: u32 = 20;
const OTHERS_SWEEP: u32 = 10;

/// What is due at one look, and when the next one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Leases that ran out, and whatever the quick look did not show, are taken back.
    pub take_back: bool,
    /// Runs are stopped and sealed.
    pub sweep: bool,
    /// Until the next look.
    pub wait: Duration,
}

/// What is due at look number `n` of a process, which is the relay or not.
pub fn due(n: u32, relay: bool) -> Due {
    let (wait, takes, sweeps) = match relay {
        true => (RELAY_LOOKS, RELAY_TAKES, RELAY_SWEEPS),
        false => (OTHERS_LOOK, OTHERS_TAKE, OTHERS_SWEEP),
    };
    Due { take_back: n.is_multiple_of(takes), sweep: n.is_multiple_of(sweeps), wait }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_heard_in_time_whatever_lease_it_takes() {
        let every = |seconds| heartbeat_every(Duration::from_secs(seconds));
        assert_eq!(every(3), Duration::from_secs(1));
        assert_eq!([every(6), every(60), every(3_600)], [HEARTBEAT; 3]);
        assert!(HEARTBEAT < LATE && 2 * LATE < FRESH);
    }

    #[test]
    fn the_relay_takes_back_four_times_a_second_and_others_once() {
        for (relay, times) in [(true, 4), (false, 1)] {
            let looks = u32::try_from(1_000 / due(0, relay).wait.as_millis()).unwrap();
            let due: Vec<Due> = (0..looks).map(|n| due(n, relay)).collect();
            assert_eq!(due.iter().filter(|due| due.take_back).count(), times);
            assert_eq!(due.iter().filter(|due| due.sweep).count(), 1);
        }
    }
}
