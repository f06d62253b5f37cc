//! Reports: from tallies and verifications to bytes. Pure, but for [`of_run`], which asks a
//! ledger and a clock.
//!
//! A report holds no personal data: items are named by key and place, and a key
//! that is an address is shown as a digest.

mod course;
mod csv;
mod facts;
mod fields;
mod html;
mod markdown;
mod standing;
mod table;

pub use course::{Course, CourseStep};
pub use csv::{cells, header, id_header, id_row, row};
pub use facts::{Durations, Group, Named, Order, Rate, Report};
pub use fields::{BY_FIELD, FieldCount, count_fields};
pub use html::html;
pub use markdown::markdown;
pub use standing::Standing;
pub use table::{Table, WrittenAgain, of_table};

use ferry_domain::{
    ItemSeq, RunView,
    ports::{Clock, Items, LedgerError, Reports},
};
/// Orders named in the report; all of them are in the audit.
const ORDERS: i64 = 200;
/// Discrepancies named in the report itself; all of them are in the ledger.
const NAMED: i64 = 100;
/// Steps of the run's time, however long it was.
const STEPS: i64 = 200;

/// The report of a run by what the ledger has of it now.
///
/// # Errors
/// When the ledger fails.
pub async fn of_run(
    reports: &dyn Reports,
    items: &dyn Items,
    run: &RunView,
    clock: &dyn Clock,
) -> Result<Report, LedgerError> {
    let failures = reports.failures(run.id).await?;
    let fields = fields::of_groups(items, run.id, &failures).await?;
    let discrepancies = reports.discrepancies(run.id, ItemSeq(0), NAMED).await?;
    let orders = reports.audit(Some(run.id), ORDERS).await?;
    let mut report = Report::new(run, &failures, &discrepancies, &orders, clock.now());
    report.course = reports.course(run.id, STEPS).await?.as_ref().map(Course::of);
    for (state, code, fields) in fields {
        let group = report.groups.iter_mut().find(|group| (group.state, group.code) == (state, code));
        if let Some(group) = group {
            group.fields = fields;
        }
    }
    Ok(report)
}
