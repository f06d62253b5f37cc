//! Results where the application's table is in another database: its rows first, then the ledger.
//!
//! No transaction spans both. A process that ends between the two leaves rows with ids and
//! pending items; the next holder of the batch chooses the same ids and writes them again. In the
//! other order the ledger would say "created" of a row that never got its id. A late owner may
//! have written rows before the fence refuses it: its successor chooses the same ids.

use ferry_domain::{
    ItemResult, Job, Lease, WriteBackTarget, crash,
    ports::{AppRows, Application, LedgerError, WriteBack},
};
use sqlx::query_scalar;

use super::{
    WRITING,
    results::{append, sorted, those_of},
};
use crate::{PostgresLedger, errors::Tried, leases::fence::fence, transaction::Tx};
use ferry_ledger::{
    refusals::batch_of,
    results::tally,
    steps::{End, EndSteps},
};

impl PostgresLedger {
    pub(super) async fn write_apart(
        &self,
        lease: &Lease<Job>,
        results: &[ItemResult],
        requests: i64,
        application: &dyn Application,
        target: &WriteBackTarget,
    ) -> Result<WriteBack, LedgerError> {
        let open = self.held_and_pending(lease, results).await.map_err(self.failed(WRITING))?;
        let mut stored = those_of(results, &open);
        let has_id = |result: &&&ItemResult| result.outcome.auth0_user_id.is_some();
        let rows: Vec<&ItemResult> = stored.iter().filter(has_id).copied().collect();
        let AppRows { refused, locked } = match rows.is_empty() {
            true => AppRows::default(),
            false => application.write_ids(target, &rows).await?,
        };
        crash::pass("apart.written");
        stored.retain(|result| !locked.contains(&result.seq));
        let (stored, locked, refused) = (&stored, &locked, &refused);
        self.trying(WRITING, || async {
            let mut tx = self.begin().await?;
            let held = fence(&mut tx, lease).await?;
            append(&mut tx, lease, stored, refused).await?;
            let ended = tally(stored, refused);
            let pending = Tx(&mut tx).count_in(&lease.of, &ended, requests, End::Done).await?;
            tx.commit().await?;
            let run = held.run.seen_by_holder(held.all_stopped);
            Ok(WriteBack { refused_rows: refused.clone(), locked: locked.clone(), pending, run })
        })
        .await
    }

    /// Positions of the results whose items are still pending, sorted, while the lease is held.
    async fn held_and_pending(&self, lease: &Lease<Job>, results: &[ItemResult]) -> Tried<Vec<i64>> {
        let open = query_scalar!(
            r#"
            SELECT ARRAY(SELECT item.seq
                         FROM ferry.planned_items AS item
                         LEFT JOIN LATERAL (
                             SELECT true AS told FROM ferry.outcomes WHERE batch_id = $4 AND seq = item.seq LIMIT 1
                         ) AS outcome ON true
                         WHERE item.batch_id = $4 AND item.seq = ANY($3) AND item.state = 'pending'
                           AND outcome.told IS NULL) AS "open!"
            FROM ferry.jobs AS job
            WHERE job.id = $1 AND job.token = $2 AND job.state = 'leased'
            "#,
            lease.of.id.0,
            lease.token,
            &results.iter().map(|result| result.seq.0).collect::<Vec<_>>(),
            batch_of(&lease.of)?.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(sorted(open.ok_or(LedgerError::LeaseLost)?))
    }
}
