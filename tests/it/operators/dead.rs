//! Dead letters: listed, shown, redriven, discarded.

use std::time::Duration;

use ferry_domain::{
    Code, WorkerId,
    ports::{DeadLetter, WorkerRecord},
};

use super::stage::{Stage, on_both_ledgers};
use crate::world::assert_adds_up;

on_both_ledgers!(
    letters_are_listed_and_shown_without_their_content,
    a_redriven_letter_s_users_go_again,
    a_discarded_letter_stays_on_record,
);

/// Nothing of this may be shown unless it is asked for.
const PAYLOAD: &[u8] = b"mail ann@example.com\x1b[2J and more";

async fn bury(stage: &Stage) {
    let letter = DeadLetter {
        queue: "provision".into(),
        payload: PAYLOAD.to_vec(),
        code: Code::Undecodable,
        reason: "no envelope".into(),
        by: "host/7".into(),
    };
    stage.ledger.bury(&letter).await.unwrap();
}

/// The run without what time alone changes.
fn shown(stage: &Stage) -> serde_json::Value {
    let mut shown = stage.show();
    shown["elapsed_seconds"].take();
    shown
}

/// Gives up one provision job of the run; returns the number of its users.
async fn give_up(stage: &Stage) -> i64 {
    let failed = |shown: &serde_json::Value| shown["failed"].as_i64().unwrap();
    let before = failed(&stage.show());
    let sends = stage.ledger.take_ready(1).await.unwrap();
    let rescuer =
        WorkerRecord { id: WorkerId(stage.id().0), host: "host".into(), pid: 8, slots: 1, waiting_for: None };
    stage.ledger.heartbeat(&rescuer, Duration::from_secs(60), &[]).await.unwrap();
    assert!(stage.ledger.give_up(sends[0].job, Code::CrashedWorker, rescuer.id).await.unwrap());
    stage.ledger.retire(rescuer.id).await.unwrap();
    failed(&stage.show()) - before
}

async fn letters_are_listed_and_shown_without_their_content(stage: &mut Stage) {
    stage.says("dead list", 0, &["No dead letter waits"]);
    assert_eq!(stage.json("dead list"), serde_json::json!([]));
    bury(stage).await;
    let users = give_up(stage).await;

    let all = stage.json("dead list");
    let (job, payload) = (&all[0], &all[1]);
    assert_eq!(all.as_array().unwrap().len(), 2, "{all}");
    assert_eq!(
        (&job["kind"], &job["code"], &job["users"]),
        (&"job".into(), &"CRASHED_WORKER".into(), &users.into())
    );
    assert_eq!((&job["run"], &job["state"]), (&stage.run.as_str().into(), &"kept".into()), "{job}");
    assert_eq!((&job["given_up_by"], &payload["given_up_by"]), (&"host/8".into(), &"host/7".into()), "{all}");
    assert_eq!((&payload["kind"], &payload["code"]), (&"payload".into(), &"UNDECODABLE".into()), "{payload}");
    let table = stage.says("dead list", 0, &["2 of 2 letters"]);
    assert!(table.out.contains("CRASHED_WORKER") && table.out.contains(&stage.run), "{}", table.all());
    for line in table.out.lines() {
        assert!(line.chars().count() <= 100, "too wide for a terminal:\n{}", table.out);
    }

    for (filter, letters) in [
        ("--code UNDECODABLE", 1),
        ("--run RUN", 1),
        ("--run last", 1),
        ("--where run=last", 1),
        ("--where code=UNDECODABLE,CRASHED_WORKER", 2),
        ("--where state=discarded", 0),
        ("--state all", 2),
        ("--older-than 1h", 0),
        ("--limit 1", 1),
    ] {
        let found = stage.json(&format!("dead list {filter}"));
        assert_eq!(found.as_array().unwrap().len(), letters, "{filter}: {found}");
    }
    stage.says("dead list --where colour=red", 2, &["colour", "run, code, state, older, id"]);
    stage.says("dead list --older-than 7", 2, &["7d"]);
    stage.says("dead list --code NO_SUCH_CODE", 2, &["NO_SUCH_CODE"]);
    stage.says("dead show 4711", 2, &["4711", "ferry dead list"]);

    let shown = stage.ferry(&format!("dead show {}", payload["id"]));
    assert!(shown.out.contains(&format!("{} bytes", PAYLOAD.len())), "{}", shown.all());
    assert!(shown.out.contains("UNDECODABLE") && shown.out.contains("host/7"), "{}", shown.all());
    assert!(!shown.all().contains("ann@"), "content is shown only when asked for: {}", shown.all());
    let asked = stage.ferry(&format!("dead show {} --payload", payload["id"]));
    assert!(asked.out.contains(r"mail ann@example.com\x1b[2J"), "escaped: {}", asked.all());
    let object = stage.json(&format!("dead show {}", payload["id"]));
    assert_eq!(object["payload"]["bytes"], PAYLOAD.len(), "{object}");
    assert!(object["payload"]["first"].is_null() && object["remedy"].is_string(), "{object}");
    let of_job = stage.ferry(&format!("dead show {}", job["id"]));
    for word in ["Workers died while holding this batch", "rescues", "ferry dead redrive", "host/8"] {
        assert!(of_job.out.contains(word), "{word}: {}", of_job.all());
    }
    let object = stage.json(&format!("dead show {}", job["id"]));
    let named = object["named"].as_array().unwrap();
    assert_eq!(named.len() as i64, users.min(20), "{object}");
    let (key, place) = (named[0]["key"].as_str().unwrap(), named[0]["place"].as_str().unwrap());
    let first = format!("{key} ({place})");
    let text = of_job.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(&format!("keys {first}")), "{first}: {}", of_job.all());
    assert!(!text.contains('@'), "no address: {}", of_job.all());
    assert!(of_job.out.lines().all(|line| line.chars().count() <= 80), "{}", of_job.out);
}

async fn a_redriven_letter_s_users_go_again(stage: &mut Stage) {
    stage.says("dead redrive --yes", 0, &["Nothing to redrive"]);
    for act in ["redrive", "discard"] {
        let told = stage.says(&format!("dead {act} 99 --yes"), 2, &["there is no dead letter 99"]);
        assert!(!told.all().contains("Nothing to"), "{}", told.all());
    }
    bury(stage).await;
    let users = give_up(stage).await;
    assert!(users > 0);
    let before = shown(stage);
    let filter = "--where code=CRASHED_WORKER --reason mended";
    let unanswered = stage.says(&format!("dead redrive {filter}"), 2, &["--yes"]);
    assert!(unanswered.err.contains(&format!("1 letter with {users} users")), "{}", unanswered.all());
    assert_eq!(shown(stage), before, "without an answer nothing changes");

    let redriven = stage.json(&format!("dead redrive {filter} --yes"));
    assert_eq!((&redriven["redriven"], &redriven["users"]), (&1.into(), &users.into()), "{redriven}");
    assert_eq!(redriven["runs"], serde_json::json!([stage.run]), "{redriven}");
    let shown = stage.show();
    assert_adds_up(&shown);
    assert_eq!(shown["failed"].as_i64().unwrap(), before["failed"].as_i64().unwrap() - users, "{shown}");
    assert_eq!(shown["pending"].as_i64().unwrap(), before["pending"].as_i64().unwrap() + users, "{shown}");
    let settled = stage.json("dead list --state redriven");
    assert!(settled[0]["resolved_by"].as_str().unwrap().starts_with("ann@"), "{settled}");
    assert_eq!(stage.json(&format!("dead redrive {filter} --yes"))["redriven"], 0, "once only");
    stage.assert_audited("mended").await;

    let payload = stage.json("dead redrive --where code=UNDECODABLE --yes");
    assert_eq!(
        (&payload["redriven"], &payload["left"]),
        (&0.into(), &1.into()),
        "no job, no redrive: {payload}"
    );
    stage.says("dead redrive --where state=discarded --yes", 2, &["state=kept"]);

    // By the number of the letter alone, the run is known all the same.
    give_up(stage).await;
    let id = stage.json("dead list --code CRASHED_WORKER")[0]["id"].clone();
    let follow = format!("Follow: ferry run watch {}", stage.run);
    stage.says(&format!("dead redrive {id} --yes"), 0, &[&follow]);
}

async fn a_discarded_letter_stays_on_record(stage: &mut Stage) {
    stage.says("dead discard --yes", 0, &["Nothing to discard"]);
    bury(stage).await;
    let users = give_up(stage).await;
    let before = shown(stage);
    stage.says("dead discard", 2, &["2 letters", "all that are kept", "--yes"]);
    let id = stage.json("dead list --code CRASHED_WORKER")[0]["id"].clone();
    stage.says(&format!("dead discard {id} --reason known --yes"), 0, &["1 letter discarded"]);
    assert_eq!(shown(stage), before, "its {users} users stay failed");
    let kept = stage.json("dead list");
    assert_eq!(kept.as_array().unwrap().len(), 1, "the other letter is left alone: {kept}");
    let settled = stage.json("dead list --where state=discarded");
    assert_eq!((&settled[0]["id"], &settled[0]["state"]), (&id, &"discarded".into()), "{settled}");
    assert_eq!(stage.json(&format!("dead discard {id} --yes"))["discarded"], 0, "once only");
    assert_eq!(stage.json(&format!("dead redrive {id} --yes"))["redriven"], 0, "settled is settled");
    stage.assert_audited("known").await;
}
