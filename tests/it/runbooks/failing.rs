//! Users fail, jobs fail, or Auth0 does.

use std::time::Duration;

use ferry_domain::{
    Code, RunId, WorkerId,
    ports::{DeadLetter, Ledger, WorkerRecord},
};
use ferry_ledger_postgres::{Options, PostgresLedger};
use ferry_simulator::{Config, Faults, PlantedUser};
use ferry_testbed::Proxy;

use super::{Page, all, queue_says as says};
use crate::world::World;

const USERS: &[&str] = &["FerryFailureRatio", "FerryFailureRatioHigh", "FerryMigrationErrors"];
const AUTH0: &[&str] =
    &["FerryBreakerOpen", "FerryApiSlow", "FerryExecutionBurnFast", "FerryExecutionBurnSlow"];
pub const ALERTS: &[&str] = &[
    "FerryFailureRatio",
    "FerryFailureRatioHigh",
    "FerryMigrationErrors",
    "FerryBreakerOpen",
    "FerryApiSlow",
    "FerryExecutionBurnFast",
    "FerryExecutionBurnSlow",
    "FerryDeadLetters",
    "FerryForeignDeliveries",
    "FerryWorkerNotReady",
];

/// A tenant with this limit, which Ferry knows.
async fn world(test: &str, limits: &str) -> Option<World> {
    let mut world =
        World::with(test, Config { limits: limits.parse().unwrap(), ..Config::default() }).await?;
    world.place.set("AUTH0_PLAN", limits);
    Some(world)
}

async fn ledger(world: &World) -> Box<dyn Ledger> {
    Box::new(PostgresLedger::connect(&world.database.url, Options::default()).await.unwrap())
}

/// Half of the users have accounts that nobody confirmed.
#[tokio::test(flavor = "multi_thread")]
async fn users_fail() {
    let Some(mut world) = world("runbooks: users fail", "custom:20:20").await else { return };
    let run = world.started(3_000, &["--batch-size", "20"]);
    let sql = "SELECT lower(trim(email)) FROM users WHERE active AND email ~ '^[a-z0-9.]+@[a-z0-9.-]+$' AND id % 2 = 0";
    let addresses: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut world.connect().await).await.unwrap();
    for email in addresses {
        world.simulator.plant(PlantedUser { email_verified: false, ..PlantedUser::new(&email) });
    }
    world.worker(&[]);
    world.until(&run, "failing", |shown| shown["conflict"].as_i64() > Some(5)).await;
    for alert in USERS {
        // A page sends those again that failed until then.
        world.until(&run, "failing", |shown| shown["conflict"].as_i64() > Some(5)).await;
        let expected: &[_] = &[("ferry run report", 0, &["ADOPT_UNVERIFIED"][..])];
        Page { alert, place: &world.place, run: &run, expected }.look().mend();
    }
    assert_eq!(world.show(&run)["state"], "running");
    world.end().await;
}

/// Nothing comes through to Auth0, or its answers take long.
#[tokio::test(flavor = "multi_thread")]
async fn auth0_does_not_answer() {
    let Some(mut world) = world("runbooks: Auth0 is away", "off").await else { return };
    let url = world.simulator.base_url();
    let proxy = Proxy::before(url.trim_start_matches("http://").parse().unwrap()).await;
    world.place.set("AUTH0_BASE_URL", format!("http://127.0.0.1:{}", proxy.port));
    let run = world.started(60, &["--batch-size", "20"]);
    world.simulator.set_faults(Faults { latency_ms: 2_500, ..Faults::default() }).unwrap();
    world.worker(&[]);
    Page { alert: "FerryApiSlow", place: &world.place, run: &run, expected: &[] }.look().mend();

    proxy.cut(true);
    world.simulator.set_faults(Faults::default()).unwrap();
    says(&world, "waiting for Auth0").await;
    let expected: &[_] =
        &[("ferry check", 10, &["error auth0"][..]), ("ferry queue list", 0, &["waiting for Auth0"])];
    all(&AUTH0[..1], &world.place, &run, expected);
    all(&AUTH0[2..], &world.place, &run, &[("ferry check", 10, &["error auth0"])]);
    assert_eq!(world.show(&run)["state"], "paused");
    proxy.cut(false);
    world.place.must(&["run", "resume", &run, "--yes"]);
    world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    world.end().await;
}

const REFUSED: &str = "Auth0 refuses the token";

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_lacks_its_token() {
    let Some(mut world) = world("runbooks: not ready", "off").await else { return };
    let run = world.started(60, &[]);
    world.place.set("AUTH0_CLIENT_SECRET", "wrong");
    world.worker(&[]);
    says(&world, REFUSED).await;
    let expected: &[_] = &[("ferry check", 10, &["error auth0"][..]), ("ferry queue list", 0, &[REFUSED])];
    all(&["FerryWorkerNotReady"], &world.place, &run, expected);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_were_given_up() {
    let Some(mut world) = world("runbooks: dead letters", "off").await else { return };
    let run = world.started(60, &["--batch-size", "20"]);
    let ledger = ledger(&world).await;
    let id: RunId = run.parse().unwrap();
    let rescuer =
        WorkerRecord { id: WorkerId(id.0), host: "host".into(), pid: 8, slots: 1, waiting_for: None };
    ledger.heartbeat(&rescuer, Duration::from_secs(60), &[]).await.unwrap();
    let sends = ledger.take_ready(1).await.unwrap();
    assert!(ledger.give_up(sends[0].job, Code::CrashedWorker, rescuer.id).await.unwrap());
    ledger.retire(rescuer.id).await.unwrap();

    let expected: &[_] = &[("ferry dead list", 0, &["CRASHED_WORKER", "provision"][..])];
    all(&["FerryDeadLetters"], &world.place, &run, expected);
    assert_eq!(world.place.json(&["dead", "list", "--output", "json"]), serde_json::json!([]), "redriven");
    world.worker(&[]);
    world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_has_jobs_of_another_ledger() {
    let Some(mut world) = world("runbooks: foreign jobs", "off").await else { return };
    let run = world.started(60, &["--batch-size", "20"]);
    let ledger = ledger(&world).await;
    let letter = DeadLetter {
        queue: "provision".into(),
        payload: b"of another ledger".to_vec(),
        code: Code::JobUnknown,
        reason: "no such job".into(),
        by: "host/7".into(),
    };
    ledger.bury(&letter).await.unwrap();
    let expected: &[_] =
        &[("ferry dead list", 0, &["JOB_UNKNOWN"][..]), ("ferry config show", 0, &["namespace"])];
    all(&["FerryForeignDeliveries"], &world.place, &run, expected);
    world.worker(&[]);
    world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    world.end().await;
}
