//! From a delivery to a verdict in the ledger.
//!
//! A delivery is only a hint: the claim by id and send counter decides whether
//! there is anything to do. Panics become a recorded attempt here, since the
//! queue's own remedy would be to run the job again without any record.

use std::{panic::AssertUnwindSafe, sync::Arc};

use async_trait::async_trait;
use ferry_domain::{
    Attempt, Code, Envelope, Job, Lease, Verdict, crash,
    figures::{JobEnd, LedgerStep, Timed},
    ports::{DeadLetter, Delivery, Handler, LedgerError},
    retry,
};
use futures_util::FutureExt;
use tokio::time::Instant;
use tracing::{Instrument, Span, debug, error, info, info_span, warn};

use crate::{
    environment::Environment,
    handlers::{
        answers::{Ended, handed_back},
        handle,
    },
    held::HeldLease,
    start_gate::Permit,
    traces,
};

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
                );
                self.work(&envelope).instrument(span).await;
            }
            Delivery::Undecodable { queue, payload, reason } => {
                self.env.figures.foreign_deliveries.one();
                self.bury(queue, payload, Code::Undecodable, reason).await;
            }
        }
    }
}

impl Dispatcher {
    async fn work(&self, envelope: &Envelope) {
        let env = &self.env;
        crash::pass("worker.delivered");
        env.figures.deliveries.one();
        // Still `queued` when it is not claimed: the relay finds it and sends it again.
        let me = tokio::select! {
            biased;
            () = env.stopping.cancelled() => return,
            me = env.identity.registered() => me,
        };
        // Before the claim: a job that waits here is not leased, so no death is charged to it.
        let permit = env.start_gate.permit(envelope.kind, envelope.rescues).await;
        let began = Instant::now();
        let claim = env.leases.claim(envelope.job, envelope.send, me, env.tuning.lease);
        let claim = env.timed(LedgerStep::Lease, claim).await;
        match &claim {
            Ok(None) => _ = env.send_gate.note_read(&claim), // nothing was written
            _ => env.send_gate.note_written(&claim),
        }
        let lease = match claim {
            Ok(Some(lease)) => lease,
            Ok(None) => return self.not_claimed(envelope).await,
            Err(error) => return warn!(%error, "could not claim the job; it will be sent again"),
        };
        crash::pass("worker.leased");
        env.figures.took(Timed::JobWait(lease.of.kind), lease.waited);
        if (lease.of.run, lease.of.batch, lease.of.kind) != (envelope.run, envelope.batch, envelope.kind) {
            self.mismatched(envelope).await;
        }
        let hold = env.held.take(lease.of.id, began, env.tuning.lease);
        if env.identity.id() != me {
            env.held.lose_all(); // the registration was lost on the way
        }
        let span = traces::process(&*env.traces, envelope, &lease);
        self.process(&lease, &hold, permit).instrument(span).await;
        env.held.drop(lease.of.id);
        env.nudge();
    }

    async fn process(&self, lease: &Lease<Job>, hold: &HeldLease, permit: Permit<'_>) {
        let leased = Instant::now();
        match self.ended(lease, hold, permit).await {
            Ended::With(verdict) => self.conclude(lease, &verdict, leased).await,
            Ended::InLedger => self.count(&lease.of, JobEnd::Done, None, leased),
            // Perhaps lost by our own clock only: then it is handed back. If another worker holds
            // it, the fence refuses.
            Ended::Lost => self.conclude(lease, &handed_back(), leased).await,
        }
    }

    /// Runs the handler; other jobs may start as soon as this one makes progress.
    async fn ended(&self, lease: &Lease<Job>, hold: &HeldLease, permit: Permit<'_>) -> Ended {
        let mut work = std::pin::pin!(AssertUnwindSafe(handle(&self.env, lease, hold)).catch_unwind());
        let outcome = tokio::select! {
            biased;
            outcome = &mut work => outcome,
            () = hold.progressed() => {
                drop(permit);
                work.await
            }
        };
        match outcome {
            Ok(Ok(ended)) => ended,
            Ok(Err(error)) => self.after_ledger_error(lease, &error),
            Err(_panic) => {
                error!("the handler panicked");
                Ended::With(self.failed(lease, Code::HandlerPanicked).await)
            }
        }
    }

    /// The right job and send with a wrong run or batch: something else writes into our
    /// queue. The job is worked on as the ledger has it; the delivery is kept for a person to look at.
    async fn mismatched(&self, envelope: &Envelope) {
        self.env.figures.foreign_deliveries.one();
        self.bury_envelope(envelope, Code::JobMismatch).await;
    }

    /// Nearly always a repeated delivery. Anything else is kept for a person to look at, and stops no work.
    async fn not_claimed(&self, envelope: &Envelope) {
        let why = match self.env.leases.why_unclaimed(envelope).await {
            Ok(why) => why,
            Err(error) => return debug!(%error, "a delivery with nothing to do"),
        };
        let Some(code) = why.code() else {
            self.env.figures.stale_deliveries.one();
            return debug!("stale delivery, nothing to do");
        };
        self.env.figures.foreign_deliveries.one();
        warn!(code = code.as_str(), remedy = code.remedy(), "a delivery that the ledger does not explain");
        self.bury_envelope(envelope, code).await;
    }

    async fn bury_envelope(&self, envelope: &Envelope, code: Code) {
        let payload = serde_json::to_vec(envelope).unwrap_or_default(); // ids only
        let reason = format!("{} {} {}", envelope.kind, envelope.job, code);
        self.bury(envelope.kind.to_string(), payload, code, reason).await;
    }

    fn after_ledger_error(&self, lease: &Lease<Job>, error: &LedgerError) -> Ended {
        match error {
            LedgerError::LeaseLost => {
                info!("the lease went to another worker; dropped");
                Ended::Lost
            }
            error => {
                warn!(%error, attempts = lease.of.attempts, "the ledger failed; the job is handed back");
                let code = match error {
                    LedgerError::WriteBackTarget(_) => Code::AppTableUnfit,
                    _ => Code::LedgerBusy,
                };
                Ended::With(Verdict::Snooze { after: retry::wait(0, &*self.env.random), code })
            }
        }
    }

    async fn failed(&self, lease: &Lease<Job>, code: Code) -> Verdict {
        let max = match self.env.runs.run_now(lease.of.run).await {
            Ok(run) => run.spec.max_attempts,
            Err(_) => i32::MAX, // not known now: one try too many is better than users failed too early
        };
        retry::after_failure(lease.of.attempts, max, code, &*self.env.random)
    }

    async fn conclude(&self, lease: &Lease<Job>, verdict: &Verdict, leased: Instant) {
        let attempt = match verdict {
            Verdict::Retry { code, .. } | Verdict::Discard { code } => {
                Some(Attempt { number: lease.of.attempts + 1, code: *code, took: leased.elapsed() })
            }
            Verdict::Done | Verdict::Snooze { .. } | Verdict::Stop { .. } => None,
        };
        let concluded = self.env.leases.conclude(lease, verdict, attempt.as_ref());
        match self.env.timed(LedgerStep::Conclude, concluded).await {
            Ok(()) => {
                crash::pass("worker.concluded");
                self.count(&lease.of, end_by(verdict), code_of(verdict), leased);
                log(verdict);
            }
            Err(LedgerError::LeaseLost) => {
                self.env.figures.stale_writes_rejected.one();
                info!("the lease went to another worker; its verdict counts");
            }
            Err(error) => {
                traces::fail(&Span::current(), error.word());
                warn!(%error, "the verdict could not be written; the lease will run out");
            }
        }
    }

    fn count(&self, job: &Job, end: JobEnd, code: Option<Code>, leased: Instant) {
        traces::ended(&Span::current(), end, code);
        self.env.figures.tried(job.kind, end, job.attempts);
        self.env.figures.took(Timed::JobRun(job.kind, end), leased.elapsed());
    }

    async fn bury(&self, queue: String, payload: Vec<u8>, code: Code, reason: String) {
        warn!(queue, reason, bytes = payload.len(), "a payload goes to the dead letters");
        let me = self.env.worker();
        let letter = DeadLetter { queue, payload, code, reason, by: format!("{}/{}", me.host, me.pid) };
        if let Err(error) = self.env.dead.bury(&letter).await {
            error!(%error, "the dead letter could not be kept");
        }
    }
}

fn end_by(verdict: &Verdict) -> JobEnd {
    match verdict {
        Verdict::Done => JobEnd::Done,
        Verdict::Snooze { .. } | Verdict::Stop { .. } => JobEnd::Snoozed,
        Verdict::Retry { .. } => JobEnd::Retried,
        Verdict::Discard { .. } => JobEnd::Dead,
    }
}

fn code_of(verdict: &Verdict) -> Option<Code> {
    match verdict {
        Verdict::Done => None,
        Verdict::Snooze { code, .. } | Verdict::Stop { code } => Some(*code),
        Verdict::Retry { code, .. } | Verdict::Discard { code } => Some(*code),
    }
}

/// Logs how a job ended, and what a person can do where it did not go well.
fn log(verdict: &Verdict) {
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
