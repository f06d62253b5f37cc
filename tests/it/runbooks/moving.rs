//! Work goes on, but slowly, or with processes that end.

use ferry_testbed::{free_port, until};

use super::{Page, all, queue_says as says};
use crate::world::World;

const SLOW: &[&str] =
    &["FerrySaturated", "FerryFallingBehind", "FerryMixedVersions", "FerryLabelOverflow", "FerryTwoRelays"];
const LIMITED: &[&str] = &["FerryRateLimited", "FerryRateReduced"];
pub const ALERTS: &[&str] = &[
    "FerrySaturated",
    "FerryFallingBehind",
    "FerryMixedVersions",
    "FerryLabelOverflow",
    "FerryTwoRelays",
    "FerryRateLimited",
    "FerryRateReduced",
    "FerryRescues",
    "FerryClockSkew",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_is_the_speed() {
    let Some(mut world) = World::limited("runbooks: slow", "custom:20:20", "custom:20:20").await else {
        return;
    };
    let run = world.started(3_000, &["--batch-size", "50"]); // more than the test sees made
    world.worker(&[]);
    says(&world, "waiting for the limit").await;
    let expected: &[_] = &[("ferry queue list", 0, &["waiting for the limit"][..])];
    all(SLOW, &world.place, &run, &[]);
    Page { alert: "FerrySaturated", place: &world.place, run: &run, expected }.look();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tenant_allows_less_than_the_settings_say() {
    let Some(mut world) = World::limited("runbooks: 429", "custom:20:4", "custom:20:20").await else {
        return;
    };
    let run = world.started(3_000, &["--batch-size", "50"]);
    world.worker(&[]);
    for alert in LIMITED {
        says(&world, "slowed to").await; // a rate that a person sets begins anew
        let expected: &[_] = &[
            ("ferry queue list", 0, &["slowed to", "answers 429"][..]),
            ("ferry run show", 0, &["slowed to"]),
        ];
        Page { alert, place: &world.place, run: &run, expected }.look().mend();
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_died_and_another_one_has_its_work() {
    let Some(mut world) = World::limited("runbooks: rescues", "custom:20:20", "custom:20:20").await else {
        return;
    };
    let run = world.started(3_000, &["--batch-size", "50"]);
    let dying = world.worker(&[]);
    world.until(&run, "begun", |shown| shown["created"].as_i64() > Some(0)).await;
    world.worker(&[]);
    world.workers()[dying].kill();
    let taken_back = "SELECT count(*) FROM ferry.jobs WHERE rescues > 0";
    until("its leases are taken back", async || world.number(taken_back).await > 0).await;
    all(&["FerryRescues"], &world.place, &run, &[("ferry dead list", 0, &["No dead letter waits"])]);
    world.end().await;
}

/// Of the two commands one is not ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_says_by_how_much_its_clock_differs() {
    let Some(mut world) = World::new("runbooks: clock").await else { return };
    world.started(60, &[]);
    let port = free_port();
    world.worker(&["--listen", &format!("127.0.0.1:{port}")]);
    let typed = super::commands("FerryClockSkew", "First look");
    assert_eq!(typed[1..], ["timedatectl"]);
    let (command, sought) = typed[0].split_once(" | grep ").unwrap();
    let url = command.split(' ').next_back().unwrap().replace("9464", &port.to_string());
    until("the difference is on the page", async || {
        let Ok(answer) = reqwest::get(&url).await else { return false };
        let page = answer.text().await.unwrap();
        page.lines().any(|line| line.starts_with(sought) && line.split(' ').count() == 2)
    })
    .await;
    assert_eq!(super::commands("FerryClockSkew", "Remedy"), Vec::<String>::new());
    world.end().await;
}
