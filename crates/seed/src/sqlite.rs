//! Writing into a SQLite file, by inserts of many rows.

use std::time::Duration;

use sha2::Digest as _;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions};
use sqlx::{Arguments as _, AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::canonical::{self, Digest};
use crate::error::SeedError;
use crate::population::Population;
use crate::rows::{Permission, User};
use crate::tables::{Found, MARK, TABLES, WriteOptions, Written, failed, may_replace};

/// Rows per insert: 5,000 values at most, well under SQLite's 32,766.
const ROWS_PER_INSERT: usize = 500;
/// How long to wait for another writer of the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

const HOSPITALS: &str = "INSERT INTO hospitals (id, code, name, retired) VALUES ";
const WARDS: &str = "INSERT INTO wards (id, hospital_id, code, name) VALUES ";
const USERS: &str = "INSERT INTO users (id, email, name, role, hospital_id, ward_id, active, \
                     blocked, api_key, created_at) VALUES ";
const PERMISSIONS: &str = "INSERT INTO permissions (user_id, hospital_id, permission) VALUES ";

pub(crate) async fn write(
    connect: SqliteConnectOptions,
    target: String,
    population: &Population,
    options: WriteOptions,
    progress: &mut (impl FnMut(u64) + Send),
) -> Result<Written, SeedError> {
    let mut connection = connect
        .create_if_missing(true)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .connect()
        .await
        .map_err(failed(&target, "opening the file"))?;
    // IMMEDIATE: take the write lock before looking, so that no other writer comes between.
    let mut transaction = connection
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(failed(&target, "starting the transaction"))?;
    let found =
        find_tables(&mut transaction).await.map_err(failed(&target, "looking for existing tables"))?;
    may_replace(&found, options, &target)?;
    create_tables(&mut transaction, &found).await.map_err(failed(&target, "creating the tables"))?;
    let written =
        fill(&mut transaction, population, progress).await.map_err(failed(&target, "writing the rows"))?;
    transaction.commit().await.map_err(failed(&target, "committing"))?;
    connection.close().await.map_err(failed(&target, "closing the file"))?;
    Ok(written)
}

/// Any object of these names, whatever its case: SQLite makes no difference.
async fn find_tables(connection: &mut SqliteConnection) -> sqlx::Result<Vec<Found>> {
    let all: Vec<(String, Option<String>)> =
        sqlx::query_as("SELECT name, sql FROM sqlite_schema").fetch_all(connection).await?;
    let found = TABLES.iter().flat_map(|table| {
        all.iter().filter(|(name, _)| name.eq_ignore_ascii_case(table)).map(|(name, sql)| Found {
            name: name.clone(),
            ours: sql.as_deref().is_some_and(|sql| sql.contains(MARK)),
        })
    });
    Ok(found.collect())
}

async fn create_tables(connection: &mut SqliteConnection, found: &[Found]) -> sqlx::Result<()> {
    for table in found {
        // The names are those of `TABLES`, those that refer to others first.
        let drop = AssertSqlSafe(format!("DROP TABLE {}", table.name));
        sqlx::raw_sql(drop).execute(&mut *connection).await?;
    }
    sqlx::raw_sql(include_str!("sqlite.sql")).execute(connection).await?;
    Ok(())
}

async fn fill(
    connection: &mut SqliteConnection,
    population: &Population,
    progress: &mut (impl FnMut(u64) + Send),
) -> sqlx::Result<Written> {
    let mut digest = Digest::default();
    population.digest_places(&mut digest);
    let (hospitals, wards) = fill_places(connection, population).await?;

    let (mut users, mut permissions) = (0, 0);
    let mut encoded = Vec::new();
    // Permissions wait until there are enough for a full insert, so that all
    // inserts but the last are the same statement, prepared once.
    let mut waiting: Vec<Permission> = Vec::new();
    let mut all = population.users();
    while users < population.user_count() {
        let batch: Vec<User> = all.by_ref().take(ROWS_PER_INSERT).collect();
        encoded.clear();
        batch.iter().for_each(|row| canonical::user(&mut encoded, row));
        digest.users.update(&encoded);
        encoded.clear();
        for row in batch.iter().flat_map(|user| population.permissions_of(user)) {
            canonical::permission(&mut encoded, &row);
            waiting.push(row);
        }
        digest.permissions.update(&encoded);
        users += insert_users(connection, batch).await?;
        let full = waiting.len() - waiting.len() % ROWS_PER_INSERT;
        permissions += insert_permissions(connection, waiting.drain(..full)).await?;
        progress(users);
    }
    permissions += insert_permissions(connection, waiting.drain(..)).await?;

    let digest = digest.finish();
    sqlx::query("INSERT INTO medlogistics_seed (users, seed, digest) VALUES (?, ?, ?)")
        .bind(users as i64)
        .bind(population.seed().to_string())
        .bind(digest.clone())
        .execute(connection)
        .await?;
    Ok(Written { hospitals, wards, users, permissions, digest })
}

async fn fill_places(connection: &mut SqliteConnection, population: &Population) -> sqlx::Result<(u64, u64)> {
    let (mut hospitals, mut wards) = (0, 0);
    for row in population.hospitals() {
        let mut values = SqliteArguments::default();
        add(&mut values, row.id as i64)?;
        add(&mut values, row.code)?;
        add(&mut values, row.name)?;
        add(&mut values, row.retired)?;
        hospitals += insert(connection, HOSPITALS, 1, values).await?;
    }
    for row in population.wards() {
        let mut values = SqliteArguments::default();
        add(&mut values, row.id as i64)?;
        add(&mut values, row.hospital_id as i64)?;
        add(&mut values, row.code)?;
        add(&mut values, row.name)?;
        wards += insert(connection, WARDS, 1, values).await?;
    }
    Ok((hospitals, wards))
}

async fn insert_users(connection: &mut SqliteConnection, batch: Vec<User>) -> sqlx::Result<u64> {
    let rows = batch.len();
    let mut values = SqliteArguments::default();
    for user in batch {
        add(&mut values, user.id as i64)?;
        add(&mut values, user.email)?;
        add(&mut values, user.name)?;
        add(&mut values, user.role.as_str())?;
        add(&mut values, user.hospital_id as i64)?;
        add(&mut values, user.ward_id.map(|id| id as i64))?;
        add(&mut values, user.active)?;
        add(&mut values, user.blocked)?;
        add(&mut values, user.api_key)?;
        add(&mut values, timestamp(user.created_at)?)?;
    }
    insert(connection, USERS, rows, values).await
}

async fn insert_permissions(
    connection: &mut SqliteConnection,
    rows: impl Iterator<Item = Permission>,
) -> sqlx::Result<u64> {
    let rows: Vec<Permission> = rows.collect();
    let mut inserted = 0;
    for batch in rows.chunks(ROWS_PER_INSERT) {
        let mut values = SqliteArguments::default();
        for row in batch {
            add(&mut values, row.user_id as i64)?;
            add(&mut values, row.hospital_id as i64)?;
            add(&mut values, row.permission)?;
        }
        inserted += insert(connection, PERMISSIONS, batch.len(), values).await?;
    }
    Ok(inserted)
}

/// Runs one of the inserts above with as many groups of `?` as there are rows.
async fn insert(
    connection: &mut SqliteConnection,
    head: &'static str,
    rows: usize,
    values: SqliteArguments,
) -> sqlx::Result<u64> {
    let group = format!("({})", vec!["?"; values.len() / rows].join(","));
    let statement = format!("{head}{}", vec![group.as_str(); rows].join(","));
    let done = sqlx::query_with(AssertSqlSafe(statement), values).execute(connection).await?;
    Ok(done.rows_affected())
}

fn add<'t, T>(values: &mut SqliteArguments, value: T) -> sqlx::Result<()>
where
    T: sqlx::Encode<'t, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    values.add(value).map_err(sqlx::Error::Encode)
}

/// `2021-03-04T05:06:07Z`, which SQLite's own date functions read.
fn timestamp(seconds: i64) -> sqlx::Result<String> {
    OffsetDateTime::from_unix_timestamp(seconds)
        .map_err(|error| sqlx::Error::Encode(error.into()))?
        .format(&Rfc3339)
        .map_err(|error| sqlx::Error::Encode(error.into()))
}
