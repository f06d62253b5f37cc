//! Writing into PostgreSQL, by binary `COPY`.

use sha2::Digest as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use crate::canonical::{self, Digest};
use crate::error::SeedError;
use crate::population::Population;
use crate::tables::{Found, MARK, TABLES, WriteOptions, Written, failed, may_replace};

/// Users per `COPY`: about a megabyte, and a step of progress.
const USERS_PER_COPY: usize = 5_000;

/// Stay in `public` whatever the role's search path is, and give up rather than
/// wait for ever when another session uses the tables that are to be replaced.
const PREPARE: &str = "SET LOCAL search_path TO public; SET LOCAL lock_timeout TO '10s'";

pub(crate) async fn write(
    connect: PgConnectOptions,
    target: String,
    population: &Population,
    options: WriteOptions,
    progress: &mut (impl FnMut(u64) + Send),
) -> Result<Written, SeedError> {
    // A single connection, no pool: dropping it ends the transaction on the server.
    let mut connection = connect.connect().await.map_err(failed(&target, "connecting"))?;
    let mut transaction = connection.begin().await.map_err(failed(&target, "starting the transaction"))?;
    sqlx::raw_sql(PREPARE)
        .execute(&mut *transaction)
        .await
        .map_err(failed(&target, "preparing the transaction"))?;
    let found =
        find_tables(&mut transaction).await.map_err(failed(&target, "looking for existing tables"))?;
    may_replace(&found, options, &target)?;
    create_tables(&mut transaction, &found).await.map_err(failed(&target, "creating the tables"))?;
    let written =
        fill(&mut transaction, population, progress).await.map_err(failed(&target, "writing the rows"))?;
    transaction.commit().await.map_err(failed(&target, "committing"))?;
    Ok(written)
}

async fn find_tables(connection: &mut PgConnection) -> sqlx::Result<Vec<Found>> {
    let rows: Vec<(String, bool)> = sqlx::query_as(
        "SELECT name, coalesce(obj_description(to_regclass('public.' || name), 'pg_class') = $2, false)
         FROM unnest($1) AS name
         WHERE to_regclass('public.' || name) IS NOT NULL",
    )
    .bind(TABLES.as_slice())
    .bind(MARK)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(name, ours)| Found { name, ours }).collect())
}

async fn create_tables(connection: &mut PgConnection, found: &[Found]) -> sqlx::Result<()> {
    if !found.is_empty() {
        let names: Vec<&str> = found.iter().map(|table| table.name.as_str()).collect();
        // The names come from `TABLES`. No CASCADE: objects that others built on them stop the drop.
        let drop = sqlx::AssertSqlSafe(format!("DROP TABLE {}", names.join(", ")));
        sqlx::raw_sql(drop).execute(&mut *connection).await?;
    }
    sqlx::raw_sql(include_str!("postgres.sql")).execute(connection).await?;
    Ok(())
}

async fn fill(
    connection: &mut PgConnection,
    population: &Population,
    progress: &mut (impl FnMut(u64) + Send),
) -> sqlx::Result<Written> {
    let mut digest = Digest::default();
    let mut rows = Vec::new();

    population.hospitals().for_each(|row| canonical::hospital(&mut rows, &row));
    digest.hospitals.update(&rows);
    let hospitals = copy(connection, "COPY hospitals FROM STDIN (FORMAT binary)", &rows).await?;

    rows.clear();
    population.wards().for_each(|row| canonical::ward(&mut rows, &row));
    digest.wards.update(&rows);
    let wards = copy(connection, "COPY wards FROM STDIN (FORMAT binary)", &rows).await?;

    let (mut users, mut permissions) = (0, 0);
    let mut granted = Vec::new();
    let mut all = population.users();
    while users < population.user_count() {
        rows.clear();
        granted.clear();
        for user in all.by_ref().take(USERS_PER_COPY) {
            canonical::user(&mut rows, &user);
            population.permissions_of(&user).for_each(|row| canonical::permission(&mut granted, &row));
        }
        digest.users.update(&rows);
        digest.permissions.update(&granted);
        users += copy(connection, "COPY users FROM STDIN (FORMAT binary)", &rows).await?;
        permissions += copy(connection, "COPY permissions FROM STDIN (FORMAT binary)", &granted).await?;
        progress(users);
    }

    let digest = digest.finish();
    sqlx::query("INSERT INTO medlogistics_seed (users, seed, digest) VALUES ($1, $2, $3)")
        .bind(users as i64)
        .bind(population.seed().to_string())
        .bind(&digest)
        .execute(connection)
        .await?;
    Ok(Written { hospitals, wards, users, permissions, digest })
}

/// Sends canonical rows; returns the number of rows that the server took.
async fn copy(connection: &mut PgConnection, statement: &'static str, rows: &[u8]) -> sqlx::Result<u64> {
    const SIGNATURE_FLAGS_EXTENSION: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
    const END: &[u8] = &(-1_i16).to_be_bytes();
    let mut copy = connection.copy_in_raw(statement).await?;
    copy.send(SIGNATURE_FLAGS_EXTENSION).await?;
    copy.send(rows).await?;
    copy.send(END).await?;
    copy.finish().await
}
