//! What moves, endings, retries and redrives do, step by step, for every ledger. Each runs
//! within its caller's transaction, which commits or rolls back. Decisions are the domain's.

mod changed;
mod dead;
mod endings;
mod moves;

pub use changed::{settle_changed, settle_given, settle_known};
pub use dead::{discard, redrive};
pub use endings::{conclude, end_cancelled, give_up, record_verification};
pub use moves::{advance, ask, retry, withdraw};
