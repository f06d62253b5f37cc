//! Rows of the tables, and what they mean. Generic over how a store keeps times.

mod batches;
mod dead;
mod items;
mod jobs;
mod runs;

pub use batches::{BatchJobRow, BatchRow, batches};
pub use dead::{DeadRow, Letter, Letters, TryRow};
pub use items::{
    AT_TARGET, DiscrepancyRow, ItemRow, ItemViewRow, ListedUserRow, MovedOtherwiseRow, MovedUserRow, UserRow,
};
pub use jobs::{ClaimedRow, JobRow, SendRow, UserJobRow};
pub use runs::{RunRow, TallyRow, run_now};
