//! What the limiter counts, read at the moment of a scrape.

use crate::ports::Group;

/// Figures of the limiter of one process since its start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RateFigures {
    /// One for each endpoint group.
    pub groups: Vec<GroupFigures>,
    /// Answers with 429 to this process.
    pub throttled: u64,
    /// Share of the plan's rate that is used: 1 normally, less after a 429.
    pub factor: f64,
    /// Seconds that requests waited for permits, summed over all of them.
    pub waited_seconds: f64,
    /// Requests that wait for a permit now.
    pub waiters: u64,
    /// Processes that share the limit as last seen, this one included.
    pub processes: u64,
    /// Requests of others to the same tenant, as far as headers told of them.
    pub foreign: u64,
    /// Whether the shared store answers; `None` where the limit is this process's alone.
    pub shared_reachable: Option<bool>,
}

/// Figures of one endpoint group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupFigures {
    /// Which.
    pub group: Group,
    /// Permits given by this process.
    pub granted: u64,
    /// Requests per second that all processes together may send now; `None` without a limit.
    pub allowed_per_second: Option<f64>,
}
