//! What the whole store holds, as the one elected exporter last read it.
//!
//! Every process would read the same numbers, and a sum over n processes would be n
//! times too high. So one process holds a snapshot and the others hold none: what is
//! absent is not added up.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use time::OffsetDateTime;

use crate::{
    ids::RunId,
    ports::{BatchCount, Orders, QueueCount},
    run::{BatchState, RunState, RunView},
    tally::Tally,
};

/// Runs with series of their own, at most: their ids are the only labels without a closed list.
pub const MOST_RUNS: usize = 20;

/// How long a run that has ended keeps its series: two scrapes of the slowest Prometheus, and time to look.
pub const ENDED_RUNS_STAY: Duration = Duration::from_secs(60 * 60);

/// Users of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunFigures {
    /// Id of the run.
    pub run: RunId,
    /// Its users by state.
    pub tally: Tally,
    /// How long a person keeps it from going on: it is paused or stopped, or all sending is. Zero
    /// while nobody does.
    pub paused_for: Duration,
    /// Its batches, in the order of [`BatchState::ALL`].
    pub batches: [i64; BatchState::ALL.len()],
    /// How long it still takes, where that is known.
    pub left: Option<Duration>,
}

/// One reading of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreFigures {
    /// Milliseconds of the process's monotonic clock when it was read.
    pub taken_at_ms: i64,
    /// Jobs by kind and state.
    pub queues: Vec<QueueCount>,
    /// Runs worth a series, at most [`MOST_RUNS`].
    pub runs: Vec<RunFigures>,
}

impl StoreFigures {
    /// Puts together what `Jobs::queue_counts`, [`shown`], `Batches::batch_counts` and
    /// `Controls::orders` returned. `now` is by the ledger's clock, as the times of runs are. How long
    /// runs still take is no matter of one look: see [`StoreFigures::with_left`].
    pub fn read(
        queues: Vec<QueueCount>,
        shown: &[&RunView],
        batches: &[BatchCount],
        orders: &Orders,
        now: OffsetDateTime,
        taken_at_ms: i64,
    ) -> Self {
        let of_run = |run: &&RunView| RunFigures {
            run: run.id,
            tally: run.tally,
            paused_for: paused_for(run, orders, now),
            batches: BatchState::ALL.map(|state| {
                let found = batches.iter().find(|found| found.run == run.id && found.state == state);
                found.map_or(0, |found| found.batches)
            }),
            left: None,
        };
        StoreFigures { taken_at_ms, queues, runs: shown.iter().map(of_run).collect() }
    }

    /// The same with how long each run still takes, in the order of the runs: from
    /// [`Paces::left`](crate::pace::Paces::left).
    pub fn with_left(mut self, left: Vec<Option<Duration>>) -> Self {
        self.runs.iter_mut().zip(left).for_each(|(run, left)| run.left = left);
        self
    }
}

/// The runs that get a series: those that have not ended, then those that ended within the last
/// hour, the newest first. `now` is by the ledger's clock.
pub fn shown(runs: &[RunView], now: OffsetDateTime) -> Vec<&RunView> {
    let mut shown: Vec<&RunView> =
        runs.iter().filter(|run| run.state.is_active() || now - last_moment(run) < ENDED_RUNS_STAY).collect();
    shown.sort_by_key(|run| (!run.state.is_active(), std::cmp::Reverse(run.created_at)));
    shown.truncate(MOST_RUNS);
    shown
}

/// A clock that is behind the ledger's makes it zero.
fn paused_for(run: &RunView, orders: &Orders, now: OffsetDateTime) -> Duration {
    let since = match run.state {
        RunState::Paused | RunState::Stopped => Some(run.moved_at),
        state if state.is_active() => orders.stopped_since,
        _ => None,
    };
    since.and_then(|since| (now - since).try_into().ok()).unwrap_or_default()
}

/// When a run ended, or the last moment that is known of it: a cancelled one has no time of its own.
fn last_moment(run: &RunView) -> OffsetDateTime {
    let sealed = run.sealed_at.filter(|_| run.state == RunState::Sealed);
    sealed.or(run.provisioned_at).or(run.started_at).unwrap_or(run.created_at)
}

/// Where the elected exporter leaves its newest reading. Empty elsewhere.
#[derive(Debug, Default)]
pub struct StoreBoard(Mutex<Option<Arc<StoreFigures>>>);

impl StoreBoard {
    /// Replaces the reading.
    pub fn put(&self, figures: StoreFigures) {
        self.set(Some(Arc::new(figures)));
    }

    /// Takes it away: another process is elected, or the store can't be read.
    pub fn clear(&self) {
        self.set(None);
    }

    /// The newest reading, if this process has one.
    pub fn get(&self) -> Option<Arc<StoreFigures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, figures: Option<Arc<StoreFigures>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::testing::run_view;

    const NOW: OffsetDateTime = datetime!(2026-11-24 12:00 UTC);

    fn run(number: u128, state: RunState, sealed_minutes_ago: Option<i64>) -> RunView {
        let ago = |minutes| NOW - time::Duration::minutes(minutes);
        RunView {
            created_at: ago(10_000) + time::Duration::seconds(i64::try_from(number).unwrap()),
            started_at: Some(ago(9_000)),
            provisioned_at: Some(ago(8_000)),
            sealed_at: sealed_minutes_ago.map(ago),
            ..run_view(number, state)
        }
    }

    #[test]
    fn runs_that_ended_long_ago_have_no_series_and_the_others_are_bounded() {
        let mut runs = vec![
            run(1, RunState::Sealed, Some(61)),
            run(2, RunState::Sealed, Some(59)),
            run(3, RunState::Stopped, None),
            run(4, RunState::Cancelled, None),
        ];
        let shown = |runs: &[RunView]| -> Vec<u128> {
            super::shown(runs, NOW).into_iter().map(|run| run.id.0.as_u128()).collect()
        };
        assert_eq!(shown(&runs), [3, 2], "what has not ended comes first");
        runs.extend((10..40).map(|number| run(number, RunState::Running, None)));
        let shown = shown(&runs);
        assert_eq!(shown.len(), MOST_RUNS);
        assert_eq!((shown[0], shown[19]), (39, 20), "the newest stay");
    }

    #[test]
    fn only_a_run_that_is_held_up_is_paused_and_no_clock_makes_it_less_than_zero() {
        let held_with = |orders: &Orders, state, minutes_ago| {
            let moved_at = NOW - time::Duration::minutes(minutes_ago);
            let run = RunView { moved_at, ..run(1, state, Some(minutes_ago)) };
            StoreFigures::read(vec![], &[&run], &[], orders, NOW, 0).runs[0].paused_for
        };
        let held = |state, minutes_ago| held_with(&Orders::default(), state, minutes_ago);
        assert_eq!(held(RunState::Paused, 90), Duration::from_secs(90 * 60));
        assert_eq!(held(RunState::Stopped, 1), Duration::from_secs(60));
        assert_eq!(held(RunState::Running, 90), Duration::ZERO);
        assert_eq!(held(RunState::Paused, -1), Duration::ZERO);
        let all_stopped =
            Orders { stopped_since: Some(NOW - time::Duration::minutes(5)), ..Orders::default() };
        assert_eq!(held_with(&all_stopped, RunState::Running, 90), Duration::from_secs(5 * 60));
        assert_eq!(held_with(&all_stopped, RunState::Paused, 90), Duration::from_secs(90 * 60));
        assert_eq!(held_with(&all_stopped, RunState::Sealed, 1), Duration::ZERO);
    }

    #[test]
    fn each_run_has_its_own_batches_and_none_of_a_state_is_zero() {
        let (one, other) = (run(1, RunState::Running, None), run(2, RunState::Running, None));
        let counted = [
            BatchCount { run: other.id, state: BatchState::Verified, batches: 3 },
            BatchCount { run: one.id, state: BatchState::Open, batches: 5 },
            BatchCount { run: one.id, state: BatchState::Verified, batches: 1 },
        ];
        let read = StoreFigures::read(vec![], &[&one, &other], &counted, &Orders::default(), NOW, 0);
        assert_eq!(read.runs.iter().map(|run| run.batches).collect::<Vec<_>>(), [[5, 0, 1], [0, 0, 3]]);
    }

    #[test]
    fn a_board_without_an_election_is_empty() {
        let board = StoreBoard::default();
        assert_eq!(board.get(), None);
        board.put(StoreFigures::default());
        assert!(board.get().is_some());
        board.clear();
        assert_eq!(board.get(), None);
    }
}
