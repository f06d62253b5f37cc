//! What a person reads: who ordered what, what is missing, and whom to look at first.

use ferry_testbed::{Worker, until};

use crate::{
    operators::stage::{Stage, on_both_ledgers},
    world::new_place,
};

on_both_ledgers!(
    who_ordered_what_can_be_read_and_is_in_the_report,
    the_list_of_runs_and_the_queue_fit_a_terminal,
    an_index_that_a_schema_tool_removed_is_said_until_it_is_back,
);

const COLUMNS: usize = 80;

async fn who_ordered_what_can_be_read_and_is_in_the_report(stage: &mut Stage) {
    stage.json("run pause RUN --reason lunch");
    stage.json("stop-all --yes --reason fire");
    let orders = stage.json("audit --run RUN");
    let actions: Vec<&str> =
        orders.as_array().unwrap().iter().map(|l| l["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["stop_all", "pause", "start", "open_run", "migrate"]);
    assert!(orders[1]["actor"].as_str().unwrap().starts_with("ann@"), "{orders}");
    assert_eq!((&orders[1]["reason"], &orders[1]["detail"]["after"]), (&"lunch".into(), &"paused".into()));
    let table = stage.ferry("audit");
    assert!(table.out.contains("pause  by ann@") && table.out.contains("because: lunch"), "{}", table.all());
    assert_eq!(stage.json("audit --limit 1").as_array().unwrap().len(), 1);
    stage.says("audit --limit 0", 2, &["--limit", "0 is not in 1.."]);
    stage.says("run list --limit 0", 2, &["--limit", "0 is not in 1.."]);

    let report = stage.json("run report RUN");
    let told: Vec<&str> =
        report["orders"].as_array().unwrap().iter().map(|o| o["action"].as_str().unwrap()).collect();
    assert_eq!(told, ["open_run", "start", "pause", "stop_all"]);
    let markdown = stage.ferry("run report RUN").out;
    assert!(markdown.contains("| pause | ann@") && markdown.contains("| lunch |"), "{markdown}");
}

async fn an_index_that_a_schema_tool_removed_is_said_until_it_is_back(stage: &mut Stage) {
    assert!(!stage.ferry("run show RUN").out.contains("warning"));
    let watch = stage.place().ferry(&["run", "watch", &stage.run]);
    let watched = Worker::start(watch, &stage.place().path("watch.log"));
    // Lines are folded.
    let said = || watched.said().split_whitespace().collect::<Vec<_>>().join(" ");
    stage.drop_index().await;
    let shown = stage.ferry("run show RUN");
    assert!(shown.out.contains("no unique index on auth0_user_id"), "{}", shown.all());
    until("watching says it", async || said().contains("run ferry migrate --app")).await;
    stage.place().must(&["migrate", "--app", "--yes"]);
    until("watching says that it is back", async || said().contains("has all it needs again")).await;
    assert!(!stage.ferry("run show RUN").out.contains("warning"));
}

async fn the_list_of_runs_and_the_queue_fit_a_terminal(stage: &mut Stage) {
    stage.json("stop-all --yes");
    let list = stage.ferry("run list");
    let begin = &stage.run[..13];
    assert!(list.out.contains(begin), "{}", list.all());
    assert!(list.err.contains("ferry resume-all"), "a stop is seen here as well: {}", list.all());
    for line in ["run list", "run show RUN", "queue list", "check", "audit", "plan --preset medlogistics"] {
        let ran = stage.ferry(line);
        // A name is never broken: it would not work when it is pasted.
        let long = ran.out.lines().find(|line| line.chars().count() > COLUMNS && line.contains(' '));
        let long = long.filter(|line| line.split_whitespace().all(|word| word.chars().count() < 60));
        assert_eq!(long, None, "ferry {line} is wider than a terminal");
    }
    let named = stage.place().json(&["run", "show", begin, "--output", "json"]);
    assert_eq!(named["run"], stage.run.as_str(), "what is shown of an id is enough to name it");
}

#[test]
fn everything_that_is_missing_is_told_in_one_call() {
    let mut place = new_place();
    place.set("DATABASE_URL", "postgres://ferry@127.0.0.1:1/clinic");
    let ran = place.run(&["config", "check"]);
    assert_eq!(ran.code, 2, "{}", ran.all());
    for name in ["AUTH0_DOMAIN", "AUTH0_CLIENT_ID", "AUTH0_CLIENT_SECRET", "REDIS_URL"] {
        assert!(ran.out.contains(name), "{name}: {}", ran.all());
    }
    assert!(ran.err.contains("4 settings are missing or wrong"), "{}", ran.all());
}

#[test]
fn a_sample_that_nobody_filled_in_is_not_complete() {
    let mut place = new_place();
    let sample = include_str!("../../../.env.sample");
    for (name, value) in sample.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split_once('=')) {
        place.set(name, value);
    }
    let ran = place.run(&["config", "check"]);
    assert_eq!(ran.code, 2, "{}", ran.all());
    for name in [
        "AUTH0_DOMAIN",
        "AUTH0_CLIENT_ID",
        "AUTH0_CLIENT_SECRET",
        "AUTH0_CONNECTION",
        "DATABASE_URL",
        "REDIS_URL",
    ] {
        assert!(ran.out.contains(&format!("{name} is as .env.sample has it")), "{name}: {}", ran.all());
    }
    assert!(!ran.all().contains("put-the-secret-here"), "{}", ran.all());
}

#[test]
fn a_plan_tells_who_needs_a_person_before_who_needs_nothing() {
    let mut place = new_place();
    place.set("AUTH0_DOMAIN", "acme.eu.auth0.com");
    place.write(
        "ferry.toml",
        "[source]\nemail_verified = \"never\"\n[source.columns]\nkey = \"id\"\nemail = \"email\"\nauth0_user_id = \"done\"\n",
    );
    place.write("users.csv", "id,email,done\n1,a1@example.com,auth0|1\n2,bad,\n3,a3@example.com,\n");
    let before = |text: &str, first: &str, second: &str| {
        let at = |word: &str| text.find(word).unwrap_or_else(|| panic!("no {word}: {text}"));
        assert!(at(first) < at(second), "{text}");
    };
    before(&place.must(&["plan", "users.csv"]).out, "EMAIL_INVALID", "ALREADY_MIGRATED");
    before(&place.must(&["plan", "users.csv", "--list"]).out, "users.csv:3", "users.csv:2");
    before(&place.must(&["plan", "users.csv", "--output", "csv"]).out, "users.csv:3", "users.csv:2");
    let plan = place.json(&["plan", "users.csv", "--output", "json"]);
    assert_eq!(plan["by_code"][0]["code"], "EMAIL_INVALID", "{plan}");
}
