//! Users whose rows have an id, beside what an earlier run moved.

use async_trait::async_trait;
use ferry_domain::{Code, ItemSeq, RunId, ports::MovedUser};
use ferry_ledger::{
    rows::{MovedOtherwiseRow, MovedUserRow},
    steps::{ChangedSteps, Differing, Met, RecordRow},
};
use sqlx::{PgConnection, query, query_as};

use super::settle::{Joins, joins};
use crate::{errors::Tried, transaction::Tx};

#[async_trait]
impl ChangedSteps for Tx<'_> {
    async fn differing(
        &mut self,
        run: RunId,
        earlier: RunId,
        among: Option<&[i64]>,
    ) -> Tried<Vec<Differing>> {
        joins(self.0, Joins::OfSets).await?;
        let found = query_as!(
            Differing,
            r#"
            SELECT item.seq AS "seq!", past.seq AS "then?"
            FROM ferry.planned_items AS item LEFT JOIN ferry.items AS past
              ON past.run_id = $2 AND past.key = item.key
                 AND past.record IS NOT NULL AND past.auth0_user_id IS NOT NULL
                 AND (past.state IN ('created', 'adopted') OR past.state = 'skipped' AND past.code = $4)
            WHERE item.run_id = $1 AND item.state = 'skipped' AND item.code IN ($4, $5)
              AND ($3::bigint[] IS NULL OR item.seq = ANY ($3))
              AND (past.digest IS DISTINCT FROM item.digest OR past.auth0_user_id <> item.auth0_user_id)
            ORDER BY item.seq
            "#,
            run.0,
            earlier.0,
            among as Option<&[i64]>,
            Code::AlreadyMigrated.as_str(),
            Code::Disabled.as_str(),
        )
        .fetch_all(&mut *self.0)
        .await?;
        joins(self.0, Joins::OfRows).await?;
        Ok(found)
    }

    async fn records(&mut self, run: RunId, seqs: &[i64]) -> Tried<Vec<RecordRow>> {
        let found = query_as!(
            RecordRow,
            r#"
            SELECT item.seq AS "seq!", item.record::text AS "record?", item.field, item.auth0_user_id AS account
            FROM ferry.items AS item WHERE item.run_id = $1 AND item.seq = ANY ($2)
            "#,
            run.0,
            seqs,
        )
        .fetch_all(&mut *self.0)
        .await?;
        Ok(found)
    }

    async fn met(&mut self, run: RunId, earlier: RunId) -> Tried<Vec<Met>> {
        joins(self.0, Joins::OfSets).await?;
        let found = query_as!(
            Met,
            r#"
            WITH past AS MATERIALIZED (
                SELECT key, CASE WHEN state <> 'conflict' THEN email END AS email,
                       CASE WHEN code IS DISTINCT FROM $4 THEN auth0_user_id END AS account
                FROM ferry.items
                WHERE run_id = $2 AND auth0_user_id IS NOT NULL
                  AND (state IN ('created', 'adopted') OR state = 'skipped' AND code = $3
                       OR state = 'conflict'
                          AND (code = $4 OR code = $5 AND (field LIKE '%auth0_user_id%') IS NOT TRUE))
            ), item AS MATERIALIZED (
                SELECT seq, key, email FROM ferry.planned_items
                WHERE run_id = $1 AND state = 'pending' AND auth0_user_id IS NULL
            )
            SELECT item.seq AS "seq!", past.key AS "key!", past.account AS "account?", true AS "same_key!"
            FROM item JOIN past ON past.key = item.key
            UNION ALL
            SELECT item.seq, past.key, past.account, false
            FROM item JOIN past ON past.email = item.email AND past.key <> item.key
            "#,
            run.0,
            earlier.0,
            Code::AlreadyMigrated.as_str(),
            Code::MissingAtTarget.as_str(),
            Code::ChangedSinceMoved.as_str(),
        )
        .fetch_all(&mut *self.0)
        .await?;
        joins(self.0, Joins::OfRows).await?;
        Ok(found)
    }

    async fn keep_accounts(&mut self, run: RunId, accounts: &[(i64, String)]) -> Tried<()> {
        let (seqs, accounts): (Vec<i64>, Vec<&str>) =
            accounts.iter().map(|(seq, account)| (*seq, account.as_str())).unzip();
        query!(
            r#"
            UPDATE ferry.planned_items AS item SET auth0_user_id = given.account
            FROM unnest($2::bigint[], $3::text[]) AS given (seq, account)
            WHERE item.run_id = $1 AND item.seq = given.seq
            "#,
            run.0,
            &seqs,
            &accounts as &[&str],
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    async fn keep_others(&mut self, run: RunId, others: &[(i64, String)]) -> Tried<()> {
        let (seqs, others): (Vec<i64>, Vec<&str>) =
            others.iter().map(|(seq, other)| (*seq, other.as_str())).unzip();
        query!(
            r#"
            UPDATE ferry.planned_items AS item SET other = given.other
            FROM unnest($2::bigint[], $3::text[]) AS given (seq, other)
            WHERE item.run_id = $1 AND item.seq = given.seq
            "#,
            run.0,
            &seqs,
            &others as &[&str],
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    async fn keep_moved(&mut self, run: RunId, seq: i64, account: &str, record: &str) -> Tried<()> {
        query!(
            "UPDATE ferry.planned_items SET auth0_user_id = $3, record = $4::text::jsonb WHERE run_id = $1 AND seq = $2",
            run.0,
            seq,
            account,
            record,
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    async fn make_conflicts(&mut self, run: RunId, seqs: &[i64], fields: &str) -> Tried<()> {
        query!(
            r#"
            UPDATE ferry.planned_items SET state = 'conflict', code = $4, field = $3 WHERE run_id = $1 AND seq = ANY ($2)
            "#,
            run.0,
            seqs,
            fields,
            Code::ChangedSinceMoved.as_str(),
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }
}

/// Users of a run that are `ALREADY_MIGRATED`, or left out as disabled, after a position.
pub(super) async fn moved_users(
    connection: &mut PgConnection,
    run: RunId,
    after: ItemSeq,
    most: i64,
) -> Tried<Vec<MovedUserRow>> {
    let found = query_as!(
        MovedUserRow,
        r#"
        SELECT seq, key, coalesce(auth0_user_id, '') AS "auth0_user_id!", digest
        FROM ferry.planned_items
        WHERE run_id = $1 AND seq > $2 AND state = 'skipped'
          AND (code = $4 AND auth0_user_id IS NOT NULL OR code = $5)
        ORDER BY seq LIMIT $3
        "#,
        run.0,
        after.0,
        most,
        Code::AlreadyMigrated.as_str(),
        Code::Disabled.as_str(),
    )
    .fetch_all(connection)
    .await?;
    Ok(found)
}

/// Which of these users `earlier` moved with another digest or account, or did not move.
pub(super) async fn moved_otherwise(
    connection: &mut PgConnection,
    earlier: RunId,
    users: &[MovedUser],
) -> Tried<Vec<MovedOtherwiseRow>> {
    joins(connection, Joins::OfSets).await?;
    let seqs: Vec<i64> = users.iter().map(|user| user.seq.0).collect();
    let keys: Vec<&str> = users.iter().map(|user| user.key.0.as_str()).collect();
    let ids: Vec<&str> = users.iter().map(|user| user.auth0_user_id.0.as_str()).collect();
    let digests: Vec<&str> = users.iter().map(|user| user.digest.as_str()).collect();
    let found = query_as!(
        MovedOtherwiseRow,
        r#"
        SELECT asked.seq AS "seq!", past.record::text AS "record?", past.auth0_user_id AS "account?"
        FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[]) AS asked (seq, key, account, digest)
        LEFT JOIN ferry.items AS past
          ON past.run_id = $1 AND past.key = asked.key
             AND past.record IS NOT NULL AND past.auth0_user_id IS NOT NULL
             AND (past.state IN ('created', 'adopted') OR past.state = 'skipped' AND past.code = $6)
        WHERE past.digest IS DISTINCT FROM asked.digest OR past.auth0_user_id <> asked.account
        ORDER BY asked.seq
        "#,
        earlier.0,
        &seqs,
        &keys as &[&str],
        &ids as &[&str],
        &digests as &[&str],
        Code::AlreadyMigrated.as_str(),
    )
    .fetch_all(connection)
    .await?;
    Ok(found)
}
