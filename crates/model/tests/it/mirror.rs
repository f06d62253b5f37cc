//! What a ledger should answer and look like: the port's words, in memory.
//!
//! One run, small lists, no time: whether a wait is over and whether a lease ran out
//! are marks that the test sets here and in the store together.

use std::collections::BTreeMap;

use ferry_domain::{
    BatchId, Code, ItemState, JobId, JobKind, JobState, RunState, Tally, WorkerId,
    job::{JobMove, Lane},
    poison,
    run::{Asked, BatchState, RunMove},
};

pub struct Mirror {
    pub run: RunState,
    pub round: i32,
    pub revision: i32,
    pub batches: Vec<Batch>,
    pub items: Vec<Entry>,
    pub jobs: Vec<Row>,
}

pub struct Batch {
    pub id: BatchId,
    pub state: BatchState,
    pub verified: i64,
    pub discrepancies: i64,
}

/// An item; its position is its place in the list, from 1.
pub struct Entry {
    pub state: ItemState,
    pub code: Option<Code>,
    pub batch: usize,
}

pub struct Row {
    /// Known once it was sent.
    pub id: Option<JobId>,
    pub kind: JobKind,
    pub batch: Option<usize>,
    pub state: JobState,
    pub send: i32,
    pub token: i64,
    pub holder: Option<WorkerId>,
    pub attempts: i32,
    pub rescues: i32,
    /// Whether `not_before` has come.
    pub due: bool,
    /// Whether the lease ran out.
    pub expired: bool,
    /// Given up a moment ago: the sweep waits before it makes another.
    pub just_dead: bool,
}

impl Row {
    fn new(kind: JobKind, batch: Option<usize>) -> Self {
        Row {
            id: None,
            kind,
            batch,
            state: JobState::Ready,
            send: 0,
            token: 0,
            holder: None,
            attempts: 0,
            rescues: 0,
            due: true,
            expired: false,
            just_dead: false,
        }
    }

    /// Moves by the domain's table, which has no move for what must not happen.
    fn step(&mut self, step: JobMove) {
        self.state = self.state.after(step).unwrap_or_else(|| panic!("{step:?} of a {:?} job", self.state));
        if self.state != JobState::Leased {
            (self.holder, self.expired) = (None, false);
        }
    }

    pub fn is_live(&self) -> bool {
        !matches!(self.state, JobState::Done | JobState::Dead)
    }

    fn is_due(&self) -> bool {
        self.state == JobState::Ready && self.due
    }

    fn lane(&self) -> Lane {
        if self.rescues > 0 && self.kind == JobKind::Provision { Lane::Rescued } else { Lane::Usual }
    }
}

impl Mirror {
    pub fn new(run: RunState, items: Vec<Entry>, batches: Vec<BatchId>) -> Self {
        let settled =
            |batch| items.iter().all(|it: &Entry| it.batch != batch || it.state != ItemState::Pending);
        let mut mirror =
            Mirror { run, round: 1, revision: 0, batches: Vec::new(), items: Vec::new(), jobs: Vec::new() };
        for (number, id) in batches.into_iter().enumerate() {
            mirror.add_batch(id, settled(number));
        }
        mirror.items = items;
        mirror
    }

    fn add_batch(&mut self, id: BatchId, settled: bool) {
        let state = if settled { BatchState::Verified } else { BatchState::Open };
        if !settled {
            self.jobs.push(Row::new(JobKind::Provision, Some(self.batches.len())));
        }
        self.batches.push(Batch { id, state, verified: 0, discrepancies: 0 });
    }

    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        self.items.iter().for_each(|item| tally.add(item.state));
        tally
    }

    pub fn job_counts(&self) -> BTreeMap<String, i64> {
        let mut counts = BTreeMap::new();
        for row in &self.jobs {
            *counts.entry(format!("{} {}", row.kind, row.state.as_str())).or_default() += 1;
        }
        counts
    }

    /// Positions in a batch whose items are in one of these states.
    pub fn in_batch(&self, batch: usize, states: &[ItemState]) -> Vec<i64> {
        let here = |item: &Entry| item.batch == batch && states.contains(&item.state);
        (1..).zip(&self.items).filter(|(_, item)| here(item)).map(|(seq, _)| seq).collect()
    }

    pub fn pending(&self, batch: usize) -> i64 {
        self.in_batch(batch, &[ItemState::Pending]).len() as i64
    }

    pub fn of(&self, id: JobId) -> usize {
        self.jobs.iter().position(|row| row.id == Some(id)).expect("only sent jobs are asked for")
    }

    /// The job that was sent: known already, or the one of its kind and batch without an id.
    pub fn learn(&mut self, id: JobId, kind: JobKind, batch: Option<BatchId>) -> usize {
        let batch = batch.map(|id| self.batches.iter().position(|it| it.id == id).expect("one of ours"));
        if let Some(known) = self.jobs.iter().position(|row| row.id == Some(id)) {
            return known;
        }
        let fresh = |row: &Row| row.id.is_none() && row.kind == kind && row.batch == batch;
        let found = self.jobs.iter().position(fresh).expect("a job nobody should have made");
        self.jobs[found].id = Some(id);
        found
    }

    /// Priorities of what may be sent now, the first first; of one lane or of both.
    pub fn due(&self, lane: Option<Lane>) -> Vec<i16> {
        let wanted = |row: &&Row| lane.is_none_or(|lane| row.lane() == lane);
        let due = self.jobs.iter().filter(|row| self.run.is_sending() && row.is_due()).filter(wanted);
        let mut due: Vec<i16> = due.map(|row| row.kind.priority()).collect();
        due.sort_unstable();
        due
    }

    pub fn send(&mut self, job: usize) -> i32 {
        let row = &mut self.jobs[job];
        assert!(row.is_due(), "sent before its time");
        row.step(JobMove::Send);
        row.send += 1;
        row.send
    }

    pub fn unsend(&mut self, job: usize, send: i32) -> bool {
        let row = &mut self.jobs[job];
        let its_own = row.send == send && row.state == JobState::Queued;
        if its_own {
            row.step(JobMove::Unsend);
        }
        its_own
    }

    /// The token, where the delivery is fresh.
    pub fn claim(&mut self, job: usize, send: i32, holder: WorkerId) -> Option<i64> {
        let row = &mut self.jobs[job];
        if row.send != send || row.state != JobState::Queued {
            return None;
        }
        row.step(JobMove::Lease);
        row.token += 1;
        row.holder = Some(holder);
        Some(row.token)
    }

    pub fn holds(&self, job: usize, token: i64) -> bool {
        self.jobs[job].token == token && self.jobs[job].state == JobState::Leased
    }

    pub fn hand_back(&mut self, job: usize, counts: bool, due: bool) {
        let row = &mut self.jobs[job];
        row.step(JobMove::HandBack);
        row.attempts += i32::from(counts);
        row.due = due;
    }

    pub fn rescue(&mut self) -> Vec<JobId> {
        let mut rescued = Vec::new();
        for row in self.jobs.iter_mut().filter(|row| row.state == JobState::Leased && row.expired) {
            row.step(JobMove::Rescue);
            row.rescues += 1;
            row.due = true;
            rescued.extend(row.id);
        }
        rescued.sort();
        rescued
    }

    /// The worker's jobs, renewed.
    pub fn heartbeat(&mut self, worker: WorkerId) -> Vec<JobId> {
        let mut held = Vec::new();
        for row in self.jobs.iter_mut().filter(|row| row.holder == Some(worker)) {
            row.expired = false;
            held.extend(row.id);
        }
        held.sort();
        held
    }

    pub fn retire(&mut self, worker: WorkerId) -> u64 {
        let mut gone = 0;
        for row in self.jobs.iter_mut().filter(|row| row.holder == Some(worker)) {
            row.step(JobMove::HandBack);
            row.due = true;
            gone += 1;
        }
        gone
    }

    /// Ends what is still pending in the batch; says what is pending then.
    pub fn write_back(&mut self, job: usize, results: &[(i64, ItemState, Option<Code>)]) -> i64 {
        let batch = self.jobs[job].batch.expect("a provision job has a batch");
        let before = self.pending(batch);
        for (seq, state, code) in results {
            let item = &mut self.items[*seq as usize - 1];
            if item.batch == batch && item.state == ItemState::Pending {
                (item.state, item.code) = (*state, *code);
            }
        }
        match self.pending(batch) {
            0 => self.provisioned(job, batch, JobMove::Finish),
            left if left < before => self.jobs[job].rescues = 0,
            _ => {}
        }
        self.pending(batch)
    }

    fn provisioned(&mut self, job: usize, batch: usize, end: JobMove) {
        self.batches[batch].state = BatchState::Provisioned;
        self.jobs[job].step(end);
        self.jobs.push(Row::new(JobKind::Verify, Some(batch)));
    }

    pub fn verify(&mut self, job: usize, matched: i64, discrepancies: i64, end: JobMove) {
        let number = self.jobs[job].batch.expect("a verify job has a batch");
        let batch = &mut self.batches[number];
        assert_eq!(batch.state, BatchState::Provisioned, "a batch is verified once");
        (batch.state, batch.verified, batch.discrepancies) = (BatchState::Verified, matched, discrepancies);
        self.jobs[job].step(end);
        if self.open() == 0
            && let Some(next) = self.run.after(RunMove::BeginSealing)
        {
            self.run = next;
            self.jobs.push(Row::new(JobKind::Report, None));
        }
    }

    pub fn open(&self) -> i64 {
        self.batches.iter().filter(|batch| batch.state != BatchState::Verified).count() as i64
    }

    /// Given up: what the job was for ends all the same.
    pub fn discard(&mut self, job: usize, counts: bool, code: Code) {
        self.jobs[job].attempts += i32::from(counts);
        match (self.jobs[job].kind, self.jobs[job].batch) {
            (JobKind::Provision, Some(batch)) => {
                for seq in self.in_batch(batch, &[ItemState::Pending]) {
                    let item = &mut self.items[seq as usize - 1];
                    (item.state, item.code) = (ItemState::Failed, Some(code));
                }
                self.provisioned(job, batch, JobMove::GiveUp);
            }
            (_, Some(batch)) => {
                let unread = self.in_batch(batch, &[ItemState::Created, ItemState::Adopted]).len() as i64;
                self.verify(job, 0, unread, JobMove::GiveUp);
            }
            (_, None) => {
                self.jobs[job].step(JobMove::GiveUp);
                self.jobs[job].just_dead = true;
            }
        }
    }

    pub fn seal(&mut self, job: usize) -> i32 {
        self.run = self.run.after(RunMove::Seal).expect("a report job belongs to a sealing run");
        self.revision += 1;
        self.jobs[job].step(JobMove::Finish);
        self.revision
    }

    /// How many report jobs the sweep makes.
    pub fn sweep(&mut self) -> u64 {
        let mut reports = self.jobs.iter().filter(|row| row.kind == JobKind::Report);
        let waits = reports.any(|row| row.is_live() || row.just_dead);
        if !self.run.is_sending() || self.open() > 0 || waits {
            return 0;
        }
        if self.run != RunState::Cancelling {
            self.run = RunState::Sealing;
        }
        self.jobs.push(Row::new(JobKind::Report, None));
        1
    }

    /// Positions that a retry takes up.
    pub fn retryable(&self) -> Vec<i64> {
        let back = |item: &Entry| {
            ferry_domain::item::retryable(item.state, item.code, item.code != Some(Code::EmailMissing))
        };
        (1..).zip(&self.items).filter(|(_, item)| back(item)).map(|(seq, _)| seq).collect()
    }

    /// Whether there is such a move now.
    pub fn retry(&mut self, ids: &[BatchId], size: usize) -> bool {
        let Some(next) = self.run.after(RunMove::Retry) else { return false };
        let taken = self.retryable();
        if taken.is_empty() {
            return true;
        }
        (self.run, self.round) = (next, self.round + 1);
        for (chunk, id) in taken.chunks(size).zip(ids) {
            for seq in chunk {
                let batch = self.batches.len();
                self.items[*seq as usize - 1] = Entry { state: ItemState::Pending, code: None, batch };
            }
            self.add_batch(*id, false);
            // As if it had been leased: a cancel has to ask about users that may be at Auth0.
            self.jobs.last_mut().unwrap().token = 1;
        }
        true
    }

    /// The result of a person's move: users cancelled immediately, and users to ask for; `None`
    /// where it is refused.
    pub fn ask(&mut self, step: RunMove) -> Option<(i64, i64)> {
        match self.run.asked(step) {
            Asked::Refused => return None,
            Asked::Already => return Some((0, 0)),
            Asked::Moves(after) => self.run = after,
        }
        if step != RunMove::Cancel {
            return Some((0, 0));
        }
        let mut cancelled = 0;
        for job in 0..self.jobs.len() {
            let row = &self.jobs[job];
            let untouched = row.kind == JobKind::Provision
                && row.token == 0
                && matches!(row.state, JobState::Ready | JobState::Queued);
            if untouched && let Some(batch) = row.batch {
                for seq in self.in_batch(batch, &[ItemState::Pending]) {
                    self.items[seq as usize - 1].state = ItemState::Cancelled;
                    cancelled += 1;
                }
                self.batches[batch].state = BatchState::Verified;
                self.jobs[job].step(JobMove::Withdraw);
            }
        }
        Some((cancelled, self.tally().pending))
    }

    /// Puts half of a batch into one of its own; says how many users went.
    pub fn halve(&mut self, job: usize, into: BatchId) -> i64 {
        let row = &self.jobs[job];
        let (true, Some(batch)) = (
            matches!(row.state, JobState::Ready | JobState::Queued),
            row.batch.filter(|_| row.kind == JobKind::Provision),
        ) else {
            return 0;
        };
        let pending = self.in_batch(batch, &[ItemState::Pending]);
        let gone = &pending[poison::kept(pending.len() as i64) as usize..];
        if pending.len() < 2 {
            return 0;
        }
        for seq in gone {
            self.items[*seq as usize - 1].batch = self.batches.len();
        }
        let (token, attempts, rescues) = (row.token, row.attempts, poison::rescues_of_half(row.rescues));
        self.jobs[job].rescues = rescues;
        self.add_batch(into, false);
        let half = self.jobs.last_mut().expect("it was just added");
        (half.token, half.attempts, half.rescues) = (token, attempts, rescues);
        gone.len() as i64
    }

    /// All waits are over.
    pub fn wait(&mut self) {
        for row in &mut self.jobs {
            (row.due, row.just_dead) = (true, false);
        }
    }
}
