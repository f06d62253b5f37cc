//! Tables of an SQLite file.

use std::path::PathBuf;

use ferry_domain::{Code, ItemState, ports::SourceError};
use ferry_sources::{EmailVerified, Inactive, Location, Mapping, open, write_back_target};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::support::*;

pub struct Db {
    folder: tempfile::TempDir,
}

impl Db {
    pub async fn new(sql: &str) -> Db {
        let db = Db { folder: tempfile::tempdir().unwrap() };
        db.run(sql).await;
        db
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("app.db")
    }

    pub fn location(&self) -> Location {
        Location::Sqlite { path: self.path() }
    }

    async fn run(&self, sql: &str) {
        let options = SqliteConnectOptions::new().filename(self.path()).create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

pub const MEDLOGISTICS: &str = "
    CREATE TABLE hospitals (id BIGINT NOT NULL PRIMARY KEY, code TEXT NOT NULL, name TEXT NOT NULL);
    CREATE TABLE wards (id BIGINT NOT NULL PRIMARY KEY, hospital_id BIGINT NOT NULL, code TEXT NOT NULL);
    CREATE TABLE users (id BIGINT NOT NULL PRIMARY KEY, email TEXT, name TEXT NOT NULL, role TEXT NOT NULL,
        hospital_id BIGINT NOT NULL, ward_id BIGINT, active BOOLEAN NOT NULL, blocked BOOLEAN NOT NULL,
        api_key TEXT NOT NULL);
    INSERT INTO hospitals VALUES (1, 'HOS-A', 'A'), (2, 'HOS-B', 'B');
    INSERT INTO wards VALUES (10, 1, 'ICU');
    INSERT INTO users VALUES
        (3, 'Carla@Example.com', 'Carla', 'admin', 2, NULL, TRUE, TRUE, 'key-3'),
        (1, 'ann@example.com', 'Ann', 'nurse', 1, 10, TRUE, FALSE, 'key-1'),
        (20, NULL, 'Dora', 'doctor', 1, 10, TRUE, FALSE, 'key-20'),
        (2, 'bob@example.com', 'Bob', 'doctor', 1, 10, FALSE, FALSE, 'key-2');";

#[tokio::test]
async fn medlogistics_comes_in_key_order_with_codes_of_hospital_and_ward() {
    let db = Db::new(MEDLOGISTICS).await;
    let mapping = Mapping::preset("medlogistics").unwrap();
    let all = candidates(&db.location(), &mapping).await.unwrap();
    assert_eq!(story(&all), ["1:1", "2:DISABLED", "3:3", "4:EMAIL_MISSING(email)"]);
    let users = users(&all);
    assert_eq!(
        serde_json::to_value(users[0]).unwrap(),
        serde_json::json!({
            "key": "1", "email": "ann@example.com", "email_verified": false, "name": "Ann", "blocked": false,
            "app_metadata": {"role": "nurse", "hospital": "HOS-A", "ward": "ICU"},
        })
    );
    assert_eq!(users[1].email.expose(), "carla@example.com");
    assert!(users[1].blocked);
    assert!(!users[1].app_metadata.contains_key("ward"), "no ward is no key");
    assert_eq!(of_state(&all, ItemState::Skipped), 1);
}

/// Whatever type the column was declared with: no value is no decision about a person.
#[tokio::test]
async fn null_is_no_value_whatever_the_column_was_declared_as() {
    for declared in
        ["BOOLEAN", "INTEGER", "BIGINT", "REAL", "NUMERIC", "TEXT", "DATETIME", "BLOB", "JSON", ""]
    {
        let db = Db::new(&format!(
            "CREATE TABLE u (id INTEGER PRIMARY KEY, email TEXT, active {declared}, blocked {declared},
                             gone {declared}, seat {declared});
             INSERT INTO u VALUES (1, 'ann@example.com', NULL, NULL, NULL, NULL);"
        ))
        .await;
        let fields = [
            ("key", "id"),
            ("email", "email"),
            ("active", "active"),
            ("blocked", "blocked"),
            ("deleted_at", "gone"),
            ("app_metadata.seat", "seat"),
        ];
        let mapping = Mapping { table: Some("u".into()), ..mapping(&fields) };
        let all = candidates(&db.location(), &mapping).await.unwrap();
        let expected = serde_json::json!({
            "key": "1", "email": "ann@example.com", "email_verified": false, "blocked": false,
        });
        assert_eq!(serde_json::to_value(users(&all)[0]).unwrap(), expected, "{declared}");
    }
}

#[tokio::test]
async fn what_the_operator_decides_overrides_the_preset() {
    let db = Db::new(MEDLOGISTICS).await;
    let mut mapping = Mapping::preset("medlogistics").unwrap();
    mapping.email_verified = EmailVerified::Assume;
    mapping.inactive = Inactive::Block;
    let all = candidates(&db.location(), &mapping).await.unwrap();
    let bob = users(&all)[1].clone();
    assert!(bob.email_verified && bob.blocked && bob.key.0 == "2");
    mapping.inactive = Inactive::Carry;
    let all = candidates(&db.location(), &mapping).await.unwrap();
    assert!(!users(&all)[1].blocked);
}

#[tokio::test]
async fn the_api_key_is_never_asked_for() {
    let db = Db::new(MEDLOGISTICS).await;
    db.run("ALTER TABLE users RENAME COLUMN api_key TO gone").await;
    let mapping = Mapping::preset("medlogistics").unwrap();
    assert_eq!(users(&candidates(&db.location(), &mapping).await.unwrap()).len(), 2);
}

#[tokio::test]
async fn an_auth0_id_in_the_row_means_already_migrated() {
    let db = Db::new(MEDLOGISTICS).await;
    db.run("ALTER TABLE users ADD COLUMN auth0_user_id TEXT; UPDATE users SET auth0_user_id = 'auth0|x' WHERE id = 2").await;
    let all = candidates(&db.location(), &Mapping::preset("medlogistics").unwrap()).await.unwrap();
    let done = settled(&all)[0];
    assert_eq!(done.outcome.code, Some(Code::AlreadyMigrated), "it comes before DISABLED");
    assert_eq!(done.outcome.state, ItemState::Skipped);
    assert_eq!(done.outcome.auth0_user_id.as_ref().unwrap().0, "auth0|x");
    assert_eq!(done.key.as_ref().unwrap().0, "2");
}

#[tokio::test]
async fn pages_lose_and_double_nothing_with_any_key() {
    // Three pages and a bit; keys share pages' borders, some are null, some are text.
    let db = Db::new(
        "CREATE TABLE u (k, email TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6100)
         INSERT INTO u SELECT CASE WHEN i % 100 = 0 THEN NULL WHEN i % 7 = 0 THEN 'text-' || i WHEN i BETWEEN 1000 AND 4000 THEN 5
                              ELSE i END, 'u' || i || '@example.com' FROM n;",
    )
    .await;
    let mut mapping = mapping(&[("key", "k"), ("email", "email")]);
    mapping.table = Some("u".into());
    let mut source = open(&db.location(), &mapping, now()).await.unwrap();
    let all = read(source.as_mut(), 500).await.unwrap();
    assert_eq!(all.len(), 6100);
    assert_eq!(coded(&all, Code::KeyMissing), 61);
    let mut addresses: Vec<&str> = users(&all).iter().map(|u| u.email.expose()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 6100 - 61);
    assert_eq!(source.digest(), None);
    assert!(source.identity().location.ends_with("app.db#u"), "{}", source.identity());
}

#[tokio::test]
async fn values_come_as_their_types_and_bad_bytes_cost_one_row() {
    let db = Db::new(
        "CREATE TABLE u (id INTEGER PRIMARY KEY, email TEXT, ok BOOLEAN, data TEXT, hash TEXT);
         INSERT INTO u VALUES (1, 'a@example.com', 1, '{\"team\": {\"name\": \"red\"}}', ' '),
                              (2, CAST(x'FF40' AS TEXT), 0, NULL, NULL),
                              (3, 'c@example.com', 'perhaps', NULL, NULL),
                              (4, 'd@example.com', 0, NULL, '$2b$10$x');",
    )
    .await;
    let fields = [
        ("key", "id"),
        ("email", "EMAIL"),
        ("email_verified", "ok"),
        ("password_hash", "hash"),
        ("app_metadata.ok", "ok"),
        ("app_metadata.team", "data.team.name"),
    ];
    let mut mapping = mapping(&fields);
    mapping.table = Some("U".into());
    let all = candidates(&db.location(), &mapping).await.unwrap();
    assert_eq!(
        story(&all),
        ["1:1", "2:INVALID_UTF8", "3:FIELD_INVALID(email_verified)", "4:HASH_NEEDS_IMPORT"]
    );
    assert_eq!(
        serde_json::to_value(&users(&all)[0].app_metadata).unwrap(),
        serde_json::json!({"ok": true, "team": "red"})
    );
    assert!(users(&all)[0].email_verified);
}

#[tokio::test]
async fn a_key_made_of_the_address_is_for_files_only() {
    let db =
        Db::new("CREATE TABLE u (id INTEGER, email TEXT); INSERT INTO u VALUES (1, 'a@example.com')").await;
    let mut mapping = mapping(&[("email", "email")]);
    (mapping.table, mapping.key_from) = (Some("u".into()), Some(ferry_sources::KeyFrom::Email));
    let error = candidates(&db.location(), &mapping).await.unwrap_err();
    assert_eq!(error.field.as_deref(), Some("key_from"));
    assert!(error.remedy.contains("columns.key"), "{error}");
}

#[tokio::test]
async fn a_key_of_bytes_is_written_as_hex() {
    let db = Db::new(
        "CREATE TABLE u (id BLOB PRIMARY KEY, email TEXT);
         INSERT INTO u VALUES (x'0001ff', 'a@example.com'), (x'616263', 'b@example.com');
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4100)
         INSERT INTO u SELECT randomblob(16), 'u' || i || '@example.com' FROM n;",
    )
    .await;
    let mut mapping = mapping(&[("key", "id"), ("email", "email")]);
    mapping.table = Some("main.u".into());
    let all = candidates(&db.location(), &mapping).await.unwrap();
    let keys: std::collections::BTreeSet<_> = users(&all).iter().map(|user| user.key.0.clone()).collect();
    assert_eq!(keys.len(), 4102, "on every page");
    assert!(keys.contains("\\x0001ff") && keys.contains("\\x616263"));
    assert_eq!(write_back_target(&db.location(), &mapping).unwrap().table, "u");
    mapping.table = Some("app.u".into());
    let error = candidates(&db.location(), &mapping).await.unwrap_err();
    assert!(error.what.contains("no schema \"app\""), "{error}");
}

#[tokio::test]
async fn a_hash_that_signs_nobody_in_is_none() {
    let db = Db::new(
        "CREATE TABLE u (id INTEGER PRIMARY KEY, email TEXT, password TEXT, auth0_user_id TEXT);
         INSERT INTO u VALUES (1, 'a@example.com', '!Zq8', NULL), (2, 'b@example.com', ' ', 'NULL'),
                              (3, 'c@example.com', '*', '\\N'), (4, 'd@example.com', 'pbkdf2_sha256$1$a$b', ''),
                              (5, 'e@example.com', NULL, 'soon');",
    )
    .await;
    let fields = [
        ("key", "id"),
        ("email", "email"),
        ("password_hash", "password"),
        ("auth0_user_id", "auth0_user_id"),
    ];
    let mut mapping = mapping(&fields);
    mapping.table = Some("u".into());
    let all = candidates(&db.location(), &mapping).await.unwrap();
    assert_eq!(story(&all), ["1:1", "2:2", "3:3", "4:HASH_NEEDS_IMPORT", "5:FIELD_INVALID(auth0_user_id)"]);
}

async fn refusal(db: &Db, change: fn(&mut Mapping)) -> SourceError {
    let mut mapping = Mapping::preset("medlogistics").unwrap();
    change(&mut mapping);
    candidates(&db.location(), &mapping).await.unwrap_err()
}

#[tokio::test]
async fn what_is_missing_is_named_with_what_there_is() {
    let db = Db::new(MEDLOGISTICS).await;
    let error = refusal(&db, |m| m.table = Some("people".into())).await;
    assert!(error.what.contains("\"people\"") && error.remedy.contains("hospitals, users, wards"), "{error}");
    let error = refusal(&db, |m| m.table = None).await;
    assert!(error.remedy.contains("users"), "{error}");
    let error = refusal(&db, |m| m.columns.name = Some("full_name".into())).await;
    assert_eq!(error.field.as_deref(), Some("name"));
    assert!(error.remedy.contains("role, hospital_id"), "{error}");
    let error = refusal(&db, |m| m.columns.key = Some("hospitals.code".into())).await;
    assert_eq!(error.field.as_deref(), Some("key"), "the key stands in the users' table");
    db.run("DROP TABLE wards").await;
    let error = refusal(&db, |_| ()).await;
    assert!(error.what.contains("wards"), "{error}");
    db.run("DELETE FROM users; CREATE TABLE wards (id INTEGER, code TEXT)").await;
    let error = refusal(&db, |_| ()).await;
    assert!(error.what.contains("no rows"), "{error}");
}

#[tokio::test]
async fn what_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let mapping = Mapping::preset("medlogistics").unwrap();
    let location = Location::Sqlite { path: path.clone() };
    let error = candidates(&location, &mapping).await.unwrap_err();
    assert!(error.what.contains("no such file"), "{error}");
    assert!(!path.exists(), "looking makes no file");
    std::fs::write(&path, "this is a text and no database at all, whatever its name says ".repeat(20))
        .unwrap();
    let error = candidates(&location, &mapping).await.unwrap_err();
    assert!(error.what.contains("no SQLite database"), "{error}");
    let error = candidates(&Location::Sqlite { path: folder.path().into() }, &mapping).await.unwrap_err();
    assert!(error.what.contains("folder"), "{error}");
}

#[test]
fn ids_are_written_back_to_tables_only() {
    let mapping = Mapping::preset("medlogistics").unwrap();
    let target = write_back_target(&Location::parse("app.db", None).unwrap(), &mapping).unwrap();
    assert_eq!((target.table.as_str(), target.key_column.as_str()), ("users", "id"));
    assert_eq!((target.schema, target.id_column.as_str()), (None, "auth0_user_id"));
    assert_eq!(write_back_target(&Location::parse("u.csv", None).unwrap(), &mapping), None);
}
