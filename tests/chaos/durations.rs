//! Scenario 46: how long a run takes that is limited by the tenant, beside what `run start` said.
//! The times are measured, never asserted.

use crate::{
    results::Told,
    scene::{Scene, play},
    setup::Setup,
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s46_private_100() {
    takes_as_said("private-100", 3_000, "duration as said, private-100").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s46_enterprise() {
    takes_as_said("enterprise", 1_000, "duration as said, enterprise").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s46_free() {
    takes_as_said("free", 120, "duration as said, free").await;
}

/// A run of this many users under a plan, with two workers that wait for it.
async fn takes_as_said(plan: &'static str, users: u64, name: &'static str) {
    let setup = Setup::new(46, name).users(users, 100).set("AUTH0_PLAN", plan);
    play(setup.simulated(|simulated| simulated.limits = plan.parse().unwrap()), async |scene| {
        scene.seed();
        scene.place.must(&["migrate", "--app", "--yes"]);
        scene.workers(2);
        let started = start(scene);
        let said = &started["estimate"];
        scene.run = started["run"].as_str().unwrap().to_owned();
        let sealed =
            format!("SELECT count(*) FROM ferry.runs WHERE state = 'sealed' AND id::text = '{}'", scene.run);
        // Longer than other waits: minutes under a small limit.
        for _ in 0..3 {
            let ends = async || scene.number(&sealed).await == 1;
            if ferry_testbed::comes_true(std::time::Duration::from_millis(200), ends).await {
                break;
            }
        }
        scene.until_sealed().await;
        let report = scene.place.json(&["run", "report", &scene.run, "--output", "json"]);
        let created = report["created"].as_u64().unwrap();
        assert_eq!(
            said["user_writes"].as_u64(),
            Some(created),
            "nobody had an account, and nobody was refused"
        );
        let (said, took) = (number(&said["total_seconds"]), number(&report["durations"]["total_seconds"]));
        let error = (took / said - 1.0) * 100.0;
        let requests = number(&report["rate"]["requests"]);
        Told::note(format!(
            "{created} users: {said:.1} s were said, {took:.1} s passed ({error:+.1} %), {requests} requests"
        ))
    })
    .await;
}

fn start(scene: &Scene) -> serde_json::Value {
    let source = scene.database.url.as_str();
    let how = ["--preset", "medlogistics", "--email-verified", "assume", "--yes", "--output", "json"];
    scene.place.json(&[&["run", "start", source][..], &how].concat())
}

fn number(value: &serde_json::Value) -> f64 {
    value.as_f64().unwrap()
}
