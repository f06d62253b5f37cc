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

/// Users compared together: each group costs a reading of the earlier run.
const GROUP: i64 = 100_000;
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

    async fn differing(
        &mut self,
        run: RunId,
        earlier: RunId,
        among: Option<&[i64]>,
    ) -> Result<Vec<Differing>> {
        let mut found = Vec::new();
        let mut after = ItemSeq(0);
        loop {
            let mut users = moved_users(self.0, run, after, GROUP).await?;
            let Some(last) = users.last() else { return Ok(found) };
            after = ItemSeq(last.seq);
            users.retain(|user| among.is_none_or(|among| among.binary_search(&user.seq).is_ok()));
            let asked = json(&users.iter().map(asked).collect::<Vec<_>>());
            found.extend(places(self.0, earlier, asked).await?);
        }
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

    async fn make_conflicts(&mut self, run: RunId, seqs: &[i64], fields: &str) -> Result<()> {
        let seqs = json(seqs);
        sqlx::query!(
            r#"
            UPDATE ferry_items SET state = 'conflict', code = 'CHANGED_SINCE_MOVED', field = ?3
            WHERE run_id = ?1 AND seq IN (SELECT value FROM json_each(?2))
            "#,
            run.0,
            seqs,
            fields
        )
        .execute(&mut *self.0)
        .await
        .doing(FINISHING)?;
        Ok(())
    }
}

type Asked<'a> = (i64, &'a str, &'a str, &'a str);

/// A user as the statements below take them.
fn asked(user: &MovedUserRow) -> Asked<'_> {
    (user.seq, &user.key, &user.auth0_user_id, &user.digest)
}

/// Which of these users `earlier` moved with another digest, and where they are there. What that run
/// moved is materialised, and the users come as JSON: so SQLite makes an index over the keys,
/// whatever its statistics say; else it would read that run once for each user.
async fn places(connection: &mut SqliteConnection, earlier: RunId, asked: String) -> Result<Vec<Differing>> {
    sqlx::query_as!(
        Differing,
        r#"
        WITH past AS MATERIALIZED (
            SELECT key, auth0_user_id, digest, seq FROM ferry_items
            WHERE run_id = ?1 AND record IS NOT NULL AND auth0_user_id IS NOT NULL
              AND (state IN ('created', 'adopted') OR state = 'skipped' AND code = 'ALREADY_MIGRATED')
        )
        SELECT value ->> 0 AS "seq!: i64", past.seq AS "then?: i64"
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
    .doing(FINISHING)
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

/// The same, with the records that were moved.
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
