//! Jobs between the ledger and the workers: what is where, and a rebuild after a loss.
//! The figures are the ledger's; a queue that can't be reached is shown, not an error,
//! since that is when people look here.

use std::{collections::BTreeSet, fmt, time::Duration};

use ferry_domain::{Envelope, ports::Queue};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    Access, Error,
    views::{JobsOfKind, Window, Worker, jobs_of_kinds},
};

/// Sends that go back to `ready` in one transaction.
const PASS: usize = 1_000;
/// Between the two looks: a relay that has claimed jobs and not yet pushed them is through by then.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// Jobs of all runs, what the queue holds of them, and who works.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Listing {
    /// Whether all sending is stopped.
    pub stop_all: bool,
    /// Jobs by kind.
    pub kinds: Vec<JobsOfKind>,
    /// What the queue holds; null where it is in the memory of the worker.
    pub window: Option<Window>,
    /// Worker processes.
    pub workers: Vec<Worker>,
}

/// Lists them. `window` says what the queue holds, if anybody could ask it.
///
/// # Errors
/// When the ledger fails.
pub async fn list(access: &Access, window: Option<Window>) -> Result<Listing, Error> {
    let kinds = jobs_of_kinds(&access.jobs.queue_counts().await?);
    let stop_all = access.controls.orders().await?.stop_all();
    let workers = access.processes.workers().await?.iter().map(Worker::from).collect();
    Ok(Listing { stop_all, kinds, window, workers })
}

/// Jobs that the queue has lost.
#[derive(Clone, Debug)]
pub struct Question {
    /// Jobs that were sent to it.
    pub queued: i64,
    /// Those that it no longer holds.
    pub lost: Vec<Envelope>,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lost, queued) = (self.lost.len(), self.queued);
        write!(f, "Redis has lost {lost} of the {queued} jobs that were sent to it. Send them again?")
    }
}

/// Compares twice, half a second apart: what is just on its way is not lost. A send
/// taken for lost by mistake would only travel twice.
///
/// # Errors
/// When ledger or queue fail.
pub async fn ask(access: &Access, queue: &dyn Queue) -> Result<Question, Error> {
    let queued = access.jobs.queued().await?;
    let first = missing(access, queue, queued).await?;
    if first.is_empty() {
        return Ok(Question { queued, lost: first });
    }
    let names: BTreeSet<String> = first.iter().map(Envelope::send_name).collect();
    tokio::time::sleep(BETWEEN_LOOKS).await;
    let mut lost = missing(access, queue, queued).await?;
    lost.retain(|send| names.contains(&send.send_name()));
    Ok(Question { queued, lost })
}

/// The window bounds what is queued, so one list holds it.
async fn missing(access: &Access, queue: &dyn Queue, queued: i64) -> Result<Vec<Envelope>, Error> {
    let sends = access.jobs.queued_longer_than(Duration::ZERO, queued.max(1)).await?;
    Ok(queue.missing(&sends).await?)
}

/// What a rebuild did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Rebuilt {
    /// Jobs that were sent to the queue.
    pub queued: i64,
    /// Those that it had lost.
    pub lost: usize,
    /// Those that are ready again. The others moved on meanwhile.
    pub ready_again: u64,
}

/// Lets a relay send again what is lost.
///
/// # Errors
/// When the ledger fails.
pub async fn rebuild(access: &Access, question: &Question) -> Result<Rebuilt, Error> {
    let mut ready_again = 0;
    for pass in question.lost.chunks(PASS) {
        ready_again += access.jobs.unsend(pass).await?;
    }
    Ok(Rebuilt { queued: question.queued, lost: question.lost.len(), ready_again })
}
