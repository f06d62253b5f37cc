//! When a worker process counts as working.

use std::time::Duration;

/// A process that was silent for longer does not count: its slots are not filled, and
/// people are told that no worker runs.
pub const FRESH: Duration = Duration::from_secs(10);
