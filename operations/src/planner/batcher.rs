//! Records become items in batches.

use ferry_domain::{
    BatchId, Code, ItemSeq, NewItem, Outcome as ItemOutcome, SourceKey,
    plan::Fingerprints,
    ports::{Candidate, NewRun},
};

use crate::Access;

/// Numbers records and fills batches.
pub(super) struct Batcher<'a> {
    access: &'a Access,
    bound: Option<&'a Fingerprints>,
    settled_batch: BatchId,
    batch_size: u32,
    seq: i64,
    batch: BatchId,
    room: u32,
}

impl<'a> Batcher<'a> {
    pub(super) fn new(run: &NewRun, access: &'a Access, bound: Option<&'a Fingerprints>) -> Self {
        let (batch_size, settled_batch) = (run.spec.batch_size, run.settled_batch);
        let batch = access.batch();
        Batcher { access, bound, settled_batch, batch_size, seq: 0, batch, room: batch_size }
    }

    /// The next record, as an item.
    pub(super) fn item(&mut self, candidate: Candidate) -> NewItem {
        self.seq += 1;
        let seq = ItemSeq(self.seq);
        match candidate {
            Candidate::User { origin, record } if self.is_beyond_plan(&record.key) => NewItem {
                seq,
                batch: self.settled_batch,
                key: record.key,
                origin,
                digest: String::new(),
                record: None,
                settled: Some(ItemOutcome::skipped(Code::NotInPlan, None)),
            },
            Candidate::User { origin, record } => NewItem {
                seq,
                batch: self.next_batch(),
                key: record.key.clone(),
                origin,
                digest: record.digest(),
                record: Some(*record),
                settled: None,
            },
            Candidate::Settled(settled) => NewItem {
                seq,
                batch: self.settled_batch,
                key: settled.key.unwrap_or_else(|| SourceKey(settled.origin.to_string())),
                origin: settled.origin,
                digest: settled.record.as_ref().map(|record| record.digest()).unwrap_or_default(),
                record: settled.record.map(|record| *record),
                settled: Some(settled.outcome),
            },
        }
    }

    /// Records read so far.
    pub(super) fn read(&self) -> u64 {
        self.seq.unsigned_abs()
    }

    fn is_beyond_plan(&self, key: &SourceKey) -> bool {
        self.bound.is_some_and(|bound| !bound.holds(key))
    }

    /// The batch of the next user: the same one until it is full.
    fn next_batch(&mut self) -> BatchId {
        if self.room == 0 {
            self.batch = self.access.batch();
            self.room = self.batch_size;
        }
        self.room -= 1;
        self.batch
    }
}
