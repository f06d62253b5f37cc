//! One clear message each, the right exit code, nothing written.

use crate::world::{Place, World, new_place};

/// A place with a tenant set, so that only what a test plants is wrong.
fn place() -> Place {
    let mut place = new_place();
    place.set("AUTH0_DOMAIN", "acme.eu.auth0.com");
    place.set("AUTH0_CLIENT_ID", "ferry");
    place.set("AUTH0_CLIENT_SECRET", "x");
    place
}

const CSV: &str = "id,email,name\n1,ann@example.com,Ann\n2,bob@example.com,Bob\n";

fn mapping() -> String {
    "[source]\nemail_verified = \"never\"\n[source.columns]\nkey = \"id\"\nemail = \"email\"\nname = \"name\"\n".to_owned()
}

/// Runs and expects this exit code and these words on stderr; and that no file came into being
/// but, where a source is found out while it is read, a ledger without a run.
fn refused(place: &Place, args: &[&str], code: i32, words: &[&str]) {
    let files = |place: &Place| {
        let mut names: Vec<_> =
            std::fs::read_dir(place.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.retain(|name| !name.to_string_lossy().starts_with("ferry.db"));
        names.sort();
        names
    };
    let before = files(place);
    let ran = place.run(args);
    assert_eq!(ran.code, code, "ferry {}\n{}", args.join(" "), ran.all());
    for word in words {
        assert!(
            ran.err.contains(word),
            "ferry {}: the message lacks {word:?}:\n{}",
            args.join(" "),
            ran.all()
        );
    }
    assert!(ran.out.is_empty(), "nothing was expected on stdout: {}", ran.all());
    assert!(!ran.err.contains("panicked"), "{}", ran.all());
    assert_eq!(files(place), before, "ferry {} must not write anything", args.join(" "));
    if place.path("ferry.db").exists() && !args.contains(&"list") {
        assert_no_run(place);
    }
}

fn assert_no_run(place: &Place) {
    let settings = std::fs::read(place.path("ferry.toml")).ok();
    place.write("ferry.toml", "");
    assert_eq!(place.json(&["run", "list", "--output", "json"]), serde_json::json!([]));
    match settings {
        Some(text) => std::fs::write(place.path("ferry.toml"), text).unwrap(),
        None => std::fs::remove_file(place.path("ferry.toml")).unwrap(),
    }
}

#[test]
fn settings() {
    let place = place();
    place.write("ferry.toml", "[worker]\nbatchs = 3\n");
    refused(&place, &["run", "list"], 2, &["ferry.toml", "batchs", "config template"]);
    place.write("ferry.toml", "[worker]\nbatches = 0\n");
    refused(&place, &["run", "list"], 2, &["worker.batches = 0", "1 to 256"]);
    place.write("ferry.toml", "[worker\n");
    refused(&place, &["run", "list"], 2, &["ferry.toml"]);
    refused(&place, &["--config", "other.toml", "run", "list"], 2, &["other.toml", "no such settings file"]);
    place.write("ferry.toml", "[auth0]\nlimits = \"gold\"\n");
    refused(&place, &["run", "list"], 2, &["gold", "private-500"]);
    place.write("ferry.toml", "[log]\nformat = \"xml\"\n");
    refused(&place, &["run", "list"], 2, &["xml", "text or json"]);
}

#[test]
fn files() {
    let place = place();
    place.write("ferry.toml", &mapping());
    place.write("empty.csv", "");
    place.write("half.json", "[{\"id\": 1, \"email\": \"ann@example.com\"}, {\"id\": 2, \"em");
    place.write("columns.csv", "id,mail\n1,ann@example.com\n");
    place.write("users.txt", CSV);
    for command in [&["plan"][..], &["run", "start", "--yes"][..]] {
        let with = |file| command.iter().copied().chain([file]).collect::<Vec<_>>();
        refused(&place, &with("gone.csv"), 2, &["gone.csv"]);
        refused(&place, &with("empty.csv"), 2, &["empty.csv", "empty"]);
        refused(&place, &with("half.json"), 2, &["half.json"]);
        refused(&place, &with("columns.csv"), 2, &["columns.csv", "email", "mail"]);
        refused(&place, &with("users.txt"), 2, &["users.txt", "--format"]);
    }
    refused(&place, &["plan", "users.txt", "--format", "xml"], 2, &["xml", "csv"]);
    refused(
        &place,
        &["plan", "users.txt", "--format", "csv", "--preset", "gold"],
        2,
        &["gold", "medlogistics"],
    );
}

#[test]
fn a_source_that_changed_since_the_plan_is_refused_with_both_digests() {
    let place = place();
    place.write("ferry.toml", &mapping());
    place.write("users.csv", CSV);
    let planned = place.run(&["plan", "users.csv", "-o", "users.plan"]);
    assert_eq!(planned.code, 0, "{}", planned.all());
    let before =
        place.json(&["plan", "users.csv", "--output", "json"])["source_digest"].as_str().unwrap().to_owned();
    place.write("users.csv", &CSV.replace("Bob", "Rob"));
    let after =
        place.json(&["plan", "users.csv", "--output", "json"])["source_digest"].as_str().unwrap().to_owned();
    assert_ne!(before, after);
    refused(&place, &["run", "start", "--plan", "users.plan", "--yes"], 6, &[&before, &after]);

    place.write("users.csv", CSV);
    let text = std::fs::read_to_string(place.path("users.plan")).unwrap();
    place.write("forged.plan", &text.replacen("\"pending\":2", "\"pending\":1", 1));
    refused(&place, &["run", "start", "--plan", "forged.plan", "--yes"], 6, &["changed after it was made"]);
    refused(&place, &["run", "start", "--plan", "users.csv", "--yes"], 2, &["no plan"]);
    place.write("ferry.toml", &mapping().replace("never", "assume"));
    refused(&place, &["run", "start", "--plan", "users.plan", "--yes"], 6, &["settings changed"]);
    place.write("ferry.toml", &mapping());
    let started = place.json(&["run", "start", "--plan", "users.plan", "--yes", "--output", "json"]);
    assert_eq!(started["source"], 2, "as planned, it starts: {started}");
}

#[test]
fn servers() {
    let mut place = place();
    place.set("DATABASE_URL", "mysql://somewhere/app");
    refused(&place, &["run", "list"], 2, &["DATABASE_URL", "postgres://"]);
    place.set("DATABASE_URL", "postgres://nobody:hunter2@127.0.0.1:1/app");
    let ran = place.run(&["run", "list"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.err.contains("127.0.0.1:1") && !ran.err.contains("hunter2"), "{}", ran.all());
    refused(&place, &["worker"], 2, &["REDIS_URL"]);

    let mut place = self::place();
    refused(&place, &["worker"], 2, &["ferry.db", "DATABASE_URL"]);
    place.set("AUTH0_DOMAIN", "https://acme.eu.auth0.com/");
    refused(&place, &["worker"], 2, &["host alone"]);
    place.set("AUTH0_BASE_URL", "not a url");
    refused(&place, &["worker"], 2, &["AUTH0_BASE_URL"]);
    place.set("AUTH0_CLIENT_SECRET", "");
    refused(&place, &["worker"], 2, &["AUTH0_CLIENT_SECRET"]);
    place.set("AUTH0_CLIENT_ID", "");
    refused(&place, &["worker"], 2, &["AUTH0_CLIENT_ID"]);
}

#[test]
fn usage() {
    let place = place();
    refused(&place, &["run", "show", "not-an-id"], 2, &["not-an-id"]);
    refused(&place, &["worker", "--roles", "captain"], 2, &["captain", "provision"]);
    refused(&place, &["simulate", "--limits", "gold"], 2, &["gold", "private-500"]);
    refused(&place, &["simulate", "--lost-answers", "2"], 2, &["--lost-answers", "0 to 1"]);
    refused(&place, &["seed", "--target", "mysql://x/y"], 2, &[]);
    refused(&place, &["seed", "--target", "app.db", "--users", "5"], 2, &["40"]);
    refused(&place, &["migrate", "--yes"], 2, &["DATABASE_URL"]);
    place.write("ferry.toml", &mapping());
    place.write("users.csv", CSV);
    refused(&place, &["run", "start", "users.csv"], 2, &["--yes"]);
    let without = new_place();
    without.write("ferry.toml", &mapping());
    without.write("users.csv", CSV);
    refused(&without, &["run", "start", "users.csv", "--yes"], 2, &["AUTH0_DOMAIN"]);
}

#[test]
fn a_second_embedded_process_on_one_file_is_refused() {
    let mut place = place();
    place.write("ferry.toml", &mapping());
    place.write("users.csv", CSV);
    place.set("AUTH0_BASE_URL", "http://127.0.0.1:1");
    let started = place.run(&["run", "start", "users.csv", "--yes"]);
    assert_eq!(started.code, 0, "{}", started.all());
    let mut first = place.ferry(&["worker"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    let second = place.run(&["worker"]);
    let pid = first.id().to_string();
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(second.code, 6, "{}", second.all());
    assert!(second.err.contains(&pid), "the message names the process that has the file: {}", second.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_wait_and_say_why_and_no_user_fails_for_it() {
    let Some(mut world) = World::new("wrong credentials").await else { return };
    let run = world.started(60, &[]);
    world.place.set("AUTH0_CLIENT_SECRET", "wrong");
    let at = world.worker(&["--log", "info"]);
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    let shown = world.show(&run);
    let log = std::fs::read_to_string(&world.workers()[at].log).unwrap();
    assert!(log.contains("TOKEN_REFUSED") || log.contains("AUTH0_CLIENT_SECRET"), "the log says why: {log}");
    assert_eq!(shown["created"], 0);
    world.workers()[at].stop();
    world.place.set("AUTH0_CLIENT_SECRET", crate::world::SECRET);
    world.worker(&[]);
    world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_without_tables_or_column_says_what_to_run() {
    let Some(world) = World::new("missing tables").await else { return };
    let url = world.database.url.clone();
    let seeded = world.place.run(&["seed", "--target", &url, "--users", "40"]);
    assert_eq!(seeded.code, 0, "{}", seeded.all());
    let start = ["run", "start", &url, "--preset", "medlogistics", "--yes"];
    let ran = world.place.run(&start);
    assert_ne!(ran.code, 0);
    assert!(ran.err.contains("ferry migrate"), "{}", ran.all());
    assert_eq!(world.place.run(&["migrate", "--yes"]).code, 0);
    let ran = world.place.run(&start);
    assert_eq!(ran.code, 2, "{}", ran.all());
    assert!(ran.err.contains("migrate --app"), "{}", ran.all());
    assert_eq!(world.number("SELECT count(*) FROM ferry.runs").await, 0, "nothing may be written");
    let again = world.place.run(&["seed", "--target", &url, "--users", "40"]);
    assert_eq!(again.code, 6, "{}", again.all());
    world.end().await;
}
