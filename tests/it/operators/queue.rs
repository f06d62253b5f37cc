//! The queue as operators see it, and its rebuild after a lost Redis.

use std::time::Duration;

use ferry_domain::{
    WorkerId,
    ports::{WaitReason, WorkerRecord},
};

use super::stage::{Stage, on_both_ledgers};

on_both_ledgers!(the_queue_is_listed_with_its_workers);

async fn the_queue_is_listed_with_its_workers(stage: &mut Stage) {
    let listed = stage.json("queue list");
    let provision = &listed["kinds"][0];
    assert_eq!((&provision["kind"], &provision["ready"]), (&"provision".into(), &3.into()), "{listed}");
    for state in ["scheduled", "retrying", "queued", "leased", "dead"] {
        assert_eq!(provision[state], 0, "{listed}");
    }
    assert!(provision["oldest_due_seconds"].as_f64() >= Some(0.0), "{listed}");
    assert_eq!(
        (&listed["kinds"][1]["kind"], &listed["kinds"][2]["kind"]),
        (&"verify".into(), &"report".into())
    );
    assert_eq!(
        (&listed["workers"], &listed["stop_all"]),
        (&serde_json::json!([]), &false.into()),
        "{listed}"
    );
    match stage.world() {
        Some(_) => {
            assert_eq!((&listed["window"]["held"], &listed["window"]["size"]), (&0.into(), &1_000.into()))
        }
        None => assert!(listed["window"].is_null(), "an embedded queue has no window: {listed}"),
    }

    let waits = "waiting for the limit: user writes, 3.3 requests/s allowed";
    let record = WorkerRecord {
        id: WorkerId(stage.id().0),
        host: "ward-7".into(),
        pid: 4_711,
        slots: 9,
        waiting_for: Some(WaitReason(waits.into())),
    };
    let presence = stage.ledger.register(&record).await.unwrap();
    stage.ledger.heartbeat(&record, Duration::from_secs(6), &[]).await.unwrap();
    let listed = stage.json("queue list");
    let worker = &listed["workers"][0];
    assert_eq!(
        (&worker["host"], &worker["pid"], &worker["slots"]),
        (&"ward-7".into(), &4_711.into(), &9.into())
    );
    assert_eq!(
        (&worker["watched"], &worker["leases"], &worker["waits"]),
        (&true.into(), &0.into(), &waits.into())
    );
    let table = stage.ferry("queue list");
    for word in ["provision", "oldest due", "ward-7/4711", waits, "heard", " ago"] {
        assert!(table.out.contains(word), "{word}: {}", table.all());
    }
    let shown = stage.ferry("run show RUN");
    assert!(shown.out.contains(waits), "run show says why it waits: {}", shown.all());
    drop(presence);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_queue_needs_no_rebuild() {
    let stage = Stage::embedded().await;
    stage.says("queue rebuild", 0, &["Nothing to rebuild", "memory"]);
    assert_eq!(stage.json("queue rebuild")["lost"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_emptied_redis_forgot_is_sent_again_at_once() {
    let Some(mut stage) = Stage::production("queue rebuild").await else { return };
    assert_eq!(stage.json("queue rebuild")["lost"], 0, "nothing was sent yet");
    // A relay claims jobs; then Redis is emptied before anybody takes one.
    let claimed = stage.ledger.take_ready(10).await.unwrap();
    assert_eq!(claimed.len(), 3);

    stage.says("queue rebuild", 2, &["lost 3 of the 3 jobs", "--yes"]);
    assert_eq!(stage.ledger.queued().await.unwrap(), 3, "without an answer nothing changes");
    let rebuilt = stage.json("queue rebuild --yes");
    assert_eq!(
        (&rebuilt["queued"], &rebuilt["lost"], &rebuilt["ready_again"]),
        (&3.into(), &3.into(), &3.into())
    );
    assert_eq!(stage.json("queue list")["kinds"][0]["ready"], 3);
    stage.says("queue rebuild", 0, &["Nothing to rebuild"]);

    let run = stage.run.clone();
    let world = stage.world().unwrap();
    world.worker(&[]);
    world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    world.place.set("REDIS_URL", "redis://127.0.0.1:1");
    let listed = world.place.json(&["queue", "list", "--output", "json"]);
    assert!(listed["window"]["held"].is_null() && listed["window"]["error"].is_string(), "{listed}");
    assert_eq!(world.place.run(&["queue", "rebuild"]).code, 1);
    world.place.set("REDIS_URL", "");
    assert_eq!(world.place.run(&["queue", "rebuild"]).code, 2);
    world.place.set("REDIS_URL", world.redis_url.clone());
    stage.end().await;
}
