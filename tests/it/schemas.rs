//! The two ledgers keep the same things: their migrations make the same tables and columns.
//!
//! Of a column the test compares the name, the kind of value and whether it may be missing.
//! Keys, checks and indexes are each database's own matter.

use std::collections::BTreeMap;

use ferry_domain::ports::Planning;
use ferry_ledger_postgres::{Options, PostgresLedger};
use ferry_ledger_sqlite::SqliteLedger;
use ferry_testbed::Database;
use sqlx::{Connection, Row, SqliteConnection};

/// `table.column` with what is kept there.
type Columns = BTreeMap<String, String>;

/// Columns that only one of them has, with the reason.
const ONLY_POSTGRES: &[(&str, &str)] = &[(
    "leaders.registered",
    "whether a missing worker is a dead one; in SQLite only the process that has the file lives",
)];
const ONLY_SQLITE: &[(&str, &str)] =
    &[("jobs.number", "the order of equally old jobs; PostgreSQL's clock gives each job a time of its own")];

#[test]
fn both_databases_have_the_same_migrations() {
    let names = |folder: &str| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(folder);
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
        files.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(names("postgres"), names("sqlite"));
}

#[tokio::test]
async fn both_databases_have_the_same_tables_and_columns() {
    let Some(database) = Database::new().await else { return };
    let (mut postgres, mut sqlite) = (postgres(&database).await, sqlite().await);
    let outcomes = taken_out(&mut postgres, "outcomes.");
    for (name, kept) in taken_out(&mut postgres, "planned_items.") {
        postgres.insert(name.replace("planned_items.", "items."), kept);
    }
    // In SQLite an item and its outcome are one row.
    assert!(outcomes.len() > 5, "{outcomes:?}");
    for (name, kept) in outcomes {
        let of_item = postgres.get(&name.replace("outcomes.", "items."));
        let kind = |kept: &str| kept.split(',').next().map(str::to_owned);
        assert_eq!(of_item.and_then(|of| kind(of)), kind(&kept), "{name}");
    }
    assert!(postgres.len() > 100, "only {} columns were found", postgres.len());
    for (columns, only) in [(&mut postgres, ONLY_POSTGRES), (&mut sqlite, ONLY_SQLITE)] {
        for (column, reason) in only {
            assert!(columns.remove(*column).is_some(), "{column} is not there any more ({reason})");
        }
    }
    let differences = differences(&postgres, &sqlite);
    assert!(differences.is_empty(), "PostgreSQL and SQLite differ:\n{}", differences.join("\n"));
}

/// The test of the test.
#[test]
fn differences_are_named() {
    let of = |columns: &[(&str, &str)]| -> Columns {
        columns.iter().map(|(name, kept)| ((*name).to_owned(), (*kept).to_owned())).collect()
    };
    let postgres = of(&[("runs.id", "id"), ("runs.why", "text, may be missing"), ("runs.rate", "text")]);
    let sqlite = of(&[("runs.id", "id"), ("runs.why", "text"), ("jobs.id", "id")]);
    assert_eq!(
        differences(&postgres, &sqlite),
        ["jobs.id: nothing, id", "runs.rate: text, nothing", "runs.why: text, may be missing, text",]
    );
}

/// The columns of one table.
fn taken_out(columns: &mut Columns, table: &str) -> Columns {
    let (taken, left) = std::mem::take(columns).into_iter().partition(|(name, _)| name.starts_with(table));
    *columns = left;
    taken
}

/// Each column that is not the same in both, with what PostgreSQL and SQLite keep there.
fn differences(postgres: &Columns, sqlite: &Columns) -> Vec<String> {
    let names: std::collections::BTreeSet<_> = postgres.keys().chain(sqlite.keys()).collect();
    let kept = |columns: &Columns, name| columns.get(name).cloned().unwrap_or_else(|| "nothing".to_owned());
    names
        .into_iter()
        .filter(|name| postgres.get(*name) != sqlite.get(*name))
        .map(|name| format!("{name}: {}, {}", kept(postgres, name), kept(sqlite, name)))
        .collect()
}

async fn postgres(database: &Database) -> Columns {
    let ledger = PostgresLedger::connect(&database.url, Options::default()).await.unwrap();
    ledger.migrate().await.unwrap();
    let sql = "SELECT table_name::text || '.' || column_name::text, data_type::text, is_nullable = 'YES'
               FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
               WHERE table_schema = 'ferry' AND table_type = 'BASE TABLE' AND table_name <> '_migrations'";
    let rows = sqlx::query(sql).fetch_all(&mut database.connect().await).await.unwrap();
    rows.iter().map(|row| column(row.get(0), row.get::<String, _>(1).as_str(), row.get(2))).collect()
}

async fn sqlite() -> Columns {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    SqliteLedger::open(&file).await.unwrap().migrate().await.unwrap();
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    let sql = "SELECT substr(tables.name, 7) || '.' || columns.name, columns.type, NOT columns.\"notnull\"
               FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
               WHERE tables.type = 'table' AND tables.name GLOB 'ferry_*' AND tables.name <> 'ferry_migrations'";
    let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
    rows.iter().map(|row| column(row.get(0), row.get::<String, _>(1).as_str(), row.get(2))).collect()
}

/// A column in words for both: SQLite keeps ids and bytes as BLOB, JSON as TEXT, and times
/// (microseconds), numbers and truth values as INTEGER.
fn column(name: String, kind: &str, may_be_missing: bool) -> (String, String) {
    let kind = match kind {
        "uuid" | "bytea" | "BLOB" => "bytes",
        "text" | "jsonb" | "TEXT" => "text",
        "smallint" | "integer" | "bigint" | "boolean" | "timestamp with time zone" | "INTEGER" => "number",
        other => panic!("{name} is of a kind unknown here: {other}"),
    };
    (name, if may_be_missing { format!("{kind}, may be missing") } else { kind.to_owned() })
}
