//! The ledger on SQLite, in the application's own file.
//!
//! Writes of one process go through one connection, so that they queue here,
//! in order, and not by waiting for SQLite's lock; a few more connections
//! read, which WAL allows beside a writer. Every write of several statements
//! begins with `BEGIN IMMEDIATE`: a transaction that read first and wants to
//! write later is refused when the application wrote in between.
//!
//! Since a transaction holds the only write lock from its first statement on,
//! the fence of leased writes is a plain read at its beginning (`fence.rs`).
//! Fixed SQL is checked against the migrations when the crate is compiled; only
//! the application's table, whose names are known at run time, has SQL made here.
//!
//! One process per file: [`EmbeddedLock`].

mod application;
mod concluding;
mod connection;
mod controlling;
mod dead;
mod ending;
mod errors;
mod fence;
mod lock;
mod moving;
mod operating;
mod planning;
mod redriving;
mod relaying;
mod removing;
mod rescuing;
mod retrying;
mod rows;
mod settling;
mod working;
mod write_back;

pub use connection::SqliteLedger;
pub use lock::{EmbeddedLock, LockError};
