//! A file of its own for one case, with a second set of connections to it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use ferry_contract::ledger::LedgerWorld;
use ferry_domain::{WriteBackTarget, ports::Ledger};
use ferry_ledger_sqlite::{SqliteApplication, SqliteLedger};
use sqlx::{AssertSqlSafe, SqlitePool, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

pub struct SqliteWorld {
    folder: TempDir,
    ledger: Arc<SqliteLedger>,
    other: Arc<SqliteLedger>,
    /// The application.
    pub application: SqlitePool,
    /// Where the ledger's tables are.
    tables: SqlitePool,
    /// What runs call the application's database, where it is not the ledger's.
    name: Option<String>,
}

pub async fn world() -> Option<SqliteWorld> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let ledger = Arc::new(SqliteLedger::open(&path).await.unwrap());
    let other = Arc::new(SqliteLedger::open_existing(&path).await.unwrap());
    let options = SqliteConnectOptions::new().filename(&path).busy_timeout(Duration::from_secs(5));
    let application = SqlitePool::connect_with(options).await.unwrap();
    let tables = application.clone();
    Some(SqliteWorld { folder, ledger, other, application, tables, name: None })
}

/// The same with the ledger in a file of its own.
pub async fn apart() -> Option<SqliteWorld> {
    let folder = tempfile::tempdir().unwrap();
    let pool = async |name: &str| {
        let options = SqliteConnectOptions::new().filename(folder.path().join(name)).create_if_missing(true);
        SqlitePool::connect_with(options.busy_timeout(Duration::from_secs(5))).await.unwrap()
    };
    let application = pool("app.db").await;
    let tables = pool("ledger.db").await;
    let ledger = async || {
        let application = SqliteApplication::open(&folder.path().join("app.db"), "the application's").await;
        let ledger = SqliteLedger::open(&folder.path().join("ledger.db")).await.unwrap();
        Arc::new(ledger.beside(Arc::new(application.unwrap())))
    };
    let (ledger, other) = (ledger().await, ledger().await);
    let name = Some("the application's".to_owned());
    Some(SqliteWorld { folder, ledger, other, application, tables, name })
}

impl SqliteWorld {
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("app.db")
    }

    /// The application runs a statement of its own.
    pub async fn run(&self, sql: impl Into<String>) {
        sqlx::query(AssertSqlSafe(sql.into())).execute(&self.application).await.unwrap();
    }

    pub async fn text(&self, sql: impl Into<String>) -> Option<String> {
        sqlx::query_scalar(AssertSqlSafe(sql.into())).fetch_one(&self.application).await.unwrap()
    }
}

#[async_trait]
impl LedgerWorld for SqliteWorld {
    fn ledger(&self) -> Arc<dyn Ledger> {
        self.ledger.clone()
    }

    fn other(&self) -> Arc<dyn Ledger> {
        self.other.clone()
    }

    async fn advance(&self, time: Duration) {
        let by = time.as_micros();
        for (table, columns) in [
            ("ferry_runs", vec!["touched_at"]),
            ("ferry_jobs", vec!["not_before", "queued_at", "expires_at", "created_at", "ended_at"]),
            ("ferry_workers", vec!["seen_at"]),
            ("ferry_leaders", vec!["expires_at"]),
            ("ferry_dead_letters", vec!["received_at", "resolved_at"]),
        ] {
            let older: Vec<_> = columns.iter().map(|column| format!("{column} = {column} - {by}")).collect();
            let older = format!("UPDATE {table} SET {}", older.join(", "));
            sqlx::query(AssertSqlSafe(older)).execute(&self.tables).await.unwrap();
        }
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    async fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM ferry_{table}");
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.tables).await.unwrap()
    }

    fn write_back_target(&self) -> WriteBackTarget {
        let target = WriteBackTarget::new(None, "people", "id", "auth0_user_id");
        WriteBackTarget { database: self.name.clone(), ..target }
    }

    async fn audit(&self) -> Vec<String> {
        type Line = (String, String, Option<uuid::Uuid>, String, Option<String>);
        let sql = "SELECT actor, action, run_id, detail, reason FROM ferry_audit ORDER BY id";
        let lines: Vec<Line> = sqlx::query_as(sql).fetch_all(&self.tables).await.unwrap();
        let line = |(actor, action, run, detail, reason): Line| {
            let detail: serde_json::Value = serde_json::from_str(&detail).unwrap();
            format!("{actor} {action} {run:?} {detail} {reason:?}")
        };
        lines.into_iter().map(line).collect()
    }

    async fn create_people(&self, count: i64) {
        self.run("CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT NOT NULL)").await;
        self.run(format!(
            "INSERT INTO people (id, email) \
             WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {count}) \
             SELECT id, 'person-' || id || '@example.com' FROM n"
        ))
        .await;
    }

    async fn auth0_user_id(&self, key: &str) -> Option<String> {
        self.text(format!("SELECT auth0_user_id FROM people WHERE id = {key}")).await
    }

    async fn set_auth0_user_id(&self, key: &str, id: &str) {
        self.run(format!("UPDATE people SET auth0_user_id = '{id}' WHERE id = {key}")).await;
    }

    async fn set_email(&self, key: &str, email: &str) {
        self.run(format!("UPDATE people SET email = '{email}' WHERE id = {key}")).await;
    }

    async fn remove_person(&self, key: &str) {
        self.run(format!("DELETE FROM people WHERE id = {key}")).await;
    }

    async fn make_unwritable(&self, key: &str) {
        self.run(format!(
            "CREATE TRIGGER keep_{key} BEFORE UPDATE ON people WHEN old.id = {key} \
             BEGIN SELECT RAISE(ABORT, 'this person stays'); END"
        ))
        .await;
    }

    async fn make_harsh(&self, key: &str) {
        self.run(format!(
            "CREATE TRIGGER harsh_{key} BEFORE UPDATE ON people WHEN old.id = {key} \
             BEGIN SELECT RAISE(ROLLBACK, 'frozen'); END"
        ))
        .await;
    }

    async fn double_person(&self, key: &str) {
        // On one connection: another of the pool may not know yet that the table of the last
        // call is gone, and SQLite refuses the new name by what that connection knows.
        let mut connection = self.application.acquire().await.unwrap();
        for step in [
            "ALTER TABLE people RENAME TO unique_people",
            "CREATE TABLE people AS SELECT * FROM unique_people",
            "DROP TABLE unique_people",
            &format!("INSERT INTO people (id, email) VALUES ({key}, 'twin@example.com')"),
        ] {
            sqlx::query(AssertSqlSafe(step)).execute(&mut *connection).await.unwrap();
        }
    }

    async fn people_with_ids(&self) -> i64 {
        let sql = "SELECT count(*) FROM people WHERE auth0_user_id <> ''";
        sqlx::query_scalar(sql).fetch_one(&self.application).await.unwrap()
    }
}
