//! The ledger on SQLite: in a file beside the application's, or, where it was made so, in that file.
//!
//! One file for each trait of the port, with what it needs below it in a folder of the same
//! name; `ferry-ledger-postgres` has the same files. Decisions are functions of
//! `ferry-domain`, words and rows are those of `ferry-ledger`; the SQL here only keeps what they
//! say.
//!
//! Writes of one process go through one connection, so that they queue here,
//! in order, and not by waiting for SQLite's lock; a few more connections
//! read, which WAL allows beside a writer. Every write of several statements
//! begins with `BEGIN IMMEDIATE`: a transaction that read first and wants to
//! write later is refused when the application wrote in between.
//!
//! Since a transaction holds the only write lock from its first statement on,
//! the fence of leased writes is a plain read at its beginning (`leases::fence`).
//! Fixed SQL is checked against the migrations when the crate is compiled; only
//! the application's table, whose names are known at run time, has SQL made here.
//!
//! One process per file: [`EmbeddedLock`].

mod application;
mod batches;
mod connection;
mod controls;
mod dead;
mod errors;
mod items;
mod jobs;
mod leases;
mod lock;
mod moves;
mod planning;
mod processes;
mod relocate;
mod reports;
mod runs;
mod users;
mod values;

pub use application::{SqliteApplication, application_table};
pub use connection::{SqliteLedger, State, state};
pub use lock::{EmbeddedLock, LockError};
pub use processes::try_write;
pub use relocate::{Holds, holds, relocate};
pub use runs::migrated;
