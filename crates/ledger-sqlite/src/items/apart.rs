//! Results where the application's table is in another file or database: its rows first, then
//! the ledger. No transaction spans both (with WAL, not even one over two attached files). A
//! process that ends between the two leaves rows with ids and pending items; the next holder of
//! the batch chooses the same ids and writes them again.

use ferry_domain::{
    ItemResult, Job, Lease, WriteBackTarget, crash,
    ports::{AppRows, Application, LedgerError, WriteBack},
};
use ferry_ledger::{
    Result,
    results::tally,
    steps::{End, EndSteps},
};

use super::{WRITING, results};
use crate::{SqliteLedger, connection::Tx, errors::Doing, leases::fence::fence};

impl SqliteLedger {
    /// Where the run of this job writes ids back, for a ledger whose application is elsewhere.
    pub(super) async fn target_apart(&self, lease: &Lease<Job>) -> Result<Option<WriteBackTarget>> {
        if self.apart().any().is_none() {
            return Ok(None);
        }
        let mut connection = self.reader().acquire().await.doing(WRITING)?;
        Ok(fence(&mut connection, lease).await?.target)
    }

    pub(super) async fn write_apart(
        &self,
        lease: &Lease<Job>,
        all: &[ItemResult],
        requests: i64,
        application: &dyn Application,
        target: &WriteBackTarget,
    ) -> Result<WriteBack> {
        let mut connection = self.reader().acquire().await.doing(WRITING)?;
        let mut pending = results::still_pending(&mut connection, lease, all).await?;
        drop(connection);
        let has_id = |result: &&&ItemResult| result.outcome.auth0_user_id.is_some();
        let rows: Vec<&ItemResult> = pending.iter().filter(has_id).copied().collect();
        let AppRows { refused: refused_rows, locked } = match rows.is_empty() {
            true => AppRows::default(),
            false => application.write_ids(target, &rows).await?,
        };
        crash::pass("apart.written");
        pending.retain(|result| !locked.contains(&result.seq));
        let mut tx = self.write(WRITING).await?;
        let held = fence(&mut tx, lease).await?;
        if !results::write_items(&mut tx, lease, &pending, &refused_rows).await? {
            return Err(LedgerError::Busy); // one ended meanwhile: again, without it
        }
        let ended = tally(&pending, &refused_rows);
        let pending = Tx(&mut tx).count_in(&lease.of, &ended, requests, End::Done).await?;
        tx.commit().await.doing(WRITING)?;
        let run = held.run.seen_by_holder(held.all_stopped);
        Ok(WriteBack { refused_rows, locked, pending, run })
    }
}
