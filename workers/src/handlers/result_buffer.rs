//! The result buffer: gathers results of a batch and writes them to the ledger together.
//!
//! While a group is written, the next one gathers: the slower the ledger, the larger the groups.

use std::{future::pending, mem, time::Duration};

use ferry_domain::{
    ItemResult, ItemState, Job, Lease, Outcome, RunState, crash,
    figures::LedgerStep,
    ports::{LedgerError, RefusedRow, WriteBack},
    retry,
};
use futures_util::{FutureExt, future::BoxFuture};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use crate::{environment::Environment, held::HeldLease};

/// Rows that the application held locked are tried again for this time at least before the batch
/// goes back: it mostly holds them for less, and other batches want the worker.
const LOOKED_FOR: Duration = Duration::from_millis(50);

/// A group on its way to the ledger, and what comes back of it.
type Writing<'a> = BoxFuture<'a, Result<(Vec<ItemResult>, WriteBack), LedgerError>>;

/// Results that are not written back yet.
pub(crate) struct ResultBuffer<'a> {
    env: &'a Environment,
    lease: &'a Lease<Job>,
    hold: &'a HeldLease,
    results: Vec<ItemResult>,
    /// Results whose rows the application held locked at the last write; tried with the next one.
    locked: Vec<ItemResult>,
    /// Since when there are such.
    locked_since: Instant,
    /// A group that is being written.
    writing: Option<Writing<'a>>,
    /// Users whose results were written, and those of them that need a person.
    settled: [usize; 2],
    /// Requests sent for these results.
    pub(crate) requests: i64,
    /// When they are written even if the buffer is not full.
    due: Instant,
    /// State of the run at the last write.
    pub(crate) run: RunState,
    /// Nothing is left pending: the batch and its job have ended.
    pub(crate) finished: bool,
}

impl<'a> ResultBuffer<'a> {
    pub(crate) fn new(
        env: &'a Environment,
        lease: &'a Lease<Job>,
        hold: &'a HeldLease,
        run: RunState,
    ) -> Self {
        let now = Instant::now();
        ResultBuffer {
            env,
            lease,
            hold,
            results: Vec::with_capacity(env.tuning.group),
            locked: Vec::new(),
            locked_since: now,
            writing: None,
            settled: [0; 2],
            requests: 0,
            due: now,
            run,
            finished: false,
        }
    }

    pub(crate) fn add(&mut self, result: ItemResult) {
        if self.results.is_empty() {
            self.due = Instant::now() + self.env.tuning.group_wait;
        }
        self.results.push(result);
        if self.is_full() {
            self.due = Instant::now();
        }
    }

    /// Whether another result may be asked for: no more than a group waits behind one that is written.
    pub(crate) fn has_room(&self) -> bool {
        self.writing.is_none() || self.results.len() < self.env.tuning.group
    }

    pub(crate) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.results.len() >= self.env.tuning.group
    }

    /// Resolves when a step was done: a group was begun or written. Dropped meanwhile, it goes on at
    /// the next call. Never resolves while there is nothing to do.
    ///
    /// # Errors
    /// [`LedgerError::LeaseLost`], and what no later try would mend.
    pub(crate) async fn step(&mut self) -> Result<(), LedgerError> {
        match &mut self.writing {
            Some(writing) => {
                let done = writing.await;
                self.writing = None;
                let (results, written) = done?;
                self.note(results, written);
            }
            None if self.results.is_empty() => pending().await,
            None => {
                sleep_until(self.due).await;
                self.begin();
            }
        }
        Ok(())
    }

    /// Writes the last of a batch, once more a moment later where the application held rows locked.
    /// Whether some are locked still: they go back with the batch, whose next try finds their
    /// accounts by the id.
    pub(crate) async fn write_last(&mut self) -> Result<bool, LedgerError> {
        self.write().await?;
        let looked_until = self.locked_since + LOOKED_FOR;
        if !self.locked.is_empty() && Instant::now() < looked_until {
            tokio::select! {
                () = self.hold.lost() => return Err(LedgerError::LeaseLost),
                () = sleep_until(looked_until) => {}
            }
            self.write().await?;
        }
        Ok(!self.locked.is_empty())
    }

    /// Writes what has gathered, and waits for it.
    pub(crate) async fn write(&mut self) -> Result<(), LedgerError> {
        if self.writing.is_some() {
            self.step().await?;
        }
        if self.begin() {
            self.step().await?;
        }
        Ok(())
    }

    /// Begins to write what has gathered; whether there is anything.
    fn begin(&mut self) -> bool {
        if self.locked.is_empty() {
            self.locked_since = Instant::now();
        }
        let mut results = mem::take(&mut self.results);
        results.append(&mut self.locked);
        if results.is_empty() {
            return false;
        }
        crash::pass("provision.gathered");
        let requests = mem::take(&mut self.requests);
        self.writing = Some(write(self.env, self.lease, self.hold, results, requests).boxed());
        true
    }

    /// Says that the batch has ended, with what came of it since its lease was taken.
    pub(crate) fn log_end(&self) {
        let [users, need_a_person] = self.settled;
        let (worker, attempt) = (self.env.identity.id(), self.lease.of.attempts + 1);
        info!(users, need_a_person, %worker, attempt, "batch provisioned");
    }

    fn note(&mut self, mut results: Vec<ItemResult>, written: WriteBack) {
        let is_locked = |result: &mut ItemResult| written.locked.contains(&result.seq);
        self.locked = results.extract_if(.., is_locked).collect();
        results.iter().for_each(|result| self.env.figures.user_settled(result.outcome.state));
        self.run = written.run;
        self.finished = written.finished();
        if !self.finished {
            self.hold.note_progress();
        }
        for RefusedRow { seq, code, said } in &written.refused_rows {
            let (code, said) = (code.as_str(), said.as_deref());
            warn!(item.seq = seq.0, code, said, "the application's row did not take the id");
        }
        let fails = |state| matches!(state, ItemState::Failed | ItemState::Conflict);
        for result in results.iter().filter(|result| fails(result.outcome.state)) {
            let Outcome { state, code, field, .. } = &result.outcome;
            let (state, code) = (state.as_str(), code.map(|code| code.as_str()));
            info!(item.seq = result.seq.0, state, code, field, "a user needs a person");
        }
        self.settled[0] += results.len();
        self.settled[1] += results.iter().filter(|result| fails(result.outcome.state)).count();
        crash::pass(if self.finished { "provision.finished" } else { "provision.written" });
    }
}

/// Writes a group. It is kept in memory while the ledger can't be reached, for as long as the lease
/// is ours.
async fn write(
    env: &Environment,
    lease: &Lease<Job>,
    hold: &HeldLease,
    results: Vec<ItemResult>,
    requests: i64,
) -> Result<(Vec<ItemResult>, WriteBack), LedgerError> {
    let mut tries = 0;
    loop {
        if !hold.is_ours() {
            return Err(LedgerError::LeaseLost);
        }
        let answer = env.timed(LedgerStep::WriteBack, env.items.write_back(lease, &results, requests)).await;
        env.send_gate.note_written(&answer);
        env.send_gate.note_table(&answer);
        match answer {
            // An application's table that lost its column waits for it as for the ledger.
            Err(
                error @ (LedgerError::Busy
                | LedgerError::AppBusy(_)
                | LedgerError::Unavailable { .. }
                | LedgerError::WriteBackTarget(_)),
            ) => {
                if tries == 0 {
                    warn!(%error, results = results.len(), "results are kept until they can be written");
                }
                let pause = retry::wait(tries.min(2), &*env.random).max(Duration::from_millis(50));
                tries += 1;
                tokio::select! {
                    () = hold.lost() => return Err(LedgerError::LeaseLost),
                    () = sleep(pause) => {}
                }
            }
            Err(LedgerError::LeaseLost) => {
                env.figures.stale_writes_rejected.one();
                return Err(LedgerError::LeaseLost);
            }
            other => return Ok((results, other?)),
        }
    }
}
