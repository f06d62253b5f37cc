//! Takes failed and conflicting users up again, also of a sealed run.

use std::fmt;

use ferry_domain::{
    Code, ItemState, RunId, RunView,
    ports::{LedgerError, Retryable, UserFilter},
    run::{RunMove, batches_for},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{Access, Error, user::Selection};

/// How many users would be tried again.
#[derive(Clone, Debug)]
pub struct Question {
    /// The run.
    pub run: RunView,
    /// Only users that it means.
    pub filter: UserFilter,
    /// Users that would go again.
    pub users: i64,
    /// Failed or conflicting users that are left alone: a rule refused their record, or
    /// the filter does not mean them.
    pub left: i64,
    /// The codes of the run's failed and conflicting users, with their number and whether a
    /// retry takes them up; the largest group first.
    pub there: Vec<There>,
}

/// Failed or conflicting users with one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct There {
    /// The code.
    pub code: Code,
    /// Number of users.
    pub users: i64,
    /// Of these, those whom a retry can take up: their records are known.
    pub again: i64,
}

impl Question {
    /// Why there is nobody to try again, and what to do instead.
    pub fn nothing(&self) -> String {
        let listed = |users: &dyn Fn(&There) -> i64| {
            let there =
                self.there.iter().map(|there| (users(there), there.code)).filter(|(users, _)| *users > 0);
            there.map(|(users, code)| format!("{users} {code}")).collect::<Vec<_>>()
        };
        let (again, source) = (listed(&|there| there.again), listed(&|there| there.users - there.again));
        match (again.as_slice(), source.as_slice()) {
            ([], []) => "Nothing to retry: nobody failed or is in conflict.".to_owned(),
            ([], _) if !self.filter.is_of_codes() => "Nothing to retry: the filter means nobody who failed or is in conflict and can be tried again.".to_owned(),
            ([], source) => format!(
                "Nothing to retry: a rule refused these records ({}). Mend the source and start a new run for them.",
                source.join(", ")
            ),
            (again, _) => {
                let which =
                    if self.filter.is_of_codes() { "with this code" } else { "that the filter means" };
                format!("Nothing to retry {which}. What can be tried again: {}.", again.join(", "))
            }
        }
    }
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
/// When there is no such run, and when it can't be retried in its state.
pub async fn ask(access: &Access, run: RunId, selection: Selection) -> Result<Question, Error> {
    let run = access.run(run).await?;
    if run.state.after(RunMove::Retry).is_none() {
        return Err(LedgerError::no_such_move(run.id, run.state, RunMove::Retry).into());
    }
    let filter = selection.of(access, run.id).await?;
    let Retryable { take: users, left } = access.moves.count_retryable(run.id, &filter).await?;
    let failures = access.reports.failures(run.id).await?;
    let failed = failures.iter().filter(|group| group.state != ItemState::Skipped);
    let mut there = Vec::new();
    for group in failed {
        let of_code = UserFilter::with_codes(&[group.code]);
        let again = access.moves.count_retryable(run.id, &of_code).await?.take.min(group.count);
        there.push(There { code: group.code, users: group.count, again });
    }
    Ok(Question { run, filter, users, left, there })
}

/// What a retry did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Retried {
    /// Id of the run.
    pub run: RunId,
    /// Users that go again.
    pub retried: i64,
    /// Users left alone.
    pub left: i64,
    /// Their batches; null where no user is tried again.
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
    let Question { run, filter, users, left, .. } = question;
    if *users == 0 {
        return Ok(Retried { run: run.id, retried: 0, left: *left, batches: None, round: run.round });
    }
    let ids = access.batches(batches_for(*users, run.spec.batch_size.into()));
    let retried = access.moves.retry(run.id, filter, &ids, &access.command(reason)).await?;
    Ok(Retried {
        run: run.id,
        retried: retried.items,
        left: retried.left,
        batches: Some(retried.batches),
        round: retried.round,
    })
}

#[cfg(test)]
mod tests {
    use ferry_domain::RunState;

    use super::*;
    use crate::views::tests::run_view;

    #[test]
    fn nothing_to_retry_names_what_there_is() {
        let of = |there: &[(Code, i64, i64)]| {
            let there = there.iter().map(|&(code, users, again)| There { code, users, again }).collect();
            let (run, filter) = (run_view(RunState::Sealed), UserFilter::default());
            Question { run, filter, users: 0, left: 0, there }.nothing()
        };
        assert!(of(&[]).contains("nobody failed"));
        let rules = of(&[(Code::EmailInvalid, 3, 0), (Code::ChangedSinceMoved, 1, 0)]);
        assert!(rules.contains("(3 EMAIL_INVALID, 1 CHANGED_SINCE_MOVED)"), "{rules}");
        assert!(rules.contains("new run"), "{rules}");
        let both = of(&[(Code::AdoptUnverified, 15, 12), (Code::EmailInvalid, 3, 0)]);
        assert!(both.ends_with("What can be tried again: 12 ADOPT_UNVERIFIED."), "{both}");
    }
}
