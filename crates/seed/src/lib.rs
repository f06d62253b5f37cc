//! The MedLogistics example application and its planted cases.
//!
//! A [`Population`] is a hospital network as it was before the move to Auth0:
//! hospitals, wards, users with API keys, permissions. It is computed, not
//! stored: each row is a pure function of its id, the number of users and the
//! seed, so a million users need no more memory than forty. Among the plain
//! users are the hard ones (two rows that share an address but for its case, no
//! address at all, an account that Auth0 knows already …), and each [`Case`]
//! says what the result of a migration must be. So a run can be checked:
//! [`Population::expected`] is computed from the seed alone, never from what
//! Ferry did.
//!
//! [`write()`] puts a population into PostgreSQL or SQLite in one transaction;
//! [`digest_of`] reads it back and must return the same digest.
//!
//! Rejected: a file of fixtures (fixed size, and a hundred thousand rows do not
//! belong in a repository), and `rand`'s standard generator (its numbers may
//! change between versions, and with them every digest written down).

mod canonical;
mod case;
mod error;
mod layout;
mod names;
mod person;
mod planted;
mod population;
mod postgres;
mod random;
mod readback;
mod rows;
mod sqlite;
mod tables;
mod target;
mod write;

pub use case::{Case, Expected, ExpectedOutcome};
pub use error::SeedError;
pub use layout::{MAX_USERS, MIN_USERS};
pub use population::{Population, population};
pub use readback::digest_of;
pub use rows::{ExistingUser, Hospital, Permission, Role, User, Ward};
pub use tables::{WriteOptions, Written};
pub use write::write;
