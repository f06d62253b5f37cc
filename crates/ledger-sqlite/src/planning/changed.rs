//! Users whose rows have an id, beside what an earlier run moved.

use std::collections::HashMap;

use async_trait::async_trait;
use ferry_domain::{ItemSeq, RunId, ports::MovedUser};

use ferry_ledger::{
    Result,
    rows::{MovedOtherwiseRow, MovedUserRow},
    steps::{ChangedSteps, Differing, Met, RecordRow},
};
use futures_util::TryStreamExt;
use sqlx::SqliteConnection;

use super::settle::FINISHING;
use crate::{connection::Tx, errors::Doing, values::json};

/// Users compared together: each group costs a reading of the earlier run.
const GROUP: i64 = 100_000;
pub(super) const COMPARING: &str = "could not compare users with an earlier run";

#[async_trait]
impl ChangedSteps for Tx<'_> {
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
            found.extend(places(self.0, earlier, users.iter().map(asked)).await?);
        }
    }

    async fn records(&mut self, run: RunId, seqs: &[i64]) -> Result<Vec<RecordRow>> {
        records(self.0, run, seqs).await
    }

    async fn met(&mut self, run: RunId, earlier: RunId) -> Result<Vec<Met>> {
        let (mut found, mut after) = (Vec::new(), 0);
        loop {
            let users = to_send(self.0, run, after).await?;
            let Some(last) = users.last() else { return Ok(found) };
            after = last.seq;
            met_among(self.0, earlier, &users, &mut found).await?;
        }
    }

    async fn keep_accounts(&mut self, run: RunId, accounts: &[(i64, String)]) -> Result<()> {
        let accounts = json(accounts);
        sqlx::query!(
            r#"
            UPDATE ferry_items SET auth0_user_id = given.account
            FROM (SELECT value ->> 0 AS at, value ->> 1 AS account FROM jsonb_each(?2) LIMIT -1) AS given
            WHERE run_id = ?1 AND seq = given.at
            "#,
            run.0,
            accounts
        )
        .execute(&mut *self.0)
        .await
        .doing(COMPARING)?;
        Ok(())
    }

    async fn keep_others(&mut self, run: RunId, others: &[(i64, String)]) -> Result<()> {
        let others = json(others);
        sqlx::query!(
            r#"
            UPDATE ferry_items SET other = given.other
            FROM (SELECT value ->> 0 AS at, value ->> 1 AS other FROM jsonb_each(?2) LIMIT -1) AS given
            WHERE run_id = ?1 AND seq = given.at
            "#,
            run.0,
            others
        )
        .execute(&mut *self.0)
        .await
        .doing(COMPARING)?;
        Ok(())
    }

    async fn keep_moved(&mut self, run: RunId, seq: i64, account: &str, record: &str) -> Result<()> {
        sqlx::query!(
            "UPDATE ferry_items SET auth0_user_id = ?3, record = ?4 WHERE run_id = ?1 AND seq = ?2",
            run.0,
            seq,
            account,
            record
        )
        .execute(&mut *self.0)
        .await
        .doing(COMPARING)?;
        Ok(())
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

/// A user that is looked for: place, key, account and digest.
type Asked<'a> = (i64, &'a str, &'a str, &'a str);

fn asked(user: &MovedUserRow) -> Asked<'_> {
    (user.seq, &user.key, &user.auth0_user_id, &user.digest)
}

/// Which of these users `earlier` moved with another digest or account, and where they are there; and
/// whom it did not move. That run is read once and compared here: SQLite has no hash join, and
/// whether it makes an index for a join depends on its version and statistics.
async fn places(
    connection: &mut SqliteConnection,
    earlier: RunId,
    users: impl Iterator<Item = Asked<'_>>,
) -> Result<Vec<Differing>> {
    let mut left: HashMap<String, Vec<Asked<'_>>> = HashMap::new();
    for user in users {
        left.entry(user.1.to_owned()).or_default().push(user);
    }
    let mut found = Vec::new();
    let mut rows = sqlx::query!(
        r#"
        SELECT key AS "key!: String", auth0_user_id AS "account!: String", digest AS "digest!: String",
               seq AS "seq!: i64"
        FROM ferry_items
        WHERE run_id = ?1 AND record IS NOT NULL AND auth0_user_id IS NOT NULL
          AND (state IN ('created', 'adopted') OR state = 'skipped' AND code = 'ALREADY_MIGRATED')
        "#,
        earlier.0
    )
    .fetch(connection);
    while let Some(row) = rows.try_next().await.doing(COMPARING)? {
        for (seq, _, account, digest) in left.remove(&row.key).into_iter().flatten() {
            if digest != row.digest || account != row.account {
                found.push(Differing { seq, then: Some(row.seq) });
            }
        }
    }
    let unknown = left.into_values().flatten();
    found.extend(unknown.map(|(seq, ..)| Differing { seq, then: None }));
    found.sort_by_key(|user| user.seq);
    Ok(found)
}

/// A user to be sent, without an account yet.
struct ToSend {
    seq: i64,
    key: String,
    email: String,
}

async fn to_send(connection: &mut SqliteConnection, run: RunId, after: i64) -> Result<Vec<ToSend>> {
    sqlx::query_as!(
        ToSend,
        r#"
        SELECT seq AS "seq!: i64", key AS "key!: String", email AS "email!: String" FROM ferry_items
        WHERE run_id = ?1 AND seq > ?2 AND state = 'pending' AND auth0_user_id IS NULL AND email IS NOT NULL
        ORDER BY seq LIMIT ?3
        "#,
        run.0,
        after,
        GROUP
    )
    .fetch_all(connection)
    .await
    .doing(COMPARING)
}

/// Those of these users whose key or address `earlier` moved. That run is read once.
async fn met_among(
    connection: &mut SqliteConnection,
    earlier: RunId,
    users: &[ToSend],
    found: &mut Vec<Met>,
) -> Result<()> {
    let by_key: HashMap<&str, &ToSend> = users.iter().map(|user| (user.key.as_str(), user)).collect();
    let by_email: HashMap<&str, &ToSend> = users.iter().map(|user| (user.email.as_str(), user)).collect();
    let mut rows = sqlx::query!(
        r#"
        SELECT key AS "key!: String", CASE WHEN state <> 'conflict' THEN email END AS "email?: String",
               CASE WHEN code IS NOT 'MISSING_AT_TARGET' THEN auth0_user_id END AS "account?: String"
        FROM ferry_items
        WHERE run_id = ?1 AND auth0_user_id IS NOT NULL
          AND (state IN ('created', 'adopted') OR state = 'skipped' AND code = 'ALREADY_MIGRATED'
               OR state = 'conflict' AND (code = 'MISSING_AT_TARGET'
                  OR code = 'CHANGED_SINCE_MOVED' AND coalesce(field, '') NOT LIKE '%auth0_user_id%'))
        "#,
        earlier.0
    )
    .fetch(connection);
    while let Some(row) = rows.try_next().await.doing(COMPARING)? {
        let own = by_key.get(row.key.as_str());
        let other = row.email.as_deref().and_then(|email| by_email.get(email));
        let other = other.filter(|user| user.key != row.key);
        for (user, same_key) in
            own.map(|user| (user, true)).into_iter().chain(other.map(|user| (user, false)))
        {
            let (key, account) = (row.key.clone(), row.account.clone());
            found.push(Met { seq: user.seq, key, account, same_key });
        }
    }
    Ok(())
}

/// Users of a run that are `ALREADY_MIGRATED`, or left out as disabled, after a position.
pub(super) async fn moved_users(
    connection: &mut SqliteConnection,
    run: RunId,
    after: ItemSeq,
    most: i64,
) -> Result<Vec<MovedUserRow>> {
    sqlx::query_as!(
        MovedUserRow,
        r#"
        SELECT seq AS "seq!: i64", key AS "key!: String", coalesce(auth0_user_id, '') AS "auth0_user_id!: String",
               digest AS "digest!: String"
        FROM ferry_items
        WHERE run_id = ?1 AND seq > ?2 AND state = 'skipped'
          AND (code = 'ALREADY_MIGRATED' AND auth0_user_id IS NOT NULL OR code = 'DISABLED')
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
    let asked = users
        .iter()
        .map(|user| (user.seq.0, user.key.0.as_str(), user.auth0_user_id.0.as_str(), user.digest.as_str()));
    let found = places(connection, earlier, asked).await?;
    let thens: Vec<i64> = found.iter().filter_map(|user| user.then).collect();
    let rows = records(connection, earlier, &thens).await?;
    let mut records: HashMap<i64, RecordRow> = rows.into_iter().map(|row| (row.seq, row)).collect();
    let moved = |user: Differing| {
        let then = user.then.and_then(|then| records.remove(&then));
        let (record, account) = then.map(|then| (then.record, then.account)).unwrap_or_default();
        MovedOtherwiseRow { seq: user.seq, record, account }
    };
    Ok(found.into_iter().map(moved).collect())
}

async fn records(connection: &mut SqliteConnection, run: RunId, seqs: &[i64]) -> Result<Vec<RecordRow>> {
    let seqs = json(seqs);
    sqlx::query_as!(
        RecordRow,
        r#"
        SELECT seq AS "seq!: i64", record AS "record?: String", field AS "field?: String",
               auth0_user_id AS "account?: String"
        FROM json_each(?2) CROSS JOIN ferry_items ON run_id = ?1 AND seq = value
        "#,
        run.0,
        seqs
    )
    .fetch_all(connection)
    .await
    .doing(COMPARING)
}
