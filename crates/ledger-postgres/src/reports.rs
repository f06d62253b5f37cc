//! Verification, sealing, and what reports are made of.

use std::time::Duration;

use async_trait::async_trait;
use ferry_domain::{
    Auth0UserId, ItemSeq, Job, JobKind, Lease, RunId, SourceKey, WriteBackTarget,
    application::RowId,
    ending,
    ports::{
        AuditLine, BatchVerification, Course, Discrepancy, FailureGroup, Reports, SealedRun, StoredReport,
    },
    run::RunMove,
};
use ferry_ledger::{
    Result,
    lists::{self, CourseRow, FailureRow},
    refusals::{self, batch_of},
    rows::DiscrepancyRow,
    scripts,
    steps::{End, EndSteps, RunSteps, SealSteps},
};
use sqlx::{PgConnection, query, query_as, query_scalar};
use time::OffsetDateTime;

use crate::{PostgresLedger, errors::Tried, leases::fence::fence, transaction::Tx};

/// After a report job was given up, the next one is made this much later.
const REPORT_AGAIN: Duration = Duration::from_secs(30);

#[async_trait]
impl Reports for PostgresLedger {
    async fn record_verification(&self, lease: &Lease<Job>, found: &BatchVerification) -> Result<()> {
        refusals::only(lease, JobKind::Verify)?;
        self.trying("could not record a verification", || async {
            let mut tx = self.begin().await?;
            fence(&mut tx, lease).await?;
            replace_unread(&mut tx, lease, found).await?;
            scripts::record_verification(&mut Tx(&mut tx), lease, found).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    async fn keep_readings(&self, lease: &Lease<Job>, found: &BatchVerification) -> Result<()> {
        refusals::only(lease, JobKind::Verify)?;
        self.trying("could not keep what was read back", || async {
            let mut tx = self.begin().await?;
            fence(&mut tx, lease).await?;
            replace_unread(&mut tx, lease, found).await?;
            query!(
                "UPDATE ferry.batches SET verified = verified + $2, requests = requests + $3 WHERE id = $1",
                batch_of(&lease.of)?.0,
                found.matched,
                found.requests,
            )
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    async fn unread(&self, lease: &Lease<Job>) -> Result<Option<Vec<ItemSeq>>> {
        refusals::only(lease, JobKind::Verify)?;
        let seqs = query_scalar!(
            r#"
            SELECT seq FROM ferry.discrepancies
            WHERE run_id = $1 AND batch_id = $2 AND fields = jsonb_build_array($3::text)
            "#,
            lease.of.run.0,
            batch_of(&lease.of)?.0,
            ending::NOT_READ_BACK,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not list what was not read back"))?;
        Ok((!seqs.is_empty()).then(|| seqs.into_iter().map(ItemSeq).collect()))
    }

    /// A run is locked first and looked at again afterwards: a retry may have given it new
    /// batches in between.
    async fn seal_finished(&self) -> Result<u64> {
        self.trying("could not seal finished runs", || async {
            let mut tx = self.begin().await?;
            let mut made = 0;
            for run in finished_runs(&mut tx).await? {
                let state = Tx(&mut tx).lock(run).await?;
                let open = Tx(&mut tx).has_open_batch(run).await?;
                if !open && Tx(&mut tx).begin_sealing(run, state).await? {
                    made += 1;
                }
            }
            tx.commit().await?;
            Ok(made)
        })
        .await
    }

    async fn seal(&self, lease: &Lease<Job>, sealed: &SealedRun) -> Result<i32> {
        refusals::only(lease, JobKind::Report)?;
        self.trying("could not keep a report", || async {
            let mut tx = self.begin().await?;
            fence(&mut tx, lease).await?;
            scripts::advance(&mut Tx(&mut tx), lease.of.run, RunMove::Seal).await?;
            let revision = Tx(&mut tx).keep_report(lease.of.run, sealed).await?;
            Tx(&mut tx).end_job(&lease.of, End::Done).await?;
            tx.commit().await?;
            Ok(revision)
        })
        .await
    }

    async fn end_cancelled(&self, run: RunId, sealed: &SealedRun) -> Result<Option<i32>> {
        self.trying("could not end a cancelled run", || async {
            let mut tx = self.begin().await?;
            let revision = scripts::end_cancelled(&mut Tx(&mut tx), run, sealed).await?;
            match revision {
                Some(_) => tx.commit().await?,
                None => tx.rollback().await?,
            }
            Ok(revision)
        })
        .await
    }

    async fn failures(&self, run: RunId) -> Result<Vec<FailureGroup>> {
        let rows = query_as!(
            FailureRow,
            r#"
            SELECT state AS "state!", code, key AS "key!", place AS "place!", line AS "line!", seq AS "seq!",
                   count AS "count!"
            FROM (
                SELECT state, code, key, place, line, seq,
                       count(*) OVER alike AS count,
                       row_number() OVER (PARTITION BY state, code ORDER BY seq) AS number
                FROM ferry.items
                WHERE run_id = $1 AND state IN ('failed', 'conflict', 'skipped')
                  AND (batch_id IN (
                          SELECT id FROM ferry.batches WHERE run_id = $1 AND failed + conflict + skipped > 0
                      ) OR NOT EXISTS (SELECT FROM ferry.batches WHERE run_id = $1)) -- it is being planned
                WINDOW alike AS (PARTITION BY state, code)
            ) AS numbered
            WHERE number <= 3
            ORDER BY count DESC, code COLLATE "C", state, number
            "#,
            run.0,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not group failures"))?;
        lists::failure_groups(rows)
    }

    async fn discrepancies(&self, run: RunId, after: ItemSeq, most: i64) -> Result<Vec<Discrepancy>> {
        let rows = query_as!(
            DiscrepancyRow,
            r#"
            SELECT seq, key, auth0_user_id, fields::text AS "fields!"
            FROM ferry.discrepancies
            WHERE run_id = $1 AND seq > $2
            ORDER BY seq
            LIMIT $3
            "#,
            run.0,
            after.0,
            most,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not list discrepancies"))?;
        rows.into_iter().map(DiscrepancyRow::discrepancy).collect()
    }

    async fn audit(&self, run: Option<RunId>, most: i64) -> Result<Vec<AuditLine>> {
        let rows = query!(
            r#"
            SELECT at, actor, action, run_id, detail, reason FROM ferry.audit
            WHERE $1::uuid IS NULL OR run_id = $1 OR run_id IS NULL
            ORDER BY id DESC
            LIMIT $2
            "#,
            run.map(|run| run.0),
            most,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not read the audit"))?;
        let lines = rows.into_iter().map(|row| AuditLine {
            at: row.at,
            actor: row.actor,
            action: row.action,
            run: row.run_id.map(RunId),
            detail: row.detail,
            reason: row.reason,
        });
        Ok(lines.collect())
    }

    async fn course(&self, run: RunId, most: i64) -> Result<Option<Course>> {
        let rows: Vec<CourseRow<OffsetDateTime>> = query_as!(
            CourseRow,
            r#"
            WITH done AS MATERIALIZED (
                SELECT batch.ordinal = 0 AS by_rule, run.started_at, batch.verified_at,
                       greatest(0, extract(epoch FROM coalesce(batch.provisioned_at, batch.verified_at)
                                                      - run.started_at) * 1000000)::bigint AS ended,
                       greatest(0, extract(epoch FROM batch.verified_at - run.started_at) * 1000000)::bigint AS read,
                       batch.created, batch.adopted, batch.skipped, batch.conflict, batch.failed, batch.cancelled,
                       batch.verified, batch.discrepancies
                FROM ferry.batches AS batch CROSS JOIN ferry.runs AS run
                WHERE batch.run_id = $1 AND run.id = $1 AND run.started_at IS NOT NULL
                  AND coalesce(batch.provisioned_at, batch.verified_at) IS NOT NULL
            ), span AS (
                SELECT coalesce(max(greatest(ended, CASE WHEN verified_at IS NOT NULL THEN read END))
                                FILTER (WHERE NOT by_rule), 0) / $2::bigint + 1 AS step
                FROM done
            ), ends AS (
                SELECT CASE WHEN by_rule THEN -1 ELSE ended / step END AS number, 1 AS batches, started_at, step,
                       created, adopted, skipped, conflict, failed, cancelled, 0 AS verified, 0 AS discrepancies
                FROM done CROSS JOIN span
                UNION ALL
                SELECT read / step, 0, started_at, step, 0, 0, 0, 0, 0, 0, verified, discrepancies
                FROM done CROSS JOIN span WHERE verified_at IS NOT NULL AND NOT by_rule
            )
            SELECT min(started_at) AS "begun!", min(step) AS "step!", number AS "number!",
                   sum(batches)::bigint AS "batches!", sum(created)::bigint AS "created!",
                   sum(adopted)::bigint AS "adopted!", sum(skipped)::bigint AS "skipped!",
                   sum(conflict)::bigint AS "conflict!", sum(failed)::bigint AS "failed!",
                   sum(cancelled)::bigint AS "cancelled!", sum(verified)::bigint AS "verified!",
                   sum(discrepancies)::bigint AS "discrepancies!"
            FROM ends GROUP BY number ORDER BY number
            "#,
            run.0,
            most.max(1),
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not read a run's course"))?;
        lists::course(run, rows)
    }

    async fn row_ids(
        &self,
        target: &WriteBackTarget,
        users: &[(SourceKey, Auth0UserId)],
    ) -> Result<Vec<RowId>> {
        if let Some(application) = self.apart.of(target)? {
            return application.row_ids(target, users).await;
        }
        let doing = "could not look at the application's table";
        self.trying(doing, || self.row_ids_here(target, users)).await
    }

    async fn report(&self, run: RunId, revision: Option<i32>) -> Result<Option<StoredReport>> {
        let row = query!(
            r#"
            SELECT revision, sealed_at, report FROM ferry.reports
            WHERE run_id = $1 AND ($2::integer IS NULL OR revision = $2)
            ORDER BY revision DESC
            LIMIT 1
            "#,
            run.0,
            revision,
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(self.sql_failed("could not read a report"))?;
        Ok(row.map(|row| StoredReport {
            revision: row.revision,
            sealed_at: row.sealed_at,
            report: row.report,
        }))
    }
}

#[async_trait]
impl SealSteps for Tx<'_> {
    async fn has_open_batch(&mut self, run: RunId) -> Tried<bool> {
        let open = query_scalar!(
            r#"
            SELECT EXISTS (SELECT FROM ferry.batches WHERE run_id = $1 AND state <> 'verified') AS "open!"
            "#,
            run.0,
        )
        .fetch_one(&mut *self.0)
        .await?;
        Ok(open)
    }

    async fn withdraw_report(&mut self, run: RunId) -> Tried<bool> {
        query!(
            r#"
            UPDATE ferry.jobs SET state = 'done', queued_at = NULL, ended_at = clock_timestamp()
            WHERE run_id = $1 AND kind = 'report' AND state IN ('ready', 'queued')
            "#,
            run.0,
        )
        .execute(&mut *self.0)
        .await?;
        let held = query_scalar!(
            r#"
            SELECT EXISTS (
                SELECT FROM ferry.jobs WHERE run_id = $1 AND kind = 'report' AND state NOT IN ('done', 'dead')
            ) AS "held!"
            "#,
            run.0,
        )
        .fetch_one(&mut *self.0)
        .await?;
        Ok(held)
    }

    async fn keep_report(&mut self, run: RunId, sealed: &SealedRun) -> Tried<i32> {
        let revision = query_scalar!(
            r#"
            WITH sealed AS (
                UPDATE ferry.runs SET revision = revision + 1, sealed_at = clock_timestamp() WHERE id = $1
                RETURNING id, revision, sealed_at
            ), kept AS (
                INSERT INTO ferry.reports (run_id, revision, sealed_at, report)
                SELECT id, revision, sealed_at, $2 FROM sealed
            )
            SELECT revision FROM sealed
            "#,
            run.0,
            sealed.report,
        )
        .fetch_one(&mut *self.0)
        .await?;
        Ok(revision)
    }
}

/// Sending runs that have nothing open and no report job; not those whose report job was
/// given up a moment ago.
async fn finished_runs(connection: &mut PgConnection) -> Tried<Vec<RunId>> {
    let runs = query_scalar!(
        r#"
        SELECT run.id FROM ferry.runs AS run
        WHERE run.state IN ('running', 'sealing', 'cancelling')
          AND NOT EXISTS (SELECT FROM ferry.batches WHERE run_id = run.id AND state <> 'verified')
          AND NOT EXISTS (
              SELECT FROM ferry.jobs
              WHERE run_id = run.id AND kind = 'report'
                AND (state NOT IN ('done', 'dead')
                     OR state = 'dead' AND ended_at > clock_timestamp() - make_interval(secs => $1)))
        FOR NO KEY UPDATE SKIP LOCKED
        "#,
        REPORT_AGAIN.as_secs_f64(),
    )
    .fetch_all(connection)
    .await?;
    Ok(runs.into_iter().map(RunId).collect())
}

/// In place of users that were not read before come what was found of them now.
async fn replace_unread(
    connection: &mut PgConnection,
    lease: &Lease<Job>,
    found: &BatchVerification,
) -> Tried<()> {
    query!(
        r#"
        DELETE FROM ferry.discrepancies
        WHERE run_id = $1 AND batch_id = $2 AND fields = jsonb_build_array($3::text)
        "#,
        lease.of.run.0,
        batch_of(&lease.of)?.0,
        ending::NOT_READ_BACK,
    )
    .execute(&mut *connection)
    .await?;
    insert_discrepancies(connection, lease, found).await
}

async fn insert_discrepancies(
    connection: &mut PgConnection,
    lease: &Lease<Job>,
    found: &BatchVerification,
) -> Tried<()> {
    if found.discrepancies.is_empty() {
        return Ok(());
    }
    let seqs: Vec<i64> = found.discrepancies.iter().map(|d| d.seq.0).collect();
    let keys: Vec<&str> = found.discrepancies.iter().map(|d| d.key.0.as_str()).collect();
    let ids: Vec<&str> = found.discrepancies.iter().map(|d| d.auth0_user_id.0.as_str()).collect();
    let fields: Vec<serde_json::Value> =
        found.discrepancies.iter().map(|d| d.fields.clone().into()).collect();
    query!(
        r#"
        INSERT INTO ferry.discrepancies (run_id, seq, batch_id, key, auth0_user_id, fields)
        SELECT $1::uuid, found.seq, $2::uuid, found.key, found.auth0_user_id, found.fields
        FROM unnest($3::bigint[], $4::text[], $5::text[], $6::jsonb[])
            AS found (seq, key, auth0_user_id, fields)
        ON CONFLICT (run_id, seq) DO UPDATE SET fields = excluded.fields, found_at = clock_timestamp()
        "#,
        lease.of.run.0,
        batch_of(&lease.of)?.0,
        &seqs,
        &keys as &[&str],
        &ids as &[&str],
        &fields,
    )
    .execute(connection)
    .await?;
    Ok(())
}
