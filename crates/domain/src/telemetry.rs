//! Names of spans and metrics: one name per thing everywhere.

pub mod metrics;
mod told;

pub use told::Told;

/// Span around one request to Auth0.
pub const SPAN_REQUEST: &str = "auth0.request";
