//! Which letters a filter means.

use ferry_domain::ports::{DeadCount, DeadFilter, DeadState};
use ferry_ledger::{Result, rows::Letters};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::{
    errors::Doing,
    values::{json, micros},
};

const READING: &str = "could not read dead letters";

/// A filter as the statements take it.
struct Asked {
    ids: String,
    run: Option<Uuid>,
    codes: String,
    state: Option<&'static str>,
    age: Option<i64>,
}

impl Asked {
    fn of(filter: &DeadFilter) -> Self {
        Asked {
            ids: json(&filter.ids),
            run: filter.run.map(|run| run.0),
            codes: json(&filter.codes),
            state: filter.state.map(DeadState::as_str),
            age: filter.older_than.map(micros),
        }
    }
}

/// Numbers of the letters, newest first.
pub(super) async fn ids(
    connection: &mut SqliteConnection,
    filter: &DeadFilter,
    most: i64,
) -> Result<Vec<i64>> {
    let asked = Asked::of(filter);
    sqlx::query_scalar!(
        r#"
        SELECT id AS "id!: i64" FROM ferry_dead_letters
        WHERE (?1 = '[]' OR id IN (SELECT value FROM json_each(?1)))
          AND (?2 IS NULL OR run_id = ?2)
          AND (?3 = '[]' OR code IN (SELECT value FROM json_each(?3)))
          AND (?4 IS NULL OR state = ?4)
          AND (?5 IS NULL OR received_at <= (SELECT at FROM ferry_now) - ?5)
        ORDER BY id DESC
        LIMIT ?6
        "#,
        asked.ids,
        asked.run,
        asked.codes,
        asked.state,
        asked.age,
        most
    )
    .fetch_all(connection)
    .await
    .doing(READING)
}

/// Number of the letters, and of their users.
pub(super) async fn count(connection: &mut SqliteConnection, filter: &DeadFilter) -> Result<DeadCount> {
    let asked = Asked::of(filter);
    let counted = sqlx::query!(
        r#"
        SELECT count(*) AS "letters!: i64", coalesce(sum(users), 0) AS "users!: i64" FROM ferry_dead_letters
        WHERE (?1 = '[]' OR id IN (SELECT value FROM json_each(?1)))
          AND (?2 IS NULL OR run_id = ?2)
          AND (?3 = '[]' OR code IN (SELECT value FROM json_each(?3)))
          AND (?4 IS NULL OR state = ?4)
          AND (?5 IS NULL OR received_at <= (SELECT at FROM ferry_now) - ?5)
        "#,
        asked.ids,
        asked.run,
        asked.codes,
        asked.state,
        asked.age
    )
    .fetch_one(connection)
    .await
    .doing(READING)?;
    Ok(DeadCount { letters: counted.letters, users: counted.users })
}

/// The kept ones among the letters.
pub(super) async fn kept(connection: &mut SqliteConnection, filter: &DeadFilter) -> Result<Letters> {
    let meant = json(&ids(connection, filter, i64::MAX).await?);
    let rows = sqlx::query!(
        r#"
        SELECT id AS "id!: i64", job_id AS "job_id?: Uuid", job_kind AS "job_kind?: String",
               run_id AS "run_id?: Uuid", batch_id AS "batch_id?: Uuid", code AS "code!: String"
        FROM ferry_dead_letters
        WHERE id IN (SELECT value FROM json_each(?1)) AND state = 'kept'
        ORDER BY id
        "#,
        meant
    )
    .fetch_all(connection)
    .await
    .doing(READING)?;
    let mut letters = Letters::default();
    for row in rows {
        letters.add(row.id, row.run_id, row.job_id, row.job_kind.as_deref(), row.batch_id, row.code)?;
    }
    Ok(letters)
}
