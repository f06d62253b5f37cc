//! Verification, sealing, and what reports are made of.

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
    words::{self, StoredTime},
};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::{SqliteLedger, application, connection::Tx, errors::Doing, leases::fence::fence, values::json};

/// After a report job was given up, the next one is made this much later: 30 s, in microseconds.
const REPORT_AGAIN: i64 = 30_000_000;

const VERIFYING: &str = "could not record a verification";
const SWEEPING: &str = "could not look for finished runs";
const SEALING: &str = "could not seal a run";
const GROUPING: &str = "could not group failures";

struct AuditRow {
    id: i64,
    at: i64,
    actor: String,
    action: String,
    run: Option<Uuid>,
    detail: String,
    reason: Option<String>,
}

#[async_trait]
impl Reports for SqliteLedger {
    async fn record_verification(&self, lease: &Lease<Job>, found: &BatchVerification) -> Result<()> {
        refusals::only(lease, JobKind::Verify)?;
        let mut tx = self.write(VERIFYING).await?;
        fence(&mut tx, lease).await?;
        replace_unread(&mut tx, lease, found).await?;
        scripts::record_verification(&mut Tx(&mut tx), lease, found).await?;
        tx.commit().await.doing(VERIFYING)
    }

    async fn keep_readings(&self, lease: &Lease<Job>, found: &BatchVerification) -> Result<()> {
        refusals::only(lease, JobKind::Verify)?;
        let batch = batch_of(&lease.of)?;
        let mut tx = self.write(VERIFYING).await?;
        fence(&mut tx, lease).await?;
        replace_unread(&mut tx, lease, found).await?;
        sqlx::query!(
            "UPDATE ferry_batches SET verified = verified + ?2, requests = requests + ?3 WHERE id = ?1",
            batch.0,
            found.matched,
            found.requests
        )
        .execute(&mut *tx)
        .await
        .doing(VERIFYING)?;
        tx.commit().await.doing(VERIFYING)
    }

    async fn unread(&self, lease: &Lease<Job>) -> Result<Option<Vec<ItemSeq>>> {
        refusals::only(lease, JobKind::Verify)?;
        let (batch, unread) = (batch_of(&lease.of)?, json(&[ending::NOT_READ_BACK]));
        let seqs = sqlx::query_scalar!(
            "SELECT seq FROM ferry_discrepancies WHERE run_id = ?1 AND batch_id = ?2 AND fields = ?3",
            lease.of.run.0,
            batch.0,
            unread
        )
        .fetch_all(self.reader())
        .await
        .doing(VERIFYING)?;
        Ok((!seqs.is_empty()).then(|| seqs.into_iter().map(ItemSeq).collect()))
    }

    async fn seal_finished(&self) -> Result<u64> {
        let mut tx = self.write(SWEEPING).await?;
        let mut made = 0;
        for run in finished_runs(&mut tx).await? {
            let state = Tx(&mut tx).lock(run).await?;
            if Tx(&mut tx).begin_sealing(run, state).await? {
                made += 1;
            }
        }
        tx.commit().await.doing(SWEEPING)?;
        Ok(made)
    }

    async fn seal(&self, lease: &Lease<Job>, sealed: &SealedRun) -> Result<i32> {
        refusals::only(lease, JobKind::Report)?;
        let mut tx = self.write(SEALING).await?;
        fence(&mut tx, lease).await?;
        scripts::advance(&mut Tx(&mut tx), lease.of.run, RunMove::Seal).await?;
        let revision = Tx(&mut tx).keep_report(lease.of.run, sealed).await?;
        Tx(&mut tx).end_job(&lease.of, End::Done).await?;
        tx.commit().await.doing(SEALING)?;
        Ok(revision)
    }

    async fn end_cancelled(&self, run: RunId, sealed: &SealedRun) -> Result<Option<i32>> {
        let mut tx = self.write(SEALING).await?;
        let revision = scripts::end_cancelled(&mut Tx(&mut tx), run, sealed).await?;
        match revision {
            Some(_) => tx.commit().await.doing(SEALING)?,
            None => tx.rollback().await.doing(SEALING)?,
        }
        Ok(revision)
    }

    async fn failures(&self, run: RunId) -> Result<Vec<FailureGroup>> {
        let rows = sqlx::query_as!(
            FailureRow,
            r#"
            SELECT state AS "state!: String", code AS "code?: String", key AS "key!: String",
                   place AS "place!: String", line AS "line!: i64", seq AS "seq!: i64", count AS "count!: i64"
            FROM (
                SELECT state, code, key, place, line, seq,
                       count(*) OVER (PARTITION BY state, code) AS count,
                       row_number() OVER (PARTITION BY state, code ORDER BY seq) AS number
                FROM ferry_items
                WHERE run_id = ?1 AND state IN ('skipped', 'conflict', 'failed')
            )
            WHERE number <= 3
            ORDER BY count DESC, code, state, number
            "#,
            run.0
        )
        .fetch_all(self.reader())
        .await
        .doing(GROUPING)?;
        lists::failure_groups(rows)
    }

    async fn discrepancies(&self, run: RunId, after: ItemSeq, most: i64) -> Result<Vec<Discrepancy>> {
        let rows = sqlx::query_as!(
            DiscrepancyRow,
            r#"
            SELECT seq AS "seq!: i64", key AS "key!: String", auth0_user_id AS "auth0_user_id!: String",
                   fields AS "fields!: String"
            FROM ferry_discrepancies
            WHERE run_id = ?1 AND seq > ?2
            ORDER BY seq
            LIMIT ?3
            "#,
            run.0,
            after.0,
            most
        )
        .fetch_all(self.reader())
        .await
        .doing("could not read discrepancies")?;
        rows.into_iter().map(DiscrepancyRow::discrepancy).collect()
    }

    async fn audit(&self, run: Option<RunId>, most: i64) -> Result<Vec<AuditLine>> {
        let only = run.map(|run| run.0);
        let rows = sqlx::query_as!(
            AuditRow,
            r#"
            SELECT id AS "id!: i64", at AS "at!: i64", actor AS "actor!: String", action AS "action!: String",
                   run_id AS "run?: Uuid", detail AS "detail!: String", reason AS "reason?: String"
            FROM ferry_audit
            WHERE ?1 IS NULL OR run_id = ?1 OR run_id IS NULL
            ORDER BY id DESC
            LIMIT ?2
            "#,
            only,
            most
        )
        .fetch_all(self.reader())
        .await
        .doing("could not read the audit")?;
        let line = |row: AuditRow| {
            Ok(AuditLine {
                at: row.at.moment("audit", &row.id)?,
                actor: row.actor,
                action: row.action,
                run: row.run.map(RunId),
                detail: words::json("audit", row.id, "detail", &row.detail)?,
                reason: row.reason,
            })
        };
        rows.into_iter().map(line).collect()
    }

    async fn course(&self, run: RunId, most: i64) -> Result<Option<Course>> {
        let most = most.max(1);
        let rows: Vec<CourseRow<i64>> = sqlx::query_as!(
            CourseRow,
            r#"
            WITH done AS MATERIALIZED (
                SELECT b.ordinal = 0 AS by_rule, r.started_at, b.verified_at,
                       max(0, coalesce(b.provisioned_at, b.verified_at) - r.started_at) AS ended,
                       max(0, coalesce(b.verified_at, 0) - r.started_at) AS read,
                       b.created, b.adopted, b.skipped, b.conflict, b.failed, b.cancelled, b.verified, b.discrepancies
                FROM ferry_batches AS b CROSS JOIN ferry_runs AS r
                WHERE b.run_id = ?1 AND r.id = ?1 AND r.started_at IS NOT NULL
                  AND coalesce(b.provisioned_at, b.verified_at) IS NOT NULL
            ), span AS (
                SELECT coalesce(max(max(ended, read)) FILTER (WHERE NOT by_rule), 0) / ?2 + 1 AS step FROM done
            ), ends AS (
                SELECT CASE WHEN by_rule THEN -1 ELSE ended / step END AS number, 1 AS batches, started_at, step,
                       created, adopted, skipped, conflict, failed, cancelled, 0 AS verified, 0 AS discrepancies
                FROM done CROSS JOIN span
                UNION ALL
                SELECT read / step, 0, started_at, step, 0, 0, 0, 0, 0, 0, verified, discrepancies
                FROM done CROSS JOIN span WHERE verified_at IS NOT NULL AND NOT by_rule
            )
            SELECT min(started_at) AS "begun!: i64", min(step) AS "step!: i64", number AS "number!: i64",
                   sum(batches) AS "batches!: i64", sum(created) AS "created!: i64", sum(adopted) AS "adopted!: i64",
                   sum(skipped) AS "skipped!: i64", sum(conflict) AS "conflict!: i64", sum(failed) AS "failed!: i64",
                   sum(cancelled) AS "cancelled!: i64", sum(verified) AS "verified!: i64",
                   sum(discrepancies) AS "discrepancies!: i64"
            FROM ends GROUP BY number ORDER BY number
            "#,
            run.0,
            most
        )
        .fetch_all(self.reader())
        .await
        .doing("could not read a run's course")?;
        lists::course(run, rows)
    }

    async fn row_ids(
        &self,
        target: &WriteBackTarget,
        users: &[(SourceKey, Auth0UserId)],
    ) -> Result<Vec<RowId>> {
        if let Some(application) = self.apart().of(target)? {
            return application.row_ids(target, users).await;
        }
        let mut connection =
            self.reader().acquire().await.doing("could not look at the application's table")?;
        application::row_ids(&mut connection, target, users).await
    }

    async fn report(&self, run: RunId, revision: Option<i32>) -> Result<Option<StoredReport>> {
        let row = sqlx::query!(
            r#"
            SELECT revision AS "revision!: i32", sealed_at AS "sealed_at!: i64", report AS "report!: String"
            FROM ferry_reports
            WHERE run_id = ?1 AND (?2 IS NULL OR revision = ?2)
            ORDER BY revision DESC
            LIMIT 1
            "#,
            run.0,
            revision
        )
        .fetch_optional(self.reader())
        .await
        .doing("could not read a report")?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(StoredReport {
            revision: row.revision,
            sealed_at: row.sealed_at.moment("reports", &run)?,
            report: words::json("reports", run, "report", &row.report)?,
        }))
    }
}

#[async_trait]
impl SealSteps for Tx<'_> {
    async fn has_open_batch(&mut self, run: RunId) -> Result<bool> {
        sqlx::query_scalar!(
            r#"
            SELECT EXISTS (SELECT 1 FROM ferry_batches WHERE run_id = ?1 AND state <> 'verified') AS "open!: bool"
            "#,
            run.0
        )
        .fetch_one(&mut *self.0)
        .await
        .doing(SEALING)
    }

    async fn withdraw_report(&mut self, run: RunId) -> Result<bool> {
        sqlx::query!(
            r#"
            UPDATE ferry_jobs SET state = 'done', queued_at = NULL, ended_at = (SELECT at FROM ferry_now)
            WHERE run_id = ?1 AND kind = 'report' AND state IN ('ready', 'queued')
            "#,
            run.0
        )
        .execute(&mut *self.0)
        .await
        .doing(SEALING)?;
        sqlx::query_scalar!(
            r#"
            SELECT EXISTS (
                SELECT 1 FROM ferry_jobs WHERE run_id = ?1 AND kind = 'report' AND state NOT IN ('done', 'dead')
            ) AS "held!: bool"
            "#,
            run.0
        )
        .fetch_one(&mut *self.0)
        .await
        .doing(SEALING)
    }

    async fn keep_report(&mut self, run: RunId, sealed: &SealedRun) -> Result<i32> {
        let revision = sqlx::query_scalar!(
            r#"
            UPDATE ferry_runs SET revision = revision + 1, sealed_at = (SELECT at FROM ferry_now) WHERE id = ?1
            RETURNING revision AS "revision!: i32"
            "#,
            run.0
        )
        .fetch_one(&mut *self.0)
        .await
        .doing(SEALING)?;
        let report = sealed.report.to_string();
        sqlx::query!(
            "INSERT INTO ferry_reports (run_id, revision, sealed_at, report) SELECT ?1, ?2, at, ?3 FROM ferry_now",
            run.0,
            revision,
            report
        )
        .execute(&mut *self.0)
        .await
        .doing(SEALING)?;
        Ok(revision)
    }
}

/// Sending runs that have nothing open and no report job; not those whose report job was
/// given up a moment ago.
async fn finished_runs(connection: &mut SqliteConnection) -> Result<Vec<RunId>> {
    let runs = sqlx::query_scalar!(
        r#"
        SELECT r.id AS "id!: Uuid" FROM ferry_runs AS r CROSS JOIN ferry_now AS n
        WHERE r.state IN ('running', 'sealing', 'cancelling')
          AND NOT EXISTS (SELECT 1 FROM ferry_batches AS b WHERE b.run_id = r.id AND b.state <> 'verified')
          AND NOT EXISTS (
              SELECT 1 FROM ferry_jobs AS j
              WHERE j.run_id = r.id AND j.kind = 'report'
                AND (j.state NOT IN ('done', 'dead') OR j.state = 'dead' AND j.ended_at > n.at - ?1)
          )
        "#,
        REPORT_AGAIN
    )
    .fetch_all(connection)
    .await
    .doing(SWEEPING)?;
    Ok(runs.into_iter().map(RunId).collect())
}

/// In place of users that were not read before come what was found of them now.
async fn replace_unread(
    connection: &mut SqliteConnection,
    lease: &Lease<Job>,
    found: &BatchVerification,
) -> Result<()> {
    let (batch, unread) = (batch_of(&lease.of)?, json(&[ending::NOT_READ_BACK]));
    sqlx::query!(
        "DELETE FROM ferry_discrepancies WHERE run_id = ?1 AND batch_id = ?2 AND fields = ?3",
        lease.of.run.0,
        batch.0,
        unread
    )
    .execute(&mut *connection)
    .await
    .doing(VERIFYING)?;
    insert_discrepancies(connection, lease, found).await
}

async fn insert_discrepancies(
    connection: &mut SqliteConnection,
    lease: &Lease<Job>,
    found: &BatchVerification,
) -> Result<()> {
    if found.discrepancies.is_empty() {
        return Ok(());
    }
    let batch = batch_of(&lease.of)?;
    let rows: Vec<_> =
        found.discrepancies.iter().map(|d| (d.seq, &d.key, &d.auth0_user_id, &d.fields)).collect();
    let rows = json(&rows);
    sqlx::query!(
        r#"
        INSERT OR REPLACE INTO ferry_discrepancies (run_id, seq, batch_id, key, auth0_user_id, fields, found_at)
        SELECT ?1, value ->> 0, ?2, value ->> 1, value ->> 2, value ->> 3, at
        FROM jsonb_each(?3) CROSS JOIN ferry_now
        "#,
        lease.of.run.0,
        batch.0,
        rows
    )
    .execute(connection)
    .await
    .doing(VERIFYING)?;
    Ok(())
}
