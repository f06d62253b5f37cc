//! What the workers do with a job: one handler for each kind, and the loops
//! that keep jobs moving. This file is the registry, and the table of contents.
//!
//! Handlers never fail outward. They answer a [`Verdict`]
//! or end their job in a ledger transaction of their own; the queue only carries.

mod company;
mod dispatch;
mod environment;
mod guarded;
mod handlers;
mod held;
mod identity;
mod loops;
mod process;
mod standing;

pub use environment::{Environment, Parts, Tuning};
pub use process::{Role, UnknownRole, run, slots};

use ferry_domain::{Job, JobKind, Lease, Verdict, ports::LedgerError};

use crate::held::Hold;

/// Runs the handler of a job's kind. When `hold` is lost the handler drops everything at once.
async fn handle(env: &Environment, lease: &Lease<Job>, hold: &Hold) -> Result<Ended, LedgerError> {
    match lease.of.kind {
        JobKind::Provision => handlers::provision::provision(env, lease, hold).await,
        JobKind::Verify => handlers::verify::verify(env, lease, hold).await,
        JobKind::Report => handlers::report::report(env, lease).await,
    }
}

/// How a handler left its job.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// In the handler's own transaction; nothing is left to say.
    InLedger,
    /// By somebody else: the lease was lost.
    Lost,
    /// To be concluded with this verdict.
    With(Verdict),
}
