//! The result buffer: gathers results of a batch and writes them to the ledger together.

use std::time::Duration;

use ferry_domain::{
    ItemResult, ItemState, Job, Lease, Outcome, RunState, crash,
    ports::{LedgerError, RefusedRow, WriteBack},
    retry,
};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use crate::{environment::Environment, held::HeldLease};

/// Rows that the application held locked are tried again for this time at least before the batch
/// goes back: it mostly holds them for less, and other batches want the worker.
const LOOKED_FOR: Duration = Duration::from_millis(50);

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
    /// Users whose results were written, and those of them that need a person.
    settled: [usize; 2],
    /// Requests sent for these results.
    pub(crate) requests: i64,
    /// When they are written even if the buffer is not full.
    pub(crate) due: Instant,
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
        let results = Vec::with_capacity(env.tuning.group);
        let (locked, now) = (Vec::new(), Instant::now());
        let (locked_since, due) = (now, now);
        ResultBuffer {
            env,
            lease,
            hold,
            results,
            locked,
            locked_since,
            settled: [0; 2],
            requests: 0,
            due,
            run,
            finished: false,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.results.len() >= self.env.tuning.group
    }

    pub(crate) fn add(&mut self, result: ItemResult) {
        if self.results.is_empty() {
            self.due = Instant::now() + self.env.tuning.group_wait;
        }
        self.results.push(result);
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

    /// Writes what has gathered. Results are kept in memory while the ledger can't be
    /// reached, for as long as the lease is ours.
    pub(crate) async fn write(&mut self) -> Result<(), LedgerError> {
        if self.locked.is_empty() {
            self.locked_since = Instant::now();
        }
        self.results.append(&mut self.locked);
        if self.results.is_empty() {
            return Ok(());
        }
        crash::pass("provision.gathered");
        let mut tries = 0;
        let written = loop {
            if !self.hold.is_ours() {
                return Err(LedgerError::LeaseLost);
            }
            let answer = self.env.items.write_back(self.lease, &self.results, self.requests).await;
            self.env.send_gate.note(&answer);
            self.env.send_gate.note_table(&answer);
            match answer {
                // An application's table that lost its column waits for it as for the ledger.
                Err(
                    error @ (LedgerError::Busy
                    | LedgerError::AppBusy(_)
                    | LedgerError::Unavailable { .. }
                    | LedgerError::WriteBackTarget(_)),
                ) => {
                    if tries == 0 {
                        warn!(%error, results = self.results.len(), "results are kept until they can be written");
                    }
                    let pause = retry::wait(tries.min(2), &*self.env.random).max(Duration::from_millis(50));
                    tries += 1;
                    tokio::select! {
                        () = self.hold.lost() => return Err(LedgerError::LeaseLost),
                        () = sleep(pause) => {}
                    }
                }
                Err(LedgerError::LeaseLost) => {
                    self.env.figures.stale_writes_rejected.one();
                    return Err(LedgerError::LeaseLost);
                }
                other => break other?,
            }
        };
        self.note(written);
        Ok(())
    }

    /// Says that the batch has ended, with what came of it since its lease was taken.
    pub(crate) fn log_end(&self) {
        let [users, need_a_person] = self.settled;
        info!(users, need_a_person, "batch provisioned");
    }

    fn note(&mut self, written: WriteBack) {
        let is_locked = |result: &mut ItemResult| written.locked.contains(&result.seq);
        self.locked = self.results.extract_if(.., is_locked).collect();
        self.env.figures.users_settled.add(self.results.len() as u64);
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
        for result in self.results.iter().filter(|result| fails(result.outcome.state)) {
            let Outcome { state, code, field, .. } = &result.outcome;
            let (state, code) = (state.as_str(), code.map(|code| code.as_str()));
            info!(item.seq = result.seq.0, state, code, field, "a user needs a person");
        }
        self.settled[0] += self.results.len();
        self.settled[1] += self.results.iter().filter(|result| fails(result.outcome.state)).count();
        self.results.clear();
        self.requests = 0;
        crash::pass(if self.finished { "provision.finished" } else { "provision.written" });
    }
}
