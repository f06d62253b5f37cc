//! Traces: which spans there are, and how they hang together.
//!
//! All of a run is one trace, from its start to its report: the trace's id is the run's id
//! without dashes, so that whoever knows the run finds its trace, and no process has to be
//! told. A try after a failed one is a trace of its own with a link, since a trace must not
//! last for hours of backoff.

use crate::ids::{ItemSeq, RunId};

/// Target of spans that go into traces and not into log lines.
pub const TARGET: &str = "ferry_trace";
/// Target of spans around work for one user: requests to Auth0 have a span below these alone.
/// What the target above begins with, so that one directive of the log's filter meets both.
pub const TARGET_USER: &str = "ferry_trace::user";

/// The W3C `traceparent` of the first span of a run: the trace's id is the run's, and the
/// span's is the second half of it, which holds 62 bits of chance and is never zero.
///
/// Source: W3C Trace Context, §3.2.2.3 (16 and 8 bytes, not all zero; flag 01: sampled).
pub fn of_run(run: RunId) -> String {
    let [trace, span] = ids_of_run(run);
    format!("00-{trace}-{span}-01")
}

/// The ids of that trace and span, as hexadecimal digits: 32 and 16.
pub fn ids_of_run(RunId(run): RunId) -> [String; 2] {
    let (_, low) = run.as_u64_pair();
    [run.simple().to_string(), format!("{low:016x}")]
}

/// Whether this user of a run is among the share of users who have spans of their own: 0 none,
/// 1 all. The same users in each step and each process.
pub fn takes_user(RunId(run): RunId, ItemSeq(seq): ItemSeq, share: f64) -> bool {
    let (_, chance) = run.as_u64_pair();
    // By the run too, so that it is not the same lines of the source in each run.
    is_in(mix(chance ^ seq.unsigned_abs()), share)
}

/// Whether this run is among the share of runs that are recorded: 0 none, 1 all.
pub fn takes_run(RunId(run): RunId, share: f64) -> bool {
    // Mixed: the first bits of this half are the same in each UUIDv7.
    is_in(mix(run.as_u64_pair().1), share)
}

fn is_in(mixed: u64, share: f64) -> bool {
    ((mixed >> 11) as f64 / (1_u64 << 53) as f64) < share
}

/// Spreads neighbouring numbers evenly: the finalizer of `SplitMix64`.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "01a22383-7c5b-7d10-8aa1-2b6f0e9c4d55";

    #[test]
    fn the_trace_of_a_run_has_the_id_of_the_run() {
        let run: RunId = RUN.parse().unwrap();
        assert_eq!(of_run(run), "00-01a223837c5b7d108aa12b6f0e9c4d55-8aa12b6f0e9c4d55-01");
    }

    #[test]
    fn the_share_of_users_is_kept_and_the_same_users_are_taken_each_time() {
        let run: RunId = RUN.parse().unwrap();
        let taken = |share| (1..=100_000).filter(|seq| takes_user(run, ItemSeq(*seq), share)).count();
        assert_eq!((taken(0.0), taken(1.0)), (0, 100_000));
        assert!((900..1_100).contains(&taken(0.01)), "{}", taken(0.01));
        assert_eq!(taken(0.3), taken(0.3));
        let other: RunId = "01a22383-7c5b-7d10-8aa1-2b6f0e9c4d56".parse().unwrap();
        assert!(
            (1..=1_000).any(|seq| takes_user(run, ItemSeq(seq), 0.5) != takes_user(other, ItemSeq(seq), 0.5))
        );
    }
}
