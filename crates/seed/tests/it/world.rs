//! The databases a test runs against: a SQLite file always, PostgreSQL when
//! `TEST_DATABASE_URL` names a server (each test has a database of its own there).

use ferry_testbed::Database;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, PgConnection, SqliteConnection};

/// An empty database that goes away with this value.
pub struct Target {
    pub url: String,
    kind: Kind,
}

enum Kind {
    Sqlite { _dir: tempfile::TempDir },
    Postgres { database: Database },
}

pub async fn sqlite() -> Target {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("app.db").display());
    Target { url, kind: Kind::Sqlite { _dir: dir } }
}

pub async fn postgres() -> Option<Target> {
    let database = Database::new().await?;
    Some(Target { url: database.url.clone(), kind: Kind::Postgres { database } })
}

/// Both, or SQLite alone.
pub async fn targets() -> Vec<Target> {
    [Some(sqlite().await), postgres().await].into_iter().flatten().collect()
}

pub enum Session {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Target {
    pub async fn session(&self) -> Session {
        match &self.kind {
            Kind::Sqlite { .. } => {
                let options: SqliteConnectOptions = self.url.parse().unwrap();
                Session::Sqlite(options.create_if_missing(true).connect().await.unwrap())
            }
            Kind::Postgres { database } => Session::Postgres(database.connect().await),
        }
    }

    /// How many tables there are besides the system's.
    pub async fn table_count(&self) -> i64 {
        let mut session = self.session().await;
        match self.kind {
            Kind::Sqlite { .. } => session.number("SELECT count(*) FROM sqlite_schema").await,
            Kind::Postgres { .. } => {
                session.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").await
            }
        }
    }
}

impl Session {
    pub async fn run(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Session::Sqlite(connection) => sqlx::raw_sql(sql).execute(connection).await.map(|_| ()),
            Session::Postgres(connection) => sqlx::raw_sql(sql).execute(connection).await.map(|_| ()),
        }
    }

    pub async fn number(&mut self, sql: &'static str) -> i64 {
        match self {
            Session::Sqlite(connection) => sqlx::query_scalar(sql).fetch_one(connection).await,
            Session::Postgres(connection) => sqlx::query_scalar(sql).fetch_one(connection).await,
        }
        .unwrap()
    }
}
