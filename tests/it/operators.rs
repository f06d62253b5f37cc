//! What operators say, through the binary, on both ledgers. Where no worker runs, the
//! test itself plays what workers leave in the ledger; each action is looked for in the
//! audit with who and why.

mod brakes;
mod dead;
mod live;
mod queue;
pub mod stage;
mod watching;
