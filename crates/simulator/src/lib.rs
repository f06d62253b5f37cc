//! Auth0 as a local server, for tests, rehearsals and the demo.
//!
//! The part of Auth0 that a migration of users talks to: the token endpoint, users, connections,
//! rate limits with their headers, and the faults that a long run meets (lost answers, expired
//! tokens, 5xx, 429 storms). It keeps its tenant in memory and forgets it at the end.
//!
//! It imports nothing of the rest of the workspace: wire types shared with a client would hide the
//! same mistake on both sides. Rejected: stubs generated from Auth0's OpenAPI document. They have
//! no state, and state (who exists, who is refused, what a retry finds) is what has to be tested.
//!
//! ```no_run
//! # async fn example() -> Result<(), ferry_simulator::StartError> {
//! use ferry_simulator::{Config, PlantedUser, Simulator};
//!
//! let simulator = Simulator::start(Config::default()).await?;
//! simulator.plant(PlantedUser::new("ada@example.com"));
//! println!("{}", simulator.base_url());
//! simulator.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod app;
mod clock;
mod config;
mod errors;
mod faults;
mod gate;
mod headers;
mod ids;
pub mod limits;
mod lock;
mod operations;
mod password;
mod routes;
mod server;
mod state;
mod stats;
mod tokens;
mod validate;

pub use config::Config;
pub use faults::{FaultCounts, Faults, recorded_us};
pub use limits::{Plan, PlanError, Refill, RefillError};
pub use password::{PasswordPolicy, PasswordPolicyError};
pub use server::{Simulator, StartError};
pub use state::{PlantedUser, UserView};
pub use stats::Stats;
