//! Transport of jobs; the only package that knows apalis.
//!
//! The ledger is the truth, a queue only carries ids to workers: it may forget,
//! repeat or delay. So apalis serves as a fast transport and nothing else.
//! Attempts, backoff, schedules, dead letters, pauses and rescue are the
//! ledger's; handlers always report success to apalis.
//!
//! The same worker (`worker.rs`) runs over two transports: [`MemoryQueue`] for
//! one process with everything in it, [`RedisQueue`] for any number of them.
//! "Fault n" in comments is row n of `docs/apalis.md`: what apalis-redis 1.0 gets
//! wrong, measured, and what is done about it here.

mod envelope;
mod memory;
mod redis;
mod worker;

pub use self::{
    memory::MemoryQueue,
    redis::{Inspection, RedisOptions, RedisQueue},
};

/// The most jobs a queue ever holds, whatever window is asked for. Beyond about
/// 8,000 due jobs apalis-redis stops for ever (fault 1); half of it is safe.
pub const MAX_WINDOW: usize = 4_000;
