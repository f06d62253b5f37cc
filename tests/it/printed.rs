//! What commands print for programs, held against the schemas that `ferry schema` tells.
//!
//! One story calls each command that has `--output`, in JSON and in NDJSON, in a SQLite ledger with
//! a simulated tenant. At its end no command and no schema may be left.

mod checked;

use std::{process::Stdio, time::Duration};

use ferry_domain::{
    Code, WorkerId,
    ports::{DeadLetter, DeadLetters, Jobs, Processes, WorkerRecord},
};
use ferry_ledger_sqlite::SqliteLedger;
use ferry_testbed::until;
use serde_json::json;

use self::checked::{Checked, objects};
use crate::{beside::Embedded, world::new_place};

const PLAN: &str = "plan app.db --preset medlogistics --email-verified assume";
const START: &str = "run start app.db --preset medlogistics --email-verified assume --batch-size 20 --yes";

#[tokio::test(flavor = "multi_thread")]
async fn each_command_prints_what_its_schema_says() {
    let world = Embedded::new("60").await;
    world.place.must(&["migrate", "--app", "--yes"]);
    let checked = &mut Checked::new(&world.place);
    before_a_run(checked);
    let run = started(checked);
    of_a_run(checked, &run);
    dead_letters(checked, &run).await;
    while_a_worker_works(checked, &world, &run).await;
    of_an_ended_run(checked, &run);
    checked.assert_all_were_called();
}

fn before_a_run(checked: &mut Checked<'_>) {
    checked.is_a_list("schema");
    checked.is_a_list("config show");
    checked.is_one("config check");
    checked.is_one("check");
    checked.does("seed --target other.db --users 60 --replace", "ferry.seeded/1");
    checked.does("demo --users 40 --limits off", "ferry.demo/1");
    checked.is_one(PLAN);
    checked.has_a_list(&format!("{PLAN} --list"), "list", "ferry.plan_record/1");
    checked.is_a_list("run list"); // empty
}

/// Two runs, the first of them cancelled; the id of the second.
fn started(checked: &mut Checked<'_>) -> String {
    let first = checked.print(START, "ndjson").remove(0);
    let first = first["run"].as_str().unwrap().to_owned();
    checked.does(&format!("run cancel {first} --yes"), "ferry.run_moved/1");
    let second = checked.print(START, "json").remove(0);
    assert_eq!(second["schema"], "ferry.run_started/1");
    second["run"].as_str().unwrap().to_owned()
}

fn of_a_run(checked: &mut Checked<'_>, run: &str) {
    checked.does(&format!("run pause {run} --yes --reason lunch"), "ferry.run_moved/1");
    checked.does(&format!("run resume {run} --yes"), "ferry.run_moved/1");
    checked.does(&format!("run rate {run} 50"), "ferry.rate_changed/1");
    checked.does("stop-all --yes", "ferry.sending_switched/1");
    checked.does("resume-all --yes", "ferry.sending_switched/1");
    checked.is_a_list("run list");
    checked.is_a_list("audit");
    checked.has_a_list(&format!("user list {run}"), "users", "ferry.listed_user/1");
    checked.has_a_list(&format!("user list {run} --limit 5"), "users", "ferry.listed_user/1");
    checked.has_a_list(&format!("batch list {run}"), "batches", "ferry.batch/1");
    let batch = checked.print(&format!("batch list {run}"), "ndjson").remove(1);
    checked.is_one(&format!("batch show {}", batch["batch"].as_str().unwrap()));
    checked.is_one("queue list");
    checked.does("queue rebuild --yes", "ferry.queue_rebuilt/1");
}

/// A job that was given up, and a message that was none.
async fn dead_letters(checked: &mut Checked<'_>, run: &str) {
    checked.is_a_list("dead list"); // empty
    let ledger = SqliteLedger::open_existing(&checked.place.path("app.ferry.db")).await.unwrap();
    let letter = DeadLetter {
        queue: "provision".into(),
        payload: b"no job".to_vec(),
        code: Code::Undecodable,
        reason: "no envelope".into(),
        by: "host/7".into(),
    };
    ledger.bury(&letter).await.unwrap();
    let send = ledger.take_ready(1).await.unwrap().remove(0);
    let id = WorkerId(run.parse::<ferry_domain::RunId>().unwrap().0);
    let worker = WorkerRecord { id, host: "host".into(), pid: 8, slots: 1, waiting_for: None };
    ledger.heartbeat(&worker, Duration::from_secs(60), &[]).await.unwrap();
    assert!(ledger.give_up(send.job, Code::CrashedWorker, worker.id).await.unwrap());
    ledger.retire(worker.id).await.unwrap();

    let letters = checked.is_a_list("dead list");
    assert_eq!(letters.len(), 2, "{letters:?}");
    for letter in letters {
        checked.is_one(&format!("dead show {} --payload", letter["id"]));
    }
    checked.does("dead discard --code UNDECODABLE --yes", "ferry.letters_discarded/1");
    checked.does("dead redrive --yes", "ferry.letters_redriven/1");
    checked.is_a_list("dead list --state all");
    checked.assert_csv("dead list --state all");
}

async fn while_a_worker_works(checked: &mut Checked<'_>, world: &Embedded, run: &str) {
    checked.is_one("health --at 127.0.0.1:1"); // nobody answers
    checked.is_one(&format!("run show {run}"));
    let watch = ["run", "watch", run, "--output", "ndjson"];
    let watch = checked.place.ferry(&watch).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let worker = world.worker("worker.log");
    world.until_sealed(run).await;
    let watched = watch.wait_with_output().unwrap();
    let lines = objects(&String::from_utf8(watched.stdout).unwrap(), "ndjson");
    assert!(lines.len() > 1, "the run changed: {lines:?}");
    lines.iter().for_each(|line| checked.assert_valid(line));
    assert_eq!(lines.last().unwrap()["state"], "sealed");
    drop(worker);
}

fn of_an_ended_run(checked: &mut Checked<'_>, run: &str) {
    checked.is_one(&format!("run watch {run}"));
    checked.is_one(&format!("run report {run}"));
    checked.is_one(&format!("run show {run}"));
    let accounts = checked.is_a_list(&format!("run export {run}"));
    assert!(accounts.len() > 40, "{accounts:?}");
    let key = accounts[0]["key"].as_str().unwrap();
    checked.is_a_list(&format!("user show {key}"));
    checked.is_a_list(&format!("user show {key} --offline"));
    checked.has_a_list(&format!("{PLAN} --list --target"), "list", "ferry.plan_record/1");
    checked.has_a_list(&format!("user list {run} --where state=failed"), "users", "ferry.listed_user/1");
    checked.does(&format!("run restore-ids {run} --yes"), "ferry.ids_restored/1");
    checked.does(&format!("run retry {run} --yes"), "ferry.run_retried/1");
}

#[test]
fn a_wrong_object_does_not_pass() {
    let place = new_place();
    let checked = Checked::new(&place);
    let right = checked.print_only("schema", "ndjson").remove(0);
    checked.validate(&right).unwrap();
    for (field, value) in [
        ("version", json!("1")),          // another kind of value
        ("commands", json!(null)),        // none, where one must be
        ("more", json!(1)),               // a field that nobody described
        ("schema", json!("ferry.run/1")), // another schema
        ("schema", json!("ferry.no/1")),  // none at all
    ] {
        let mut wrong = right.clone();
        wrong[field] = value;
        assert!(checked.validate(&wrong).is_err(), "{wrong}");
    }
    for field in ["schema", "name"] {
        let mut wrong = right.clone();
        wrong.as_object_mut().unwrap().remove(field);
        assert!(checked.validate(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn words_and_times_of_a_run_are_known_to_its_schema() {
    let place = new_place();
    let checked = Checked::new(&place);
    let right = json!({
        "schema": "ferry.listed_run/1", "run": "01890000-0000-7000-8000-000000000001", "state": "running",
        "migration": "users", "from": "csv /tmp/users.csv", "source": 10, "created": 3, "adopted": 0,
        "pending": 7, "conflict": 0, "failed": 0, "skipped": 0, "cancelled": 0,
        "created_at": "1970-01-01T00:00:00Z", "started_at": null, "ended_at": null, "abandoned": false,
    });
    checked.validate(&right).unwrap();
    for (field, value) in [
        ("state", json!("flying")),
        ("run", json!("7")),
        ("created_at", json!("yesterday")),
        ("started_at", json!(0)),
        ("pending", json!(7.5)),
    ] {
        let mut wrong = right.clone();
        wrong[field] = value;
        assert!(checked.validate(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_schema_is_found_by_its_name_and_an_unknown_one_is_refused() {
    let place = new_place();
    let of = |name: &str| place.must(&["schema", name]).out;
    assert_eq!(of("run"), of("ferry.run/1"));
    assert_eq!(of("ferry.run"), of("ferry.run/1"));
    let refused = place.run(&["schema", "walk"]);
    assert_eq!(refused.code, 2, "{}", refused.all());
    assert!(
        refused.err.contains("no schema walk") && refused.err.contains("ferry schema"),
        "{}",
        refused.all()
    );
    place.write("file", "");
    let refused = place.run(&["schema", "--all", "file"]);
    assert_ne!(refused.code, 0, "{}", refused.all());
    assert!(refused.err.contains("could not be written to file"), "{}", refused.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_as_csv_has_the_rows_and_values_of_its_json() {
    let world = Embedded::new("60").await;
    world.place.must(&["migrate", "--app", "--yes"]);
    let checked = Checked::new(&world.place);
    let started = checked.print_only(START, "json").remove(0);
    let run = started["run"].as_str().unwrap();
    let audited = async || !checked.print_only("audit", "ndjson").is_empty();
    until("the start is in the audit", audited).await;
    for line in ["run list", "audit", "user list", "batch list", "config show", "schema"] {
        checked.assert_csv(line);
    }
    world.place.must(&["run", "cancel", run, "--yes"]);
    checked.assert_csv("run list");
    let empty = world.place.must(&["dead", "list", "--output", "csv"]).out;
    assert_eq!(empty.lines().count(), 1, "a list of nothing has its header: {empty}");
}
