//! Whether a migration's name fits the people of a source, given who was moved before.

use ferry_domain::{
    RunId, RunView,
    migration::people::{Planned, Sample},
    ports::SourceWarning,
};

use crate::{Access, Error, accept::Accept};

/// What is known of the people of a source that had no run under its name.
#[derive(Default)]
pub(crate) struct Met {
    /// Runs that moved the same people from another place, under another name.
    pub same: Vec<RunId>,
    /// What a person should know of it; once for each name.
    pub notes: Vec<SourceWarning>,
}

/// Compares a sample of a planned run's users with those that `runs` of the ledger moved, the
/// newest first.
///
/// # Errors
/// When the ledger fails, and when other people have the name and that was not accepted.
pub(crate) async fn check(
    ledger: &Access,
    planned: &Planned<'_>,
    sample: &Sample,
    runs: &[RunView],
    accepted: &[Accept],
) -> Result<Met, Error> {
    let mut met = Met::default();
    let mut noted = Vec::new();
    if sample.users().is_empty() {
        return Ok(met);
    }
    for run in planned.strangers(runs) {
        let overlap = ledger.planning.moved_of(run.id, sample.users()).await?;
        if let Err(clash) = planned.check_same_name(run, overlap)
            && !Accept::of(&clash, accepted)
        {
            return Err(Box::new(clash).into());
        }
        if run.migration != planned.migration && overlap.is_of_one_application() {
            met.same.push(run.id);
        }
        if let Some(note) = planned.note_other_name(run, overlap)
            && !noted.contains(&&run.migration)
        {
            noted.push(&run.migration);
            met.notes.push(note);
        }
    }
    Ok(met)
}
