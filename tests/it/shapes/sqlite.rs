//! Tables of SQLite: a file for each shape.

use std::sync::Arc;

use ferry_domain::ports::{Ledger, Planning};
use ferry_ledger_sqlite::SqliteLedger;
use ferry_sources::Location;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::{Became, Moves, Refused, STRANGERS, Shape, mapping, moved};

/// Twenty users, as `SELECT n, address`.
const TWENTY: &str = "WITH RECURSIVE given (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM given WHERE n < 20)
     SELECT n, 'u' || n || '@example.com' FROM given";

/// A plain table with a trigger; `!` stands for what it does.
macro_rules! before_update {
    ($when:literal, $does:literal) => {
        concat!(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL); INSERT INTO users (id, email) %;
             CREATE TRIGGER act BEFORE UPDATE ON users WHEN ", $when, " BEGIN SELECT ", $does, "; END"
        )
    };
}

const SHAPES: &[Shape] = &[
    Shape {
        name: "a plain table",
        sql: "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL); INSERT INTO users (id, email) %",
        expected: Moves(20, &[]),
    },
    Shape {
        name: "a strict table",
        sql: "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL) STRICT; INSERT INTO users (id, email) %",
        expected: Moves(20, &[]),
    },
    Shape {
        name: "a table without row ids",
        sql: "CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT NOT NULL) WITHOUT ROWID; INSERT INTO users (id, email) %",
        expected: Moves(20, &[]),
    },
    Shape {
        name: "a key of any type",
        sql: "CREATE TABLE users (id ANY PRIMARY KEY, email TEXT NOT NULL) STRICT; INSERT INTO users (id, email) %",
        expected: Moves(20, &[]),
    },
    Shape {
        name: "a key declared as uuid",
        sql: "CREATE TABLE users (id uuid UNIQUE, email TEXT NOT NULL); INSERT INTO users (id, email) %;
              UPDATE users SET id = lower(hex(randomblob(16)))",
        expected: Moves(20, &[]),
    },
    Shape {
        name: "a computed address",
        sql: "CREATE TABLE users (id INTEGER PRIMARY KEY, raw TEXT, email TEXT AS (lower(raw))); INSERT INTO users (id, raw) %",
        expected: Moves(20, &[]),
    },
    Shape {
        name: "blanks for none",
        sql: "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, auth0_user_id TEXT NOT NULL DEFAULT '');
              INSERT INTO users (id, email) %",
        expected: Moves(20, &[]),
    },
    Shape {
        name: "a number for ids",
        sql: "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, auth0_user_id INTEGER) STRICT; INSERT INTO users (id, email) %",
        expected: Refused("is not text"),
    },
    Shape {
        name: "a computed column for ids",
        sql: "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, auth0_user_id TEXT AS (upper(email)));
              INSERT INTO users (id, email) %",
        expected: Refused("is computed"),
    },
    Shape {
        name: "a key that two rows share",
        sql: "CREATE TABLE users (id INTEGER, email TEXT NOT NULL); INSERT INTO users (id, email) %;
              INSERT INTO users VALUES (3, 'twin@example.com')",
        expected: Moves(19, &["APP_KEY_SHARED", "DUPLICATE_KEY"]),
    },
    Shape {
        name: "a view, written to by a trigger",
        sql: "CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT, auth0_user_id TEXT); INSERT INTO people (id, email) %;
              CREATE VIEW users AS SELECT * FROM people;
              CREATE TRIGGER act INSTEAD OF UPDATE ON users
              BEGIN UPDATE people SET auth0_user_id = new.auth0_user_id WHERE id = old.id; END",
        expected: Refused("users is a view"),
    },
    Shape {
        name: "a trigger that refuses one row",
        sql: before_update!("old.id = 7", "RAISE(ABORT, 'frozen')"),
        expected: Moves(19, &["APP_ROW_REFUSED"]),
    },
    Shape {
        name: "a trigger that ends the transaction",
        sql: before_update!("old.id IN (7, 8, 20)", "RAISE(ROLLBACK, 'frozen')"),
        expected: Moves(17, &["APP_ROW_REFUSED"]),
    },
    Shape {
        name: "a trigger that fails",
        sql: before_update!("old.id = 7", "json_extract('{bad', '$.a')"),
        expected: Moves(19, &["APP_ROW_REFUSED"]),
    },
    Shape {
        name: "a trigger that leaves one row as it is",
        sql: before_update!("old.id = 7", "RAISE(IGNORE)"),
        expected: Moves(19, &["APP_ROW_REFUSED"]),
    },
    Shape {
        name: "a trigger that needs a function of the application",
        sql: before_update!("old.id = 7", "ours_alone(old.email)"),
        expected: Refused("no such function: ours_alone"),
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn every_user_of_a_table_of_sqlite_is_moved_or_refused_with_a_reason() {
    let mut wrong = Vec::new();
    for (number, shape) in (1_u64..).zip(SHAPES) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        let mut application =
            SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", path.display())).await.unwrap();
        let sql = shape.sql.replace('%', TWENTY);
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut application).await.unwrap();
        let ledger = SqliteLedger::open(&path).await.unwrap();
        ledger.migrate().await.unwrap();
        let ledger: Arc<dyn Ledger> = Arc::new(ledger);
        let became = moved(&ledger, &Location::Sqlite { path }, &mapping(None), number).await;
        wrong.extend(shape.check(&became).err());
        if let Became::Moved(ids, _) = became {
            let mut ask = async |sql: &str| -> i64 {
                let sql = sql.replace('@', "");
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut application).await.unwrap()
            };
            let strange = ask(STRANGERS).await;
            let found = ask("SELECT count(*) FROM users WHERE trim(auth0_user_id) <> ''").await;
            if strange != 0 || found != i64::try_from(ids).unwrap() {
                wrong.push(format!(
                    "{}: {found} ids for {ids} users, {strange} of them another's",
                    shape.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
