//! Keeping a queue in Redis clean.
//!
//! apalis keeps finished jobs for ever, and one id without data ends every
//! worker that fetches it (faults 3 and 7). Rejected: apalis's `vacuum`, which
//! reads all payloads in one go and leaves the sets of ended jobs. Here each
//! script looks at a few hundred ids, and a call runs a bounded number of them.

use ferry_domain::ports::QueueError;

use super::{
    RedisQueue,
    scripts::{self, DESCRIPTION_LASTS, SWEEP_CHUNK, SWEEP_ROUNDS},
};

const SWEEPING: &str = "was not swept";

impl RedisQueue {
    /// Removes finished jobs of one queue, a bounded number (fault 7).
    pub(super) async fn sweep_finished(&self, queue: &str) -> Result<u64, QueueError> {
        let (chunk, mut removed) = (SWEEP_CHUNK.to_string(), 0);
        for _ in 0..SWEEP_ROUNDS {
            let now: u64 = self.over_one(SWEEPING, &scripts::FINISHED, queue, &[&chunk]).await?;
            removed += now;
            if now == 0 {
                break;
            }
        }
        Ok(removed)
    }

    /// Removes ids of one queue whose payload is gone (fault 3).
    pub(super) async fn sweep_halves(&self, queue: &str) -> Result<u64, QueueError> {
        let (chunk, lasts) = (SWEEP_CHUNK.to_string(), DESCRIPTION_LASTS.to_string());
        let (mut from, mut removed) = (0, 0);
        for _ in 0..SWEEP_ROUNDS {
            let at = from.to_string();
            let (now, more): (u64, bool) =
                self.over_one(SWEEPING, &scripts::HALVES, queue, &[&at, &chunk, &lasts]).await?;
            removed += now;
            // What was removed moved the rest forward; looking twice at some is harmless.
            from += (SWEEP_CHUNK as u64).saturating_sub(now);
            if !more {
                break;
            }
        }
        Ok(removed)
    }

    /// Removes payloads of one queue that no list knows.
    pub(super) async fn sweep_strays(&self, queue: &str) -> Result<u64, QueueError> {
        let (chunk, mut cursor, mut removed) = (SWEEP_CHUNK.to_string(), "0".to_owned(), 0);
        for _ in 0..SWEEP_ROUNDS {
            let (next, now): (String, u64) =
                self.over_one(SWEEPING, &scripts::STRAYS, queue, &[&cursor, &chunk]).await?;
            removed += now;
            cursor = next;
            if cursor == "0" {
                break;
            }
        }
        Ok(removed)
    }

    /// Before a new worker: removes what may have ended the one before.
    pub(super) async fn mend(&self, queue: &str) {
        if let Err(error) = self.sweep_halves(queue).await {
            tracing::debug!(queue, %error, "not mended before a new worker; the next one will try");
        }
    }
}
