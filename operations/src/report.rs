//! The report of a run: kept when it was sealed, or made from the state now.

use ferry_domain::{
    ItemSeq, ItemState, RunId, RunView,
    ports::{ItemFilter, ItemView},
};
use ferry_report::Report;

use crate::{Access, Error, Kind};

/// Users read from the ledger in one statement.
const PAGE: i64 = 1_000;

/// Why there is no report to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such revision.
    #[error("run {run} has no report revision {revision}; the newest is {newest}")]
    NoSuchRevision {
        /// Id of the run.
        run: RunId,
        /// What was asked for.
        revision: i32,
        /// What there is.
        newest: i32,
    },
    /// Another version of Ferry wrote it, or it was damaged.
    #[error("the kept report can't be read: {0}")]
    Unreadable(String),
}

impl Refusal {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Refusal::NoSuchRevision { .. } => Kind::Wrong,
            Refusal::Unreadable(_) => Kind::Failed,
        }
    }
}

/// A report, and whether it is the run's own.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The report.
    pub report: Report,
    /// Kept when the run was sealed; else it was made now, from a state that still changes.
    pub kept: bool,
}

/// The kept report of a revision, or the newest, or one made from the state now.
///
/// # Errors
/// When there is no such revision.
pub async fn show(access: &Access, run: &RunView, revision: Option<i32>) -> Result<Shown, Error> {
    if let Some(stored) = access.reports.report(run.id, revision).await? {
        let report =
            serde_json::from_value(stored.report).map_err(|error| Refusal::Unreadable(error.to_string()))?;
        return Ok(Shown { report, kept: true });
    }
    if let Some(revision) = revision {
        return Err(Refusal::NoSuchRevision { run: run.id, revision, newest: run.revision }.into());
    }
    let report = ferry_report::of_run(&*access.reports, run, &*access.clock).await?;
    Ok(Shown { report, kept: false })
}

/// Every user that was not created or adopted, in source order, page by page.
///
/// # Errors
/// When the ledger fails.
pub async fn not_at_target(
    access: &Access,
    run: RunId,
    each: &mut (dyn FnMut(&ItemView) + Send),
) -> Result<(), Error> {
    use ItemState::{Cancelled, Conflict, Failed, Pending, Skipped};
    let filter =
        ItemFilter { states: vec![Failed, Conflict, Skipped, Cancelled, Pending], codes: Vec::new() };
    let mut after = ItemSeq(0);
    loop {
        let page = access.items.items(run, &filter, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.seq;
        page.iter().for_each(&mut *each);
    }
}
