//! What handlers have in common: what an answer of Auth0 means for a batch, and how a
//! handler leaves its job. Imports no handler, so that all of them and the dispatcher can
//! import it.

use std::time::Duration;

use ferry_domain::{
    Code, Item, Job, Lease, Outcome, Verdict,
    adoption::Claimant,
    ports::{Directory, DirectoryError, RunNow},
    retry::{self, Class},
};
use tracing::warn;

use crate::environment::Environment;

/// How a handler left its job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// In the handler's own transaction; nothing is left to write.
    InLedger,
    /// By another worker: the lease was lost.
    Lost,
    /// To be concluded with this verdict.
    With(Verdict),
}

/// The job goes back as it is: no attempt is spent, and it is due again immediately.
pub(crate) fn handed_back() -> Verdict {
    Verdict::Snooze { after: Duration::ZERO, code: Code::Interrupted }
}

/// Pause of a job that another worker has to take.
const ELSEWHERE: Duration = Duration::from_secs(5);

/// A run's users belong into its own tenant: a worker that was set up for another one sends
/// nobody, reads nobody, and leaves the job to the others.
pub(crate) fn of_another_tenant(env: &Environment, run: &RunNow) -> Option<Ended> {
    let elsewhere = env.tuning.tenant.as_ref().is_some_and(|tenant| *tenant != run.spec.tenant);
    env.figures.set_wrong_tenant(elsewhere.then(|| run.spec.tenant.clone()));
    elsewhere.then_some(Ended::With(Verdict::Snooze { after: ELSEWHERE, code: Code::WrongTenant }))
}

/// Why an item stays pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// This try failed; it counts.
    Failed(Code),
    /// Nothing will pass for now, through no fault of the work: limit, token. It does not count.
    Blocked(Code),
    /// Nothing will pass until a person acts: connection, scope.
    Stops(Code),
}

/// What an error means for the batch, by the taxonomy of [`retry::class`].
pub(crate) fn trouble(error: DirectoryError) -> Trouble {
    let code = error.code();
    match retry::class(code) {
        Class::StopsRun => Trouble::Stops(code),
        Class::Snoozes => Trouble::Blocked(code),
        Class::Retries | Class::Fails => Trouble::Failed(code),
    }
}

/// Looks up a user that may have been sent: its outcome if it is at Auth0.
pub(crate) async fn outcome_at_auth0(
    env: &Environment,
    lease: &Lease<Job>,
    run: &RunNow,
    item: &Item,
) -> Result<Option<Outcome>, DirectoryError> {
    let claimant =
        Claimant { record: &item.record, id: lease.of.run, run, account_of: item.account_of.as_deref() };
    if let Some(id) = &item.auth0_user_id {
        let found = env.directory.get(id).await?;
        return Ok(Some(claimant.by_known_id(id, found.as_ref())));
    }
    let found = env.directory.get(&run.id_of(&item.record.key)).await?;
    Ok(found.map(|user| claimant.by_id(&user)))
}

/// After a look-up that failed the user stays pending, and is looked up again later:
/// nothing is reported of a user on a guess.
pub(crate) fn look_up_again(env: &Environment, lease: &Lease<Job>, error: DirectoryError) -> Verdict {
    warn!(%error, "a user could not be asked for; it is asked for again later");
    let (code, attempts) = match trouble(error) {
        Trouble::Failed(code) => (code, lease.of.attempts),
        Trouble::Blocked(code) | Trouble::Stops(code) => (code, 4),
    };
    Verdict::Snooze { after: retry::wait(attempts.max(2), &*env.random), code }
}
