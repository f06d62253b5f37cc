//! What the workers do with a job: one handler for each kind (`handlers`), and the loops
//! that keep jobs moving (`loops`). This file is the table of contents.
//!
//! Handlers never fail outward. They return a [`Verdict`](ferry_domain::Verdict) or end
//! their job in a ledger transaction of their own; the queue only carries ids.

mod dispatch;
mod environment;
mod guarded;
mod handlers;
mod held;
mod identity;
mod loops;
mod process;
mod send_gate;
mod start_gate;
mod take_gate;
mod traces;

pub use environment::{Environment, Parts, Tuning};
pub use process::{Role, UnknownRole, run, slots};
pub use traces::TraceLinks;
