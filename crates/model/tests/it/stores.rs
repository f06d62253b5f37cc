//! A store for the histories of one test.

use std::sync::Arc;

use ferry_domain::{
    JobId,
    ports::{Ledger, Planning},
};
use ferry_ledger_postgres::{Options, PostgresLedger};
use ferry_ledger_sqlite::SqliteLedger;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, SqlitePool};
use tempfile::TempDir;

pub struct Store {
    pub ledger: Arc<dyn Ledger>,
    place: Place,
}

enum Place {
    Sqlite { _folder: TempDir, file: SqlitePool },
    Postgres { database: PgPool, server: String, name: String },
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

    /// `None` where no server is named.
    pub async fn postgres() -> Option<Store> {
        let server = std::env::var("TEST_DATABASE_URL").ok().filter(|url| !url.is_empty())?;
        let name = format!("ferry_t_{}", &uuid::Uuid::now_v7().simple().to_string()[..]);
        postgres(&server, &format!("CREATE DATABASE {name}")).await;
        let (before, _) = server.rsplit_once('/').unwrap();
        let url = format!("{before}/{name}");
        let ledger = PostgresLedger::connect(&url, Options::default()).await.unwrap();
        ledger.migrate().await.unwrap();
        let database = PgPool::connect(&url).await.unwrap();
        Some(Store { ledger: Arc::new(ledger), place: Place::Postgres { database, server, name } })
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
            Place::Postgres { database, .. } => {
                let sql = format!(
                    "UPDATE ferry.jobs SET {column} = {column} - interval '2 hours' WHERE {postgres_rows}"
                );
                sqlx::query(AssertSqlSafe(sql)).execute(database).await.unwrap();
            }
        }
    }

    /// Drops a database; a folder goes by itself.
    pub async fn remove(self) {
        drop(self.ledger);
        if let Place::Postgres { server, name, database } = &self.place {
            database.close().await;
            postgres(server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }
}

async fn postgres(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
