//! Tables of a PostgreSQL database, each test in a database of its own.
//! Skipped, with a visible line, without `TEST_DATABASE_URL`.

use ferry_domain::{Code, ports::SourceError};
use ferry_sources::{Location, Mapping, open, write_back_target};
use ferry_testbed::Database;
use url::Url;

use crate::{sqlite::MEDLOGISTICS, support::*};

/// A database of its own with these tables.
async fn database(sql: &str) -> Option<Database> {
    let database = Database::new().await?;
    database.execute(sql).await;
    Some(database)
}

fn location(database: &Database) -> Location {
    Location::parse(&database.url, None).unwrap()
}

#[tokio::test]
async fn medlogistics_is_read_as_from_sqlite() {
    let Some(db) = database(MEDLOGISTICS).await else { return };
    let mapping = Mapping::preset("medlogistics").unwrap();
    let mut source = open(&location(&db), &mapping, now()).await.unwrap();
    let all = read(source.as_mut(), CHUNK).await.unwrap();
    assert_eq!(story(&all), ["1:1", "2:DISABLED", "3:3", "4:EMAIL_MISSING(email)"]);
    assert_eq!(
        serde_json::to_value(users(&all)[0]).unwrap(),
        serde_json::json!({
            "key": "1", "email": "ann@example.com", "email_verified": false, "name": "Ann", "blocked": false,
            "app_metadata": {"role": "nurse", "hospital": "HOS-A", "ward": "ICU"},
        })
    );
    assert!(users(&all)[1].blocked && !users(&all)[1].app_metadata.contains_key("ward"));
    let identity = source.identity();
    assert_eq!(identity.kind, "postgres");
    assert!(identity.location.ends_with(&format!("/{}/public.users", db.name)), "{identity}");
    assert!(!identity.location.contains('@'), "{identity}");
    assert_eq!(source.digest(), None);
    drop(source);
    db.execute("ALTER TABLE users ADD COLUMN auth0_user_id text; UPDATE users SET auth0_user_id = 'auth0|y' WHERE id = 1").await;
    let all = candidates(&location(&db), &mapping).await.unwrap();
    assert_eq!(story(&all)[0], "1:ALREADY_MIGRATED");
}

#[tokio::test]
async fn a_role_that_may_not_read_the_api_key_reads_all_users() {
    let Some(db) = database(MEDLOGISTICS).await else { return };
    let role = format!("{}_reader", db.name);
    db.execute(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'hidden-word';
         GRANT SELECT (id, email, name, role, hospital_id, ward_id, active, blocked) ON users TO {role};
         GRANT SELECT (id, code) ON hospitals, wards TO {role}"
    ))
    .await;
    let mut url = Url::parse(&db.url).unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some("hidden-word")).unwrap();
    let location = Location::parse(url.as_str(), None).unwrap();
    let mut mapping = Mapping::preset("medlogistics").unwrap();
    assert_eq!(candidates(&location, &mapping).await.unwrap().len(), 4);
    mapping.columns.nickname = Some("api_key".into());
    let error = candidates(&location, &mapping).await.unwrap_err();
    assert!(error.what.contains("may not read"), "{error}");
    db.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn pages_lose_and_double_nothing_with_any_key() {
    let Some(db) = database(
        "CREATE SCHEMA \"Odd Name\";
         CREATE TABLE \"Odd Name\".\"User's\" (\"Key.1\" varchar(20), email text);
         INSERT INTO \"Odd Name\".\"User's\"
         SELECT CASE WHEN i % 100 = 0 THEN NULL WHEN i BETWEEN 1000 AND 4000 THEN 'same' ELSE 'k' || i END,
                'u' || i || '@example.com' FROM generate_series(1, 6100) AS i",
    )
    .await
    else {
        return;
    };
    let mut mapping = mapping(&[("key", "Key.1"), ("email", "email")]);
    (mapping.schema, mapping.table) = (Some("Odd Name".into()), Some("User's".into()));
    let mut source = open(&location(&db), &mapping, now()).await.unwrap();
    let all = read(source.as_mut(), 500).await.unwrap();
    assert_eq!(all.len(), 6100);
    assert_eq!(coded(&all, Code::KeyMissing), 61);
    let mut addresses: Vec<&str> = users(&all).iter().map(|u| u.email.expose()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 6100 - 61);
    let target = write_back_target(&location(&db), &mapping).unwrap();
    assert_eq!((target.schema.as_deref(), target.key_column.as_str()), (Some("Odd Name"), "Key.1"));
    drop(source);
}

#[tokio::test]
async fn every_type_of_column_is_understood() {
    let Some(db) = database(
        "CREATE TYPE mood AS ENUM ('good', 'bad');
         CREATE TABLE u (id uuid PRIMARY KEY, email varchar, \"emailVerified\" timestamptz, data jsonb, big numeric,
                         tags text[], mood mood, hash bytea);
         INSERT INTO u VALUES
            ('00000000-0000-0000-0000-000000000001', 'a@example.com', now(), '{\"n\": {\"x\": 1}}', 12.5, '{a,b}', 'good', NULL),
            ('00000000-0000-0000-0000-000000000002', 'b@example.com', NULL, NULL, NULL, NULL, NULL, ''),
            ('00000000-0000-0000-0000-000000000003', 'c@example.com', NULL, NULL, ('1' || repeat('0', 400))::numeric, NULL, NULL, NULL),
            ('00000000-0000-0000-0000-000000000004', 'd@example.com', NULL, NULL, NULL, NULL, NULL, 'secret')",
    )
    .await
    else {
        return;
    };
    let fields = [
        ("key", "id"),
        ("email", "email"),
        ("email_verified", "emailVerified"),
        ("password_hash", "hash"),
        ("app_metadata.x", "data.n.x"),
        ("app_metadata.big", "big"),
        ("app_metadata.tags", "tags"),
        ("app_metadata.mood", "mood"),
    ];
    let mut mapping = mapping(&fields);
    mapping.table = Some("u".into());
    let all = candidates(&location(&db), &mapping).await.unwrap();
    let first = users(&all)[0];
    assert_eq!(first.key.0, "00000000-0000-0000-0000-000000000001");
    assert!(first.email_verified);
    assert_eq!(
        serde_json::to_value(&first.app_metadata).unwrap(),
        serde_json::json!({"x": 1, "big": 12.5, "tags": ["a", "b"], "mood": "good"})
    );
    assert!(!users(&all)[1].email_verified);
    assert_eq!(story(&all)[2..], ["3:00000000-0000-0000-0000-000000000003", "4:HASH_NEEDS_IMPORT"]);
    assert_eq!(users(&all)[2].app_metadata["big"], "1".to_owned() + &"0".repeat(400), "all digits, as text");
}

#[tokio::test]
async fn a_numeric_key_beyond_64_bits_keeps_every_digit() {
    let Some(db) = database(
        "CREATE TABLE u (id numeric(38) PRIMARY KEY, email text, note numeric(30, 3));
         INSERT INTO u SELECT 1e29::numeric + i, 'u' || i || '@example.com', 12345678901234567890.125 FROM generate_series(1, 4500) i",
    )
    .await
    else {
        return;
    };
    let mut mapping = mapping(&[("key", "id"), ("email", "email"), ("app_metadata.note", "note")]);
    mapping.table = Some("u".into());
    let all = candidates(&location(&db), &mapping).await.unwrap();
    let keys: std::collections::BTreeSet<_> = users(&all).iter().map(|user| user.key.0.clone()).collect();
    assert_eq!(keys.len(), 4500);
    assert_eq!(users(&all)[0].key.0, "100000000000000000000000000001");
    assert_eq!(users(&all)[0].app_metadata["note"], "12345678901234567890.125");
}

#[tokio::test]
async fn a_hash_that_signs_nobody_in_is_none() {
    let Some(db) = database(
        "CREATE TABLE u (id int PRIMARY KEY, email text, password text, auth0_user_id text);
         INSERT INTO u VALUES (1, 'a@example.com', '!Zq8', NULL), (2, 'b@example.com', ' ', 'NULL'),
                              (3, 'c@example.com', '*', '\\N'), (4, 'd@example.com', 'pbkdf2_sha256$1$a$b', ''),
                              (5, 'e@example.com', NULL, 'soon')",
    )
    .await
    else {
        return;
    };
    let fields = [
        ("key", "id"),
        ("email", "email"),
        ("password_hash", "password"),
        ("auth0_user_id", "auth0_user_id"),
    ];
    let mut mapping = mapping(&fields);
    mapping.table = Some("u".into());
    let all = candidates(&location(&db), &mapping).await.unwrap();
    assert_eq!(story(&all), ["1:1", "2:2", "3:3", "4:HASH_NEEDS_IMPORT", "5:FIELD_INVALID(auth0_user_id)"]);
}

#[tokio::test]
async fn bytes_that_are_no_text_cost_their_own_row_only() {
    let Some(db) = database("").await else { return };
    let name = format!("{}_ascii", db.name);
    db.execute(&format!(
        "CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    ))
    .await;
    let mut url = Url::parse(&db.url).unwrap();
    url.set_path(&name);
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(url.as_str()).await.unwrap();
    sqlx::raw_sql(
        "CREATE TABLE u (id text PRIMARY KEY, email text, ok boolean, meta jsonb);
         INSERT INTO u SELECT 'k' || i, 'u' || i || '@example.com', true, '{\"ward\": \"W1\"}' FROM generate_series(1, 4100) i;
         INSERT INTO u VALUES ('m', E'b\\xfc@example.com', true, NULL), (E'n\\xfc', 'n@example.com', NULL, NULL), ('z', 'z@example.com', NULL, NULL)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let fields =
        [("key", "id"), ("email", "email"), ("email_verified", "ok"), ("app_metadata.ward", "meta.ward")];
    let mut mapping = mapping(&fields);
    mapping.table = Some("u".into());
    let all = candidates(&Location::parse(url.as_str(), None).unwrap(), &mapping).await.unwrap();
    assert_eq!((all.len(), coded(&all, Code::InvalidUtf8)), (4103, 2));
    assert_eq!(story(&all)[4100..], ["4101:INVALID_UTF8", "4102:INVALID_UTF8", "4103:z"]);
    assert!(users(&all)[0].email_verified && users(&all)[0].app_metadata["ward"] == "W1");
    db.execute(&format!("DROP DATABASE {name}")).await;
}

#[tokio::test]
async fn a_name_that_a_json_column_holds_twice_is_found_where_it_is_read() {
    let Some(db) = database(
        r#"CREATE TABLE u (id int PRIMARY KEY, email text, meta json, said text);
           INSERT INTO u VALUES (1, 'a@example.com', '{"ward": "W1", "x": 1, "x": 2}', '{"ok": true}'),
               (2, 'b@example.com', '{"ward": "W1", "ward": "W2"}', NULL),
               (3, 'c@example.com', '{"ward": {"a": 1, "a": 2}}', NULL),
               (4, 'd@example.com', NULL, '{"ok": true, "ok": false}')"#,
    )
    .await
    else {
        return;
    };
    let fields =
        [("key", "id"), ("email", "email"), ("app_metadata.ward", "meta.ward"), ("blocked", "said.ok")];
    let mapping = Mapping { table: Some("u".into()), ..mapping(&fields) };
    let twice = |field| format!("PROPERTY_TWICE({field})");
    let story = story(&candidates(&location(&db), &mapping).await.unwrap());
    let found: Vec<_> = story.iter().map(|line| line.split_once(':').unwrap().1).collect();
    let ward = twice("app_metadata.ward");
    assert_eq!(found, ["1", &ward, &ward, &twice("blocked")]);
}

#[tokio::test]
async fn a_table_may_be_named_with_its_schema() {
    let Some(db) = database(
        "CREATE SCHEMA app; CREATE TABLE app.users (id int PRIMARY KEY, email text);
         INSERT INTO app.users VALUES (1, 'a@example.com'); CREATE SCHEMA ferry; CREATE TABLE ferry.runs (id int)",
    )
    .await
    else {
        return;
    };
    let mut mapping = mapping(&[("key", "id"), ("email", "email")]);
    mapping.table = Some("app.users".into());
    assert_eq!(story(&candidates(&location(&db), &mapping).await.unwrap()), ["1:1"]);
    let target = write_back_target(&location(&db), &mapping).unwrap();
    assert_eq!((target.schema.as_deref(), target.table.as_str()), (Some("app"), "users"));
    mapping.table = Some("app.people".into());
    let error = candidates(&location(&db), &mapping).await.unwrap_err();
    assert!(error.what.contains("\"people\" in the schema \"app\""), "{error}");
    assert!(error.remedy.ends_with("app.users"), "the ledger's own tables are not offered: {error}");
    mapping.table = Some("users".into());
    let error = candidates(&location(&db), &mapping).await.unwrap_err();
    assert!(error.what.contains("search path"), "{error}");
}

#[tokio::test]
async fn a_soft_deleted_or_banned_row_is_no_live_account() {
    let Some(db) = database(
        "CREATE TABLE u (id int PRIMARY KEY, email text, deleted_at timestamptz, banned_until timestamptz, tenant text);
         INSERT INTO u VALUES (1, 'a@example.com', NULL, NULL, 'a'), (2, 'b@example.com', now(), NULL, 'a'),
                              (3, 'c@example.com', NULL, 'infinity', 'a'), (4, 'd@example.com', NULL, '2001-01-01', 'a'),
                              (5, 'e@example.com', NULL, NULL, 'b');
         ALTER TABLE u DROP CONSTRAINT u_pkey;
         INSERT INTO u VALUES (6, 'f@example.com', NULL, NULL, 'a'), (6, 'g@example.com', NULL, NULL, 'b')",
    )
    .await
    else {
        return;
    };
    let fields =
        [("key", "id"), ("email", "email"), ("deleted_at", "deleted_at"), ("banned_until", "banned_until")];
    let mut mapping = mapping(&fields);
    mapping.table = Some("u".into());
    mapping.only = serde_json::from_str(r#"{"tenant": "a"}"#).unwrap();
    let all = candidates(&location(&db), &mapping).await.unwrap();
    assert_eq!(story(&all)[..4], ["1:1", "2:DISABLED", "3:3", "4:4"]);
    assert!(
        story(&all)[4].ends_with(":DUPLICATE_KEY(key)"),
        "the id would be written to both: {:?}",
        story(&all)
    );
    assert_eq!(all.len(), 5);
    assert_eq!(users(&all).iter().map(|user| user.blocked).collect::<Vec<_>>(), [false, true, false]);
}

async fn refusal(location: &str, change: fn(&mut Mapping)) -> SourceError {
    let mut mapping = Mapping::preset("medlogistics").unwrap();
    change(&mut mapping);
    candidates(&Location::parse(location, None).unwrap(), &mapping).await.unwrap_err()
}

#[tokio::test]
async fn what_is_missing_is_named_with_what_there_is() {
    let Some(db) = database(MEDLOGISTICS).await else { return };
    let error = refusal(&db.url, |m| m.table = Some("people".into())).await;
    assert!(error.what.contains("\"people\"") && error.remedy.contains("public.users"), "{error}");
    let error = refusal(&db.url, |m| m.schema = Some("other".into())).await;
    assert!(error.what.contains("no table \"users\" in the schema \"other\""), "{error}");
    let error = refusal(&db.url, |m| m.table = None).await;
    assert!(error.remedy.contains("public.users"), "{error}");
    let error = refusal(&db.url, |m| m.columns.name = Some("Name".into())).await;
    assert_eq!(error.field.as_deref(), Some("name"));
    assert!(error.remedy.contains("id, email, name"), "{error}");
    db.execute("DELETE FROM users").await;
    let error = refusal(&db.url, |_| ()).await;
    assert!(error.what.contains("no rows"), "{error}");
    let mut gone = Url::parse(&db.url).unwrap();
    gone.set_path("no_such_database");
    let error = refusal(gone.as_str(), |_| ()).await;
    assert!(error.what.contains("no such database"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_credentials() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = refusal(&format!("postgres://someone:hidden-word@{free}/app"), |_| ()).await;
    assert_eq!(error.place, format!("{free}/app"));
    assert!(error.what.contains("can't be reached"), "{error}");
    assert!(!error.to_string().contains("hidden-word") && !error.to_string().contains("someone"), "{error}");
    let error = refusal("postgres://someone:hidden-word@[broken/app", |_| ()).await;
    assert!(!error.to_string().contains("hidden-word"), "{error}");
}
