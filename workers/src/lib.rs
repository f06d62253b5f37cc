//! What the workers do with a job: one handler for each kind, and the loops
//! that keep jobs moving. This file is the registry, and the table of contents.
//!
//! Handlers never fail outward. They answer a [`Verdict`]
//! or end their job in a ledger transaction of their own; the queue only carries.

mod dispatch;
mod environment;
mod handlers;
mod held;
mod loops;
mod process;

pub use environment::{Environment, Tuning};
pub use process::{Role, UnknownRole, run, slots};

use ferry_domain::{Job, JobKind, Lease, Verdict, ports::LedgerError};
use tokio_util::sync::CancellationToken;

/// Runs the handler of a job's kind. `lost` is cancelled when the lease is:
/// the handler then drops everything at once.
async fn handle(
    env: &Environment,
    lease: &Lease<Job>,
    lost: &CancellationToken,
) -> Result<Ended, LedgerError> {
    match lease.of.kind {
        JobKind::Provision => handlers::provision::provision(env, lease, lost).await,
        JobKind::Verify => handlers::verify::verify(env, lease, lost).await,
        JobKind::Report => handlers::report::report(env, lease).await,
    }
}

/// How a handler left its job.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// In the handler's own transaction; nothing is left to say.
    InLedger,
    /// To be concluded with this verdict.
    With(Verdict),
}
