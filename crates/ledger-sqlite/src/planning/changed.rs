//! Users whose rows have an id, beside what an earlier run moved.

use async_trait::async_trait;
use ferry_domain::{ItemSeq, RunId, ports::MovedUser};

use ferry_ledger::{
    Result,
    rows::{MovedOtherwiseRow, MovedUserRow},
    steps::{ChangedSteps, Differing, RecordRow},
};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::settle::FINISHING;
use crate::{connection::Tx, errors::Doing, values::json};

pub(super) const COMPARING: &str = "could not compare users with an earlier run";

#[async_trait]
impl ChangedSteps for Tx<'_> {
    async fn earlier_runs(&mut self, run: RunId) -> Result<Vec<RunId>> {
        let runs = sqlx::query_scalar!(
            r#"
            SELECT earlier.id AS "id!: Uuid"
            FROM ferry_runs AS planned JOIN ferry_runs AS earlier
              ON (earlier.source_kind, earlier.source_location) = (planned.source_kind, planned.source_location)
            WHERE planned.id = ?1 AND earlier.id <> ?1 AND earlier.state IN ('sealed', 'cancelled')
            ORDER BY earlier.created_at DESC, earlier.id DESC
            "#,
            run.0
        )
        .fetch_all(&mut *self.0)
        .await
        .doing(FINISHING)?;
        Ok(runs.into_iter().map(RunId).collect())
    }

    // The earlier run's items are materialised, so that SQLite makes an index over their keys; else
    // it would read that run once for each user.
    async fn differing(
        &mut self,
        run: RunId,
        earlier: RunId,
        among: Option<&[i64]>,
    ) -> Result<Vec<Differing>> {
        let among = among.map(json);
        sqlx::query_as!(
            Differing,
            r#"
            WITH past AS MATERIALIZED (
                SELECT key, auth0_user_id, seq, digest FROM ferry_items
                WHERE run_id = ?2 AND record IS NOT NULL AND auth0_user_id IS NOT NULL
                  AND (state IN ('created', 'adopted') OR state = 'skipped' AND code = 'ALREADY_MIGRATED')
            )
            SELECT item.seq AS "seq!: i64", past.seq AS "then?: i64"
            FROM ferry_items AS item
            LEFT JOIN past ON past.key = item.key AND past.auth0_user_id = item.auth0_user_id
            WHERE item.run_id = ?1 AND item.state = 'skipped' AND item.code = 'ALREADY_MIGRATED'
              AND (?3 IS NULL OR item.seq IN (SELECT value FROM json_each(?3)))
              AND past.digest IS NOT item.digest
            ORDER BY item.seq
            "#,
            run.0,
            earlier.0,
            among
        )
        .fetch_all(&mut *self.0)
        .await
        .doing(FINISHING)
    }

    async fn records(&mut self, run: RunId, seqs: &[i64]) -> Result<Vec<RecordRow>> {
        let seqs = json(seqs);
        sqlx::query_as!(
            RecordRow,
            r#"
            SELECT seq AS "seq!: i64", record AS "record?: String", field AS "field?: String"
            FROM json_each(?2) CROSS JOIN ferry_items ON run_id = ?1 AND seq = value
            "#,
            run.0,
            seqs
        )
        .fetch_all(&mut *self.0)
        .await
        .doing(FINISHING)
    }

    async fn make_conflicts(&mut self, run: RunId, changed: &[(i64, String)]) -> Result<()> {
        let changed = json(changed);
        sqlx::query!(
            r#"
            UPDATE ferry_items SET state = 'conflict', code = 'CHANGED_SINCE_MOVED', field = fields
            FROM (SELECT value ->> 0 AS changed, value ->> 1 AS fields FROM json_each(?2))
            WHERE run_id = ?1 AND seq = changed
            "#,
            run.0,
            changed
        )
        .execute(&mut *self.0)
        .await
        .doing(FINISHING)?;
        Ok(())
    }
}

/// Users of a run that are `ALREADY_MIGRATED`, after a position.
pub(super) async fn moved_users(
    connection: &mut SqliteConnection,
    run: RunId,
    after: ItemSeq,
    most: i64,
) -> Result<Vec<MovedUserRow>> {
    sqlx::query_as!(
        MovedUserRow,
        r#"
        SELECT seq AS "seq!: i64", key AS "key!: String", auth0_user_id AS "auth0_user_id!: String",
               digest AS "digest!: String"
        FROM ferry_items
        WHERE run_id = ?1 AND seq > ?2 AND state = 'skipped' AND code = 'ALREADY_MIGRATED'
          AND auth0_user_id IS NOT NULL
        ORDER BY seq LIMIT ?3
        "#,
        run.0,
        after.0,
        most
    )
    .fetch_all(connection)
    .await
    .doing(COMPARING)
}

/// Which of these users `earlier` moved with another digest, or did not move. What that run moved is
/// materialised as in [`ChangedSteps::differing`].
pub(super) async fn moved_otherwise(
    connection: &mut SqliteConnection,
    earlier: RunId,
    users: &[MovedUser],
) -> Result<Vec<MovedOtherwiseRow>> {
    let asked: Vec<_> = users
        .iter()
        .map(|user| (user.seq.0, &user.key.0, &user.auth0_user_id.0, user.digest.as_str()))
        .collect();
    let asked = json(&asked);
    sqlx::query_as!(
        MovedOtherwiseRow,
        r#"
        WITH past AS MATERIALIZED (
            SELECT key, auth0_user_id, digest, record FROM ferry_items
            WHERE run_id = ?1 AND record IS NOT NULL AND auth0_user_id IS NOT NULL
              AND (state IN ('created', 'adopted') OR state = 'skipped' AND code = 'ALREADY_MIGRATED')
        )
        SELECT value ->> 0 AS "seq!: i64", past.record AS "record?: String"
        FROM json_each(?2)
        LEFT JOIN past ON past.key = value ->> 1 AND past.auth0_user_id = value ->> 2
        WHERE past.digest IS NOT value ->> 3
        ORDER BY 1
        "#,
        earlier.0,
        asked
    )
    .fetch_all(connection)
    .await
    .doing(COMPARING)
}
