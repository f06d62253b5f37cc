//! A store of its own for each history.

use std::sync::Arc;

use ferry_domain::{
    JobId,
    ports::{Ledger, Planning},
};
use ferry_ledger_postgres::{Options, PostgresLedger};
use ferry_ledger_sqlite::SqliteLedger;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tempfile::TempDir;

pub struct Store {
    pub ledger: Arc<dyn Ledger>,
    place: Place,
}

enum Place {
    Sqlite(TempDir),
    Postgres { server: String, name: String },
}

impl Store {
    pub async fn sqlite() -> Store {
        let folder = tempfile::tempdir().unwrap();
        let ledger = SqliteLedger::open(&folder.path().join("app.db")).await.unwrap();
        ledger.migrate().await.unwrap();
        Store { ledger: Arc::new(ledger), place: Place::Sqlite(folder) }
    }

    /// `None` where no server is named.
    pub async fn postgres() -> Option<Store> {
        let server = std::env::var("TEST_DATABASE_URL").ok().filter(|url| !url.is_empty())?;
        let name = format!("ferry_t_{}", &uuid::Uuid::now_v7().simple().to_string()[..]);
        postgres(&server, &format!("CREATE DATABASE {name}")).await;
        let (before, _) = server.rsplit_once('/').unwrap();
        let ledger = PostgresLedger::connect(&format!("{before}/{name}"), Options::default()).await.unwrap();
        ledger.migrate().await.unwrap();
        Some(Store { ledger: Arc::new(ledger), place: Place::Postgres { server, name } })
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
            Place::Sqlite(folder) => {
                let url = format!("sqlite://{}", folder.path().join("app.db").display());
                let mut connection = SqliteConnection::connect(&url).await.unwrap();
                let sql =
                    format!("UPDATE ferry_jobs SET {column} = {column} - 7200000000 WHERE {sqlite_rows}");
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Place::Postgres { server, name } => {
                let (before, _) = server.rsplit_once('/').unwrap();
                let sql = format!(
                    "UPDATE ferry.jobs SET {column} = {column} - interval '2 hours' WHERE {postgres_rows}"
                );
                postgres(&format!("{before}/{name}"), &sql).await;
            }
        }
    }

    /// Drops a database; a folder goes by itself.
    pub async fn remove(self) {
        drop(self.ledger);
        if let Place::Postgres { server, name } = &self.place {
            postgres(server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }
}

async fn postgres(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
