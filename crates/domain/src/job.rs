//! Jobs: one ledger row for each piece of work of every kind.

use std::{fmt, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    code::Code,
    ids::{BatchId, JobId, RunId, WorkerId},
};

/// What a job does. Each kind has a queue of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Create a batch's users at Auth0.
    Provision,
    /// Read a completed batch back and compare: the event `BatchCompleted`.
    Verify,
    /// Seal a run whose batches are all verified.
    Report,
}

impl JobKind {
    /// All kinds.
    pub const ALL: [JobKind; 3] = [JobKind::Provision, JobKind::Verify, JobKind::Report];

    /// The word used in databases, queue names and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            JobKind::Provision => "provision",
            JobKind::Verify => "verify",
            JobKind::Report => "report",
        }
    }

    /// The kind a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Which goes first when several are ready; lower is earlier. Creation has
    /// priority on the limit, reports are cheap and end a run.
    pub const fn priority(self) -> i16 {
        match self {
            JobKind::Report => 0,
            JobKind::Provision => 10,
            JobKind::Verify => 20,
        }
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which of a kind's queues a send goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Nearly all.
    Usual,
    /// Jobs taken back from holders that are gone. They have slots and room of their own, since
    /// at a tenant's limit all slots are taken for seconds or minutes, and their users would
    /// wait behind all others.
    Rescued,
}

/// All queues. Reports have no backlog to wait behind. Verify has no second queue: a killed
/// verification starts from zero, so running more in parallel finishes fewer (measured under
/// steady faults: 15,500 users verified instead of 57,600).
pub const QUEUES: [(JobKind, Lane); 4] = [
    (JobKind::Provision, Lane::Usual),
    (JobKind::Verify, Lane::Usual),
    (JobKind::Report, Lane::Usual),
    (JobKind::Provision, Lane::Rescued),
];

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// To be sent once `not_before` has come.
    Ready,
    /// Claimed by the relay for one send.
    Queued,
    /// Held by a worker.
    Leased,
    /// Ended well.
    Done,
    /// Given up, with a reason.
    Dead,
}

/// What happens to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobMove {
    /// The relay takes it for a send.
    Send,
    /// The push was refused, or the payload is lost.
    Unsend,
    /// A worker takes it.
    Lease,
    /// The holder hands it back: retry, snooze, interruption.
    HandBack,
    /// The holder's time ran out.
    Rescue,
    /// The holder has finished it.
    Finish,
    /// The holder gives up.
    GiveUp,
    /// Workers died over it: the rescue gives it up while it has no holder.
    Bury,
    /// Its run is cancelled and no worker ever held it: nothing is to be done.
    Withdraw,
}

impl JobState {
    /// All states.
    pub const ALL: [JobState; 5] =
        [JobState::Ready, JobState::Queued, JobState::Leased, JobState::Done, JobState::Dead];

    /// The state a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// The word used in databases and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            JobState::Ready => "ready",
            JobState::Queued => "queued",
            JobState::Leased => "leased",
            JobState::Done => "done",
            JobState::Dead => "dead",
        }
    }

    /// The state after a move, or `None` where there is no such move.
    pub const fn after(self, step: JobMove) -> Option<JobState> {
        Some(match (self, step) {
            (JobState::Ready, JobMove::Send) => JobState::Queued,
            (JobState::Queued, JobMove::Unsend) => JobState::Ready,
            (JobState::Queued, JobMove::Lease) => JobState::Leased,
            (JobState::Leased, JobMove::HandBack | JobMove::Rescue) => JobState::Ready,
            (JobState::Leased, JobMove::Finish) => JobState::Done,
            (JobState::Leased, JobMove::GiveUp) => JobState::Dead,
            (JobState::Ready | JobState::Queued, JobMove::Bury) => JobState::Dead,
            (JobState::Ready | JobState::Queued, JobMove::Withdraw) => JobState::Done,
            _ => return None,
        })
    }
}

/// What travels on the queue: ids only, well under 1 KB, no user's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Layout of this struct; see [`Envelope::VERSION`].
    pub version: u8,
    /// Which handler it is for.
    pub kind: JobKind,
    /// The ledger row.
    pub job: JobId,
    /// The run it belongs to.
    pub run: RunId,
    /// The batch, where the kind has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchId>,
    /// How often the job has been sent. A delivery with an old number is stale.
    pub send: i32,
    /// Rescues since the last progress; a job near its limit begins alone
    /// ([`crate::poison::is_suspect`]).
    #[serde(default, skip_serializing_if = "never")]
    pub rescues: i32,
    /// W3C trace context: what is done with the job continues it. The relay adds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

fn never(count: &i32) -> bool {
    *count == 0
}

impl Envelope {
    /// The layout this version of Ferry writes, and the newest it reads.
    pub const VERSION: u8 = 1;

    /// Name of this send on the queue: a task id can be pushed once only
    /// (APALIS fault 8), so a new send is a new name.
    pub fn send_name(&self) -> String {
        format!("{}-{}", self.job, self.send)
    }

    /// Which of its kind's queues it goes to.
    pub fn lane(&self) -> Lane {
        match self.kind {
            JobKind::Provision if self.rescues > 0 => Lane::Rescued,
            _ => Lane::Usual,
        }
    }
}

/// A claim that ends by itself. Results are accepted only with its token.
#[derive(Clone, Debug)]
pub struct Lease<T> {
    /// What is held.
    pub of: T,
    /// Who holds it.
    pub holder: WorkerId,
    /// Grows with every claim; fences late writers.
    pub token: i64,
    /// How long from the claim on, by the store's clock.
    pub lasts: Duration,
    /// How long it had waited at the claim, since it might run.
    pub waited: Duration,
}

/// A job as its holder sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The ledger row.
    pub id: JobId,
    /// What to do.
    pub kind: JobKind,
    /// Id of the run.
    pub run: RunId,
    /// The batch, for `Provision` and `Verify`.
    pub batch: Option<BatchId>,
    /// Tries so far that did not succeed and counted.
    pub attempts: i32,
    /// Rescues since the last progress; see [`crate::poison`].
    pub rescues: i32,
}

/// What a handler returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Finished, in a transaction of the handler's own.
    Done,
    /// Did not succeed; counts as an attempt.
    Retry {
        /// How long to wait.
        after: Duration,
        /// Code of the reason.
        code: Code,
    },
    /// Could not be done now; does not count (rate limit, pause, shutdown).
    Snooze {
        /// How long to wait.
        after: Duration,
        /// Code of the reason.
        code: Code,
    },
    /// Nothing will pass until a person acts: the job is handed back without an
    /// attempt, and its run is stopped, resumably.
    Stop {
        /// Code of the reason.
        code: Code,
    },
    /// Given up; the remaining items fail with the code.
    Discard {
        /// Code of the reason.
        code: Code,
    },
}

/// One try that did not succeed. A success costs no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: i32,
    /// Why it did not succeed.
    pub code: Code,
    /// How long it took.
    pub took: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOVES: [JobMove; 9] = [
        JobMove::Send,
        JobMove::Unsend,
        JobMove::Lease,
        JobMove::HandBack,
        JobMove::Rescue,
        JobMove::Finish,
        JobMove::GiveUp,
        JobMove::Bury,
        JobMove::Withdraw,
    ];

    #[test]
    fn a_held_job_is_ended_by_its_holder_only_and_an_ended_job_never_moves() {
        for step in MOVES {
            assert_eq!(JobState::Done.after(step), None);
            assert_eq!(JobState::Dead.after(step), None);
            for state in JobState::ALL {
                let ends = matches!(state.after(step), Some(JobState::Done | JobState::Dead));
                let by_holder = matches!(step, JobMove::Finish | JobMove::GiveUp);
                if ends {
                    assert_eq!(state == JobState::Leased, by_holder, "{step:?} from {state:?}");
                }
            }
        }
    }

    #[test]
    fn an_envelope_is_small_carries_ids_only_and_reads_what_a_later_field_adds() {
        let id = uuid::Uuid::nil();
        let envelope = Envelope {
            version: 1,
            kind: JobKind::Provision,
            job: JobId(id),
            run: RunId(id),
            batch: Some(BatchId(id)),
            send: 3,
            rescues: 0,
            traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        };
        let text = serde_json::to_string(&envelope).unwrap();
        assert!(text.len() < 400, "{} bytes", text.len());
        let later = text.replacen('{', r#"{"later":1,"#, 1);
        assert_eq!(serde_json::from_str::<Envelope>(&later).unwrap(), envelope);
    }
}
