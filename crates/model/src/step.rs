//! Every step that anybody can make next.

use stateright::{Model, Property};

use crate::{
    World,
    state::{Cross, JOBS, JobStand, Kind, Phase, RunState, State, kind},
};

/// One step. Workers, jobs and users of a batch by number; jobs 0 and 1 provision
/// the batches, 2 and 3 verify them, 4 makes the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The relay takes a ready job and pushes it under a new send counter.
    Send(u8),
    /// The relay finds a queued job that the queue has lost: ready again.
    Unsend(u8),
    /// The queue forgets an entry.
    Lose(usize),
    /// The queue forgets everything.
    Flush,
    /// The queue delivers an entry once more.
    Double(usize),
    /// The queue hands an entry to a worker.
    Deliver(usize, usize),
    /// The worker claims the job of its delivery.
    Claim(usize),
    /// The holder reads the pending items.
    Read(usize),
    /// `POST`, served.
    Post(usize, usize),
    /// Its answer comes.
    Answer(usize, usize),
    /// Its answer is lost.
    LoseAnswer(usize, usize),
    /// `GET` by id, with its answer.
    Get(usize, usize),
    /// The transaction's first statement: the fence.
    Lock(usize),
    /// The transaction's effect and end.
    Commit(usize),
    /// The verify job in a transaction of its own (a weakness).
    MakeEvent(usize),
    /// A verifier locks the run and counts open batches.
    Count(usize),
    /// The report is kept.
    Seal(usize),
    /// The holder hands the job back.
    HandBack(usize),
    /// A holder hears that its lease is lost, and drops everything.
    Drop(usize),
    /// A worker dies; its successor starts.
    Crash(usize),
    /// A lease that ran out, or whose holder is dead, is taken back.
    Rescue(u8),
    /// The sweep seals what nobody sealed.
    Sweep,
    /// A person cancels the run.
    Cancel,
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        relay(state, actions);
        queue(self, state, actions);
        for worker in 0..self.workers {
            self.worker_actions(state, worker, actions);
        }
        if self.sweep && state.run == RunState::Running && state.run_lock.is_none() && state.all_verified() {
            actions.push(Action::Sweep);
        }
        if self.cancel && state.run == RunState::Running && state.run_lock.is_none() {
            actions.push(Action::Cancel);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Send(job) => {
                let row = state.job_mut(job);
                row.stand = JobStand::Queued;
                row.send += 1;
                let send = row.send;
                state.push(job, send);
            }
            Action::Unsend(job) => state.job_mut(job).stand = JobStand::Ready,
            Action::Lose(entry) => {
                state.queue.remove(entry);
                state.faults.losses -= 1;
            }
            Action::Flush => {
                state.queue.clear();
                state.faults.losses -= 1;
            }
            Action::Double(entry) => {
                let (job, send) = state.queue[entry];
                state.push(job, send);
                state.faults.doubles -= 1;
            }
            Action::Rescue(job) => {
                if state.job(job).stand != JobStand::Leased(None) {
                    state.faults.expiries -= 1;
                }
                state.job_mut(job).stand = JobStand::Ready;
            }
            Action::Sweep => self.begin_sealing(&mut state),
            Action::Cancel => self.cancel(&mut state),
            Action::Deliver(worker, _)
            | Action::Claim(worker)
            | Action::Read(worker)
            | Action::Post(worker, _)
            | Action::Answer(worker, _)
            | Action::LoseAnswer(worker, _)
            | Action::Get(worker, _)
            | Action::Lock(worker)
            | Action::Commit(worker)
            | Action::MakeEvent(worker)
            | Action::Count(worker)
            | Action::Seal(worker)
            | Action::HandBack(worker)
            | Action::Drop(worker)
            | Action::Crash(worker) => self.worker_step(&mut state, worker, action),
        }
        state.forget_numbers();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        crate::properties::all()
    }
}

fn relay(state: &State, actions: &mut Vec<Action>) {
    for number in 0..JOBS {
        let job = number as u8;
        let row = state.job(job);
        match row.stand {
            JobStand::Ready => actions.push(Action::Send(job)),
            JobStand::Queued if !state.queue.contains(&(job, row.send)) => actions.push(Action::Unsend(job)),
            JobStand::Leased(holder)
                if row.lock.is_none() && (holder.is_none() || state.faults.expiries > 0) =>
            {
                actions.push(Action::Rescue(job));
            }
            _ => {}
        }
    }
}

fn queue(world: &World, state: &State, actions: &mut Vec<Action>) {
    for entry in 0..state.queue.len() {
        if entry > 0 && state.queue[entry] == state.queue[entry - 1] {
            continue; // the same delivery twice: one of them stands for both
        }
        if state.faults.losses > 0 {
            actions.push(Action::Lose(entry));
        }
        if state.faults.doubles > 0 {
            actions.push(Action::Double(entry));
        }
        // Idle workers are all alike: the first stands for them.
        let idle = (0..world.workers).find(|worker| state.workers[*worker].phase == Phase::Idle);
        actions.extend(idle.map(|worker| Action::Deliver(worker, entry)));
    }
    if state.queue.len() > 1 && state.faults.losses > 0 {
        actions.push(Action::Flush);
    }
}

impl World {
    fn worker_actions(&self, state: &State, number: usize, actions: &mut Vec<Action>) {
        let worker = &state.workers[number];
        if worker.phase == Phase::Idle {
            return;
        }
        if state.faults.crashes > 0 {
            actions.push(Action::Crash(number));
        }
        match worker.phase {
            Phase::Idle => {}
            Phase::Delivered(_) => actions.push(Action::Claim(number)),
            Phase::Claimed => {
                actions.push(match kind(worker.job) {
                    Kind::Provision(_) => Action::Read(number),
                    Kind::Verify(_) => Action::Lock(number),
                    Kind::Report => Action::Seal(number),
                });
                self.leave_actions(state, number, actions);
            }
            Phase::Crossing => {
                self.crossing_actions(state, number, actions);
                self.leave_actions(state, number, actions);
            }
            Phase::Writing => match kind(worker.job) {
                Kind::Verify(_) if self.run_lock_is_free(state) => actions.push(Action::Count(number)),
                Kind::Verify(_) => {}
                _ => actions.push(Action::Commit(number)),
            },
            Phase::Counted(_) => actions.push(Action::Commit(number)),
            Phase::EventDue => actions.push(Action::MakeEvent(number)),
        }
    }

    fn crossing_actions(&self, state: &State, number: usize, actions: &mut Vec<Action>) {
        let worker = &state.workers[number];
        for (slot, cross) in worker.cross.iter().enumerate() {
            match cross {
                Cross::Todo if worker.told => actions.push(Action::Get(number, slot)),
                Cross::Todo if self.late_requests || state.holds(number) => {
                    actions.push(Action::Post(number, slot));
                }
                Cross::Served(_) => {
                    actions.push(Action::Answer(number, slot));
                    if state.faults.answers > 0 {
                        actions.push(Action::LoseAnswer(number, slot));
                    }
                }
                Cross::Doubt => actions.push(Action::Get(number, slot)),
                Cross::No | Cross::Todo | Cross::Known(_) | Cross::Written => {}
            }
        }
        if worker.cross.iter().any(|cross| matches!(cross, Cross::Known(_))) {
            actions.push(Action::Lock(number));
        }
    }

    fn leave_actions(&self, state: &State, number: usize, actions: &mut Vec<Action>) {
        if !state.holds(number) {
            actions.push(Action::Drop(number));
        } else if state.faults.hand_backs > 0 {
            actions.push(Action::HandBack(number));
        }
    }
}
