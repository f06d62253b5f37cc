//! Transactions of the ledger: the fence, the end of a batch and of a run, cancel.

use crate::{
    Weakness, World,
    state::{
        BATCHES, BatchStand, IDLE, ItemStand, JobStand, Phase, REPORT, RunState, State, provision, verify,
    },
};

impl World {
    /// The first statement of a leased write: locks the job row and checks the token.
    pub(crate) fn fence(&self, state: &mut State, number: usize) {
        let is_write_back = (state.workers[number].job as usize) < BATCHES;
        let weakness = self.weakness.filter(|_| is_write_back);
        if weakness == Some(Weakness::NoFence) {
            state.workers[number].phase = Phase::Writing;
            return;
        }
        if !state.holds(number) {
            state.workers[number] = IDLE;
            return;
        }
        if weakness != Some(Weakness::FenceInSubquery) {
            let job = state.workers[number].job;
            state.job_mut(job).lock = Some(number as u8);
        }
        state.workers[number].phase = Phase::Writing;
    }

    pub(crate) fn run_lock_is_free(&self, state: &State) -> bool {
        state.run_lock.is_none() || self.weakness == Some(Weakness::SealWithoutRunLock)
    }

    /// Counts the batches that are open in what others have committed.
    pub(crate) fn count_open(&self, state: &mut State, number: usize) {
        let mine = state.workers[number].job as usize - BATCHES;
        let others = state.batches.iter().enumerate();
        let open = others.filter(|(batch, row)| *batch != mine && row.stand != BatchStand::Verified).count();
        if self.weakness != Some(Weakness::SealWithoutRunLock) {
            state.run_lock = Some(number as u8);
        }
        state.workers[number].phase = Phase::Counted(open > 0);
    }

    /// The batch is verified; with the last one the run goes on to its end.
    pub(crate) fn close_batch(&self, state: &mut State, number: usize, batch: usize) {
        let worker = state.workers[number];
        let row = &mut state.batches[batch];
        row.stand = BatchStand::Verified;
        row.verifications += 1;
        let job = state.job_mut(worker.job);
        (job.stand, job.lock) = (JobStand::Done, None);
        if state.run_lock == Some(number as u8) {
            state.run_lock = None;
        }
        if worker.phase == Phase::Counted(false) {
            self.begin_sealing(state);
        }
        state.workers[number] = IDLE;
    }

    /// Every batch is verified: the report job, or the end of a run that is to be cancelled.
    pub(crate) fn begin_sealing(&self, state: &mut State) {
        match state.run {
            RunState::Running => {
                state.run = RunState::Sealing;
                state.job_mut(REPORT).stand = JobStand::Ready;
            }
            RunState::Cancelling => state.run = RunState::Cancelled,
            RunState::Sealing | RunState::Sealed | RunState::Cancelled => {}
        }
    }

    pub(crate) fn seal(&self, state: &mut State, number: usize) {
        if state.holds(number) {
            state.run = RunState::Sealed;
            state.seals += 1;
            state.job_mut(REPORT).stand = JobStand::Done;
        }
        state.workers[number] = IDLE;
    }

    /// Batches never leased are cancelled immediately: no worker can have sent their users. The
    /// others are left to their holders, who ask first. The statement waits for rows in
    /// use, so a batch with an open transaction is one that was leased.
    pub(crate) fn cancel(&self, state: &mut State) {
        state.run = RunState::Cancelling;
        let unasked = self.weakness == Some(Weakness::CancelUnasked);
        for batch in 0..self.batches {
            let job = *state.job(provision(batch));
            let never_leased = job.token == 0;
            if job.stand == JobStand::Done || job.lock.is_some() || !(never_leased || unasked) {
                continue;
            }
            for slot in 0..self.users {
                state.end_item(batch, slot, ItemStand::Cancelled);
            }
            state.job_mut(provision(batch)).stand = JobStand::Done;
            if never_leased {
                state.batches[batch].stand = BatchStand::Verified;
            } else {
                state.batches[batch].stand = BatchStand::Provisioned;
                state.make_event(batch);
            }
        }
        if state.all_verified() {
            state.run = RunState::Cancelled;
        }
    }
}

impl State {
    /// Ends an item that is still pending, and counts it.
    pub(crate) fn end_item(&mut self, batch: usize, slot: usize, end: ItemStand) {
        let item = &mut self.items[State::item(batch, slot)];
        if item.stand != ItemStand::Pending {
            return;
        }
        item.stand = end;
        item.endings += 1;
        let row = &mut self.batches[batch];
        row.pending -= 1;
        match end {
            ItemStand::Created => row.created += 1,
            _ => row.cancelled += 1,
        }
    }

    /// One verify job for a batch, however often it is asked for.
    pub(crate) fn make_event(&mut self, batch: usize) {
        let row = self.job_mut(verify(batch));
        if row.stand == JobStand::Absent {
            row.stand = JobStand::Ready;
        }
    }
}
