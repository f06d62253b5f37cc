//! Spans and metrics: one name per thing everywhere.

pub mod metrics;
mod told;
pub mod traces;

pub use told::Told;
