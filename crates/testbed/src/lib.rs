//! What a test on real servers needs: a database and a Redis of its own, a proxy to hurt
//! its connections, the binary in a folder of its own, and patience with a bound.
//!
//! Apart from `ferry-contract`, so that an edit of a suite does not build the tests of the
//! whole again. It knows nothing of ours: each test says which binary and which tables.
//! Only tests may import it (`tests/it/layers.rs` looks).
#![allow(clippy::unwrap_used)]
// It takes servers and tools from the environment, and waits by the real clock.
#![allow(clippy::disallowed_methods)]

mod database;
mod place;
mod proxy;
mod redis;
mod servers;
mod wait;
mod worker;

pub use database::Database;
pub use place::{Place, Ran};
pub use proxy::{Proxy, Weather};
pub use redis::{forget, redis_at, shared_redis};
pub use servers::{OwnPostgres, OwnRedis, free_port, is_root, local, open_to_all};
pub use wait::{PATIENCE, comes_true, until};
pub use worker::{Worker, tail};
