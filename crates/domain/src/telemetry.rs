//! Names of spans and metrics: one name per thing everywhere.

pub mod metrics;

/// Span around one request to Auth0.
pub const SPAN_REQUEST: &str = "auth0.request";
