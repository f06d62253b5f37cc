//! The model explored, and the ledgers compared with it.
// Tests take their servers from the environment.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::unwrap_used)]

mod explored;
mod histories;
mod made;
mod mirror;
mod player;
mod stores;
mod weakened;
