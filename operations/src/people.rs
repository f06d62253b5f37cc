//! Whether a migration's name fits the people of a source, given who was moved before.

use ferry_domain::{
    RunView,
    migration::people::{Planned, Sample},
    ports::SourceWarning,
};

use crate::{Access, Error, accept::Accept};

/// What is known of the people of a source.
#[derive(Default)]
pub(crate) struct Met<'r> {
    /// Runs that moved the same people from another place, under another name: one of each.
    pub same: Vec<&'r RunView>,
    /// What a person should know of it; once for each name.
    pub notes: Vec<SourceWarning>,
}

/// Compares a sample of a planned run's users with those that `runs` of the ledger moved, the
/// newest first.
///
/// # Errors
/// When the ledger fails, and when other people have the name and that was not accepted.
pub(crate) async fn check<'r>(
    ledger: &Access,
    planned: &Planned<'_>,
    sample: &Sample,
    runs: &'r [RunView],
    accepted: &[Accept],
) -> Result<Met<'r>, Error> {
    let mut met = Met::default();
    let mut noted = Vec::new();
    let is_new = !planned.had_name(runs); // else a person was told, or accepted it
    if sample.users().is_empty() {
        return Ok(met);
    }
    for run in planned.strangers(runs) {
        let overlap = ledger.planning.moved_of(run.id, sample.users()).await?;
        if let Err(clash) = planned.check_same_name(run, overlap)
            && is_new
            && !Accept::of(&clash, accepted)
        {
            return Err(Box::new(clash).into());
        }
        if run.migration != planned.migration && overlap.is_of_one_application() {
            met.same.push(run);
        }
        if let Some(note) = planned.note_other_name(run, overlap)
            && is_new
            && !noted.contains(&&run.migration)
        {
            noted.push(&run.migration);
            met.notes.push(note);
        }
    }
    Ok(met)
}
