//! Seals a run whose batches are all verified.

use ferry_domain::{
    Code, ItemSeq, Job, Lease, Verdict, crash,
    ports::{LedgerError, SealedRun},
};
use ferry_report::Report;
use tracing::info;

use super::answers::Ended;
use crate::environment::Environment;

/// Discrepancies named in the report itself; all of them are in the ledger.
const NAMED: i64 = 100;

pub(crate) async fn report(env: &Environment, lease: &Lease<Job>) -> Result<Ended, LedgerError> {
    let id = lease.of.run;
    let Some(run) = env.ledger.run(id).await? else {
        return Ok(Ended::With(Verdict::Discard { code: Code::Interrupted }));
    };
    let failures = env.ledger.failures(id).await?;
    let discrepancies = env.ledger.discrepancies(id, ItemSeq(0), NAMED).await?;
    crash::pass("report.made");
    let report = Report::new(&run, &failures, &discrepancies, env.clock.now());
    let revision = env.ledger.seal(lease, &SealedRun { report: report.to_value() }).await?;
    crash::pass("report.sealed");
    info!(revision, "run sealed");
    Ok(Ended::InLedger)
}
