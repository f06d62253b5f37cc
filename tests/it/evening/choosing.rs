//! Users and batches that a person chooses by a filter: shown first; users then tried again.

use std::time::Duration;

use ferry_domain::{Code, WorkerId, ports::WorkerRecord};
use serde_json::Value;

use crate::operators::stage::{Stage, on_both_ledgers};

on_both_ledgers!(
    those_whom_a_filter_shows_are_tried_again,
    a_retry_with_a_filter_says_what_it_would_do,
    batches_are_listed_and_shown,
);

/// Gives up a provision job of the run: its users fail.
async fn give_up(stage: &Stage) {
    let sends = stage.ledger.take_ready(1).await.unwrap();
    let rescuer =
        WorkerRecord { id: WorkerId(stage.id().0), host: "host".into(), pid: 8, slots: 1, waiting_for: None };
    stage.ledger.heartbeat(&rescuer, Duration::from_secs(60), &[]).await.unwrap();
    assert!(stage.ledger.give_up(sends[0].job, Code::CrashedWorker, rescuer.id).await.unwrap());
    stage.ledger.retire(rescuer.id).await.unwrap();
}

/// Lists with this filter, in one page.
fn listed(stage: &Stage, filter: &str) -> Vec<Value> {
    let list = ["user", "list", &stage.run, "--where", filter, "--limit", "10000", "--output", "json"];
    let found = stage.place().json(&list);
    let users = found["users"].as_array().unwrap().clone();
    assert_eq!((found["matching"].as_u64(), &found["next_after"]), (Some(users.len() as u64), &Value::Null));
    users
}

async fn those_whom_a_filter_shows_are_tried_again(stage: &mut Stage) {
    give_up(stage).await;
    let crashed = listed(stage, "code=CRASHED_WORKER state=failed");
    let rest = listed(stage, "state=failed").len() - crashed.len();
    let (first, batch) = (crashed[0]["seq"].as_i64().unwrap(), crashed[0]["batch"].as_str().unwrap());
    assert_eq!(listed(stage, &format!("batch={} state=failed", &batch[..30])), crashed);

    let filter = format!("state=failed code=CRASHED_WORKER line={first}..{}", first + 4);
    let shown = listed(stage, &filter);
    assert!(!shown.is_empty() && shown.len() < crashed.len(), "{shown:?}");
    let retry =
        ["run", "retry", &stage.run, "--where", &filter, "--yes", "--reason", "mended", "--output", "json"];
    let retried = stage.place().json(&retry);
    let left = crashed.len() - shown.len() + rest;
    assert_eq!((&retried["retried"], &retried["left"]), (&shown.len().into(), &left.into()), "{retried}");
    assert!(listed(stage, &filter).is_empty(), "they are pending now");
    for user in &shown {
        let now = &listed(stage, &format!("key={}", user["key"].as_str().unwrap()))[0];
        assert_eq!((&now["state"], &now["code"]), (&"pending".into(), &Value::Null));
        assert_ne!(now["batch"], user["batch"]);
    }
    stage.assert_audited("mended").await;
    let audit = stage.ferry("audit --run RUN --output json");
    assert!(audit.out.contains(&format!("\"where\":\"{filter}\"")), "{}", audit.all());
}

async fn a_retry_with_a_filter_says_what_it_would_do(stage: &mut Stage) {
    give_up(stage).await;
    let lines = ["run", "retry", &stage.run, "--where", "line=1..10 code=CRASHED_WORKER"];
    let asked = stage.place().run(&lines);
    let users = listed(stage, "line=1..10 code=CRASHED_WORKER").len();
    assert_eq!(asked.code, 2, "{}", asked.all());
    assert!(
        asked.err.contains(&format!("Try {users} users of run {} again (", stage.run)),
        "{}",
        asked.all()
    );

    let nobody = "run retry RUN --where hospital=no-such --yes";
    stage.says(nobody, 0, &["Nothing to retry that the filter means", "CRASHED_WORKER"]);
    let twice = "run retry RUN --code CRASHED_WORKER --where code=SERVER_ERROR";
    stage.says(twice, 2, &["--where", "give it once"]);
    stage.says(
        "run retry RUN --code CRASHED_WORKER --where line=1..10",
        2,
        &[&*format!("Try {users} users")],
    );
    let mistyped = stage.says("run retry RUN --where hospitel=H-1", 2, &["did you mean hospital?"]);
    assert!(mistyped.err.contains("state, code, key, line, place, batch"), "{}", mistyped.all());
    assert!(mistyped.err.contains("hospital, role, ward"), "{}", mistyped.all());
}

async fn batches_are_listed_and_shown(stage: &mut Stage) {
    give_up(stage).await;
    let whole = stage.json("batch list RUN");
    let batches = whole["batches"].as_array().unwrap();
    assert_eq!(
        (whole["matching"].as_u64(), &whole["next_after"]),
        (Some(batches.len() as u64), &Value::Null)
    );
    let users: i64 = batches.iter().map(|batch| batch["users"].as_i64().unwrap()).sum();
    assert_eq!(users, 60);
    stage.says("batch list RUN --limit 1", 0, &["1 of ", "next page: ferry batch list", "--after 0"]);
    let rest = stage.json("batch list RUN --after 0");
    assert_eq!(rest["batches"].as_array().unwrap()[..], batches[1..]);

    let lost = &stage.json("batch list RUN --where code=CRASHED_WORKER")["batches"];
    assert_eq!(lost.as_array().unwrap().len(), 1);
    assert_eq!((&lost[0]["jobs"][0]["state"], &lost[0]["pending"]), (&"dead".into(), &0.into()));
    let id = lost[0]["batch"].as_str().unwrap();
    let mut alone = stage.json(&format!("batch show {id}"));
    assert_eq!(alone.as_object_mut().unwrap().remove("schema"), Some("ferry.batch/1".into()));
    assert_eq!(alone, lost[0]);
    let shown = stage.ferry(&format!("batch show {id}"));
    assert!(shown.out.contains("dead, last CRASHED_WORKER"), "{}", shown.all());
    assert!(shown.out.contains(&format!("--where batch={id}")), "{}", shown.all());
    let table = stage.ferry("batch list RUN --where job=dead");
    assert!(table.out.contains("provision dead, last CRASHED_WORKER"), "{}", table.all());

    stage.says("batch list RUN --where state=opn", 2, &["did you mean open?"]);
    stage.says("batch show ffffffff", 2, &["no batch", "ferry batch list"]);
    stage.says("batch show xyz", 2, &["batch's id"]);
    stage.says("batch list 01890000-0000-7000-8000-000000000001", 2, &["ferry run list"]);
}
