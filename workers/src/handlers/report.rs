//! Seals a run whose batches are all verified.

use ferry_domain::{
    Code, Job, Lease, Verdict, crash,
    ports::{LedgerError, SealedRun},
};
use tracing::{info, warn};

use super::answers::Ended;
use crate::environment::Environment;

pub(crate) async fn report(env: &Environment, lease: &Lease<Job>) -> Result<Ended, LedgerError> {
    let id = lease.of.run;
    let Some(run) = env.runs.run(id).await? else {
        return Ok(Ended::With(Verdict::Discard { code: Code::Interrupted }));
    };
    let mut report = ferry_report::of_run(&*env.reports, &*env.items, &run, &*env.clock).await?;
    report.table = ferry_report::of_table(&*env.reports, &*env.items, &run).await?;
    if let Some(told) = report.table.as_ref().filter(|table| table.needs_a_person()).and_then(|t| t.told(id))
    {
        warn!("{told}");
    }
    crash::pass("report.made");
    let revision = env.reports.seal(lease, &SealedRun { report: report.to_value() }).await?;
    crash::pass("report.sealed");
    info!(revision, "run sealed");
    Ok(Ended::InLedger)
}
