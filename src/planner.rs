//! From a source into a ledger, in chunks: what `plan`, `run start` and `demo` share.

use ferry_domain::{
    BatchId, NewItem, RunId,
    ids::{ItemSeq, SourceKey},
    item::ItemState,
    plan::Fingerprints,
    ports::{Candidate, Clock, Ledger, NewRun, Planned, Random, Source},
};

use crate::{exit::refused, output::Progress};

/// Records read and written at once: one transaction.
const CHUNK: usize = 2_000;

/// What planning found.
pub struct Outcome {
    /// As counted by the ledger.
    pub planned: Planned,
    /// Planned users of a table, for the comparison with a plan; empty for files.
    pub users: Fingerprints,
    /// Digest of a file's bytes; empty for tables.
    pub source_digest: String,
}

/// Reads the whole source into a new run, which is `planned` afterwards. On any
/// error the run and its rows are removed: nothing half-written stays.
pub async fn plan(
    ledger: &dyn Ledger,
    source: &mut dyn Source,
    run: &NewRun,
    clock: &dyn Clock,
    random: &dyn Random,
) -> anyhow::Result<Outcome> {
    ledger.open_run(run).await?;
    let result = fill(ledger, source, run, clock, random).await;
    if result.is_err() {
        ledger.abandon(run.id).await?;
    }
    result
}

async fn fill(
    ledger: &dyn Ledger,
    source: &mut dyn Source,
    run: &NewRun,
    clock: &dyn Clock,
    random: &dyn Random,
) -> anyhow::Result<Outcome> {
    let mut batcher = Batcher::new(run, clock, random);
    let mut progress = Progress::new("reading", 0);
    let is_table = run.spec.write_back.is_some();
    let mut users = Fingerprints::default();
    loop {
        let candidates = source.next_chunk(CHUNK).await?;
        if candidates.is_empty() {
            break;
        }
        let items: Vec<NewItem> = candidates.into_iter().map(|candidate| batcher.item(candidate)).collect();
        if is_table {
            for item in items.iter().filter(|item| item.settled.is_none()) {
                users.push(&item.key, &item.digest);
            }
        }
        ledger.add_items(run.id, &items).await?;
        progress.at(batcher.seq.unsigned_abs(), "records");
    }
    progress.done();
    users.seal();
    let source_digest = source.digest().unwrap_or_default();
    if !run.spec.source_digest.is_empty() && run.spec.source_digest != source_digest {
        return Err(refused(format!(
            "{} changed while it was read (digest {} before, {source_digest} after); try again when nobody writes it",
            run.source, run.spec.source_digest
        )));
    }
    Ok(Outcome { planned: ledger.finish_planning(run.id).await?, users, source_digest })
}

/// Numbers records and fills batches.
struct Batcher<'a> {
    run: &'a NewRun,
    clock: &'a dyn Clock,
    random: &'a dyn Random,
    seq: i64,
    batch: BatchId,
    room: u32,
}

impl<'a> Batcher<'a> {
    fn new(run: &'a NewRun, clock: &'a dyn Clock, random: &'a dyn Random) -> Self {
        let batch = BatchId::new(clock, random);
        Batcher { run, clock, random, seq: 0, batch, room: run.spec.batch_size }
    }

    fn item(&mut self, candidate: Candidate) -> NewItem {
        self.seq += 1;
        let seq = ItemSeq(self.seq);
        match candidate {
            Candidate::User { origin, record } => NewItem {
                seq,
                batch: self.seat(),
                key: record.key.clone(),
                origin,
                digest: record.digest(),
                record: Some(*record),
                settled: None,
            },
            Candidate::Settled(settled) => NewItem {
                seq,
                batch: self.run.settled_batch,
                key: settled.key.unwrap_or_else(|| SourceKey(settled.origin.to_string())),
                origin: settled.origin,
                digest: String::new(),
                record: None,
                settled: Some(settled.outcome),
            },
        }
    }

    fn seat(&mut self) -> BatchId {
        if self.room == 0 {
            self.batch = BatchId::new(self.clock, self.random);
            self.room = self.run.spec.batch_size;
        }
        self.room -= 1;
        self.batch
    }
}

/// Lines of what a plan came to: state, code, count, remedy.
pub fn rows(planned: &Planned) -> Vec<Vec<String>> {
    let mut rows =
        vec![vec!["to send".to_owned(), String::new(), planned.tally.pending.to_string(), String::new()]];
    for (state, code, count) in &planned.settled {
        rows.push(vec![
            state_word(*state).to_owned(),
            code.to_string(),
            count.to_string(),
            code.remedy().to_owned(),
        ]);
    }
    rows
}

fn state_word(state: ItemState) -> &'static str {
    match state {
        ItemState::Failed => "rejected",
        other => other.as_str(),
    }
}

/// Ids for `count` batches.
pub fn batch_ids(count: i64, clock: &dyn Clock, random: &dyn Random) -> Vec<BatchId> {
    (0..count).map(|_| BatchId::new(clock, random)).collect()
}

/// A new run's id.
pub fn run_id(clock: &dyn Clock, random: &dyn Random) -> RunId {
    RunId::new(clock, random)
}
