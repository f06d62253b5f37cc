//! One file for each kind of job, and the registry that finds it.
//!
//! - `provision`: creates the users of a batch; `creating` one user, `result_buffer` what
//!   is written back together, `final_check` a user that keeps ending its workers
//! - `withdraw`: what is left of a batch when its run is cancelled
//! - `verify`: reads the users back
//! - `report`: seals the run
//! - `answers`: what they have in common

pub(crate) mod answers;
mod creating;
mod final_check;
mod provision;
mod report;
mod result_buffer;
mod verify;
mod withdraw;

use ferry_domain::{Job, JobKind, Lease, ports::LedgerError};

use self::answers::Ended;
use crate::{environment::Environment, held::HeldLease};

/// Runs the handler of a job's kind. When `hold` is lost the handler drops everything immediately.
pub(crate) async fn handle(
    env: &Environment,
    lease: &Lease<Job>,
    hold: &HeldLease,
) -> Result<Ended, LedgerError> {
    match lease.of.kind {
        JobKind::Provision => provision::provision(env, lease, hold).await,
        JobKind::Verify => verify::verify(env, lease, hold).await,
        JobKind::Report => report::report(env, lease).await,
    }
}
