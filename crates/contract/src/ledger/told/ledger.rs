//! The port, told: calls that change something, or count what would, with their answers.
//! Reading calls are passed on; the views show what they would.

mod planning;
mod reports;

use std::time::Duration;

use async_trait::async_trait;
use ferry_domain::{
    Attempt, BatchId, Code, Envelope, Item, ItemResult, ItemSeq, Job, JobId, Lease, RunId, RunView,
    SourceKey, Verdict, WorkerId,
    application::RowIds,
    migration::Migrated,
    ports::{
        BatchCount, BatchFilter, BatchIds, BatchView, Batches, Cancellable, Command, Controls, DeadCount,
        DeadFilter, DeadLetter, DeadLetters, DeadTry, DeadView, Duty, ItemFilter, ItemView, Items, JobCount,
        Jobs, Leases, LedgerError, ListedUser, Migration, Moved, Moves, Orders, Presence, Processes,
        QueueCount, Redriven, Rescued, Restored, Retried, Retryable, RunNow, Runs, Unclaimed, UserFilter,
        UserInRun, Users, WatchedRun, Whose, WorkerRecord, WorkerView, WriteBack,
    },
    run::RunMove,
};

use time::OffsetDateTime;

use super::Told;

type Result<T> = std::result::Result<T, LedgerError>;

impl Told {
    /// Tells an answer, and passes it on.
    async fn told<T>(&self, what: String, answer: Result<T>, show: impl Fn(&T) -> String) -> Result<T> {
        let shown = match &answer {
            Ok(answer) => show(answer),
            // Which schema the application's table is in, is the database's affair.
            Err(error) => {
                format!("refused: {error}").replace("public.", "").replace("ferry.people", "people")
            }
        };
        self.0.tell(what, shown).await;
        answer
    }
}

/// What a database says about a row is its own, and no ledger's.
fn without_words(written: &WriteBack) -> String {
    let said = written.refused_rows.iter().map(|row| format!(", said: {:?} }}", row.said));
    said.fold(debug(written), |text, said| text.replacen(&said, " }", 1))
}

/// Most filters look at codes alone.
fn which(filter: &UserFilter) -> String {
    if filter.is_of_codes() { debug(&filter.codes) } else { filter.to_string() }
}

fn debug<T: std::fmt::Debug>(answer: &T) -> String {
    format!("{answer:?}")
}

#[expect(clippy::ptr_arg, reason = "an answer as the port gives it")]
fn sends(envelopes: &Vec<Envelope>) -> String {
    let shown =
        envelopes.iter().map(|e| format!("{} of {}, send {}, rescues {}", e.kind, e.run, e.send, e.rescues));
    shown.collect::<Vec<_>>().join("; ")
}

/// In an order of their own, since a store promises none, and without how the loss is known: a
/// holder that never registered is dead to one store, and runs out for the other.
#[expect(clippy::ptr_arg, reason = "an answer as the port gives it")]
fn rescued(jobs: &Vec<Rescued>) -> String {
    let shown = jobs.iter().map(|r| format!("{}, rescues {}, pending {}", r.kind, r.rescues, r.pending));
    let mut shown: Vec<_> = shown.collect();
    shown.sort();
    shown.join("; ")
}

fn claimed(lease: &Option<Lease<Job>>) -> String {
    match lease {
        None => "nothing".to_owned(),
        Some(lease) => {
            let job = &lease.of;
            format!("{} token {}, attempts {}, rescues {}", job.kind, lease.token, job.attempts, job.rescues)
        }
    }
}

#[async_trait]
impl Runs for Told {
    async fn run(&self, run: RunId) -> Result<Option<RunView>> {
        self.0.ledger.run(run).await
    }

    async fn runs(&self, most: i64) -> Result<Vec<RunView>> {
        self.0.ledger.runs(most).await
    }

    async fn run_now(&self, run: RunId) -> Result<RunNow> {
        self.0.ledger.run_now(run).await
    }

    async fn migrated(&self) -> Result<Vec<Migrated>> {
        self.0.ledger.migrated().await
    }

    async fn watched_runs(&self) -> Result<Vec<WatchedRun>> {
        let answer = self.0.ledger.watched_runs().await;
        self.told("watched_runs".to_owned(), answer, debug).await
    }
}

#[async_trait]
impl Items for Told {
    async fn pending_items(&self, lease: &Lease<Job>) -> Result<Vec<Item>> {
        self.0.ledger.pending_items(lease).await
    }

    async fn items_at_target(&self, lease: &Lease<Job>) -> Result<Vec<Item>> {
        self.0.ledger.items_at_target(lease).await
    }

    async fn write_back(
        &self,
        lease: &Lease<Job>,
        results: &[ItemResult],
        requests: i64,
    ) -> Result<WriteBack> {
        let answer = self.0.ledger.write_back(lease, results, requests).await;
        let asked = format!("write_back {} results, {requests} requests", results.len());
        self.told(asked, answer, without_words).await
    }

    async fn items(
        &self,
        run: RunId,
        filter: &ItemFilter,
        after: ItemSeq,
        most: i64,
    ) -> Result<Vec<ItemView>> {
        self.0.ledger.items(run, filter, after, most).await
    }

    async fn to_send(&self, run: RunId, after: ItemSeq, most: i64) -> Result<Vec<Item>> {
        self.0.ledger.to_send(run, after, most).await
    }

    async fn users(&self, run: RunId, key: &SourceKey) -> Result<Vec<UserInRun>> {
        self.0.ledger.users(run, key).await
    }
}

#[async_trait]
impl Users for Told {
    async fn list_users(
        &self,
        run: RunId,
        filter: &UserFilter,
        after: ItemSeq,
        most: i64,
    ) -> Result<Vec<ListedUser>> {
        self.0.ledger.list_users(run, filter, after, most).await
    }

    async fn count_users(&self, run: RunId, filter: &UserFilter) -> Result<i64> {
        self.0.ledger.count_users(run, filter).await
    }

    async fn properties(&self, run: RunId) -> Result<Vec<String>> {
        self.0.ledger.properties(run).await
    }
}

#[async_trait]
impl Batches for Told {
    async fn list_batches(
        &self,
        run: RunId,
        filter: &BatchFilter,
        after: i64,
        most: i64,
    ) -> Result<Vec<BatchView>> {
        self.0.ledger.list_batches(run, filter, after, most).await
    }

    async fn count_batches(&self, run: RunId, filter: &BatchFilter) -> Result<i64> {
        self.0.ledger.count_batches(run, filter).await
    }

    async fn batch_counts(&self, runs: &[RunId]) -> Result<Vec<BatchCount>> {
        self.0.ledger.batch_counts(runs).await
    }

    async fn batches(&self, ids: BatchIds, most: i64) -> Result<Vec<BatchView>> {
        self.0.ledger.batches(ids, most).await
    }
}

#[async_trait]
impl Jobs for Told {
    async fn take_ready(&self, most: i64) -> Result<Vec<Envelope>> {
        let answer = self.0.ledger.take_ready(most).await;
        self.told(format!("take_ready {most}"), answer, sends).await
    }

    async fn take_rescued(&self, most: i64) -> Result<Vec<Envelope>> {
        let answer = self.0.ledger.take_rescued(most).await;
        self.told(format!("take_rescued {most}"), answer, sends).await
    }

    async fn queued(&self) -> Result<i64> {
        self.0.ledger.queued().await
    }

    async fn queued_longer_than(&self, age: Duration, most: i64) -> Result<Vec<Envelope>> {
        let answer = self.0.ledger.queued_longer_than(age, most).await;
        self.told(format!("queued_longer_than {age:?}"), answer, sends).await
    }

    async fn unsend(&self, sends: &[Envelope]) -> Result<u64> {
        let answer = self.0.ledger.unsend(sends).await;
        self.told(format!("unsend {}", sends.len()), answer, debug).await
    }

    async fn halve(&self, job: JobId, into: BatchId) -> Result<i64> {
        let answer = self.0.ledger.halve(job, into).await;
        self.told("halve".to_owned(), answer, debug).await
    }

    async fn give_up(&self, job: JobId, code: Code, by: WorkerId) -> Result<bool> {
        let answer = self.0.ledger.give_up(job, code, by).await;
        self.told(format!("give_up {code}"), answer, debug).await
    }

    async fn queue_counts(&self) -> Result<Vec<QueueCount>> {
        self.0.ledger.queue_counts().await
    }

    async fn job_counts(&self, run: RunId) -> Result<Vec<JobCount>> {
        self.0.ledger.job_counts(run).await
    }
}

#[async_trait]
impl Leases for Told {
    async fn claim(
        &self,
        job: JobId,
        send: i32,
        holder: WorkerId,
        lease: Duration,
    ) -> Result<Option<Lease<Job>>> {
        let answer = self.0.ledger.claim(job, send, holder, lease).await;
        self.told(format!("claim send {send}"), answer, claimed).await
    }

    async fn why_unclaimed(&self, envelope: &Envelope) -> Result<Unclaimed> {
        let answer = self.0.ledger.why_unclaimed(envelope).await;
        self.told(format!("why_unclaimed send {}", envelope.send), answer, debug).await
    }

    async fn conclude(&self, lease: &Lease<Job>, verdict: &Verdict, attempt: Option<&Attempt>) -> Result<()> {
        let answer = self.0.ledger.conclude(lease, verdict, attempt).await;
        self.told(format!("conclude {} {verdict:?}, attempt {attempt:?}", lease.of.kind), answer, debug).await
    }

    async fn rescue(&self, me: WorkerId, expired: bool) -> Result<Vec<Rescued>> {
        let answer = self.0.ledger.rescue(me, expired).await;
        self.told(format!("rescue, expired {expired}"), answer, rescued).await
    }

    async fn undo_rescue(&self, jobs: &[JobId]) -> Result<()> {
        let answer = self.0.ledger.undo_rescue(jobs).await;
        self.told(format!("undo_rescue {}", jobs.len()), answer, debug).await
    }
}

#[async_trait]
impl Processes for Told {
    async fn register(&self, worker: &WorkerRecord) -> Result<Presence> {
        self.0.ledger.register(worker).await
    }

    async fn heartbeat(&self, worker: &WorkerRecord, lease: Duration, held: &[JobId]) -> Result<Vec<JobId>> {
        self.0.ledger.heartbeat(worker, lease, held).await
    }

    async fn retire(&self, worker: WorkerId) -> Result<u64> {
        let answer = self.0.ledger.retire(worker).await;
        self.told("retire".to_owned(), answer, debug).await
    }

    async fn workers(&self) -> Result<Vec<WorkerView>> {
        self.0.ledger.workers().await
    }

    async fn clock(&self) -> Result<OffsetDateTime> {
        self.0.ledger.clock().await
    }

    async fn live_slots(&self, fresh: Duration) -> Result<i64> {
        let answer = self.0.ledger.live_slots(fresh).await;
        self.told(format!("live_slots {fresh:?}"), answer, debug).await
    }

    async fn died(&self, me: WorkerId, whose: Whose) -> Result<Vec<WorkerId>> {
        self.0.ledger.died(me, whose).await
    }

    async fn lead(&self, duty: Duty, me: WorkerId, ttl: Duration) -> Result<bool> {
        let answer = self.0.ledger.lead(duty, me, ttl).await;
        self.told(format!("lead {duty:?}"), answer, debug).await
    }

    async fn step_down(&self, duty: Duty, me: WorkerId) -> Result<()> {
        let answer = self.0.ledger.step_down(duty, me).await;
        self.told(format!("step_down {duty:?}"), answer, debug).await
    }
}

#[async_trait]
impl Moves for Told {
    async fn move_run(&self, run: RunId, step: RunMove, command: &Command<'_>) -> Result<Moved> {
        let answer = self.0.ledger.move_run(run, step, command).await;
        self.told(format!("move_run {run} {step}"), answer, debug).await
    }

    async fn count_cancellable(&self, run: RunId) -> Result<Cancellable> {
        let answer = self.0.ledger.count_cancellable(run).await;
        self.told(format!("count_cancellable {run}"), answer, debug).await
    }

    async fn retry(
        &self,
        run: RunId,
        filter: &UserFilter,
        batch_ids: &[BatchId],
        command: &Command<'_>,
    ) -> Result<Retried> {
        let answer = self.0.ledger.retry(run, filter, batch_ids, command).await;
        let which = which(filter);
        self.told(format!("retry {run} {which}, {} ids", batch_ids.len()), answer, debug).await
    }

    async fn count_retryable(&self, run: RunId, filter: &UserFilter) -> Result<Retryable> {
        let answer = self.0.ledger.count_retryable(run, filter).await;
        let which = which(filter);
        self.told(format!("count_retryable {run} {which}"), answer, debug).await
    }
}

#[async_trait]
impl DeadLetters for Told {
    async fn bury(&self, letter: &DeadLetter) -> Result<()> {
        let answer = self.0.ledger.bury(letter).await;
        self.told(format!("bury {}", letter.code), answer, debug).await
    }

    async fn dead(&self, filter: &DeadFilter, most: i64) -> Result<Vec<DeadView>> {
        self.0.ledger.dead(filter, most).await
    }

    async fn dead_payload(&self, id: i64) -> Result<Option<Vec<u8>>> {
        let answer = self.0.ledger.dead_payload(id).await;
        self.told(format!("dead_payload {id}"), answer, debug).await
    }

    async fn dead_users(&self, id: i64, most: i64) -> Result<Vec<ItemView>> {
        self.0.ledger.dead_users(id, most).await
    }

    async fn dead_tries(&self, id: i64) -> Result<Vec<DeadTry>> {
        self.0.ledger.dead_tries(id).await
    }

    async fn count_dead(&self, filter: &DeadFilter) -> Result<DeadCount> {
        let answer = self.0.ledger.count_dead(filter).await;
        self.told(format!("count_dead {filter:?}"), answer, debug).await
    }

    async fn redrive(
        &self,
        filter: &DeadFilter,
        batch_ids: &[BatchId],
        command: &Command<'_>,
    ) -> Result<Redriven> {
        let answer = self.0.ledger.redrive(filter, batch_ids, command).await;
        self.told(format!("redrive {filter:?}, {} ids", batch_ids.len()), answer, debug).await
    }

    async fn discard(&self, filter: &DeadFilter, command: &Command<'_>) -> Result<i64> {
        let answer = self.0.ledger.discard(filter, command).await;
        self.told(format!("discard {filter:?}"), answer, debug).await
    }

    async fn prune_dead(&self, resolved_before: Duration) -> Result<i64> {
        let answer = self.0.ledger.prune_dead(resolved_before).await;
        self.told(format!("prune_dead {resolved_before:?}"), answer, debug).await
    }
}

#[async_trait]
impl Controls for Told {
    async fn orders(&self) -> Result<Orders> {
        self.0.ledger.orders().await
    }

    async fn set_rate(&self, run: RunId, plan: Option<&str>, command: &Command<'_>) -> Result<()> {
        let answer = self.0.ledger.set_rate(run, plan, command).await;
        self.told(format!("set_rate {run} {plan:?}"), answer, debug).await
    }

    async fn note_restoring(&self, run: RunId, rows: &RowIds, command: &Command<'_>) -> Result<()> {
        let answer = self.0.ledger.note_restoring(run, rows, command).await;
        self.told(format!("note_restoring {run} {rows:?}"), answer, debug).await
    }

    async fn note_migrated(&self, what: &Migration, command: &Command<'_>) -> Result<()> {
        let answer = self.0.ledger.note_migrated(what, command).await;
        self.told(format!("note_migrated {what:?}"), answer, debug).await
    }

    async fn note_restored(&self, run: RunId, restored: &Restored, command: &Command<'_>) -> Result<()> {
        let answer = self.0.ledger.note_restored(run, restored, command).await;
        self.told(format!("note_restored {run} {restored:?}"), answer, debug).await
    }

    async fn stop_all(&self, stop: bool, command: &Command<'_>) -> Result<bool> {
        let answer = self.0.ledger.stop_all(stop, command).await;
        self.told(format!("stop_all {stop}"), answer, debug).await
    }
}
