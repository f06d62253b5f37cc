//! A database for one case of the shared suite, with a second set of connections to it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use ferry_contract::ledger::LedgerWorld;
use ferry_domain::{WorkerId, WriteBackTarget, ports::Ledger};
use ferry_ledger_postgres::{Options, PostgresApplication, PostgresLedger};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};

use crate::world::Database;

pub struct PostgresWorld {
    database: Database,
    /// The application's, where it is another one.
    elsewhere: Option<Database>,
    /// Where the ledger's tables are.
    tables: PgPool,
    ledger: Arc<PostgresLedger>,
    other: Arc<PostgresLedger>,
    /// The application.
    application: PgPool,
}

pub async fn world() -> Option<PostgresWorld> {
    let database = Database::new().await?;
    let ledger = Arc::new(database.ledger().await);
    let other = Arc::new(database.ledger().await);
    let application = PgPoolOptions::new().max_connections(2).connect(&database.url).await.unwrap();
    let tables = application.clone();
    Some(PostgresWorld { database, elsewhere: None, tables, ledger, other, application })
}

/// The same with the ledger in a database of its own.
pub async fn apart() -> Option<PostgresWorld> {
    let (database, elsewhere) = (Database::new().await?, Database::new().await?);
    let ledger = async || {
        let application = PostgresApplication::connect(&elsewhere.url, NAME, Options::default()).await;
        Arc::new(database.ledger().await.beside(Arc::new(application.unwrap())))
    };
    let (ledger, other) = (ledger().await, ledger().await);
    let pool = async |url: &str| PgPoolOptions::new().max_connections(2).connect(url).await.unwrap();
    let (application, tables) = (pool(&elsewhere.url).await, pool(&database.url).await);
    Some(PostgresWorld { database, elsewhere: Some(elsewhere), tables, ledger, other, application })
}

/// What runs call the application's database, where it is not the ledger's.
const NAME: &str = "the application's";

impl PostgresWorld {
    async fn run(&self, sql: impl Into<String>) {
        sqlx::raw_sql(AssertSqlSafe(sql.into())).execute(&self.application).await.unwrap();
    }
}

#[async_trait]
impl LedgerWorld for PostgresWorld {
    fn ledger(&self) -> Arc<dyn Ledger> {
        self.ledger.clone()
    }

    fn other(&self) -> Arc<dyn Ledger> {
        self.other.clone()
    }

    async fn advance(&self, time: Duration) {
        let by = format!("interval '{} microseconds'", time.as_micros());
        for (table, columns) in [
            ("runs", &["touched_at"][..]),
            ("jobs", &["not_before", "queued_at", "expires_at", "created_at", "ended_at"]),
            ("workers", &["seen_at"]),
            ("leaders", &["expires_at"]),
            ("dead_letters", &["received_at", "resolved_at"]),
        ] {
            let older: Vec<_> = columns.iter().map(|column| format!("{column} = {column} - {by}")).collect();
            // Rows are locked in no particular order, and a storm of workers is at the same table.
            let alone = format!("LOCK TABLE ferry.{table} IN EXCLUSIVE MODE");
            let older = format!("{alone}; UPDATE ferry.{table} SET {}", older.join(", "));
            sqlx::raw_sql(AssertSqlSafe(older)).execute(&self.tables).await.unwrap();
        }
    }

    async fn process_dies(&self, worker: WorkerId) {
        self.database.end_presence(worker).await;
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    async fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM ferry.{table}");
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.tables).await.unwrap()
    }

    fn write_back_target(&self) -> WriteBackTarget {
        let database = self.elsewhere.as_ref().map(|_| NAME.to_owned());
        WriteBackTarget { database, ..WriteBackTarget::new(None, "people", "id", "auth0_user_id") }
    }

    async fn audit(&self) -> Vec<String> {
        type Line = (String, String, Option<uuid::Uuid>, serde_json::Value, Option<String>);
        let sql = "SELECT actor, action, run_id, detail, reason FROM ferry.audit ORDER BY id";
        let lines: Vec<Line> = sqlx::query_as(sql).fetch_all(&self.tables).await.unwrap();
        let line = |(actor, action, run, detail, reason): Line| {
            format!("{actor} {action} {run:?} {detail} {reason:?}")
        };
        lines.into_iter().map(line).collect()
    }

    async fn create_people(&self, count: i64) {
        self.run("CREATE TABLE people (id integer PRIMARY KEY, email text NOT NULL)").await;
        self.run(format!(
            "INSERT INTO people SELECT n, 'person-' || n || '@example.com' FROM generate_series(1, {count}) AS n"
        ))
        .await;
    }

    async fn auth0_user_id(&self, key: &str) -> Option<String> {
        let sql = format!("SELECT auth0_user_id FROM people WHERE id = {key}");
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.application).await.unwrap()
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
        self.run(format!("ALTER TABLE people ADD CONSTRAINT keep_{key} CHECK (id <> {key}) NOT VALID")).await;
    }

    async fn make_harsh(&self, key: &str) {
        self.run(format!(
            "CREATE FUNCTION harsh_{key}() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN IF new.id = {key} THEN RAISE EXCEPTION 'frozen' USING errcode = 'APP01'; END IF;
                 RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER harsh_{key} AFTER UPDATE ON people
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION harsh_{key}()"
        ))
        .await;
    }

    async fn double_person(&self, key: &str) {
        self.run(format!(
            "ALTER TABLE people RENAME TO unique_people;
             CREATE TABLE people AS TABLE unique_people;
             DROP TABLE unique_people;
             INSERT INTO people (id, email) VALUES ({key}, 'twin@example.com')"
        ))
        .await;
    }

    async fn people_with_ids(&self) -> i64 {
        let sql = "SELECT count(*) FROM people WHERE auth0_user_id <> ''";
        sqlx::query_scalar(sql).fetch_one(&self.application).await.unwrap()
    }
}
