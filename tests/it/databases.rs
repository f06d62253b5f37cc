//! What databases answer through the binary, and what is left for a later run.

use std::time::Duration;

use ferry_simulator::PlantedUser;
use ferry_testbed::{Database, Worker, comes_true};
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

use crate::world::{Place, SECRET, World, new_place};

/// A place that reads a table of this database.
fn reads(database: &Database, table: &str) -> Place {
    let mut place = new_place();
    place.set_servers([&database.url, "redis://127.0.0.1:1", &database.name], "http://127.0.0.1:1", SECRET);
    place.write(
        "ferry.toml",
        &format!(
            "[source]\ntable = \"{table}\"\nemail_verified = \"never\"\n[source.columns]\nkey = \"id\"\nemail = \"email\"\n"
        ),
    );
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_a_policy_or_view_needs_and_bytes_that_are_no_text_are_told_with_a_remedy() {
    let Some(database) = Database::new().await else { return };
    let user = format!("{}_user", database.name);
    database
        .execute(&format!(
            "CREATE TABLE people (id int PRIMARY KEY, email text, tenant text, raw bytea, auth0_user_id text UNIQUE);
             INSERT INTO people SELECT n, 'u' || n || '@example.com', 'a', 'u@example.com' FROM generate_series(1, 3) n;
             UPDATE people SET raw = '\\x75ff40' WHERE id = 2;
             CREATE VIEW of_tenant AS SELECT * FROM people WHERE tenant = current_setting('app.tenant');
             CREATE VIEW decoded AS SELECT id, convert_from(raw, 'UTF8') AS email, auth0_user_id FROM people;
             CREATE ROLE {user} LOGIN; GRANT SELECT ON people TO {user};
             ALTER TABLE people ENABLE ROW LEVEL SECURITY;
             CREATE POLICY p ON people USING (tenant = current_setting('app.tenant'))"
        ))
        .await;
    for (table, code, words) in [
        ("of_tenant", "42704", ["needs a setting", "ALTER ROLE"]),
        ("decoded", "22021", ["no text in UTF-8", "correct it"]),
    ] {
        let place = reads(&database, table);
        let ran = place.run(&["plan"]);
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.err.contains(code) && ran.err.contains(table), "{}", ran.all());
        assert!(words.iter().all(|word| ran.err.contains(word)), "{}", ran.all());
        assert!(!ran.all().contains("@example.com"), "no cell is shown: {}", ran.all());
    }
    // A policy hides nobody without a word: first that, and when it is accepted, what it needs.
    let mut place = reads(&database, "people");
    let mut url = url::Url::parse(&database.url).unwrap();
    url.set_username(&user).unwrap();
    place.set("DATABASE_URL", url.as_str());
    let refused = place.run(&["plan"]);
    assert!(refused.code == 2 && refused.err.contains("row-level security"), "{}", refused.all());
    let lacks = place.run(&["plan", "--accept", "ROW_SECURITY"]);
    assert!(
        lacks.code == 2 && lacks.err.contains("42704") && lacks.err.contains("policy"),
        "{}",
        lacks.all()
    );
    database.execute(&format!("DROP OWNED BY {user} CASCADE; DROP ROLE {user}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_may_only_read_is_told_so_by_every_command_that_writes() {
    let Some(world) = World::new("read-only").await else { return };
    world.place.must(&["seed", "--target", &world.database.url, "--users", "40"]);
    world.place.must(&["migrate", "--app", "--yes"]);
    let name = &world.database.name;
    world.execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    let start = ["run", "start", &world.database.url, "--preset", "medlogistics", "--yes"];
    for command in [&start[..], &["migrate", "--yes"][..]] {
        let ran = world.place.run(command);
        assert_ne!(ran.code, 0, "{command:?}: {}", ran.all());
        assert!(ran.err.contains("default_transaction_read_only"), "{command:?}: {}", ran.all());
    }
    let checked = world.place.run(&["check"]);
    assert_eq!(checked.code, 10, "{}", checked.all());
    let words = checked.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("default_transaction_read_only"), "{}", checked.all());
    let plan = world.place.run(&["plan", "--preset", "medlogistics"]);
    assert_eq!(plan.code, 0, "a plan only reads: {}", plan.all());
    assert_eq!(world.simulator.users().len(), 0);
    world.end().await;
}

/// PostgreSQL notices that a client is gone when it writes to it; a planner's statements may take minutes.
#[tokio::test(flavor = "multi_thread")]
async fn the_statement_of_a_killed_run_start_ends_on_the_server() {
    let Some(world) = World::new("killed start").await else { return };
    world.place.must(&["seed", "--target", &world.database.url, "--users", "200"]);
    world.place.must(&["migrate", "--app", "--yes"]);
    // While somebody else holds the items, its statement can't end by itself.
    let mut holder = world.connect().await;
    let mut locked = holder.begin().await.unwrap();
    locked.execute("LOCK TABLE ferry.items IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let waiting = async || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut world.connect().await).await.unwrap();
        row.get::<i64, _>(0)
    };
    let args = [
        "run",
        "start",
        &world.database.url,
        "--preset",
        "medlogistics",
        "--email-verified",
        "assume",
        "--yes",
    ];
    let mut start = Worker::start(world.place.ferry(&args), &world.place.path("start.log"));
    let waits = comes_true(Duration::from_millis(100), async || waiting().await > 0).await;
    assert!(waits, "run start was expected to wait: {}", start.said());
    start.kill();
    let ended = comes_true(Duration::from_millis(100), async || waiting().await == 0).await;
    assert!(ended, "the statement of a client that is gone still runs");
    locked.rollback().await.unwrap();
    world.end().await;
}

/// A plan bounds its run: who signed up since is left for the next one, by name.
#[tokio::test(flavor = "multi_thread")]
async fn who_came_after_the_plan_is_named_and_moved_by_the_next_run() {
    let Some(mut world) = World::new("not in plan").await else { return };
    world.place.must(&["seed", "--target", &world.database.url, "--users", "60"]);
    world.place.must(&["migrate", "--app", "--yes"]);
    world.place.must(&[
        "plan",
        "--preset",
        "medlogistics",
        "--email-verified",
        "assume",
        "-o",
        "friday.plan",
    ]);
    world
        .execute(
            "INSERT INTO users (id, email, name, role, hospital_id, active, api_key, created_at)
             SELECT 900001, 'new.user@example.com', 'New User', 'nurse', min(id), true, 'mlk_new', now() FROM hospitals",
        )
        .await;
    let started = world.place.must(&["run", "start", "--plan", "friday.plan", "--yes"]);
    assert!(started.err.contains("NOT_IN_PLAN"), "{}", started.all());
    let run = started.out.trim().to_owned();
    world.worker(&[]);
    world.until_sealed(&run).await;
    let report = world.place.json(&["run", "report", &run, "--output", "json"]);
    let groups = report["groups"].as_array().unwrap();
    let left =
        groups.iter().find(|group| group["code"] == "NOT_IN_PLAN").unwrap_or_else(|| panic!("{report}"));
    assert_eq!(left["count"], 1, "{report}");
    let at_auth0 =
        |world: &World| world.simulator.users().iter().any(|user| user.email == "new.user@example.com");
    assert!(!at_auth0(&world), "nobody reviewed this user");
    let retried = world.place.run(&["run", "retry", &run, "--code", "NOT_IN_PLAN", "--yes"]);
    assert!(retried.code == 0 && retried.err.contains("new run"), "{}", retried.all());
    let second = world.start(&[]);
    let shown = world.until_sealed(&second).await;
    assert_eq!(shown["created"], 1, "{shown}");
    assert!(at_auth0(&world));
    world.end().await;
}

/// A retry names what there is, and the log has one line for each user that needs a person.
#[tokio::test(flavor = "multi_thread")]
async fn users_that_need_a_person_have_a_line_each_and_a_retry_names_their_codes() {
    let Some(mut world) = World::new("one line each").await else { return };
    let planted = ["conflict.one@example.com", "conflict.two@example.com"];
    for email in planted {
        world.simulator.plant(PlantedUser { email_verified: false, ..PlantedUser::new(email) });
    }
    world.place.must(&["seed", "--target", &world.database.url, "--users", "60"]);
    world.place.must(&["migrate", "--app", "--yes"]);
    for (number, email) in planted.iter().enumerate() {
        world
            .execute(&format!(
                "INSERT INTO users (id, email, name, role, hospital_id, active, api_key, created_at)
                 SELECT {}, '{email}', 'Conflict', 'nurse', min(id), true, 'mlk_c{number}', now() FROM hospitals",
                900_001 + number
            ))
            .await;
    }
    let run = world.start(&[]);
    let worker = world.worker(&["--log", "info"]);
    let shown = world.until_sealed(&run).await;
    assert_eq!(shown["conflict"], 2, "{shown}");
    let log = world.workers()[worker].said();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("a user needs a person")).collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(
        lines.iter().all(|line| line.contains("ADOPT_UNVERIFIED") && line.contains("item.seq")),
        "{lines:?}"
    );
    assert!(!log.contains("conflict.one@"), "no address is logged");

    let none = world.place.run(&["run", "retry", &run, "--code", "GHOST", "--yes"]);
    assert_eq!(none.code, 0, "{}", none.all());
    assert!(none.err.contains("2 ADOPT_UNVERIFIED"), "what there is: {}", none.all());
    let typo = world.place.run(&["run", "retry", &run, "--code", "NOPE", "--yes"]);
    assert!(typo.code == 2 && typo.err.contains("there is no code \"NOPE\""), "{}", typo.all());
    world.end().await;
}
