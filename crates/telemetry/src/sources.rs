//! The sources that the pages read from.

use std::{fmt, sync::Arc};

use ferry_domain::{Figures, ports::LimiterFigures};

use crate::Patience;

/// Everything that metrics and health are computed from. Cheap to clone.
#[derive(Clone)]
pub struct Sources {
    /// The workers' counters, and the store's figures if this process is the elected exporter.
    pub figures: Arc<Figures>,
    /// The limiter's figures. Read at each scrape, never for health: it may wait for a lock.
    pub limiter: Arc<dyn Fn() -> LimiterFigures + Send + Sync>,
    /// Milliseconds of the monotonic clock that sets `renewed_at_ms`. Must not block.
    pub monotonic_ms: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// How long a silent process counts as alive.
    pub patience: Patience,
    /// The commit that the program was built from. Only the program itself is built anew after each commit.
    pub commit: &'static str,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("patience", &self.patience).finish_non_exhaustive()
    }
}
