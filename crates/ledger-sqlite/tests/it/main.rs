//! The suite of every ledger, and what only SQLite has.
// Tests take their servers from the environment, and wait by the real clock.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::unwrap_used)]

mod application;
mod embedded;
mod file;
mod lock;
mod migrating;
mod plans;
mod relocating;
mod scale;
mod world;

use world::world;

ferry_contract::ledger_suite!(world);

mod apart_from_the_application {
    use super::world::apart;
    ferry_contract::ledger_suite!(apart from the application: apart);
}
