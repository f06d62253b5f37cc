//! Takes failed and conflicting users up again, also of a sealed run.

use std::fmt;

use ferry_domain::{Code, RunId, RunView, ports::Retryable, run::batches_for};
use serde::Serialize;

use crate::{Access, Error};

/// How many users would be tried again.
#[derive(Clone, Debug)]
pub struct Question {
    /// The run.
    pub run: RunView,
    /// Only users with these codes; all when empty.
    pub codes: Vec<Code>,
    /// Users that would go again.
    pub users: i64,
    /// Failed or conflicting users that are left alone: a rule refused their record, or
    /// their code was not asked for.
    pub left: i64,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Question { run, users, left, .. } = self;
        write!(f, "Try {users} users of run {} again ({left} are left alone)?", run.id)
    }
}

/// Counts whom a retry would take up.
///
/// # Errors
/// When there is no such run.
pub async fn ask(access: &Access, run: RunId, codes: Vec<Code>) -> Result<Question, Error> {
    let run = access.run(run).await?;
    let Retryable { take: users, left } = access.moves.count_retryable(run.id, &codes).await?;
    Ok(Question { run, codes, users, left })
}

/// What a retry did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Retried {
    /// Id of the run.
    pub run: RunId,
    /// Users that go again.
    pub retried: i64,
    /// Users left alone.
    pub left: i64,
    /// Their batches; `None` where no user is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batches: Option<i64>,
    /// The round they are in.
    pub round: i32,
}

/// Tries them again in a new round. Without such users it does nothing.
///
/// # Errors
/// When the run can't be retried now.
pub async fn act(access: &Access, question: &Question, reason: Option<&str>) -> Result<Retried, Error> {
    let Question { run, codes, users, left } = question;
    if *users == 0 {
        return Ok(Retried { run: run.id, retried: 0, left: *left, batches: None, round: run.round });
    }
    let ids = access.batches(batches_for(*users, run.spec.batch_size.into()));
    let retried = access.moves.retry(run.id, codes, &ids, &access.command(reason)).await?;
    Ok(Retried {
        run: run.id,
        retried: retried.items,
        left: retried.left,
        batches: Some(retried.batches),
        round: retried.round,
    })
}
