//! What `migrate --app` says to the application's schema tool, through the real binary: the printed
//! lines name the column and the index that are in the catalogue.

use ferry_testbed::Database;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::world::{Place, World, new_place};

const SETTINGS: &str = "[source]\ntable = \"User Accounts\"\nemail_verified = \"never\"\n[source.columns]\n\
                        key = \"Id No\"\nemail = \"email\"\nauth0_user_id = \"Auth0 Id\"\n";
const USERS: &str = "CREATE TABLE \"User Accounts\" (\"Id No\" integer PRIMARY KEY, email text NOT NULL);
     INSERT INTO \"User Accounts\" VALUES (1, 'u1@example.com');
     CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)";

/// A file with the application's table; the settings name it.
struct File {
    place: Place,
    connection: SqliteConnection,
}

impl File {
    async fn new() -> File {
        let mut place = new_place();
        let path = place.path("app.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let connection = SqliteConnection::connect_with(&options).await.unwrap();
        place.set("DATABASE_URL", format!("sqlite://{}", path.display()));
        place.write("ferry.toml", SETTINGS);
        File { place, connection }
    }

    async fn execute(&mut self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.connection).await.unwrap();
    }

    /// Names and statements of the indexes on the application's table.
    async fn indexes(&mut self) -> Vec<(String, String)> {
        let sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'User Accounts'";
        sqlx::query_as(sql).fetch_all(&mut self.connection).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_for_the_schema_tool_name_what_is_in_postgres() {
    let Some(world) = World::new("schema tool").await else { return };
    world.place.write("ferry.toml", SETTINGS);
    // Beside it an application of another schema, whose tool is not this one's.
    world
        .execute(&format!(
            "CREATE SCHEMA shop; SET search_path = shop; {USERS}; SET search_path = public;
             CREATE TABLE public.django_migrations (app text)"
        ))
        .await;
    world.place.write("ferry.toml", &SETTINGS.replace("[source]\n", "[source]\nschema = \"shop\"\n"));
    let ran = world.place.must(&["migrate", "--app", "--yes"]);
    assert!(ran.err.contains("Alembic (its table shop.alembic_version is here)"), "{}", ran.all());
    assert!(ran.err.contains("autogenerate") && !ran.err.contains("Django"), "{}", ran.all());

    let sql = "SELECT indexname::text, indexdef::text FROM pg_indexes
               WHERE schemaname = 'shop' AND tablename = 'User Accounts' AND indexdef LIKE '%WHERE%'";
    let index: Vec<(String, String)> =
        sqlx::query_as(sql).fetch_all(&mut world.connect().await).await.unwrap();
    let [(name, definition)] = &index[..] else { panic!("one index was expected: {index:?}") };
    let predicate = definition.split_once("WHERE (").unwrap().1.strip_suffix(')').unwrap();
    let predicate = predicate.replace('"', "\\\"");
    for line in [
        "auth0_id = Column(\"Auth0 Id\", Text, nullable=True)".to_owned(),
        format!("Index(\"{name}\", \"Auth0 Id\", unique=True, postgresql_where=text(\"{predicate}\")),"),
        "type_ == \"schema\" and name == \"ferry\"".to_owned(),
    ] {
        assert!(ran.out.contains(&line), "{line} was expected:\n{}", ran.all());
    }

    // A tool destroyed it in a rehearsal: it is said, mended, and the lines are still right.
    world.execute("ALTER TABLE shop.\"User Accounts\" DROP COLUMN \"Auth0 Id\"").await;
    let checked = world.place.run(&["check"]);
    assert!(checked.code == 10 && checked.out.contains("ferry migrate --app"), "{}", checked.all());
    let again = world.place.must(&["migrate", "--app", "--yes"]);
    assert!(again.err.contains("added") && again.out == ran.out, "{}", again.all());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_for_the_schema_tool_name_what_is_in_sqlite() {
    let mut file = File::new().await;
    file.execute(USERS).await;
    let beside = format!("sqlite://{}", file.place.path("app.db").display());
    file.place.set("FERRY_LEDGER_URL", beside);
    let ran = file.place.must(&["migrate", "--app", "--yes"]);
    assert!(ran.err.contains("Alembic (its table alembic_version is here)"), "{}", ran.all());
    let indexes = file.indexes().await;
    let [(name, definition)] = &indexes[..] else { panic!("one index was expected: {indexes:?}") };
    let predicate = definition.split_once("WHERE ").unwrap().1.replace('"', "\\\"");
    for line in [
        "auth0_id = Column(\"Auth0 Id\", Text, nullable=True)".to_owned(),
        format!("Index(\"{name}\", \"Auth0 Id\", unique=True, sqlite_where=text(\"{predicate}\")),"),
        "name.startswith(\"ferry_\")".to_owned(),
    ] {
        assert!(ran.out.contains(&line), "{line} was expected:\n{}", ran.all());
    }

    file.execute(&format!("DROP TABLE \"User Accounts\"; DROP TABLE alembic_version; {USERS}")).await;
    let checked = file.place.run(&["check"]);
    assert!(checked.code == 10 && checked.out.contains("ferry migrate --app"), "{}", checked.all());
    let again = file.place.must(&["migrate", "--app", "--yes"]);
    assert!(again.err.contains("added") && again.out == ran.out, "{}", again.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_told_the_model_or_has_no_such_tool_is_left_in_peace() {
    let mut file = File::new().await;
    file.execute(USERS).await;
    let told = file.place.must(&["migrate", "--app", "--yes", "--model-known"]);
    assert!(told.out.is_empty() && !told.err.contains("schema tool"), "{}", told.all());

    file.execute("DROP TABLE alembic_version; CREATE TABLE flyway_schema_history (version text)").await;
    let written = file.place.must(&["migrate", "--app", "--yes"]);
    assert!(written.err.contains("Flyway") && !written.err.contains("risk"), "{}", written.all());
    assert!(written.out.is_empty(), "{}", written.all());

    file.execute("DROP TABLE flyway_schema_history").await;
    let unknown = file.place.must(&["migrate", "--app", "--yes"]);
    assert!(unknown.err.contains("--schema-tool NAME") && unknown.out.is_empty(), "{}", unknown.all());
    let named = file.place.must(&["migrate", "--app", "--yes", "--schema-tool", "typeorm"]);
    assert!(named.out.contains("@Index(\"ferry_User Accounts_Auth0 Id\""), "{}", named.all());

    let wrong = file.place.run(&["migrate", "--yes", "--schema-tool", "typeorm"]);
    assert!(wrong.code == 2 && wrong.err.contains("--app"), "{}", wrong.all());
}

/// A tool that looks at the application's file sees no ledger there, and its model needs no word of one.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_in_a_file_of_its_own_is_not_told_to_the_model() {
    let mut file = File::new().await;
    file.execute(USERS).await;
    let ran = file.place.must(&["migrate", "--app", "--yes"]);
    assert!(ran.out.contains("Index(\"ferry_User Accounts_Auth0 Id\""), "{}", ran.all());
    assert!(!ran.out.contains("without_ferry") && !ran.err.contains("ledger's tables"), "{}", ran.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_in_another_database_is_not_told_to_the_model() {
    let Some(mut world) = World::new("schema tool apart").await else { return };
    world.execute(USERS).await;
    world.place.write("ferry.toml", SETTINGS);
    let ledger = Database::on(&world.database.url).await;
    world.place.set("FERRY_LEDGER_URL", ledger.url.as_str());
    let ran = world.place.must(&["migrate", "--app", "--yes"]);
    assert!(ran.out.contains("Index(\"ferry_User Accounts_Auth0 Id_"), "{}", ran.all());
    assert!(!ran.out.contains("without_ferry") && !ran.err.contains("ledger's tables"), "{}", ran.all());
    drop(ledger);
    world.end().await;
}

/// The model made the column before Ferry came: there is nothing to tell it.
#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_the_applications_own_is_not_told_to_its_model() {
    let mut file = File::new().await;
    file.execute(&format!(
        "{USERS}; ALTER TABLE \"User Accounts\" ADD COLUMN \"Auth0 Id\" varchar(64);
         CREATE UNIQUE INDEX uq_auth0 ON \"User Accounts\" (\"Auth0 Id\")"
    ))
    .await;
    let ran = file.place.must(&["migrate", "--app", "--yes"]);
    assert!(ran.err.contains("was there already") && ran.out.is_empty(), "{}", ran.all());
    assert!(!ran.err.contains("schema tool"), "{}", ran.all());
}
