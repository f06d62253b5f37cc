//! Reports: from tallies and verifications to bytes. Pure: no ledger, no clock.
//!
//! A report holds no personal data: items are named by key and place, and a key
//! that is an address is shown as a digest.

mod csv;
mod facts;
mod markdown;

pub use csv::{header, row};
pub use facts::{Durations, Group, Named, Rate, Report};
pub use markdown::markdown;
