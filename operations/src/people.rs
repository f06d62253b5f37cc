//! Whether a migration's name fits the people of a source, given who was moved before.

use ferry_domain::{
    RunId, RunView,
    ids::ItemSeq,
    migration::{
        Clash,
        people::{Overlap, Planned, Sample},
    },
    ports::Addressed,
};

use crate::{Access, Error, accept::Accept};

/// Earlier runs that are compared, at most: each costs a reading of its users.
const COMPARED: usize = 20;
/// Users compared together. Each group costs a reading of the earlier run.
const GROUP: i64 = 50_000;

/// Compares a planned run's users with those that `runs` of the ledger moved, the newest first: a
/// sample, and all where it shows the same people under another name. `scratch` has the run,
/// `ledger` those before.
///
/// # Errors
/// When a ledger fails, and when the name does not fit and that was not accepted.
pub(crate) async fn check(
    scratch: &Access,
    ledger: &Access,
    planned: &Planned<'_>,
    sample: &Sample,
    runs: &[RunView],
    accepted: &[Accept],
) -> Result<(), Error> {
    let refuses = |clash: Result<(), Clash>| clash.err().filter(|clash| !Accept::of(clash, accepted));
    if sample.users().is_empty() {
        return Ok(());
    }
    for run in planned.strangers(runs).into_iter().take(COMPARED) {
        let overlap = ledger.planning.moved_of(run.id, sample.users()).await?;
        if let Some(clash) = refuses(planned.check_same_name(run, overlap)) {
            return Err(Box::new(clash).into());
        }
        if run.migration != planned.migration && overlap.is_of_one_application() {
            let overlap = all(scratch, planned.run, ledger, run.id).await?;
            if let Some(clash) = refuses(planned.check_other_name(run, overlap)) {
                return Err(Box::new(clash).into());
            }
        }
    }
    Ok(())
}

/// How many of all users that would be sent `earlier` moved.
async fn all(scratch: &Access, run: RunId, ledger: &Access, earlier: RunId) -> Result<Overlap, Error> {
    let (mut overlap, mut after) = (Overlap::default(), ItemSeq(0));
    loop {
        let users = scratch.planning.users_to_send(run, after, GROUP).await?;
        let Some((last, _)) = users.last() else { return Ok(overlap) };
        after = *last;
        let users: Vec<Addressed> = users.into_iter().map(|(_, user)| user).collect();
        overlap = overlap.and(ledger.planning.moved_of(earlier, &users).await?);
    }
}
