//! From a delivery to a verdict in the ledger.
//!
//! A delivery is only a hint: the claim by id and send counter decides whether
//! there is anything to do. Panics become a recorded attempt here, since the
//! queue's own remedy would be to run the job again without a trace.

use std::{panic::AssertUnwindSafe, sync::Arc};

use async_trait::async_trait;
use ferry_domain::{
    Attempt, Code, Envelope, Job, Lease, Verdict,
    ports::{DeadLetter, Delivery, Handler, LedgerError},
    retry,
};
use futures_util::FutureExt;
use time::OffsetDateTime;
use tracing::{Instrument, debug, error, info, info_span, warn};

use crate::{Ended, environment::Environment, handle};

/// Hands deliveries to handlers.
pub(crate) struct Dispatcher {
    pub(crate) env: Arc<Environment>,
}

#[async_trait]
impl Handler for Dispatcher {
    async fn deliver(&self, delivery: Delivery) {
        match delivery {
            Delivery::Job(envelope) => {
                let span = info_span!(
                    "job",
                    kind = envelope.kind.as_str(),
                    run.id = %envelope.run,
                    batch.id = envelope.batch.map(|b| b.to_string()),
                    job.id = %envelope.job,
                    traceparent = envelope.traceparent.as_deref(),
                );
                self.work(&envelope).instrument(span).await;
            }
            Delivery::Undecodable { queue, payload, reason } => self.bury(queue, payload, reason).await,
        }
    }
}

impl Dispatcher {
    async fn work(&self, envelope: &Envelope) {
        let env = &self.env;
        if env.stopping.is_cancelled() {
            return; // still `queued`: the relay finds it and sends it again
        }
        let claim = env.ledger.claim(envelope.job, envelope.send, env.worker.id, env.tuning.lease).await;
        let lease = match claim {
            Ok(Some(lease)) => lease,
            Ok(None) => return debug!("stale delivery, nothing to do"),
            Err(error) => return warn!(%error, "could not claim the job; it will be sent again"),
        };
        let lost = env.held.take(lease.of.id);
        let started = env.clock.now();
        let outcome = AssertUnwindSafe(handle(env, &lease, &lost)).catch_unwind().await;
        let ended = match outcome {
            Ok(Ok(ended)) => ended,
            Ok(Err(error)) => self.after_ledger_error(&lease, &error),
            Err(_panic) => {
                error!("the handler panicked");
                Ended::With(self.failed(&lease, Code::HandlerPanicked).await)
            }
        };
        if let Ended::With(verdict) = ended {
            self.conclude(&lease, &verdict, started).await;
        }
        env.held.drop(lease.of.id);
        env.nudge();
    }

    fn after_ledger_error(&self, lease: &Lease<Job>, error: &LedgerError) -> Ended {
        match error {
            LedgerError::LeaseLost => {
                info!("the lease went to another worker; dropped");
                Ended::InLedger
            }
            error => {
                warn!(%error, attempts = lease.of.attempts, "the ledger failed; the job is handed back");
                let after = retry::wait(0, &*self.env.random);
                Ended::With(Verdict::Snooze { after, code: Code::LedgerBusy })
            }
        }
    }

    async fn failed(&self, lease: &Lease<Job>, code: Code) -> Verdict {
        let max = match self.env.run_spec(lease.of.run).await {
            Ok((_, spec, _)) => spec.max_attempts,
            Err(_) => i32::MAX, // not known now: rather one try too many than users failed
        };
        retry::after_failure(lease.of.attempts, max, code, &*self.env.random)
    }

    async fn conclude(&self, lease: &Lease<Job>, verdict: &Verdict, started: OffsetDateTime) {
        let attempt = match verdict {
            Verdict::Retry { code, .. } | Verdict::Discard { code } => Some(Attempt {
                number: lease.of.attempts + 1,
                code: *code,
                took: (self.env.clock.now() - started).try_into().unwrap_or_default(),
            }),
            Verdict::Done | Verdict::Snooze { .. } | Verdict::Stop { .. } => None,
        };
        match self.env.ledger.conclude(lease, verdict, attempt.as_ref()).await {
            Ok(()) => tell(verdict),
            Err(LedgerError::LeaseLost) => info!("the lease went to another worker; its verdict counts"),
            Err(error) => warn!(%error, "the verdict could not be written; the lease will run out"),
        }
    }

    async fn bury(&self, queue: String, payload: Vec<u8>, reason: String) {
        warn!(queue, reason, bytes = payload.len(), "a payload can't be read; it goes to the dead letters");
        let by = format!("{}/{}", self.env.worker.host, self.env.worker.pid);
        let letter = DeadLetter { queue, payload, code: Code::Undecodable, reason, by };
        if let Err(error) = self.env.ledger.bury(&letter).await {
            error!(%error, "the dead letter could not be kept");
        }
    }
}

/// Says what became of a job, and what a person can do where it did not go well.
fn tell(verdict: &Verdict) {
    match verdict {
        Verdict::Done => info!("the batch was complete already"),
        Verdict::Snooze { code: Code::Interrupted, .. } => info!("handed back"),
        Verdict::Snooze { after, code } => {
            warn!(
                code = code.as_str(),
                remedy = code.remedy(),
                after_ms = after.as_millis(),
                "waits; no attempt is spent"
            );
        }
        Verdict::Retry { after, code } => {
            warn!(code = code.as_str(), after_ms = after.as_millis(), "did not succeed; it is tried again");
        }
        Verdict::Stop { code } => {
            error!(
                code = code.as_str(),
                remedy = code.remedy(),
                "the run is stopped until a person resumes it"
            );
        }
        Verdict::Discard { code } => {
            error!(
                code = code.as_str(),
                remedy = code.remedy(),
                "given up; the users left in it fail with this code"
            );
        }
    }
}
