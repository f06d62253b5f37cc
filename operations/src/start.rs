//! Plans a source into the ledger and lets workers begin, in two steps with a question
//! between: [`ask`] reads the source, [`begin`] lets the relay send. A run that nobody
//! agreed to is removed by [`give_up`].

use std::fmt;

use ferry_domain::{
    RunId,
    application::Finding,
    estimate::Estimate,
    migration::{self, Migrated},
    plan::{Fingerprints, PlanFile},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    Access, Error,
    accept::Accept,
    plan,
    planner::{self, How, Subject},
};

pub use crate::planner::Outcome;

/// How a run is asked for.
#[derive(Clone, Copy, Default)]
pub struct Wish<'a> {
    /// A plan that the run has to keep to: nobody is sent whom it does not hold.
    pub plan: Option<&'a PlanFile>,
    /// What a person accepts.
    pub accepted: &'a [Accept],
    /// Why, in their words.
    pub reason: Option<&'a str>,
}

impl Wish<'_> {
    /// Whether the plan is of this source, made by these settings. Looked at before
    /// anything is written; the users of a table are compared by [`ask`].
    ///
    /// # Errors
    /// Says what is not as planned.
    pub fn check(&self, subject: &Subject) -> Result<(), Error> {
        match self.plan {
            Some(plan) => Ok(plan::check(plan, subject, self.accepts(Accept::SourceChanged))?),
            None => Ok(()),
        }
    }

    fn accepts(&self, what: Accept) -> bool {
        self.accepted.contains(&what)
    }

    /// The users that a table's plan holds; nobody else is sent.
    fn bound(&self) -> Option<&Fingerprints> {
        let plan = self.plan.filter(|_| !self.accepts(Accept::SourceChanged))?;
        (!plan.source.is_file()).then_some(&plan.users)
    }
}

/// Whether the migration's name fits what was moved before.
///
/// # Errors
/// When the name has another source, or this source another name, and that was not accepted.
pub fn check_name(subject: &Subject, before: &[Migrated], accepted: &[Accept]) -> Result<(), Error> {
    let source = subject.source.identity();
    match migration::check(&source, &subject.migration, before) {
        Err(clash) if Accept::of(&clash, accepted) => Ok(()),
        checked => Ok(checked.map_err(Box::new)?),
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
            "Create {} users in {} / {} as migration {}, {} batches?",
            planned.tally.pending, run.spec.tenant, run.spec.connection, run.migration, planned.batches
        )
    }
}

/// Reads the source into a run that is not sent yet. On any error nothing stays, and neither
/// when `stop` ends first.
///
/// # Errors
/// When the migration's name does not fit what was moved before, when the application's
/// table lacks what write-back needs, when planning fails, and when the users are not as
/// promised.
pub async fn ask(
    access: &Access,
    subject: &mut Subject,
    wish: Wish<'_>,
    read: &mut (dyn FnMut(u64) + Send),
    stop: impl Future<Output = ()>,
) -> Result<Question, Error> {
    check_name(subject, &access.runs.migrated().await?, wish.accepted)?;
    let mut warnings = access.planning.remarks().await?;
    if let Some(target) = &subject.spec.write_back {
        let table = access.planning.application_table(target).await?;
        table.check()?;
        warnings.extend(table.findings());
        // With the schema that was found: a worker's search path may lead elsewhere.
        subject.spec.write_back = Some(table.target);
    }
    let how = How { bound: wish.bound(), reason: wish.reason, ledger: None, accepted: wish.accepted };
    let outcome = planner::plan(access, subject, how, read, stop).await?;
    if let Some(plan) = wish.plan
        && let Err(stale) = plan::check_users(plan, &outcome, wish.accepts(Accept::SourceChanged))
    {
        access.planning.abandon(outcome.run.id, &access.command(wish.reason)).await?;
        return Err(stale.into());
    }
    Ok(Question { outcome, warnings })
}

/// Waits for a person's answer, and keeps the run meanwhile.
pub async fn wait_for<T>(access: &Access, question: &Question, answer: impl Future<Output = T>) -> T {
    tokio::select! {
        answer = answer => answer,
        never = planner::keep(access, question.outcome.run.id) => never,
    }
}

/// A run that was started.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
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
    /// Users that an earlier run moved, and that changed since.
    pub conflict: i64,
    /// Batches to provision.
    pub batches: i64,
    /// What it takes at least of the limits; null without a limit.
    pub estimate: Option<Estimate>,
}

/// Lets workers begin.
///
/// # Errors
/// When the ledger refuses or fails.
pub async fn begin(access: &Access, question: &Question) -> Result<Started, Error> {
    let Outcome { run, planned, .. } = &question.outcome;
    access.planning.start(run.id, &access.command(run.reason.as_deref())).await?;
    Ok(Started {
        run: run.id,
        source: planned.tally.source,
        pending: planned.tally.pending,
        skipped: planned.tally.skipped,
        failed: planned.tally.failed,
        conflict: planned.tally.conflict,
        batches: planned.batches,
        estimate: estimate(&run.spec.limits, planned.tally.pending),
    })
}

fn estimate(limits: &str, users: i64) -> Option<Estimate> {
    Estimate::of(users.try_into().unwrap_or(0), &limits.parse().ok()?)
}

/// Removes the run, which was not agreed to.
///
/// # Errors
/// When the ledger fails.
pub async fn give_up(access: &Access, question: &Question) -> Result<(), Error> {
    let run = &question.outcome.run;
    Ok(access.planning.abandon(run.id, &access.command(run.reason.as_deref())).await?)
}
