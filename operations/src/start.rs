//! Plans a source into the ledger and lets workers begin, in two steps with a question
//! between: [`ask`] reads the source, [`begin`] lets the relay send. A run that nobody
//! agreed to is removed by [`give_up`].

use std::fmt;

use ferry_domain::{RunId, application::Finding, plan::PlanFile};
use serde::Serialize;

use crate::{
    Access, Error, plan,
    planner::{self, Subject},
};

pub use crate::planner::Outcome;

/// A plan that the run has to keep to.
#[derive(Clone, Copy)]
pub struct Promised<'a> {
    /// The plan.
    pub plan: &'a PlanFile,
    /// A person accepted that the source changed since.
    pub source_change_accepted: bool,
}

impl Promised<'_> {
    /// Whether the plan is of this source, made by these settings. Looked at before
    /// anything is written; the users of a table are compared by [`ask`].
    ///
    /// # Errors
    /// Says what is not as planned.
    pub fn check(&self, subject: &Subject) -> Result<(), Error> {
        Ok(plan::check(self.plan, subject, self.source_change_accepted)?)
    }
}

/// How many users would be created where.
pub struct Question {
    /// What planning found.
    pub outcome: Outcome,
    /// What is to be known of the application's table and of the ledger's database.
    pub warnings: Vec<Finding>,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { run, planned, .. } = &self.outcome;
        write!(
            f,
            "Create {} users in {} / {}, {} batches?",
            planned.tally.pending, run.spec.tenant, run.spec.connection, planned.batches
        )
    }
}

/// Reads the source into a run that is not sent yet. On any error nothing stays.
///
/// # Errors
/// When the application's table lacks what write-back needs, when planning fails, and
/// when the users are not as promised.
pub async fn ask(
    access: &Access,
    subject: &mut Subject,
    promised: Option<Promised<'_>>,
    reason: Option<&str>,
    read: &mut (dyn FnMut(u64) + Send),
) -> Result<Question, Error> {
    let mut warnings = access.planning.remarks().await?;
    if let Some(target) = &subject.spec.write_back {
        let table = access.planning.application_table(target).await?;
        table.check()?;
        warnings.extend(table.findings());
        // With the schema that was found: a worker's search path may lead elsewhere.
        subject.spec.write_back = Some(table.target);
    }
    let outcome = planner::plan(access, subject, reason, read).await?;
    if let Some(Promised { plan, source_change_accepted }) = promised
        && let Err(stale) = plan::check_users(plan, &outcome, source_change_accepted)
    {
        access.planning.abandon(outcome.run.id).await?;
        return Err(stale.into());
    }
    Ok(Question { outcome, warnings })
}

/// A run that was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Started {
    /// Its id.
    pub run: RunId,
    /// Records in the source.
    pub source: i64,
    /// Users to send.
    pub pending: i64,
    /// Records that a rule leaves out.
    pub skipped: i64,
    /// Records that a rule refuses.
    pub failed: i64,
    /// Batches to provision.
    pub batches: i64,
}

/// Lets workers begin.
///
/// # Errors
/// When the ledger refuses or fails.
pub async fn begin(access: &Access, question: &Question) -> Result<Started, Error> {
    let Outcome { run, planned, .. } = &question.outcome;
    access.planning.start(run.id).await?;
    Ok(Started {
        run: run.id,
        source: planned.tally.source,
        pending: planned.tally.pending,
        skipped: planned.tally.skipped,
        failed: planned.tally.failed,
        batches: planned.batches,
    })
}

/// Removes the run, which was not agreed to.
///
/// # Errors
/// When the ledger fails.
pub async fn give_up(access: &Access, question: &Question) -> Result<(), Error> {
    Ok(access.planning.abandon(question.outcome.run.id).await?)
}
