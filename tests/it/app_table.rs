//! What the application's schema tool, its triggers and its policies do to a run, through the
//! real binary.

use crate::world::{World, new_place};

const SETTINGS: &str = "[source]\ntable = \"users\"\nemail_verified = \"never\"\n\
                        [source.columns]\nkey = \"id\"\nemail = \"email\"\n";

const USERS: &str = "CREATE TABLE public.users (id serial PRIMARY KEY, email text NOT NULL);
     INSERT INTO public.users (email) SELECT 'u' || n || '@example.com' FROM generate_series(1, 40) AS n";

/// A world with forty users in a plain table; the settings name it.
async fn forty(test: &str) -> Option<World> {
    let world = World::new(test).await?;
    world.execute(USERS).await;
    world.place.write("ferry.toml", SETTINGS);
    world.place.must(&["migrate", "--app", "--yes"]);
    Some(world)
}

fn start(world: &World) -> String {
    let url = world.database.url.clone();
    world.place.json(&["run", "start", &url, "--yes", "--output", "json"])["run"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_a_schema_tool_drops_is_named_and_the_run_goes_on_when_it_is_back() {
    let Some(mut world) = forty("lost column").await else { return };
    let run = start(&world);
    world.execute("ALTER TABLE public.users DROP COLUMN auth0_user_id").await;
    let checked = world.place.run(&["check"]);
    assert!(checked.code == 10 && checked.out.contains("auth0_user_id"), "{}", checked.all());
    world.worker(&[]);
    let mut said = String::new();
    let named = async || {
        let shown = world.place.must(&["run", "show", &run]).all();
        said = shown.split_whitespace().collect::<Vec<_>>().join(" "); // lines are wrapped
        said.contains("auth0_user_id") && said.contains("ferry migrate --app")
    };
    let named = ferry_testbed::comes_true(std::time::Duration::from_millis(100), named).await;
    assert!(named, "why the run waits is said: {said}");
    assert!(!said.contains("LEDGER_BUSY"), "{said}");

    world.place.must(&["migrate", "--app", "--yes"]);
    let shown = world.until_sealed(&run).await;
    assert_eq!((&shown["created"], &shown["discrepancies"]), (&40.into(), &0.into()), "{shown}");
    world.assert_settled(&run).await;
    assert_eq!(world.number("SELECT count(auth0_user_id) FROM public.users").await, 40);

    world.execute("DROP INDEX public.ferry_users_auth0_user_id_77dd85c3").await;
    let checked = world.place.run(&["check"]);
    assert!(checked.out.contains("no unique index on auth0_user_id"), "{}", checked.all());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_trigger_and_a_harsh_one_cost_time_and_one_row() {
    let Some(mut world) = forty("slow trigger").await else { return };
    world
        .execute(
            "CREATE FUNCTION public.act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF new.id = 7 THEN RAISE EXCEPTION 'frozen' USING errcode = 'APP01'; END IF;
                 PERFORM pg_sleep(CASE WHEN new.id <= 16 THEN 1.0 ELSE 0 END); RETURN new; END $$;
             CREATE TRIGGER act BEFORE UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION public.act()",
        )
        .await;
    let run = start(&world);
    let worker = world.worker(&[]);
    let shown = world.until_sealed(&run).await;
    assert_eq!((&shown["created"], &shown["conflict"]), (&39.into(), &1.into()), "{shown}");
    world.assert_settled(&run).await;
    let log = world.workers()[worker].said();
    assert!(log.contains("APP01"), "the log has the trigger's code");
    assert!(!log.contains("no renewal for a whole lease"), "it never counted as dead: {log}");
    let report = world.place.must(&["run", "report", &run, "--output", "csv"]).all();
    assert!(report.contains("APP_ROW_REFUSED") && report.contains("SQLSTATE APP01"), "{report}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_that_hide_people_are_refused_until_accepted_by_name() {
    let Some(world) = forty("row security").await else { return };
    let user = format!("{}_user", world.database.name);
    world
        .execute(&format!(
            "CREATE ROLE {user} LOGIN; GRANT ALL ON SCHEMA ferry, public TO {user};
             GRANT ALL ON ALL TABLES IN SCHEMA ferry, public TO {user}; GRANT ALL ON ALL SEQUENCES IN SCHEMA ferry TO {user};
             ALTER TABLE public.users ENABLE ROW LEVEL SECURITY; CREATE POLICY act ON public.users USING (id <= 15)"
        ))
        .await;
    let mut url = url::Url::parse(&world.database.url).unwrap();
    url.set_username(&user).unwrap();
    let url = url.as_str();
    for args in [&["plan", url][..], &["run", "start", url, "--yes"]] {
        let ran = world.place.run(args);
        assert_ne!(ran.code, 0, "{}", ran.all());
        assert!(ran.err.contains("--accept ROW_SECURITY"), "{}", ran.all());
    }
    assert_eq!(world.number("SELECT count(*) FROM ferry.runs").await, 0, "nothing is written");
    let plan = world.place.json(&["plan", url, "--accept", "ROW_SECURITY", "--output", "json"]);
    assert_eq!(plan["accepted"], 15, "{plan}");
    world.place.must(&["run", "start", url, "--yes", "--accept", "ROW_SECURITY"]);
    let accepted = "SELECT count(*) FROM ferry.audit WHERE detail -> 'accepted' ? 'ROW_SECURITY'";
    assert_eq!(world.number(accepted).await, 1, "who accepted it is in the audit");
    let unknown = world.place.run(&["run", "start", url, "--yes", "--accept", "ANYTHING"]);
    assert!(unknown.code == 2 && unknown.err.contains("ROW_SECURITY"), "{}", unknown.all());
    world.execute(&format!("DROP OWNED BY {user} CASCADE; DROP ROLE {user}")).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_and_a_partitioned_table_are_said_in_words() {
    let Some(world) = World::new("view").await else { return };
    world.place.write("ferry.toml", SETTINGS);
    let url = world.database.url.clone();
    world
        .execute(
            "CREATE TABLE public.a (id int PRIMARY KEY, auth0_user_id text); CREATE TABLE public.b (person int, email text);
             INSERT INTO public.a VALUES (1); INSERT INTO public.b VALUES (1, 'u1@example.com');
             CREATE VIEW public.users AS SELECT id, email, auth0_user_id FROM public.a JOIN public.b ON person = id",
        )
        .await;
    for args in [&["plan", &url][..], &["migrate", "--app", "--yes"], &["run", "start", &url, "--yes"]] {
        let ran = world.place.run(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.all());
        assert!(ran.err.contains("users is a view"), "{}", ran.all());
    }
    world
        .execute(
            "DROP VIEW public.users;
             CREATE TABLE public.users (tenant text, id int, email text, PRIMARY KEY (tenant, id)) PARTITION BY LIST (tenant);
             CREATE TABLE public.users_a PARTITION OF public.users FOR VALUES IN ('a');
             INSERT INTO public.users VALUES ('a', 1, 'u1@example.com')",
        )
        .await;
    let ran = world.place.must(&["migrate", "--app", "--yes"]);
    assert!(ran.err.contains("unique over all of them"), "{}", ran.all());
    world.place.must(&["run", "start", &url, "--yes"]);
    world.end().await;
}

#[test]
fn a_ledger_in_the_application_s_file_that_a_schema_tool_removed_is_made_anew() {
    let mut place = new_place();
    let file = place.path("app.db");
    let sql = |sql: &str| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            use sqlx::Connection;
            let url = format!("sqlite://{}?mode=rwc", file.display());
            let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        });
    };
    sql(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT); INSERT INTO users VALUES (1, 'u1@example.com')",
    );
    place.write("ferry.toml", SETTINGS);
    for name in ["DATABASE_URL", "FERRY_LEDGER_URL"] {
        place.set(name, format!("sqlite://{}", file.display()));
    }
    place.must(&["migrate", "--app", "--yes"]);
    let tables =
        ["attempts", "reports", "jobs", "batches", "runs", "items", "discrepancies", "workers", "leaders"];
    let more = ["dead_letters", "audit", "controls", "migrations"];
    for table in tables.into_iter().chain(more) {
        sql(&format!("DROP TABLE ferry_{table}"));
    }
    sql(
        "ALTER TABLE users RENAME TO old; CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT); DROP TABLE old",
    );
    let ran = place.must(&["migrate", "--app", "--yes"]);
    assert!(ran.err.contains("added"), "{}", ran.all());
    let checked = place.run(&["check"]);
    assert!(checked.out.contains("auth0_user_id takes ids"), "{}", checked.all());
}
