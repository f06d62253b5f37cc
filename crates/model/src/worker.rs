//! What a worker's step does.

use crate::{
    Action, Weakness, World,
    state::{BatchStand, Cross, IDLE, ItemStand, JobStand, Kind, Phase, RunState, State, kind},
};

impl World {
    pub(crate) fn worker_step(&self, state: &mut State, number: usize, action: Action) {
        match action {
            Action::Deliver(_, entry) => {
                let (job, send) = state.queue.remove(entry);
                state.workers[number] = crate::state::Worker { phase: Phase::Delivered(send), job, ..IDLE };
            }
            Action::Claim(_) => self.claim(state, number),
            Action::Read(_) => self.read(state, number),
            Action::Post(_, slot) => self.post(state, number, slot),
            Action::Answer(_, slot) => {
                let cross = &mut state.workers[number].cross[slot];
                *cross = match *cross {
                    Cross::Served(true) => Cross::Known(ItemStand::Created),
                    _ => Cross::Doubt,
                };
            }
            Action::LoseAnswer(_, slot) => {
                state.workers[number].cross[slot] = Cross::Doubt;
                state.faults.answers -= 1;
            }
            Action::Get(_, slot) => self.get(state, number, slot),
            Action::Lock(_) => self.fence(state, number),
            Action::Commit(_) => self.commit(state, number),
            Action::MakeEvent(_) => {
                if let Kind::Provision(batch) = kind(state.workers[number].job) {
                    state.job_mut(crate::state::verify(batch)).stand = JobStand::Ready;
                }
                state.workers[number] = IDLE;
            }
            Action::Count(_) => self.count_open(state, number),
            Action::Seal(_) => self.seal(state, number),
            Action::HandBack(_) => {
                state.faults.hand_backs -= 1;
                let job = state.workers[number].job;
                state.job_mut(job).stand = JobStand::Ready;
                state.workers[number] = IDLE;
            }
            Action::Crash(_) => crash(state, number),
            // `Drop`; the rest are not a worker's.
            _ => state.workers[number] = IDLE,
        }
    }

    /// By id and send counter; a stale delivery ends here.
    fn claim(&self, state: &mut State, number: usize) {
        let worker = state.workers[number];
        let Phase::Delivered(send) = worker.phase else { return };
        let any_send = self.weakness == Some(Weakness::ClaimAnySend);
        let row = state.job_mut(worker.job);
        if row.stand != JobStand::Queued || (row.send != send && !any_send) {
            state.workers[number] = IDLE;
            return;
        }
        row.stand = JobStand::Leased(Some(number as u8));
        row.token += 1;
        let token = row.token;
        state.workers[number].token = token;
        state.workers[number].phase = Phase::Claimed;
    }

    /// Pending items under the lease, and how the run stands.
    fn read(&self, state: &mut State, number: usize) {
        let Kind::Provision(batch) = kind(state.workers[number].job) else { return };
        if !state.holds(number) {
            state.workers[number] = IDLE;
            return;
        }
        let told = state.run == RunState::Cancelling;
        let mut cross = [Cross::No; 2];
        for (slot, cross) in cross.iter_mut().enumerate().take(self.users) {
            if state.items[State::item(batch, slot)].stand == ItemStand::Pending {
                *cross = Cross::Todo;
            }
        }
        let worker = &mut state.workers[number];
        (worker.phase, worker.told, worker.cross) = (Phase::Crossing, told, cross);
    }

    /// With the id chosen in advance, a second create of the same user is refused.
    fn post(&self, state: &mut State, number: usize, slot: usize) {
        let Kind::Provision(batch) = kind(state.workers[number].job) else { return };
        let users = &mut state.users[State::item(batch, slot)];
        let new = *users == 0 || self.weakness == Some(Weakness::RandomIds);
        if new {
            *users += 1;
        }
        state.workers[number].cross[slot] = Cross::Served(new);
    }

    /// A user under the id is ours. None: create again, or nothing to be cancelled there.
    /// A random id is nobody's, so such a look-up finds nothing.
    fn get(&self, state: &mut State, number: usize, slot: usize) {
        let Kind::Provision(batch) = kind(state.workers[number].job) else { return };
        let found = state.users[State::item(batch, slot)] > 0 && self.weakness != Some(Weakness::RandomIds);
        let told = state.workers[number].told;
        state.workers[number].cross[slot] = match (found, told) {
            (true, _) => Cross::Known(ItemStand::Created),
            (false, true) => Cross::Known(ItemStand::Cancelled),
            (false, false) => Cross::Todo,
        };
    }

    fn commit(&self, state: &mut State, number: usize) {
        if !state.holds(number) {
            state.stale_write = true;
        }
        match kind(state.workers[number].job) {
            Kind::Provision(batch) => self.write_back(state, number, batch),
            Kind::Verify(batch) => self.close_batch(state, number, batch),
            Kind::Report => {}
        }
    }

    /// Only with a pending batch does a holder go on; what became known of the run counts from here.
    fn write_back(&self, state: &mut State, number: usize, batch: usize) {
        for slot in 0..self.users {
            if let Cross::Known(end) = state.workers[number].cross[slot] {
                state.end_item(batch, slot, end);
                state.workers[number].cross[slot] = Cross::Written;
            }
        }
        let job = state.workers[number].job;
        state.job_mut(job).lock = None;
        let worker = &mut state.workers[number];
        worker.phase = Phase::Crossing;
        worker.told = state.run == RunState::Cancelling;
        let row = &mut state.batches[batch];
        if row.pending > 0 {
            return;
        }
        if row.stand == BatchStand::Open {
            row.stand = BatchStand::Provisioned;
        }
        state.job_mut(job).stand = JobStand::Done;
        if self.weakness == Some(Weakness::EventApart) {
            state.workers[number].phase = Phase::EventDue;
        } else {
            state.make_event(batch);
            state.workers[number] = IDLE;
        }
    }
}

/// Open transactions are rolled back; leases have nobody behind them.
fn crash(state: &mut State, number: usize) {
    let me = Some(number as u8);
    state.faults.crashes -= 1;
    state.workers[number] = IDLE;
    if state.run_lock == me {
        state.run_lock = None;
    }
    for job in &mut state.jobs {
        if job.lock == me {
            job.lock = None;
        }
        if job.stand == JobStand::Leased(me) {
            job.stand = JobStand::Leased(None);
        }
    }
}
