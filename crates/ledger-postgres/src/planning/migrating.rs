//! The ledger's tables: made, brought up to date, and made anew after somebody removed them.
//!
//! Schema tools remove tables that their model does not know, and leave functions and views. A
//! released migration can't be edited, so what they left is cleared away before the migrations
//! run, and only when no table of the ledger is there any more: then nothing can be lost by it.

use std::borrow::Cow;

use ferry_domain::{
    application::{Finding, Weight},
    ports::LedgerError,
};
use sqlx::{
    Executor, PgConnection, PgPool,
    migrate::{Migrate, MigrateError},
    query, query_scalar,
};

use crate::errors;

/// All tables but the list of migrations.
const TABLES: [&str; 13] = [
    "attempts",
    "audit",
    "batches",
    "controls",
    "dead_letters",
    "discrepancies",
    "jobs",
    "leaders",
    "outcomes",
    "planned_items",
    "reports",
    "runs",
    "workers",
];
/// What is left where only tables were removed.
const LEFTOVERS: &str = "DROP VIEW IF EXISTS ferry.roles, ferry.items; DROP TABLE IF EXISTS ferry._migrations; \
     DROP FUNCTION IF EXISTS ferry.new_traceparent(), ferry.presence_key(uuid), ferry.write_item()";

pub(super) async fn migrate(connection: &mut PgConnection) -> Result<(), LedgerError> {
    let failed = |error: MigrateError| unavailable(reason(&error));
    // The lock counts: the migrator takes it once more.
    connection.lock().await.map_err(failed)?;
    let migrated = migrate_alone(connection).await;
    connection.unlock().await.map_err(failed)?;
    migrated
}

async fn migrate_alone(connection: &mut PgConnection) -> Result<(), LedgerError> {
    let failed = |error: sqlx::Error| unavailable(errors::reason(&error));
    let mut migrator = sqlx::migrate!("../../migrations/postgres");
    if has_schema(connection).await? {
        // `IF NOT EXISTS` asks for the privilege to make schemas all the same.
        migrator.create_schemas = Cow::Borrowed(&[]);
    }
    let there = tables(connection).await.map_err(failed)?;
    if there.is_empty() && migrator.create_schemas.is_empty() {
        connection.execute(LEFTOVERS).await.map_err(failed)?;
    }
    if let Err(error) = migrator.run_direct(None, &mut *connection, false).await {
        let gone = missing(&there);
        let half = !there.is_empty() && !gone.is_empty() && !matches!(error, MigrateError::VersionMissing(_));
        return Err(unavailable(if half { removed(&gone) } else { reason(&error) }));
    }
    match missing(&tables(connection).await.map_err(failed)?) {
        gone if gone.is_empty() => Ok(()),
        gone => Err(unavailable(removed(&gone))),
    }
}

/// Whether the ledger's schema is there; refuses where this user can't make what is missing.
async fn has_schema(connection: &mut PgConnection) -> Result<bool, LedgerError> {
    let found = query!(
        r#"
        SELECT space.oid IS NOT NULL AS "there!",
               coalesce(has_schema_privilege(space.oid, 'USAGE') AND has_schema_privilege(space.oid, 'CREATE'),
                        has_database_privilege(current_database(), 'CREATE')) AS "may!",
               current_database()::text AS "database!"
        FROM (SELECT) AS one LEFT JOIN pg_namespace AS space ON space.nspname = 'ferry'
        "#
    )
    .fetch_one(connection)
    .await
    .map_err(|error| unavailable(errors::reason(&error)))?;
    match (found.there, found.may) {
        (there, true) => Ok(there),
        (true, false) => Err(unavailable(
            "the database user lacks CREATE and USAGE on schema ferry: grant them to it, or migrate as the \
             schema's owner"
                .to_owned(),
        )),
        (false, false) => Err(unavailable(format!(
            "the database user lacks CREATE on database {}: grant it, or let the database's owner make the schema: \
             CREATE SCHEMA ferry AUTHORIZATION the user",
            found.database
        ))),
    }
}

/// Tables of the ledger that are there; `leaders` was called `roles` once, `planned_items` `items`.
async fn tables(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let ours: Vec<String> = TABLES.into_iter().chain(["roles", "items"]).map(str::to_owned).collect();
    query_scalar!(
        r#"
        SELECT class.relname::text AS "name!"
        FROM pg_class AS class JOIN pg_namespace AS space ON space.oid = class.relnamespace
        WHERE space.nspname = 'ferry' AND class.relkind = 'r' AND class.relname::text = ANY ($1)
        "#,
        &ours,
    )
    .fetch_all(connection)
    .await
}

fn missing(there: &[String]) -> Vec<&'static str> {
    TABLES.into_iter().filter(|name| !there.iter().any(|found| found == name)).collect()
}

fn removed(gone: &[&str]) -> String {
    format!(
        "tables were removed from schema ferry ({}) and others are left: restore the schema from a backup, or begin \
         anew by DROP SCHEMA ferry CASCADE and ferry migrate; users at Auth0 are found again",
        gone.join(", ")
    )
}

fn unavailable(reason: String) -> LedgerError {
    LedgerError::Unavailable { doing: "could not be migrated", reason, passes: false }
}

fn reason(error: &MigrateError) -> String {
    match error {
        MigrateError::Execute(cause) => errors::reason(cause),
        MigrateError::ExecuteMigration(cause, number) => {
            format!("migration {number} failed: {}", errors::reason(cause))
        }
        MigrateError::VersionMissing(number) => {
            format!("migration {number} ran already and is unknown here: use the newer version of Ferry")
        }
        MigrateError::VersionMismatch(number) => {
            format!("migration {number} ran already in another wording: use the version of Ferry that ran it")
        }
        _ => "a migration was interrupted: look at ferry._migrations".to_owned(),
    }
}

/// What a person should know about this database as a ledger's.
pub(super) async fn remarks(pool: &PgPool) -> Result<Vec<Finding>, sqlx::Error> {
    let found = query!(
        r#"
        SELECT current_setting('server_encoding') AS "encoding!",
               'ferry' = ANY (current_schemas(false)) AS "in_path!"
        "#
    )
    .fetch_one(pool)
    .await?;
    let mut remarks = Vec::new();
    if found.encoding != "UTF8" {
        remarks.push(Finding {
            weight: Weight::Warns,
            what: format!(
                "the ledger's database has encoding {}: a user with a character outside of it can't be planned",
                found.encoding
            ),
            remedy: "set FERRY_LEDGER_URL to a database with encoding UTF8".to_owned(),
        });
    }
    if found.in_path {
        remarks.push(Finding {
            weight: Weight::Warns,
            what: "the ledger's schema ferry is in this database user's search path (it is by default for a user \
                   called ferry): tables that the user makes without naming a schema land there"
                .to_owned(),
            remedy: "use a database user of another name, or set its search_path to the application's schema"
                .to_owned(),
        });
    }
    Ok(remarks)
}
