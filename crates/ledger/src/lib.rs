//! What the ledgers on PostgreSQL and SQLite share: everything between their rows and the
//! domain that is not SQL. Written once, so that the same row means the same, the same
//! refusal is worded the same, the same order leaves the same line in the audit, and a move
//! does the same steps in the same order, whatever the database.
//!
//! Statements stay in each ledger: the databases differ in how they lock, in what an index
//! can do, and in the cost of a statement. So do whole methods where a process waits for them:
//! sends, claims, heartbeats, rescues and results are two times idiomatic SQL.

pub mod apart;
pub mod audit;
pub mod lists;
pub mod refusals;
pub mod results;
pub mod rows;
pub mod scripts;
pub mod steps;
pub mod words;

use ferry_domain::ports::LedgerError;

/// What this crate returns.
pub type Result<T> = std::result::Result<T, LedgerError>;
