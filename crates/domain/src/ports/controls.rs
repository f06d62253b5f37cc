//! What operators say to a run and to all workers. It lives in the ledger, so that
//! every process obeys within moments and nothing is lost with one of them.

use crate::{
    ids::RunId,
    run::{RunMove, RunState},
};

/// Who says something, and why: kept in the audit.
#[derive(Clone, Debug)]
pub struct Command<'a> {
    /// Operator, as `user@host`, or `ferry` for a threshold.
    pub by: &'a str,
    /// In their words.
    pub reason: Option<&'a str>,
}

/// What became of a move that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Where the run stood.
    pub before: RunState,
    /// Where it stands.
    pub after: RunState,
    /// Users cancelled at once, since they were never in a worker's hands.
    pub cancelled: i64,
    /// Users that Auth0 must be asked about before they are called cancelled.
    pub to_ask: i64,
}

impl Moved {
    /// Whether anything changed; asking twice changes nothing.
    pub fn changed(&self) -> bool {
        self.before != self.after
    }
}

/// What every process obeys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controls {
    /// Nothing may be sent, by anybody.
    pub stop_all: bool,
    /// Runs that are not ended, and where they stand.
    pub runs: Vec<(RunId, RunState)>,
    /// Name of the plan that replaces the configured limits, set by `run rate`: that
    /// of the newest run that has one and has not ended.
    pub rate: Option<String>,
}

impl Controls {
    /// Where a run stands, if it has not ended.
    pub fn state_of(&self, run: RunId) -> Option<RunState> {
        self.runs.iter().find(|(id, _)| *id == run).map(|(_, state)| *state)
    }
}

/// Moves that a person may ask for.
pub const BY_PEOPLE: [RunMove; 3] = [RunMove::Pause, RunMove::Resume, RunMove::Cancel];
