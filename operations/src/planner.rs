//! From a source into a ledger, in chunks: what a plan, a start and the demo share.

mod batcher;
mod since;

use std::time::Duration;

use ferry_domain::{
    Code, NewItem, RunId, RunSpec, SourceIdentity, SourceKey,
    hex::hex_digest,
    migration::people::{Planned as PlannedRun, Sample},
    plan::{Fingerprints, MadeWith},
    ports::{LedgerError, NewRun, Planned, Source},
};
use tokio::{sync::mpsc, task::JoinSet};

pub use self::since::Since;

use self::batcher::Batcher;
use crate::{Access, Error, accept::Accept, changed, people};

/// Records read and written in one transaction.
const CHUNK: usize = 2_000;

/// Chunks that wait to be written. A few: their records are all in memory.
const WAITING: usize = 1;

/// Earlier runs that are looked at, the newest first.
const RUNS: i64 = 1_000;

/// Well within the time after which a run counts as left behind.
const KEEP_EVERY: Duration = Duration::from_secs(4);

/// A file was written to while it was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{source_name} changed while it was read (digest {before} before, {after} after); try again when nobody writes it"
)]
pub struct ChangedWhileRead {
    /// Which.
    pub source_name: SourceIdentity,
    /// Its digest when it was opened.
    pub before: String,
    /// Its digest when it was read.
    pub after: String,
}

/// A source that was opened, and what the settings say about a run over it.
pub struct Subject {
    /// Its records.
    pub source: Box<dyn Source>,
    /// Named move it belongs to.
    pub migration: String,
    /// Name of the mapping: a preset, or `mapping`.
    pub mapping: String,
    /// Digest of the mapping.
    pub mapping_digest: String,
    /// What a plan keeps, so that a run needs none of it typed again.
    pub made_with: MadeWith,
    /// What holds for the run's life.
    pub spec: RunSpec,
}

impl Subject {
    /// Tenant and connection as a plan names them; empty while no tenant is set.
    pub fn target(&self) -> String {
        match self.spec.tenant.as_str() {
            "" => String::new(),
            tenant => format!("{tenant} / {}", self.spec.connection),
        }
    }

    /// Digest of all settings that decide what becomes of a record.
    pub fn rules_digest(&self) -> String {
        let rules = format!(
            "{}\n{}\n{:?}\n{}",
            self.mapping_digest, self.migration, self.spec.on_existing, self.spec.connection
        );
        hex_digest(rules.as_bytes())
    }
}

/// What planning found.
pub struct Outcome {
    /// The run, which is `planned` now.
    pub run: NewRun,
    /// As counted by the ledger.
    pub planned: Planned,
    /// Planned users of a table, for the comparison with a plan; empty for files.
    pub users: Fingerprints,
    /// The same of users who have an id already.
    pub moved: Fingerprints,
    /// Digest of a file's bytes; empty for tables.
    pub source_digest: String,
    /// How it is with users that earlier runs moved.
    pub since: Since,
}

/// How a source is read into a run.
#[derive(Clone, Copy, Default)]
pub struct How<'a> {
    /// Users that it does not hold are left for another run.
    pub bound: Option<&'a Fingerprints>,
    /// Why, in a person's words.
    pub reason: Option<&'a str>,
    /// The ledger that knows who was moved before, where the run goes into a scratch ledger.
    pub ledger: Option<&'a Access>,
    /// What a person accepts.
    pub accepted: &'a [Accept],
}

/// Reads the whole source into a new run, which is `planned` afterwards. On any
/// error the run and its rows are removed: nothing half-written stays. `read` is told how many records were read so far.
/// When `stop` ends first, so does planning.
///
/// # Errors
/// When source or ledger fail, when another run of this source is active, when a file changed
/// while it was read, and when the migration's name does not fit its users.
pub async fn plan(
    access: &Access,
    subject: &mut Subject,
    how: How<'_>,
    read: &mut (dyn FnMut(u64) + Send),
    stop: impl Future<Output = ()>,
) -> Result<Outcome, Error> {
    let run = NewRun {
        id: RunId::new(&*access.clock, &*access.random),
        migration: subject.migration.clone(),
        source: subject.source.identity(),
        spec: subject.spec.clone(),
        settled_batch: access.batch(),
        requested_by: access.command(how.reason).by.to_owned(),
        reason: how.reason.map(str::to_owned),
        accepted: how.accepted.iter().map(|accepted| accepted.as_str()).collect(),
    };
    access.planning.open_run(&run).await?;
    let id = run.id;
    let result = tokio::select! {
        biased;
        filled = fill(access, &mut *subject.source, run, how, read) => filled,
        () = stop => Err(Error::Interrupted),
        never = keep(access, id) => never,
    };
    if result.is_err() {
        access.planning.abandon(id, &access.command(how.reason)).await?;
    }
    result
}

/// Shows that somebody is at work on a run that was not started, for as long as it is polled.
pub(crate) async fn keep<T>(access: &Access, run: RunId) -> T {
    loop {
        tokio::time::sleep(KEEP_EVERY).await;
        let _ = access.planning.keep(run).await; // the next one may pass; work on the run says what is wrong
    }
}

/// What was seen of a source's users while they were read.
#[derive(Default)]
struct Seen {
    users: Fingerprints,
    moved: Fingerprints,
    others: Fingerprints,
    sample: Sample,
}

impl Seen {
    /// Takes in a chunk. Users of a file need no fingerprints: its bytes have a digest.
    fn note(&mut self, items: &[NewItem], is_table: bool) {
        items.iter().filter_map(|item| item.record.as_ref()).for_each(|record| self.sample.offer(record));
        for item in items.iter().filter(|_| is_table) {
            match item.settled.as_ref().map(|settled| &settled.auth0_user_id) {
                None => self.users.push(&item.key, &item.digest),
                // Whoever has another account now is not as planned either.
                Some(Some(account)) => {
                    self.moved.push(&item.key, &format!("{} {}", item.digest, account.0));
                }
                Some(None) => self.others.push(&item.key, ""),
            }
        }
    }

    fn seal(&mut self) {
        [&mut self.users, &mut self.moved, &mut self.others].into_iter().for_each(Fingerprints::seal);
    }

    fn holds(&self, key: &SourceKey) -> bool {
        [&self.users, &self.moved, &self.others].into_iter().any(|prints| prints.holds(key))
    }
}

async fn fill(
    access: &Access,
    source: &mut dyn Source,
    run: NewRun,
    how: How<'_>,
    read: &mut (dyn FnMut(u64) + Send),
) -> Result<Outcome, Error> {
    let mut batcher = Batcher::new(&run, access, how.bound);
    let is_table = run.spec.write_back.is_some();
    let mut seen = Seen::default();
    let mut writer = Writer::of(access, run.id);
    loop {
        let candidates = source.next_chunk(CHUNK).await?;
        read(batcher.read());
        if candidates.is_empty() {
            break;
        }
        let chunk: Vec<_> = candidates.into_iter().map(|candidate| batcher.item(candidate)).collect();
        seen.note(&chunk, is_table);
        writer.add(chunk).await?;
    }
    writer.written().await?;
    seen.seal();
    let source_digest = source.digest().unwrap_or_default();
    if !run.spec.source_digest.is_empty() && run.spec.source_digest != source_digest {
        let (before, after) = (run.spec.source_digest, source_digest);
        return Err(ChangedWhileRead { source_name: run.source, before, after }.into());
    }
    let (planned, since) = finish(access, &run, how, &seen).await?;
    let Seen { users, moved, .. } = seen;
    Ok(Outcome { run, planned, users, moved, source_digest, since })
}

/// Writes chunks while the next are read: source, ledger and we work at the same time.
struct Writer {
    chunks: mpsc::Sender<Vec<NewItem>>,
    /// One task. What it does ends with this.
    task: JoinSet<Result<(), LedgerError>>,
}

impl Writer {
    fn of(access: &Access, run: RunId) -> Self {
        let (chunks, mut waiting) = mpsc::channel::<Vec<NewItem>>(WAITING);
        let planning = access.planning.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Some(chunk) = waiting.recv().await {
                planning.add_items(run, &chunk).await?;
            }
            Ok(())
        });
        Writer { chunks, task }
    }

    async fn add(&mut self, chunk: Vec<NewItem>) -> Result<(), Error> {
        match self.chunks.send(chunk).await {
            Ok(()) => Ok(()),
            Err(_) => ended(&mut self.task).await, // by an error
        }
    }

    /// Waits until all that was added is written.
    async fn written(self) -> Result<(), Error> {
        let Writer { chunks, mut task } = self;
        drop(chunks);
        ended(&mut task).await
    }
}

async fn ended(task: &mut JoinSet<Result<(), LedgerError>>) -> Result<(), Error> {
    while let Some(ended) = task.join_next().await {
        ended.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()))?;
    }
    Ok(())
}

/// Ends planning, with what the ledger knows of earlier runs.
async fn finish(access: &Access, run: &NewRun, how: How<'_>, seen: &Seen) -> Result<(Planned, Since), Error> {
    let known = how.ledger.unwrap_or(access);
    let runs = known.runs.runs(RUNS).await?;
    let of = PlannedRun::of(run);
    let met = people::check(known, &of, &seen.sample, &runs, how.accepted).await?;
    let earlier = of.earlier(&runs, &met.same);
    let planned = match how.ledger {
        Some(ledger) => {
            changed::settle(access, ledger, run.id, &earlier).await?;
            access.planning.finish_planning(run.id, &[]).await? // the scratch ledger does not know them
        }
        None => access.planning.finish_planning(run.id, &earlier).await?,
    };
    let mut since = Since { notes: met.notes, ..Since::default() };
    if earlier.is_empty() {
        let with_id = planned.settled.iter().filter(|group| group.code == Code::AlreadyMigrated);
        since.not_compared = with_id.map(|group| group.count).sum();
    }
    if let Some(last) = of.last(&runs).filter(|_| run.spec.write_back.is_some()) {
        since.note_gone(known, last, |key| seen.holds(key)).await?;
    }
    Ok((planned, since))
}
