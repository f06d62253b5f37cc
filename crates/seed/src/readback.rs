//! The digest of what a database holds, to be compared with what was written.

use futures_util::stream::{BoxStream, TryStreamExt as _};
use sha2::Digest as _;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, SqliteConnection};

use crate::canonical::{self, Digest};
use crate::error::SeedError;
use crate::tables::failed;
use crate::target::Target;

type HospitalRow = (i64, String, String, bool);
type WardRow = (i64, i64, String, String);
type UserRow = (i64, Option<String>, String, String, i64, Option<i64>, bool, bool, String, i64);
type PermissionRow = (i64, i64, String);
type Rows<'a, Row> = BoxStream<'a, sqlx::Result<Row>>;

const HOSPITALS: &str = "SELECT id, code, name, retired FROM hospitals ORDER BY id";
const WARDS: &str = "SELECT id, hospital_id, code, name FROM wards ORDER BY id";

/// The digest of the rows in a database, equal to
/// [`Population::digest`](crate::Population::digest) as long as the rows
/// were not changed. Columns and tables that were added since are not read, so it also
/// shows that a migration left the application's own data alone.
///
/// # Errors
/// [`SeedError::BadTarget`], or [`SeedError::Database`] when the tables are not there.
pub async fn digest_of(target_url: &str) -> Result<String, SeedError> {
    match Target::parse(target_url)? {
        Target::Postgres(connect, name) => {
            let mut connection = connect.connect().await.map_err(failed(&name, "connecting"))?;
            postgres(&mut connection).await.map_err(failed(&name, "reading the rows"))
        }
        Target::Sqlite(connect, name) => {
            let mut connection =
                connect.read_only(true).connect().await.map_err(failed(&name, "opening the file"))?;
            sqlite(&mut connection).await.map_err(failed(&name, "reading the rows"))
        }
    }
}

async fn postgres(connection: &mut PgConnection) -> sqlx::Result<String> {
    // One snapshot for all four tables.
    let mut transaction = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    sqlx::raw_sql("SET LOCAL search_path TO public").execute(&mut *transaction).await?;
    let mut digest = Digest::default();
    add_hospitals(sqlx::query_as(HOSPITALS).fetch(&mut *transaction), &mut digest).await?;
    add_wards(sqlx::query_as(WARDS).fetch(&mut *transaction), &mut digest).await?;
    let users = sqlx::query_as(
        "SELECT id, email, name, role, hospital_id, ward_id, active, blocked, api_key,
                extract(epoch FROM created_at)::bigint
         FROM users ORDER BY id",
    );
    add_users(users.fetch(&mut *transaction), &mut digest).await?;
    let permissions = sqlx::query_as(
        r#"SELECT user_id, hospital_id, permission FROM permissions
           ORDER BY user_id, hospital_id, permission COLLATE "C""#,
    );
    add_permissions(permissions.fetch(&mut *transaction), &mut digest).await?;
    transaction.rollback().await?;
    Ok(digest.finish())
}

async fn sqlite(connection: &mut SqliteConnection) -> sqlx::Result<String> {
    let mut transaction = connection.begin().await?;
    let mut digest = Digest::default();
    add_hospitals(sqlx::query_as(HOSPITALS).fetch(&mut *transaction), &mut digest).await?;
    add_wards(sqlx::query_as(WARDS).fetch(&mut *transaction), &mut digest).await?;
    let users = sqlx::query_as(
        "SELECT id, email, name, role, hospital_id, ward_id, active, blocked, api_key,
                CAST(strftime('%s', created_at) AS INTEGER)
         FROM users ORDER BY id",
    );
    add_users(users.fetch(&mut *transaction), &mut digest).await?;
    let permissions = sqlx::query_as(
        "SELECT user_id, hospital_id, permission FROM permissions
         ORDER BY user_id, hospital_id, permission",
    );
    add_permissions(permissions.fetch(&mut *transaction), &mut digest).await?;
    transaction.rollback().await?;
    Ok(digest.finish())
}

async fn add_hospitals(mut rows: Rows<'_, HospitalRow>, digest: &mut Digest) -> sqlx::Result<()> {
    let mut bytes = Vec::new();
    while let Some((id, code, name, retired)) = rows.try_next().await? {
        bytes.clear();
        canonical::columns(&mut bytes, 4);
        canonical::integer(&mut bytes, id);
        canonical::text(&mut bytes, &code);
        canonical::text(&mut bytes, &name);
        canonical::boolean(&mut bytes, retired);
        digest.hospitals.update(&bytes);
    }
    Ok(())
}

async fn add_wards(mut rows: Rows<'_, WardRow>, digest: &mut Digest) -> sqlx::Result<()> {
    let mut bytes = Vec::new();
    while let Some((id, hospital_id, code, name)) = rows.try_next().await? {
        bytes.clear();
        canonical::columns(&mut bytes, 4);
        canonical::integer(&mut bytes, id);
        canonical::integer(&mut bytes, hospital_id);
        canonical::text(&mut bytes, &code);
        canonical::text(&mut bytes, &name);
        digest.wards.update(&bytes);
    }
    Ok(())
}

async fn add_users(mut rows: Rows<'_, UserRow>, digest: &mut Digest) -> sqlx::Result<()> {
    let mut bytes = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let (id, email, name, role, hospital_id, ward_id, active, blocked, api_key, created) = row;
        bytes.clear();
        canonical::columns(&mut bytes, 10);
        canonical::integer(&mut bytes, id);
        canonical::optional_text(&mut bytes, email.as_deref());
        canonical::text(&mut bytes, &name);
        canonical::text(&mut bytes, &role);
        canonical::integer(&mut bytes, hospital_id);
        canonical::optional_integer(&mut bytes, ward_id);
        canonical::boolean(&mut bytes, active);
        canonical::boolean(&mut bytes, blocked);
        canonical::text(&mut bytes, &api_key);
        canonical::timestamp(&mut bytes, created);
        digest.users.update(&bytes);
    }
    Ok(())
}

async fn add_permissions(mut rows: Rows<'_, PermissionRow>, digest: &mut Digest) -> sqlx::Result<()> {
    let mut bytes = Vec::new();
    while let Some((user_id, hospital_id, permission)) = rows.try_next().await? {
        bytes.clear();
        canonical::columns(&mut bytes, 3);
        canonical::integer(&mut bytes, user_id);
        canonical::integer(&mut bytes, hospital_id);
        canonical::text(&mut bytes, &permission);
        digest.permissions.update(&bytes);
    }
    Ok(())
}
