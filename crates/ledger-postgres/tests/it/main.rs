//! Tests on a real PostgreSQL: TEST_DATABASE_URL names a server on which they may
//! make and drop databases called `ferry_t_…`. Without it they say "skipped".

#![allow(clippy::unwrap_used)]

mod application_rows;
mod connections;
mod copying;
mod fencing;
mod live_application;
mod migrating;
mod preparing;
mod world;
