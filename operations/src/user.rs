//! All that is known of one user: what each run made of it, its jobs, and how the account is now.

mod list;
mod selection;

use ferry_domain::{
    Code, ItemState, JobKind, JobState, RunId, RunState, RunView, SourceKey,
    ports::{Directory, DirectoryError, UserInRun, UserJob},
    verification::{Verification, compare},
};
use schemars::JsonSchema;
use serde::Serialize;

pub use list::{Listed, User, list};
pub use selection::{KEYS, Selection};
pub(crate) use selection::{batches, code};

use crate::{Access, Error, RunName};

/// Runs that are looked through, the newest first.
const RUNS: i64 = 1_000;

/// No run has a user with this key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no user has the key {key} in {looked_through}: keys are those of the column or property that was read as the key, \
     see ferry run report --output csv; one that is an address is typed in full, where reports show key-…"
)]
pub struct Unknown {
    /// As it is shown.
    pub key: String,
    /// What was looked through.
    pub looked_through: String,
}

/// A user in one run.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct UserView {
    pub run: RunId,
    pub run_state: RunState,
    /// The named move that the run belongs to.
    pub migration: String,
    pub tenant: String,
    /// File and line, or table and row.
    pub place: String,
    #[schemars(with = "ItemState")]
    pub state: &'static str,
    pub code: Option<Code>,
    /// What to do about it.
    pub remedy: Option<&'static str>,
    /// Which field the code speaks of.
    pub field: Option<String>,
    /// Which other record or user the code speaks of.
    pub other: Option<String>,
    pub auth0_user_id: Option<String>,
    /// The batch that the user is in.
    pub batch: String,
    /// The jobs of that batch.
    pub jobs: Vec<Job>,
    /// Fields that were not as written when the user was read back; absent where none was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discrepancies: Option<Vec<String>>,
    /// The account as it is now; absent where it was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<AccountNow>,
}

/// A job of the user's batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Job {
    pub kind: JobKind,
    pub state: JobState,
    pub attempts: i32,
    pub rescues: i32,
    /// Why it was handed back or given up last.
    pub code: Option<Code>,
}

/// What Auth0 says of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "account", rename_all = "snake_case")]
pub enum AccountNow {
    /// It is there.
    There {
        /// Whether it may not sign in.
        blocked: bool,
        /// Whether its address was confirmed.
        email_verified: bool,
        /// Fields that are not as the run would have them; none when all are. Absent where the run
        /// keeps no record to compare.
        #[serde(skip_serializing_if = "Option::is_none")]
        differing: Option<Vec<String>>,
    },
    /// There is none with this id.
    Gone,
    /// The run is of another tenant than the one that can be asked.
    Elsewhere {
        /// The run's tenant.
        tenant: String,
    },
    /// Auth0 did not say.
    Unknown {
        /// Why.
        code: Code,
        /// What to do about it.
        remedy: &'static str,
    },
}

/// Auth0, to be asked for accounts.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// The tenant, as runs name it.
    pub tenant: &'a str,
    /// Its accounts.
    pub directory: &'a dyn Directory,
}

/// What runs made of a user: of this one, or of all, the newest first. `looked` is told which run is
/// looked through, of how many: without an index by key a run of a million takes a second.
///
/// # Errors
/// When the ledger fails, or no run has such a user.
pub async fn show(
    access: &Access,
    key: &SourceKey,
    only: Option<&RunName>,
    target: Option<Target<'_>>,
    looked: &mut (dyn FnMut(usize, usize) + Send),
) -> Result<Vec<UserView>, Error> {
    let runs = match only {
        Some(name) => vec![access.run(access.named(name).await?).await?],
        None => access.runs.runs(RUNS).await?,
    };
    let mut found = Vec::new();
    for (at, run) in runs.iter().enumerate() {
        looked(at + 1, runs.len());
        for user in access.items.users(run.id, key).await? {
            found.push(view(run, user, target).await);
        }
    }
    if found.is_empty() {
        let looked_through = match (only, &runs[..]) {
            (Some(_), [run]) => format!("run {}", run.id),
            _ => format!("any of {} runs", runs.len()),
        };
        return Err(Unknown { key: key.shown(), looked_through }.into());
    }
    Ok(found)
}

async fn view(run: &RunView, user: UserInRun, target: Option<Target<'_>>) -> UserView {
    let now = match target {
        Some(target) => now(run, &user, target).await,
        None => None,
    };
    let UserInRun { item, batch, jobs, discrepancies, .. } = user;
    UserView {
        run: run.id,
        run_state: run.state,
        migration: run.migration.clone(),
        tenant: run.spec.tenant.clone(),
        place: item.origin.to_string(),
        state: item.state.as_str(),
        code: item.code,
        remedy: item.code.map(|code| code.remedy()),
        field: item.field,
        other: item.other,
        auth0_user_id: item.auth0_user_id.map(|id| id.0),
        batch: batch.to_string(),
        jobs: jobs.into_iter().map(Job::from).collect(),
        discrepancies,
        now,
    }
}

/// `None` where the user has no account that could be asked for.
async fn now(run: &RunView, user: &UserInRun, target: Target<'_>) -> Option<AccountNow> {
    let id = user.item.auth0_user_id.as_ref()?;
    if run.spec.tenant != target.tenant {
        return Some(AccountNow::Elsewhere { tenant: run.spec.tenant.clone() });
    }
    Some(match target.directory.get(id).await {
        Ok(None) => AccountNow::Gone,
        Ok(Some(account)) => {
            let compared = user
                .record
                .as_ref()
                .map(|record| compare(record, user.item.state, &run.spec.connection, Some(&account)));
            let differing = compared.map(|compared| match compared {
                Verification::Differs(fields) => fields,
                Verification::Matched | Verification::Missing => Vec::new(),
            });
            let (blocked, email_verified) = (account.blocked, account.email_verified);
            AccountNow::There { blocked, email_verified, differing }
        }
        Err(error) => unknown(&error),
    })
}

fn unknown(error: &DirectoryError) -> AccountNow {
    let code = error.code();
    AccountNow::Unknown { code, remedy: code.remedy() }
}

impl From<UserJob> for Job {
    fn from(job: UserJob) -> Self {
        let UserJob { kind, state, attempts, rescues, code } = job;
        Job { kind, state, attempts, rescues, code }
    }
}
