//! The world at one moment. Small arrays: a million of these are kept.

use crate::{Faults, World};

/// Most users, batches, workers and jobs that fit.
pub(crate) const USERS: usize = 4;
pub(crate) const BATCHES: usize = 2;
pub(crate) const WORKERS: usize = 3;
/// A provision and a verify job for each batch, and the report job.
pub(crate) const JOBS: usize = 2 * BATCHES + 1;
/// The report job.
pub(crate) const REPORT: u8 = 2 * BATCHES as u8;

/// The provision job of a batch.
pub(crate) const fn provision(batch: usize) -> u8 {
    batch as u8
}

/// The verify job of a batch: its completion event.
pub(crate) const fn verify(batch: usize) -> u8 {
    (BATCHES + batch) as u8
}

/// What a job does, and for which batch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Provision(usize),
    Verify(usize),
    Report,
}

pub(crate) fn kind(job: u8) -> Kind {
    match job {
        REPORT => Kind::Report,
        job if (job as usize) < BATCHES => Kind::Provision(job as usize),
        job => Kind::Verify(job as usize - BATCHES),
    }
}

/// Everything: ledger, queue, workers and Auth0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub(crate) run: RunState,
    /// The worker whose transaction holds the run's row.
    pub(crate) run_lock: Option<u8>,
    /// How often the run was sealed.
    pub(crate) seals: u8,
    pub(crate) batches: [Batch; BATCHES],
    pub(crate) items: [Item; USERS],
    pub(crate) jobs: [Job; JOBS],
    /// Jobs with the send counter they were sent under; sorted, since order means nothing.
    pub(crate) queue: Vec<(u8, u8)>,
    pub(crate) workers: [Worker; WORKERS],
    /// Users at Auth0, by the item they were made for.
    pub(crate) users: [u8; USERS],
    /// A process that had lost its lease stored a result.
    pub(crate) stale_write: bool,
    pub(crate) faults: Faults,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RunState {
    Running,
    Sealing,
    Sealed,
    Cancelling,
    Cancelled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Batch {
    pub stand: BatchStand,
    /// The tally as kept on the row, not as counted.
    pub pending: u8,
    pub created: u8,
    pub cancelled: u8,
    /// How often its verification was recorded.
    pub verifications: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum BatchStand {
    Open,
    Provisioned,
    Verified,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Item {
    pub stand: ItemStand,
    /// How often it was given an end.
    pub endings: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ItemStand {
    Pending,
    Created,
    Cancelled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Job {
    pub stand: JobStand,
    pub send: u8,
    pub token: u8,
    /// The worker whose transaction holds the row.
    pub lock: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum JobStand {
    /// No such row yet.
    Absent,
    Ready,
    Queued,
    /// `None`: the holder is dead, whoever has come in its place.
    Leased(Option<u8>),
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Worker {
    pub phase: Phase,
    /// What it believes to hold; means nothing while idle or delivered to.
    pub job: u8,
    pub token: u8,
    /// It has learned that the run is to be cancelled.
    pub told: bool,
    /// Where it stands with the users of its batch.
    pub cross: [Cross; BATCHES],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    Idle,
    /// The worker has a delivery with this send counter, and has claimed nothing yet.
    Delivered(u8),
    Claimed,
    /// Pending items are read; users cross.
    Crossing,
    /// The transaction that writes results, or a verification, is open.
    Writing,
    /// A verification's transaction has counted: whether other batches are open.
    Counted(bool),
    /// The batch is provisioned and its verify job still has to be made.
    EventDue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cross {
    /// Not this worker's to do.
    No,
    Todo,
    /// Auth0 has served the `POST`: created, or refused as existing.
    Served(bool),
    /// Exists, or unknown: the id must be looked up.
    Doubt,
    /// A result to be written.
    Known(ItemStand),
    Written,
}

pub(crate) const IDLE: Worker =
    Worker { phase: Phase::Idle, job: 0, token: 0, told: false, cross: [Cross::No; BATCHES] };

impl State {
    /// A run just started: every batch has its provision job, ready.
    pub(crate) fn new(world: &World) -> Self {
        let empty =
            Batch { stand: BatchStand::Verified, pending: 0, created: 0, cancelled: 0, verifications: 0 };
        let absent = Job { stand: JobStand::Absent, send: 0, token: 0, lock: None };
        let mut state = State {
            run: RunState::Running,
            run_lock: None,
            seals: 0,
            batches: [empty; BATCHES],
            items: [Item { stand: ItemStand::Pending, endings: 0 }; USERS],
            jobs: [absent; JOBS],
            queue: Vec::new(),
            workers: [IDLE; WORKERS],
            users: [0; USERS],
            stale_write: false,
            faults: world.faults,
        };
        for batch in 0..world.batches {
            state.batches[batch].stand = BatchStand::Open;
            state.batches[batch].pending = world.users as u8;
            state.jobs[provision(batch) as usize].stand = JobStand::Ready;
        }
        state
    }

    /// The item that is number `slot` of a batch.
    pub(crate) fn item(batch: usize, slot: usize) -> usize {
        batch * 2 + slot
    }

    pub(crate) fn job(&self, job: u8) -> &Job {
        &self.jobs[job as usize]
    }

    pub(crate) fn job_mut(&mut self, job: u8) -> &mut Job {
        &mut self.jobs[job as usize]
    }

    /// Whether what a worker believes to hold is really its own.
    pub(crate) fn holds(&self, worker: usize) -> bool {
        let it = &self.workers[worker];
        let job = self.job(it.job);
        it.token > 0 && job.token == it.token && matches!(job.stand, JobStand::Leased(_))
    }

    pub(crate) fn push(&mut self, job: u8, send: u8) {
        let at = self.queue.partition_point(|entry| *entry <= (job, send));
        self.queue.insert(at, (job, send));
    }

    pub(crate) fn all_verified(&self) -> bool {
        self.batches.iter().all(|batch| batch.stand == BatchStand::Verified)
    }

    /// Counters are only compared, never added up: of a send, whether it is the newest,
    /// of a token, whether it still holds. With the numbers themselves two ways to the
    /// same situation would be two states, without end.
    pub(crate) fn forget_numbers(&mut self) {
        let newest = self.jobs.map(|job| job.send);
        let fresh = |job: u8, send: u8| u8::from(send > 0 && send == newest[job as usize]);
        for (job, send) in &mut self.queue {
            *send = fresh(*job, *send);
        }
        self.queue.sort_unstable();
        for worker in &mut self.workers {
            if let Phase::Delivered(send) = &mut worker.phase {
                *send = fresh(worker.job, *send);
            }
            let row = &self.jobs[worker.job as usize];
            let holds = row.token == worker.token && matches!(row.stand, JobStand::Leased(_));
            worker.token = u8::from(holds && worker.token > 0);
        }
        for job in &mut self.jobs {
            job.send = job.send.min(1);
            job.token = job.token.min(1);
        }
    }
}
