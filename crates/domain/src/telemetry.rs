//! Names of spans, fields and metrics, in one place: one name per thing everywhere.

pub mod metrics;

/// Span around one delivery of a job.
pub const SPAN_JOB: &str = "job";
/// Span around one request to Auth0.
pub const SPAN_REQUEST: &str = "auth0.request";

/// Field: the run.
pub const RUN_ID: &str = "run.id";
/// Field: the batch.
pub const BATCH_ID: &str = "batch.id";
/// Field: the job.
pub const JOB_ID: &str = "job.id";
/// Field: position of an item in its source.
pub const ITEM_SEQ: &str = "item.seq";
/// Field: which try.
pub const ATTEMPT: &str = "attempt";

use crate::ports::Random;

/// A new W3C `traceparent`, sampled.
pub fn new_traceparent(random: &dyn Random) -> String {
    let mut bytes = [0; 24];
    random.fill(&mut bytes);
    bytes[0] |= 1; // an id of zeros only would be invalid
    bytes[16] |= 1;
    format!("00-{}-{}-01", crate::record::hex(&bytes[..16]), crate::record::hex(&bytes[16..]))
}
