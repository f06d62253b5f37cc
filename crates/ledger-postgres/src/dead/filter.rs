//! Which letters a filter means.

use ferry_domain::ports::{DeadCount, DeadFilter, DeadState};
use ferry_ledger::{rows::Letters, words};
use sqlx::{PgConnection, query, query_scalar};
use uuid::Uuid;

use crate::errors::Tried;

/// A filter as the statements take it.
struct Asked<'a> {
    ids: &'a [i64],
    run: Option<Uuid>,
    codes: Vec<&'static str>,
    state: Option<&'static str>,
    age: Option<f64>,
}

impl<'a> Asked<'a> {
    fn of(filter: &'a DeadFilter) -> Self {
        Asked {
            ids: &filter.ids,
            run: filter.run.map(|run| run.0),
            codes: words::codes(&filter.codes),
            state: filter.state.map(DeadState::as_str),
            age: filter.older_than.map(|age| age.as_secs_f64()),
        }
    }
}

/// Numbers of the letters, newest first.
pub(super) async fn ids(connection: &mut PgConnection, filter: &DeadFilter, most: i64) -> Tried<Vec<i64>> {
    let asked = Asked::of(filter);
    let ids = query_scalar!(
        r#"
        SELECT id FROM ferry.dead_letters
        WHERE (cardinality($1::bigint[]) = 0 OR id = ANY($1))
          AND ($2::uuid IS NULL OR run_id = $2)
          AND (cardinality($3::text[]) = 0 OR code = ANY($3))
          AND ($4::text IS NULL OR state = $4)
          AND ($5::float8 IS NULL OR received_at <= clock_timestamp() - make_interval(secs => $5))
        ORDER BY id DESC
        LIMIT $6
        "#,
        asked.ids,
        asked.run,
        &asked.codes as &[&str],
        asked.state,
        asked.age,
        most,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids)
}

/// Number of the letters, and of their users.
pub(super) async fn count(connection: &mut PgConnection, filter: &DeadFilter) -> Tried<DeadCount> {
    let asked = Asked::of(filter);
    let counted = query!(
        r#"
        SELECT count(*) AS "letters!", coalesce(sum(users), 0)::bigint AS "users!"
        FROM ferry.dead_letters
        WHERE (cardinality($1::bigint[]) = 0 OR id = ANY($1))
          AND ($2::uuid IS NULL OR run_id = $2)
          AND (cardinality($3::text[]) = 0 OR code = ANY($3))
          AND ($4::text IS NULL OR state = $4)
          AND ($5::float8 IS NULL OR received_at <= clock_timestamp() - make_interval(secs => $5))
        "#,
        asked.ids,
        asked.run,
        &asked.codes as &[&str],
        asked.state,
        asked.age,
    )
    .fetch_one(connection)
    .await?;
    Ok(DeadCount { letters: counted.letters, users: counted.users })
}

/// Locks the kept ones among the letters.
pub(super) async fn lock_kept(connection: &mut PgConnection, filter: &DeadFilter) -> Tried<Letters> {
    let meant = ids(connection, filter, i64::MAX).await?;
    let rows = query!(
        r#"
        SELECT id, job_id, job_kind, run_id, batch_id, code
        FROM ferry.dead_letters
        WHERE id = ANY($1) AND state = 'kept'
        ORDER BY id
        FOR UPDATE
        "#,
        &meant,
    )
    .fetch_all(connection)
    .await?;
    let mut letters = Letters::default();
    for row in rows {
        letters.add(row.id, row.run_id, row.job_id, row.job_kind.as_deref(), row.batch_id, row.code)?;
    }
    Ok(letters)
}
