//! The application's database as the loop uses it: PostgreSQL, or SQLite in a file.

use std::{str::FromStr, time::Duration};

use anyhow::{Context, ensure};
use futures_util::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use serde_json::json;
use sqlx::{
    AssertSqlSafe, PgPool, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

/// What to read. The application never checked its addresses, so the loop leaves out
/// what Auth0 would refuse; its author found that out on the first try.
const USERS: &str = "
    SELECT u.id, u.email, u.name, u.blocked, u.role, h.code AS hospital, w.code AS ward
    FROM users u
    JOIN hospitals h ON h.id = u.hospital_id
    LEFT JOIN wards w ON w.id = u.ward_id
    WHERE u.active
      AND u.auth0_user_id IS NULL
      AND u.email NOT LIKE '%..%'
      AND u.email NOT LIKE '%.@%'
      AND length(u.name) <= 300";

const LOOKS_RIGHT: &str = "u.email ~ '^[^@[:space:]]{1,64}@[^@[:space:]]+[.][^@.[:space:]]{2,}$'";

/// The same; SQLite has no regular expressions.
const LOOKS_RIGHT_IN_SQLITE: &str =
    "u.email LIKE '_%@%_.__%' AND u.email NOT LIKE '%@%@%' AND u.email NOT LIKE '%.'
      AND u.email NOT GLOB '*[ \t]*' AND instr(u.email, '@') <= 65";

const WRITE_BACK: &str = "UPDATE users SET auth0_user_id = $2 WHERE id = $1";

const WRITE_GROUP: &str = "
    UPDATE users SET auth0_user_id = given.auth0_user_id
    FROM unnest($1::bigint[], $2::text[]) AS given (id, auth0_user_id)
    WHERE users.id = given.id";

const WRITE_GROUP_OF_SQLITE: &str = "
    UPDATE users SET auth0_user_id = given.value ->> 1
    FROM json_each(?1) AS given WHERE users.id = given.value ->> 0";

/// A user as the application has it. No `Debug`: it holds personal data.
#[derive(sqlx::FromRow)]
pub struct User {
    pub id: i64,
    pub email: String,
    pub name: String,
    pub blocked: bool,
    pub role: String,
    pub hospital: String,
    pub ward: Option<String>,
}

/// A database with a pool of connections. sqlx's ping before each use of one cost a fifth of the
/// users/s and is off.
pub enum Store {
    Postgres(PgPool),
    /// One connection reads, one writes: more would wait for each other.
    Sqlite(SqlitePool, SqlitePool),
}

impl Store {
    /// Opens it with a connection for each user under way and one that reads.
    pub async fn open(url: &str, at_once: u32) -> anyhow::Result<Store> {
        if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(url)
                .context("DATABASE_URL can't be read")?
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Normal);
            let pool = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
            let reading = pool.clone().connect_with(options.clone()).await;
            let writing = pool.connect_with(options).await;
            return Ok(Store::Sqlite(reading.context("no file")?, writing.context("no file")?));
        }
        let pool = PgPoolOptions::new()
            .max_connections(at_once + 1)
            .acquire_timeout(Duration::from_secs(10))
            .test_before_acquire(false)
            .connect_with(url.parse::<PgConnectOptions>().context("DATABASE_URL can't be read")?)
            .await
            .context("the database does not answer")?;
        Ok(Store::Postgres(pool))
    }

    /// Users to be created, as they are read.
    pub fn users(&self) -> impl Stream<Item = anyhow::Result<User>> {
        let of = |looks_right| AssertSqlSafe(format!("{USERS} AND {looks_right} ORDER BY u.id"));
        let users: BoxStream<'_, Result<User, sqlx::Error>> = match self {
            Store::Postgres(pool) => sqlx::query_as(of(LOOKS_RIGHT)).fetch(pool).boxed(),
            Store::Sqlite(reading, _) => sqlx::query_as(of(LOOKS_RIGHT_IN_SQLITE)).fetch(reading).boxed(),
        };
        users.map_err(|error| anyhow::Error::new(error).context("the users can't be read"))
    }

    /// Writes one id.
    pub async fn write(&self, id: i64, user_id: &str) -> anyhow::Result<()> {
        let rows = match self {
            Store::Postgres(pool) => sqlx::query(WRITE_BACK)
                .bind(id)
                .bind(user_id)
                .execute(pool)
                .await
                .map(|done| done.rows_affected()),
            Store::Sqlite(_, writing) => sqlx::query(WRITE_BACK)
                .bind(id)
                .bind(user_id)
                .execute(writing)
                .await
                .map(|done| done.rows_affected()),
        };
        let rows = rows.with_context(|| format!("user {id}: the id can't be written back"))?;
        ensure!(rows == 1, "user {id}: its row is gone");
        Ok(())
    }

    /// Writes ids in one statement.
    pub async fn write_group(&self, group: Vec<(i64, String)>) -> anyhow::Result<()> {
        let users = group.len() as u64;
        let rows = match self {
            Store::Postgres(pool) => {
                let (ids, user_ids): (Vec<i64>, Vec<String>) = group.into_iter().unzip();
                let write = sqlx::query(WRITE_GROUP).bind(&ids).bind(&user_ids);
                write.execute(pool).await.map(|done| done.rows_affected())
            }
            Store::Sqlite(_, writing) => {
                let write = sqlx::query(WRITE_GROUP_OF_SQLITE).bind(json!(group).to_string());
                write.execute(writing).await.map(|done| done.rows_affected())
            }
        };
        let rows = rows.context("a group can't be written back")?;
        ensure!(rows == users, "a row of a group is gone");
        Ok(())
    }
}
