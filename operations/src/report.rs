//! The report of a run: kept when it was sealed, or made from the state now.

use std::collections::VecDeque;

use ferry_domain::{
    ItemSeq, ItemState, RunId, RunView,
    ports::{Discrepancy, ItemFilter, ItemPages, ItemView},
};
use ferry_report::{Report, Standing, Table};
use time::OffsetDateTime;

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

/// A report, and what it is of its run.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The report.
    pub report: Report,
    /// Kept when the run was sealed; else it was made now, from a state that still changes.
    pub standing: Standing,
}

/// The kept report of a revision, or the newest, or one made from the state now.
///
/// # Errors
/// When there is no such revision.
pub async fn show(access: &Access, run: &RunView, revision: Option<i32>) -> Result<Shown, Error> {
    let standing = |revision| Standing { state: run.state, revision, newest: run.revision };
    if let Some(stored) = access.reports.report(run.id, revision).await? {
        let mut report: Report =
            serde_json::from_value(stored.report).map_err(|error| Refusal::Unreadable(error.to_string()))?;
        report.table = match report.table {
            // One that was asked for by its number is told as it was.
            Some(table) if revision.is_none() => Some(since(access, run.id, stored.sealed_at, table).await?),
            table => table.map(|table| table.since(stored.sealed_at, &[], run.id)),
        };
        return Ok(Shown { report, standing: standing(Some(stored.revision)) });
    }
    if let Some(revision) = revision {
        return Err(Refusal::NoSuchRevision { run: run.id, revision, newest: run.revision }.into());
    }
    let report = ferry_report::of_run(&*access.reports, &*access.items, run, &*access.clock).await?;
    Ok(Shown { report, standing: standing(None) })
}

/// Lines of a run's audit that are looked through.
const ORDERS: i64 = 200;

/// What the application's rows carry of the ids, as the kept report has it and what was written
/// back again since; `None` where nobody counted.
///
/// # Errors
/// When the ledger fails.
pub async fn table(access: &Access, run: &RunView) -> Result<Option<Table>, Error> {
    if run.state.is_active() {
        return Ok(None);
    }
    let Some(stored) = access.reports.report(run.id, None).await? else { return Ok(None) };
    // A report that an older version wrote has no such part.
    let Ok(Report { table: Some(table), .. }) = serde_json::from_value(stored.report) else {
        return Ok(None);
    };
    Ok(Some(since(access, run.id, stored.sealed_at, table).await?))
}

async fn since(access: &Access, run: RunId, ended: OffsetDateTime, table: Table) -> Result<Table, Error> {
    let audit = access.reports.audit(Some(run), ORDERS).await?;
    Ok(table.since(ended, &audit, run))
}

/// Which users a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// Who needs a person, or is not done.
    NeedsAttention,
    /// The skipped, too.
    All,
}

/// Users that were not created or adopted, and those that were not as written when they were
/// read back, in source order, page by page.
///
/// # Errors
/// When the ledger fails.
pub async fn not_at_target(
    access: &Access,
    run: &RunView,
    listed: Listed,
    each: &mut (dyn FnMut(&ItemView, Option<&Discrepancy>) + Send),
) -> Result<(), Error> {
    use ItemState::{Adopted, Cancelled, Conflict, Created, Failed, Pending, Skipped};
    let mut states = vec![Failed, Conflict, Cancelled, Pending];
    // Who was skipped because an earlier run moved it was read back, too.
    if listed == Listed::All || run.discrepancies > 0 {
        states.push(Skipped);
    }
    if run.discrepancies > 0 {
        states.extend([Created, Adopted]);
    }
    let mut found = Found::default();
    pages(access, run.id, states, async |page: &[ItemView]| {
        for item in page {
            let discrepancy = found.of(access, run.id, item.seq).await?;
            let told = match item.state {
                Created | Adopted => discrepancy.is_some(),
                Skipped => listed == Listed::All || discrepancy.is_some(),
                _ => true,
            };
            if told {
                each(item, discrepancy.as_ref());
            }
        }
        Ok(())
    })
    .await
}

/// Users that have an account at Auth0, in source order, page by page.
///
/// # Errors
/// When the ledger fails.
pub async fn at_target(
    access: &Access,
    run: RunId,
    each: &mut (dyn FnMut(&ItemView) + Send),
) -> Result<(), Error> {
    use ItemState::{Adopted, Conflict, Created, Skipped};
    pages(access, run, vec![Created, Adopted, Skipped, Conflict], async |page: &[ItemView]| {
        page.iter().filter(|item| item.auth0_user_id.is_some()).for_each(&mut *each);
        Ok(())
    })
    .await
}

async fn pages(
    access: &Access,
    run: RunId,
    states: Vec<ItemState>,
    mut each: impl AsyncFnMut(&[ItemView]) -> Result<(), Error>,
) -> Result<(), Error> {
    let filter = ItemFilter { states, codes: Vec::new() };
    let mut pages = ItemPages::of(&*access.items, run, filter, PAGE);
    while let Some(page) = pages.next().await? {
        each(&page).await?;
    }
    Ok(())
}

/// Discrepancies beside items, both in source order.
#[derive(Default)]
struct Found {
    page: VecDeque<Discrepancy>,
    ended: bool,
}

impl Found {
    async fn of(&mut self, access: &Access, run: RunId, seq: ItemSeq) -> Result<Option<Discrepancy>, Error> {
        while self.page.front().is_some_and(|found| found.seq < seq) {
            self.page.pop_front();
        }
        if self.page.is_empty() && !self.ended {
            self.page = access.reports.discrepancies(run, ItemSeq(seq.0 - 1), PAGE).await?.into();
            self.ended = self.page.is_empty();
        }
        Ok(self.page.pop_front_if(|found| found.seq == seq))
    }
}
