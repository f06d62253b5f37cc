//! What people ask of Ferry, from the command line today and a console tomorrow.
//!
//! Each operation is the same in three parts: a count that is asked about (a
//! `Question`, whose `Display` is the question), an act that returns what it did as
//! a type that is also the JSON, and its refusals in words ([`Error`]). Nothing
//! here prints, parses a command line or names a concrete store.

mod access; // what an operation may use
mod changed; // who changed since they were moved, for a plan
pub mod error; // refusals in words, and what kind each is
pub mod named; // a run as people name it
mod people; // whether a migration's name fits its users

pub mod accept; // what a person accepts by name
pub mod plan; // what a run would do with each record, as a file with a digest
pub mod planner; // from a source into a ledger, in chunks
pub mod start; // plans a source and lets workers begin

pub mod audit; // who ordered what, when and why
pub mod batch; // batches of a run, with their jobs
pub mod dead; // dead letters: list, show, redrive, discard
pub mod moves; // pause, resume, cancel a run
pub mod queue; // jobs between ledger and workers: list, rebuild
pub mod rate; // other limits while a run goes on
pub mod report; // the report of a run: kept, or made from the state now
pub mod restore; // writes ids back again where they are gone
pub mod retry; // takes failed and conflicting users up again
pub mod stop_all; // one brake for every run and worker
pub mod user; // all that is known of one user

pub mod consent; // whether a person agreed to what is sent to a tenant
pub mod cost; // the least time of a run under a plan of limits
pub mod filter; // the language of `--where`
pub mod pace; // how fast a run goes, and how long it still takes
pub mod units; // numbers, shares and ages as people write and read them
pub mod views; // what is shown, as JSON objects
pub mod waits; // why a run does not go on
pub mod watching; // what a view of a run shows at one look

pub use access::Access;
pub use error::{Error, Kind, NoSuchRun};
pub use named::RunName;
