//! The databases a test runs against: a SQLite file always, PostgreSQL when
//! `TEST_DATABASE_URL` names a server (each test has a database of its own there).

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, SqliteConnection};

/// An empty database that goes away with this value.
pub struct Target {
    pub url: String,
    kind: Kind,
}

enum Kind {
    Sqlite { _dir: tempfile::TempDir },
    Postgres { server: String, name: String },
}

pub async fn sqlite() -> Target {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("app.db").display());
    Target { url, kind: Kind::Sqlite { _dir: dir } }
}

pub async fn postgres() -> Option<Target> {
    let Ok(server) = std::env::var("TEST_DATABASE_URL") else {
        eprintln!("skipped: PostgreSQL part of the test, TEST_DATABASE_URL is not set");
        return None;
    };
    let name = format!("ferry_seed_{}", uuid::Uuid::now_v7().simple());
    let options: PgConnectOptions = server.parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    let create = format!("CREATE DATABASE {name}");
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
    let (base, query) = server.split_once('?').unwrap_or((&server, ""));
    let (host, _) = base.rsplit_once('/').unwrap();
    let url = format!("{host}/{name}?{query}");
    Some(Target { url, kind: Kind::Postgres { server, name } })
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
        match self.kind {
            Kind::Sqlite { .. } => {
                let options: SqliteConnectOptions = self.url.parse().unwrap();
                Session::Sqlite(options.create_if_missing(true).connect().await.unwrap())
            }
            Kind::Postgres { .. } => Session::Postgres(PgConnection::connect(&self.url).await.unwrap()),
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

impl Drop for Target {
    /// In a thread, as `drop` cannot wait inside the test's own runtime.
    fn drop(&mut self) {
        let Kind::Postgres { server, name } = &self.kind else {
            return;
        };
        let (server, name) = (server.clone(), name.clone());
        let dropped = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let mut connection = PgConnection::connect(&server).await.unwrap();
                let drop = format!("DROP DATABASE {name} WITH (FORCE)");
                sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut connection).await.unwrap();
            });
        });
        if dropped.join().is_err() {
            eprintln!("a test database was left behind");
        }
    }
}
