//! The tenant's rate limit, kept by all processes together or by one alone.
//!
//! [`SharedLimiter`] is for production: what is left of the limit lives in Redis, and
//! one script hands out **slots**, moments from which a request may be sent; each process
//! keeps **slot reservations** for its callers. See `shared`, and the decision in
//! `docs/adr/0011-shared-limiter.md`. [`LocalLimiter`] is for one process with everything
//! in it; see `local`. [`TenantLimiter`] is around either, and keeps to what the tenant itself says.
//!
//! Two properties of the server are unknown (FACTS §12.1): whether it refills all the
//! time or in steps, and what else uses the tenant. Hence, for both:
//!
//! - **A full bucket is not spent in one burst.** `rate × refill step` is held back, so
//!   that a server which tops up only at the end of a step never sees us ask for
//!   what it has not added yet. The step is 1 s for every plan: the policy page says
//!   per-minute limits are refilled second by second, and one step a minute can't be
//!   meant where the bucket (20) is smaller than a minute's refill (200).
//! - **Only a 429 lowers the rate**; headers cost permits, see `foreign`. The two limiters have
//!   two policies: alone, every 429 lowers it by 20 %; shared, one stray costs 2 %, and three
//!   in 5 s lower it by 20 % (`brake`, `shared`).
//! - **Moving users goes before reading them back**, which keeps 5 % of the limit; see `turns`.
//! - A quarter of a percent of the rate is left over, so that two clocks that differ
//!   a little don't add up to a 429 now and then.

mod brake;
mod bucket;
mod counts;
mod foreign;
mod local;
mod meter;
mod model;
mod shared;
mod tenant;
#[cfg(test)]
mod tests;
mod time;
mod turns;

pub use local::LocalLimiter;
pub use shared::{NoRedis, SharedLimiter, SharedOptions};
pub use tenant::TenantLimiter;
