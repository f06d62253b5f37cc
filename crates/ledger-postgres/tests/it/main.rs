//! The suite of every ledger, and what only PostgreSQL has, on a real server.
//! TEST_DATABASE_URL names one on which the tests may make and drop databases called
//! `ferry_t_…`; without it they say "skipped".
// Tests take their servers from the environment, and wait by the real clock.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::unwrap_used)]

mod application_rows;
mod connections;
mod copying;
mod fencing;
mod live_application;
mod migrating;
mod plans;
mod pooler;
mod preparing;
mod presence;
mod suite_world;
mod world;

use suite_world::world;

ferry_contract::ledger_suite!(world);

mod apart_from_the_application {
    use super::suite_world::apart;
    ferry_contract::ledger_suite!(apart from the application: apart);
}
