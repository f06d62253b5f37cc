//! Dead letters: what was given up, kept until a person decides.

use std::time::Duration;

use time::OffsetDateTime;

use crate::{
    code::Code,
    ids::{BatchId, JobId, RunId},
    job::JobKind,
};

/// What a dead letter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadKind {
    /// Something on the queue that could not be taken for a job.
    Payload,
    /// A job that was given up.
    Job,
}

impl DeadKind {
    /// The word used in databases and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            DeadKind::Payload => "payload",
            DeadKind::Job => "job",
        }
    }
}

/// What became of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadState {
    /// Waits for a person.
    Kept,
    /// Its users or its job go again.
    Redriven,
    /// A person decided that it may be forgotten.
    Discarded,
}

impl DeadState {
    /// All states.
    pub const ALL: [DeadState; 3] = [DeadState::Kept, DeadState::Redriven, DeadState::Discarded];

    /// The word used in databases and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            DeadState::Kept => "kept",
            DeadState::Redriven => "redriven",
            DeadState::Discarded => "discarded",
        }
    }

    /// The state a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A dead letter as a person sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadView {
    /// Its number.
    pub id: i64,
    /// Since when.
    pub at: OffsetDateTime,
    /// Payload or job.
    pub kind: DeadKind,
    /// Where it stands.
    pub state: DeadState,
    /// The queue it came from, for a payload; the job's kind otherwise.
    pub queue: String,
    /// For a job.
    pub job: Option<JobId>,
    /// For a job.
    pub job_kind: Option<JobKind>,
    /// For a job.
    pub run: Option<RunId>,
    /// For a job of a batch.
    pub batch: Option<BatchId>,
    /// Why it was given up.
    pub code: Code,
    /// Why, in words; for a payload, what could not be read. No content.
    pub reason: String,
    /// Tries that counted.
    pub attempts: i32,
    /// Times it was taken back from a dead holder since it last got on.
    pub rescues: i32,
    /// Users that failed with it.
    pub users: i64,
    /// Worker (`host/pid`) that gave up, or the rescuer.
    pub given_up_by: String,
    /// Who redrove or discarded it.
    pub resolved_by: Option<String>,
    /// When.
    pub resolved_at: Option<OffsetDateTime>,
}

/// Which dead letters.
#[derive(Clone, Debug, Default)]
pub struct DeadFilter {
    /// These numbers; all when empty.
    pub ids: Vec<i64>,
    /// Of this run.
    pub run: Option<RunId>,
    /// With one of these codes; all when empty.
    pub codes: Vec<Code>,
    /// In this state; `None` for all.
    pub state: Option<DeadState>,
    /// At least so old.
    pub older_than: Option<Duration>,
}

/// What a redrive came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redriven {
    /// Letters redriven.
    pub letters: i64,
    /// Users pending again.
    pub users: i64,
    /// Letters that can't be: payloads, and jobs whose run was cancelled.
    pub left: i64,
}
