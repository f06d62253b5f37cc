//! Seals a run whose batches are all verified.

use ferry_domain::{
    Code, Job, Lease, Verdict, crash,
    ports::{LedgerError, SealedRun},
};
use tracing::info;

use super::answers::Ended;
use crate::environment::Environment;

pub(crate) async fn report(env: &Environment, lease: &Lease<Job>) -> Result<Ended, LedgerError> {
    let id = lease.of.run;
    let Some(run) = env.runs.run(id).await? else {
        return Ok(Ended::With(Verdict::Discard { code: Code::Interrupted }));
    };
    let report = ferry_report::of_run(&*env.reports, &run, &*env.clock).await?;
    crash::pass("report.made");
    let revision = env.reports.seal(lease, &SealedRun { report: report.to_value() }).await?;
    crash::pass("report.sealed");
    info!(revision, "run sealed");
    Ok(Ended::InLedger)
}
