//! Health: whether the process lives, and whether it can work.
//!
//! Two questions with two consequences. A process that does not *live* is killed and started
//! again, so only faults that a restart repairs count: a blocked runtime, a heartbeat that
//! hangs. A ledger that is away does not count: every worker would be restarted in the
//! middle of an outage. It makes the process *not ready* instead.

use std::time::Duration;

use ferry_domain::Figures;

/// How long a silent process counts as alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Time since the last tick of the runtime. It ticks every quarter of this, at most every second.
    pub turn: Duration,
    /// Time since leases were last renewed, while the ledger answers.
    pub renewal: Duration,
}

impl Default for Patience {
    /// A runtime counts as blocked after 10 s: leases end at 6 s, so others have the work by then
    /// and a restart costs nothing. A heartbeat hangs after 30 s: longer than any time-out in it.
    fn default() -> Self {
        Patience { turn: Duration::from_secs(10), renewal: Duration::from_secs(30) }
    }
}

impl Patience {
    /// The interval of the runtime's tick.
    pub(crate) fn tick(&self) -> Duration {
        (self.turn / 4).clamp(Duration::from_millis(1), Duration::from_secs(1))
    }
}

/// Why the process should be restarted, if it should.
pub(crate) fn dead_because(figures: &Figures, now_ms: i64, patience: Patience) -> Option<String> {
    let turned = since(figures.turned_at_ms.get(), now_ms);
    if turned > patience.turn {
        return Some(format!(
            "the runtime has not turned for {} s: something blocks its threads",
            turned.as_secs()
        ));
    }
    let renewed_at = figures.renewed_at_ms.get();
    let renewed = since(renewed_at, now_ms);
    // 0: not registered yet, which does not count as dead.
    if renewed_at > 0 && figures.ledger_reachable.answers() && renewed > patience.renewal {
        let seconds = renewed.as_secs();
        return Some(format!(
            "leases were not renewed for {seconds} s although the ledger answers: the heartbeat hangs"
        ));
    }
    None
}

/// What the process lacks for work; empty when it is ready.
pub(crate) fn lacking(figures: &Figures) -> Vec<String> {
    // Until it has begun, nothing else was looked at.
    if let Some(why) = figures.not_begun() {
        return vec![why];
    }
    let queue = || figures.queue_lacks().unwrap_or_else(|| "the queue was not looked at yet".to_owned());
    let ledger = || figures.ledger_lacks().unwrap_or_else(|| "the ledger does not answer".to_owned());
    let lacks = [
        (figures.ready.get() == 1, "not registered, or stopping".to_owned()),
        (figures.ledger_reachable.answers(), ledger()),
        (figures.queue_reachable.answers(), queue()),
    ];
    let mut lacking: Vec<String> =
        lacks.into_iter().filter_map(|(is_there, lack)| (!is_there).then_some(lack)).collect();
    if let Some(tenant) = figures.wrong_tenant() {
        lacking.push(format!("the run is for the tenant {tenant}, and this worker is not"));
    }
    lacking.extend(figures.token_lacks());
    if figures.auth0_breaker_open.get() == 1 {
        lacking.push("Auth0 does not answer as it should, only probes are sent".to_owned());
    }
    lacking
}

/// Time from a moment of the monotonic clock until now; zero for a later moment.
pub(crate) fn since(then_ms: i64, now_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { turn: Duration::from_secs(10), renewal: Duration::from_secs(30) };

    #[test]
    fn a_runtime_that_does_not_turn_is_dead_and_says_for_how_long() {
        let figures = Figures::default();
        figures.turned_at_ms.set(1_000);
        assert_eq!(dead_because(&figures, 11_000, PATIENCE), None);
        let why = dead_because(&figures, 13_500, PATIENCE).unwrap();
        assert!(why.contains("not turned for 12 s"), "{why}");
    }

    #[test]
    fn a_hanging_heartbeat_is_death_but_a_ledger_that_is_away_is_not() {
        let figures = Figures::default();
        figures.turned_at_ms.set(100_000);
        assert_eq!(dead_because(&figures, 100_000, PATIENCE), None, "never registered");
        figures.renewed_at_ms.set(60_000);
        assert_eq!(dead_because(&figures, 100_000, PATIENCE), None, "the ledger is away");
        figures.ledger_reachable.set(true);
        let why = dead_because(&figures, 100_000, PATIENCE).unwrap();
        assert!(why.contains("heartbeat hangs"), "{why}");
        figures.renewed_at_ms.set(70_000);
        assert_eq!(dead_because(&figures, 100_000, PATIENCE), None, "30 s is not more than 30 s");
    }

    #[test]
    fn what_lacks_for_work_is_named() {
        let figures = Figures::default();
        assert_eq!(lacking(&figures).len(), 3);
        figures.ready.set(1);
        figures.ledger_reachable.set(true);
        assert_eq!(lacking(&figures), ["the queue was not looked at yet"]);
        figures.set_queue_lacks(Some("Redis at r:6379/0 is a read-only replica".into()));
        assert_eq!(lacking(&figures), ["Redis at r:6379/0 is a read-only replica"]);
        figures.set_queue_lacks(None);
        assert!(lacking(&figures).is_empty());
        figures.set_token_lacks(Some("Auth0 refuses the token".into()));
        assert_eq!(lacking(&figures), ["Auth0 refuses the token"]);
        figures.set_token_lacks(None);
        figures.auth0_breaker_open.set(1);
        assert!(lacking(&figures)[0].starts_with("Auth0 does not answer"));
    }

    #[test]
    fn a_process_that_has_not_begun_says_only_what_it_waits_for() {
        let figures = Figures::default();
        figures.set_not_begun(Some("the ledger could not be reached".into()));
        assert_eq!(lacking(&figures), ["the ledger could not be reached"]);
        figures.set_not_begun(None);
        assert_eq!(lacking(&figures).len(), 3);
    }
}
