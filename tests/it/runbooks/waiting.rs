//! Jobs wait: nobody takes them, or a person said so.

use super::{Page, all};
use crate::world::World;

const NO_WORKER: &[&str] =
    &["FerryNoWorker", "FerryNoRelay", "FerryNoExporter", "FerryTargetDown", "FerryOldestAge", "FerryStuck"];
const LATE: &[&str] = &["FerryQueueingBurnFast", "FerryQueueingBurnSlow", "FerryVerifierLag"];
pub const ALERTS: &[&str] = &[
    "FerryNoWorker",
    "FerryNoRelay",
    "FerryNoExporter",
    "FerryTargetDown",
    "FerryOldestAge",
    "FerryStuck",
    "FerryQueueingBurnFast",
    "FerryQueueingBurnSlow",
    "FerryVerifierLag",
    "FerryRunStalled",
    "FerryForgottenPause",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_worker_runs() {
    let Some(mut world) = World::new("runbooks: no worker").await else { return };
    let run = world.started(60, &["--batch-size", "20"]);
    let expected: &[_] = &[("ferry queue list", 0, &["No worker runs"][..])];
    all(NO_WORKER, &world.place, &run, expected);
    assert_eq!(world.show(&run)["state"], "paused", "a page pauses it until there are workers");
    world.place.must(&["run", "resume", &run, "--yes"]);
    world.worker(&[]);
    world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_users_back() {
    let Some(mut world) = World::new("runbooks: no verifier").await else { return };
    let run = world.started(60, &["--batch-size", "20"]);
    world.worker(&["--roles", "provision,relay"]);
    world.until(&run, "created", |shown| shown["pending"] == 0).await;
    let expected: &[_] = &[("ferry queue list", 0, &["verify"][..]), ("ferry run show", 0, &["0 verified"])];
    all(LATE, &world.place, &run, expected);
    world.worker(&["--roles", "verify,report"]);
    world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_stopped_it() {
    let Some(mut world) = World::new("runbooks: paused").await else { return };
    world.place.set("FERRY_OPERATOR", "ann");
    let run = world.started(60, &["--batch-size", "20"]);
    world.place.must(&["run", "pause", &run, "--yes", "--reason", "clinic is asked"]);
    world.place.must(&["stop-all", "--yes", "--reason", "tenant is looked at"]);
    world.worker(&[]);
    let page = |alert, expected| Page { alert, place: &world.place, run: &run, expected };
    let stopped: &[_] = &[
        ("ferry run show", 0, &["all sending is stopped"][..]),
        ("ferry audit", 0, &["clinic is asked", "tenant is looked at", "ann"]),
    ];
    page("FerryRunStalled", stopped).look();
    page("FerryForgottenPause", stopped).look().mend();
    world.until_sealed(&run).await;
    page("FerryRunStalled", &[]).mend();
    world.assert_settled(&run).await;
    world.end().await;
}
