//! A store for the histories of one test.

use std::sync::Arc;

use ferry_domain::{
    JobId,
    ports::{Ledger, Planning},
};
use ferry_ledger_postgres::{Options, PostgresLedger};
use ferry_ledger_sqlite::SqliteLedger;
use ferry_testbed::Database;
use sqlx::{AssertSqlSafe, PgPool, SqlitePool};
use tempfile::TempDir;

pub struct Store {
    pub ledger: Arc<dyn Ledger>,
    place: Place,
}

enum Place {
    Sqlite { _folder: TempDir, file: SqlitePool },
    Postgres { rows: PgPool, _database: Database },
}

impl Store {
    pub async fn sqlite() -> Store {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        let ledger = SqliteLedger::open(&path).await.unwrap();
        ledger.migrate().await.unwrap();
        let file = SqlitePool::connect(&format!("sqlite://{}", path.display())).await.unwrap();
        Store { ledger: Arc::new(ledger), place: Place::Sqlite { _folder: folder, file } }
    }

    /// `None`, said on stderr, where no server is named.
    pub async fn postgres() -> Option<Store> {
        let database = Database::new().await?;
        let ledger = PostgresLedger::connect(&database.url, Options::default()).await.unwrap();
        ledger.migrate().await.unwrap();
        let rows = PgPool::connect(&database.url).await.unwrap();
        Some(Store { ledger: Arc::new(ledger), place: Place::Postgres { rows, _database: database } })
    }

    /// Two hours later, for one job's lease.
    pub async fn expire(&self, job: JobId) {
        let id = job.0.simple();
        self.later("expires_at", &format!("id = x'{id}'"), &format!("id = '{id}'")).await;
    }

    /// Two hours later, for everything but leases.
    pub async fn wait(&self) {
        for column in ["not_before", "queued_at", "ended_at"] {
            self.later(column, "true", "true").await;
        }
    }

    async fn later(&self, column: &str, sqlite_rows: &str, postgres_rows: &str) {
        match &self.place {
            Place::Sqlite { file, .. } => {
                let sql =
                    format!("UPDATE ferry_jobs SET {column} = {column} - 7200000000 WHERE {sqlite_rows}");
                sqlx::query(AssertSqlSafe(sql)).execute(file).await.unwrap();
            }
            Place::Postgres { rows, .. } => {
                let sql = format!(
                    "UPDATE ferry.jobs SET {column} = {column} - interval '2 hours' WHERE {postgres_rows}"
                );
                sqlx::query(AssertSqlSafe(sql)).execute(rows).await.unwrap();
            }
        }
    }
}
