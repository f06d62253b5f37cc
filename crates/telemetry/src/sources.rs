//! Where the pages read.

use std::{fmt, sync::Arc};

use ferry_domain::{Figures, ports::LimiterFigures};

use crate::Patience;

/// Everything that metrics and health are made of. Cheap to clone.
#[derive(Clone)]
pub struct Sources {
    /// What the workers count; the elected exporter's reading of the store is in it.
    pub figures: Arc<Figures>,
    /// What the limiter counts. Asked at each scrape, never for health: it may wait for a lock.
    pub limiter: Arc<dyn Fn() -> LimiterFigures + Send + Sync>,
    /// Milliseconds of the monotonic clock by which `renewed_at_ms` is filled. Must not block.
    pub monotonic_ms: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// When silence counts as death.
    pub patience: Patience,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("patience", &self.patience).finish_non_exhaustive()
    }
}
