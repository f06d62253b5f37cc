//! Plays a history against a ledger and the mirror, step by step.

use std::{collections::BTreeMap, time::Duration};

use ferry_domain::{
    Attempt, BatchId, Code, Email, Envelope, ItemResult, ItemSeq, ItemState, Job, JobId, JobKind, JobState,
    Lease, NewItem, RunId, RunState, SourceKey, Verdict, WorkerId,
    job::{JobMove, Lane},
    ports::{BatchVerification, Command, ItemFilter, LedgerError, Retryable, SealedRun, UserFilter},
    run::RunMove,
};
use uuid::Uuid;

use crate::{
    made::{BYSTANDER, SIZE, USERS, discrepancy, new_item, new_run, outcomes, record, worker},
    mirror::{Entry, Mirror},
    stores::Store,
};

/// Longer than a test, shorter than what [`Store::expire`] skips.
const LEASE: Duration = Duration::from_secs(3600);

/// One step. Numbers choose among what there is, round and round.
#[derive(Clone, Debug)]
pub enum Step {
    /// The relay takes at most this many jobs.
    Send(i64),
    /// The relay takes at most this many rescued jobs.
    SendRescued(i64),
    /// The queue loses a delivery.
    Lose(usize),
    /// A worker gets a delivery; `true` leaves it on the queue, to come again.
    Claim { delivery: usize, worker: usize, again: bool },
    /// The relay takes a send back, an old one too.
    Unsend(usize),
    /// A lease's holder does its work, whether the lease is still its own or not.
    Work { lease: usize, users: u8, outcome: usize },
    /// A lease's holder ends it by a verdict.
    Conclude { lease: usize, verdict: usize, timed: bool },
    /// A worker dies with all its leases and deliveries.
    Crash(usize),
    /// A worker says that it lives.
    Heartbeat(usize),
    /// A worker leaves in order.
    Retire(usize),
    /// A lease runs out.
    Expire(usize),
    /// Expired leases are taken back.
    Rescue,
    /// All waits are over.
    Wait,
    /// The sweep looks for runs that nobody sealed.
    Sweep,
    /// A person takes failed users up again.
    Retry,
    /// A person pauses, resumes or cancels the run.
    Move(RunMove),
    /// The rescue takes a batch apart.
    Halve(usize),
}

pub struct Player<'s> {
    store: &'s Store,
    run: RunId,
    mirror: Mirror,
    queue: Vec<Envelope>,
    /// Everything ever sent, for old sends.
    sent: Vec<Envelope>,
    /// Leases that a process believes to hold.
    leases: Vec<Lease<Job>>,
    /// How often something really happened.
    seen: BTreeMap<&'static str, u32>,
    /// The next batch id.
    next_batch: u128,
}

impl<'s> Player<'s> {
    /// A run just started; `number` makes its ids differ from those of earlier ones.
    pub async fn new(store: &'s Store, number: u32) -> Self {
        let run = RunId(Uuid::from_u128(u128::from(number) + 1));
        let first = (u128::from(number) + 1) << 32;
        let batch = |number: i64| BatchId(Uuid::from_u128(first + number as u128));
        let settled = batch(0);
        let of = |seq: i64| if seq > USERS { 0 } else { 1 + (seq - 1) / SIZE as i64 };
        let ledger = &store.ledger;
        ledger.open_run(&new_run(run, settled)).await.unwrap();
        let items: Vec<NewItem> = (1..=USERS + 1).map(|seq| new_item(seq, batch(of(seq)))).collect();
        ledger.add_items(run, &items).await.unwrap();
        ledger.finish_planning(run, &[]).await.unwrap();
        ledger.start(run, &Command { by: "ann", reason: None }).await.unwrap();
        let entries = (1..=USERS + 1).map(|seq| match seq > USERS {
            true => Entry { state: ItemState::Failed, code: Some(Code::EmailMissing), batch: 0 },
            false => Entry { state: ItemState::Pending, code: None, batch: of(seq) as usize },
        });
        let batches = (0..=of(USERS)).map(batch).collect();
        let mirror = Mirror::new(RunState::Running, entries.collect(), batches);
        let player = Player {
            store,
            run,
            mirror,
            queue: vec![],
            sent: vec![],
            leases: vec![],
            seen: BTreeMap::new(),
            next_batch: first + 1000,
        };
        player.compare().await;
        player
    }

    /// Makes a step and looks at everything.
    pub async fn step(&mut self, step: &Step) {
        self.make(step).await;
        self.compare().await;
    }

    async fn make(&mut self, step: &Step) {
        match *step {
            Step::Send(most) => self.send(most, None).await,
            Step::SendRescued(most) => self.send(most, Some(Lane::Rescued)).await,
            Step::Lose(delivery) => drop(take(&mut self.queue, delivery)),
            Step::Claim { delivery, worker: holder, again } => {
                if self.queue.is_empty() {
                    self.send(2, None).await; // else most claims would find nothing
                }
                if let Some(envelope) = take(&mut self.queue, delivery) {
                    if again {
                        self.queue.push(envelope.clone());
                    }
                    self.claim(&envelope, worker(holder)).await;
                }
            }
            Step::Unsend(send) => {
                // Every other time one that the queue has lost, else any, old ones too.
                let lost = |sent: &&Envelope| {
                    self.mirror.jobs[self.mirror.of(sent.job)].state == JobState::Queued
                        && !self.queue.contains(sent)
                };
                let lost: Vec<&Envelope> = self.sent.iter().filter(lost).collect();
                let lost = pick(&lost, send / 2).copied().filter(|_| send.is_multiple_of(2));
                if let Some(envelope) = lost.or_else(|| pick(&self.sent, send)).cloned() {
                    self.unsend(&envelope).await;
                }
            }
            Step::Work { lease, users, outcome } => {
                if let Some(lease) = pick(&self.leases, lease).cloned() {
                    let held = self.holds(&lease);
                    self.work(&lease, users, outcome).await;
                    self.forget(&lease, held);
                }
            }
            Step::Conclude { lease, verdict, timed } => {
                if let Some(lease) = pick(&self.leases, lease).cloned() {
                    let held = self.holds(&lease);
                    self.conclude(&lease, verdict, timed).await;
                    self.forget(&lease, held);
                }
            }
            Step::Crash(number) => self.leases.retain(|lease| lease.holder != worker(number)),
            Step::Heartbeat(number) => {
                let expected = self.mirror.heartbeat(worker(number));
                let mut held = self.store.ledger.heartbeat(&record(number), LEASE, &expected).await.unwrap();
                held.sort();
                assert_eq!(held, expected);
            }
            Step::Retire(number) => {
                let expected = self.mirror.retire(worker(number));
                assert_eq!(self.store.ledger.retire(worker(number)).await.unwrap(), expected);
            }
            // Those of dead holders too.
            Step::Expire(job) => {
                let jobs = self.mirror.jobs.iter();
                let leased: Vec<_> = jobs.filter(|job| job.state == JobState::Leased).collect();
                if let Some(id) = pick(&leased, job).and_then(|job| job.id) {
                    self.store.expire(id).await;
                    let job = self.mirror.of(id);
                    self.mirror.jobs[job].expired = true;
                }
            }
            Step::Rescue => {
                // All are known and not watched, so that only time takes their leases.
                for number in 0..3 {
                    self.store.ledger.heartbeat(&record(number), LEASE, &[]).await.unwrap();
                }
                let rescued = self.store.ledger.rescue(BYSTANDER, true).await.unwrap();
                let mut rescued: Vec<_> = rescued.into_iter().map(|one| one.job).collect();
                rescued.sort();
                assert_eq!(rescued, self.mirror.rescue());
                self.note("rescues", !rescued.is_empty());
            }
            Step::Wait => {
                self.store.wait().await;
                self.mirror.wait();
            }
            Step::Sweep => {
                assert_eq!(self.store.ledger.seal_finished().await.unwrap(), self.mirror.sweep());
            }
            Step::Retry => self.retry().await,
            Step::Move(step) => self.ask(step).await,
            Step::Halve(job) => {
                let known: Vec<JobId> = self.mirror.jobs.iter().filter_map(|job| job.id).collect();
                if let Some(id) = pick(&known, job) {
                    let into = BatchId(Uuid::from_u128(self.next_batch));
                    self.next_batch += 10;
                    let went = self.store.ledger.halve(*id, into).await.unwrap();
                    assert_eq!(went, self.mirror.halve(self.mirror.of(*id), into));
                    self.note("halvings", went > 0);
                }
            }
        }
    }

    async fn unsend(&mut self, envelope: &Envelope) {
        let expected = self.mirror.unsend(self.mirror.of(envelope.job), envelope.send);
        let unsent = self.store.ledger.unsend(std::slice::from_ref(envelope)).await.unwrap();
        assert_eq!(unsent, u64::from(expected));
    }

    fn holds(&self, lease: &Lease<Job>) -> bool {
        self.mirror.holds(self.mirror.of(lease.of.id), lease.token)
    }

    /// Whoever was told that the lease is lost drops it.
    fn forget(&mut self, lost: &Lease<Job>, held: bool) {
        self.leases.retain(|lease| held || lease.of.id != lost.of.id || lease.token != lost.token);
    }

    fn note(&mut self, what: &'static str, happened: bool) {
        *self.seen.entry(what).or_default() += u32::from(happened);
    }

    async fn ask(&mut self, step: RunMove) {
        let command = Command { by: "ann", reason: None };
        let moved = self.store.ledger.move_run(self.run, step, &command).await;
        match self.mirror.ask(step) {
            None => assert!(matches!(moved, Err(LedgerError::Refused(_))), "{moved:?}"),
            Some(users) => {
                let moved = moved.unwrap();
                self.note(
                    if step == RunMove::Cancel { "cancels" } else { "pauses and resumes" },
                    moved.changed(),
                );
                assert_eq!((moved.after, (moved.cancelled, moved.to_ask)), (self.mirror.run, users));
            }
        }
    }

    async fn send(&mut self, most: i64, lane: Option<Lane>) {
        let mut expected = self.mirror.due(lane);
        expected.truncate(most as usize);
        let sends = match lane {
            Some(Lane::Rescued) => self.store.ledger.take_rescued(most).await.unwrap(),
            _ => self.store.ledger.take_ready(most).await.unwrap(),
        };
        self.note("rescued sends", lane.is_some() && !sends.is_empty());
        let priorities: Vec<i16> = sends.iter().map(|envelope| envelope.kind.priority()).collect();
        assert_eq!(priorities, expected, "what was sent, by priority");
        for envelope in sends {
            let job = self.mirror.learn(envelope.job, envelope.kind, envelope.batch);
            assert_eq!(envelope.send, self.mirror.send(job));
            self.queue.push(envelope.clone());
            self.sent.push(envelope);
        }
    }

    async fn claim(&mut self, envelope: &Envelope, holder: WorkerId) {
        let job = self.mirror.of(envelope.job);
        let (attempts, rescues) = (self.mirror.jobs[job].attempts, self.mirror.jobs[job].rescues);
        let expected = self.mirror.claim(job, envelope.send, holder);
        let claimed = self.store.ledger.claim(envelope.job, envelope.send, holder, LEASE).await.unwrap();
        assert_eq!(claimed.as_ref().map(|lease| lease.token), expected);
        self.note("claims", expected.is_some());
        self.note("stale deliveries", expected.is_none());
        if let Some(lease) = claimed {
            assert_eq!(
                (lease.of.kind, lease.of.attempts, lease.of.rescues),
                (envelope.kind, attempts, rescues)
            );
            self.leases.push(lease);
        }
    }

    async fn work(&mut self, lease: &Lease<Job>, users: u8, outcome: usize) {
        let job = self.mirror.of(lease.of.id);
        let held = self.mirror.holds(job, lease.token);
        self.note("writes", held);
        self.note("late writes", !held);
        let ledger = &self.store.ledger;
        match lease.of.kind {
            JobKind::Provision => {
                let results = self.results(job, users, outcome);
                let written = answer(held, ledger.write_back(lease, &results, 1).await);
                if let Some(written) = written {
                    let told: Vec<_> =
                        results.iter().map(|it| (it.seq.0, it.outcome.state, it.outcome.code)).collect();
                    assert_eq!(written.pending, self.mirror.write_back(job, &told));
                    assert_eq!((written.run, written.refused_rows), (self.mirror.run, vec![]));
                }
            }
            JobKind::Verify => {
                let batch = self.mirror.jobs[job].batch.unwrap();
                let there = self.mirror.in_batch(batch, &[ItemState::Created, ItemState::Adopted]);
                let (wrong, right) = there.split_at(usize::from(users) % (there.len() + 1));
                let found = BatchVerification {
                    matched: right.len() as i64,
                    discrepancies: wrong.iter().map(|seq| discrepancy(*seq)).collect(),
                    requests: there.len() as i64,
                };
                if answer(held, ledger.record_verification(lease, &found).await).is_some() {
                    self.mirror.verify(job, right.len() as i64, wrong.len() as i64, JobMove::Finish);
                }
            }
            JobKind::Report => {
                let report = SealedRun { report: serde_json::json!({}) };
                if let Some(revision) = answer(held, ledger.seal(lease, &report).await) {
                    assert_eq!(revision, self.mirror.seal(job));
                    self.note("seals", true);
                }
            }
        }
    }

    /// Results of some users of a batch, those that have an end already too: whoever
    /// lost the answer of a write tells them again.
    fn results(&self, job: usize, users: u8, outcome: usize) -> Vec<ItemResult> {
        let batch = self.mirror.jobs[job].batch.unwrap();
        let all = self.mirror.in_batch(batch, &ItemState::ALL);
        let chosen = all.into_iter().enumerate().filter(|(number, _)| users & (1 << (number % 8)) != 0);
        chosen
            .map(|(number, seq)| ItemResult {
                seq: ItemSeq(seq),
                key: SourceKey(seq.to_string()),
                email: Email::normalised(&format!("{seq}@example.com")),
                outcome: outcomes(seq, outcome + number),
            })
            .collect()
    }

    async fn conclude(&mut self, lease: &Lease<Job>, verdict: usize, timed: bool) {
        let job = self.mirror.of(lease.of.id);
        let held = self.mirror.holds(job, lease.token);
        self.note("verdicts", held);
        self.note("late verdicts", !held);
        let code = Code::ServerError;
        let after = if verdict.is_multiple_of(2) { Duration::ZERO } else { LEASE };
        let verdict = match verdict % 7 {
            0 | 1 => Verdict::Retry { after, code },
            2..=4 => Verdict::Snooze { after, code: Code::RateLimited },
            5 => Verdict::Discard { code },
            _ => Verdict::Done,
        };
        let attempt = timed.then_some(Attempt { number: 1, code, took: Duration::from_millis(3) });
        let concluded = self.store.ledger.conclude(lease, &verdict, attempt.as_ref()).await;
        if held && verdict == Verdict::Done {
            // A provision job with nothing pending would have ended; other kinds never end so.
            assert!(matches!(concluded, Err(LedgerError::Refused(_))), "{concluded:?}");
        } else if answer(held, concluded).is_some() {
            match verdict {
                Verdict::Retry { .. } => self.mirror.hand_back(job, true, after.is_zero()),
                Verdict::Snooze { .. } => self.mirror.hand_back(job, false, after.is_zero()),
                _ => self.mirror.discard(job, timed, code),
            }
        }
    }

    async fn retry(&mut self) {
        let taken = self.mirror.retryable().len();
        let counted = self.store.ledger.count_retryable(self.run, &UserFilter::default()).await.unwrap();
        assert_eq!(counted, Retryable { take: taken as i64, left: 1 });
        let first = self.next_batch;
        self.next_batch += 10;
        let ids: Vec<BatchId> = (0..taken.div_ceil(SIZE) as u128)
            .map(|number| BatchId(Uuid::from_u128(first + number)))
            .collect();
        let retried = self
            .store
            .ledger
            .retry(self.run, &UserFilter::default(), &ids, &Command { by: "ann", reason: None })
            .await;
        if !self.mirror.retry(&ids, SIZE) {
            return assert!(matches!(retried, Err(LedgerError::Refused(_))), "{retried:?}");
        }
        let retried = retried.unwrap();
        self.note("retries", retried.items > 0);
        let expected = (taken as i64, ids.len() as i64, 1, self.mirror.round);
        assert_eq!((retried.items, retried.batches, retried.left, retried.round), expected);
    }

    /// Everything that can be seen, and who may still read: whoever may read may write.
    async fn compare(&self) {
        let (ledger, mirror) = (&self.store.ledger, &self.mirror);
        let view = ledger.run(self.run).await.unwrap().unwrap();
        assert_eq!((view.state, view.tally), (mirror.run, mirror.tally()));
        assert!(view.tally.adds_up());
        assert_eq!(
            (view.round, view.revision, view.open_batches),
            (mirror.round, mirror.revision, mirror.open())
        );
        let sums = mirror
            .batches
            .iter()
            .fold((0, 0), |(right, wrong), batch| (right + batch.verified, wrong + batch.discrepancies));
        assert_eq!((view.verified, view.discrepancies), sums, "what was read back");
        let items = ledger.items(self.run, &ItemFilter::default(), ItemSeq(0), 100).await.unwrap();
        let items: Vec<_> = items.iter().map(|item| (item.state, item.code)).collect();
        let expected: Vec<_> = mirror.items.iter().map(|item| (item.state, item.code)).collect();
        assert_eq!(items, expected);
        let jobs = ledger.job_counts(self.run).await.unwrap();
        let jobs: BTreeMap<String, i64> = jobs
            .into_iter()
            .map(|found| (format!("{} {}", found.kind, found.state.as_str()), found.jobs))
            .collect();
        assert_eq!(jobs, mirror.job_counts());
        for lease in &self.leases {
            let job = mirror.of(lease.of.id);
            let (read, states) = match lease.of.kind {
                JobKind::Provision => (ledger.pending_items(lease).await, &[ItemState::Pending][..]),
                JobKind::Verify => {
                    (ledger.items_at_target(lease).await, &[ItemState::Created, ItemState::Adopted][..])
                }
                JobKind::Report => continue,
            };
            if let Some(items) = answer(mirror.holds(job, lease.token), read) {
                let seqs: Vec<i64> = items.iter().map(|item| item.seq.0).collect();
                assert_eq!(seqs, mirror.in_batch(mirror.jobs[job].batch.unwrap(), states));
            }
        }
    }

    /// With a kind world from here on, the run is sealed and nothing is left. Says how
    /// often what happened before that.
    pub async fn finish(mut self) -> BTreeMap<&'static str, u32> {
        let seen = self.seen.clone();
        for job in 0..self.mirror.jobs.len() {
            if self.mirror.jobs[job].state == JobState::Leased {
                self.store.expire(self.mirror.jobs[job].id.unwrap()).await;
                self.mirror.jobs[job].expired = true;
            }
        }
        self.step(&Step::Rescue).await;
        self.leases.clear();
        if self.mirror.run == RunState::Paused {
            self.make(&Step::Move(RunMove::Resume)).await;
        }
        for _ in 0..20 {
            self.make(&Step::Wait).await;
            // Each of them: one left out would stay queued, since they are forgotten then.
            for envelope in std::mem::take(&mut self.sent) {
                self.unsend(&envelope).await;
            }
            self.make(&Step::Sweep).await;
            self.make(&Step::Send(100)).await;
            while !self.queue.is_empty() {
                self.make(&Step::Claim { delivery: 0, worker: 0, again: false }).await;
            }
            for lease in std::mem::take(&mut self.leases) {
                self.work(&lease, 255, 0).await;
            }
            self.compare().await;
            if !self.mirror.run.is_active() {
                assert!(self.mirror.jobs.iter().all(|job| !job.is_live()), "a job is left");
                assert_eq!(self.mirror.tally().pending, 0);
                return seen;
            }
        }
        panic!("the run is not sealed in the end: {:?}", self.mirror.job_counts());
    }
}

/// The answer that only a holder gets; everybody else is told so.
fn answer<T: std::fmt::Debug>(held: bool, answer: Result<T, LedgerError>) -> Option<T> {
    if held {
        return Some(answer.unwrap());
    }
    assert!(matches!(answer, Err(LedgerError::LeaseLost)), "not the holder, and was told {answer:?}");
    None
}

fn pick<T>(list: &[T], number: usize) -> Option<&T> {
    list.get(number.checked_rem(list.len())?)
}

fn take<T>(list: &mut Vec<T>, number: usize) -> Option<T> {
    let number = number.checked_rem(list.len())?;
    Some(list.remove(number))
}
