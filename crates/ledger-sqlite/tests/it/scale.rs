//! Plans of many users, and planners that die.

use std::time::{Duration, Instant};

use ferry_contract::ledger::{
    LedgerWorld,
    scene::{Scene, created, pending},
};
use ferry_domain::ports::Planning;
use ferry_ledger_sqlite::SqliteLedger;

use crate::world::world;

#[tokio::test]
async fn a_planner_killed_in_the_middle_leaves_a_planning_run_that_is_cleared() {
    let world = world().await.unwrap();
    let scene = Scene::new(&world).await;
    let mut planner = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "scale::plans_until_it_is_killed", "--ignored"])
        .env(FILE, world.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while world.count("items").await < 2 * CHUNK {
        assert!(planner.try_wait().unwrap().is_none(), "the planner ended by itself");
        world.sleep(Duration::from_millis(5)).await;
    }
    planner.kill().unwrap();
    planner.wait().unwrap();

    let left = world.count("items").await;
    assert!(left >= 2 * CHUNK && left % CHUNK == 0, "{left} items: a chunk is written whole or not at all");
    let next = scene.new_run("a.csv");
    assert!(scene.ledger.open_run(&next).await.is_err(), "it may still live");
    world.advance(Duration::from_secs(61)).await;
    scene.ledger.open_run(&next).await.unwrap();
    assert_eq!((world.count("items").await, world.count("runs").await), (0, 1));
}

const FILE: &str = "FERRY_TEST_FILE";
const CHUNK: i64 = 500;

/// The process that the test above kills.
#[tokio::test]
#[ignore = "started by another test"]
async fn plans_until_it_is_killed() {
    let Some(file) = std::env::var_os(FILE) else {
        return println!("skipped: {FILE} is not set");
    };
    let ledger = SqliteLedger::open_existing(file.as_ref()).await.unwrap();
    let world = world().await.unwrap();
    let scene = Scene::new(&world).await;
    let (new, batch) = (scene.new_run("a.csv"), scene.batch());
    ledger.open_run(&new).await.unwrap();
    for first in (1..=1_000 * CHUNK).step_by(usize::try_from(CHUNK).unwrap()) {
        let chunk: Vec<_> = (first..first + CHUNK).map(|seq| pending(seq, batch)).collect();
        ledger.add_items(new.id, &chunk).await.unwrap();
    }
}

#[tokio::test]
async fn a_removal_that_broke_off_is_finished_by_the_next_opening() {
    let world = world().await.unwrap();
    let scene = Scene::new(&world).await;
    let half = scene.planned("a.csv", 5, 5).await;
    world.run("UPDATE ferry_runs SET state = 'planning', touched_at = 0").await;
    world.run("DELETE FROM ferry_jobs").await;
    world.run("DELETE FROM ferry_batches").await;
    world.run("DELETE FROM ferry_items WHERE seq < 3").await;
    let late = scene.ledger.add_items(half, &[pending(9, scene.batch())]).await;
    assert!(late.is_err(), "a run that is being removed takes nothing");
    let next = scene.new_run("a.csv");
    scene.ledger.open_run(&next).await.unwrap();
    assert!(scene.ledger.run(half).await.unwrap().is_none());
    assert_eq!(world.count("items").await, 0);
}

/// Not run by itself: prints what a plan of `FERRY_SCALE` users (a million by default) takes.
#[tokio::test]
#[ignore = "a measurement; takes a minute"]
async fn a_plan_of_a_million_users() {
    let users: i64 = std::env::var("FERRY_SCALE").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let world = world().await.unwrap();
    let scene = Scene::new(&world).await;
    let new = scene.new_run("a.csv");
    scene.ledger.open_run(&new).await.unwrap();
    let started = Instant::now();
    let mut batch = scene.batch();
    let mut seq = 0;
    while seq < users {
        let mut chunk = Vec::with_capacity(5_000);
        while chunk.len() < 5_000 && seq < users {
            seq += 1;
            if seq % 100 == 0 {
                batch = scene.batch();
            }
            chunk.push(pending(seq, batch));
        }
        scene.ledger.add_items(new.id, &chunk).await.unwrap();
        if seq % 250_000 == 0 {
            println!("{seq} items after {:?}, {} KiB resident", started.elapsed(), resident());
        }
    }
    println!("added after {:?}", started.elapsed());
    let planned = scene.ledger.finish_planning(new.id, &[]).await.unwrap();
    println!("planned after {:?}, {} KiB resident", started.elapsed(), resident());
    assert_eq!(planned.tally.pending, users);
}

/// Not run by itself: prints how fast results are written back, 64 at a time.
#[tokio::test]
#[ignore = "a measurement"]
async fn results_of_ten_thousand_users() {
    let world = world().await.unwrap();
    let scene = Scene::new(&world).await;
    let run = scene.running_over_people(10_000, 100).await;
    let leases = scene.take_all().await;
    let started = Instant::now();
    for lease in &leases {
        let results = scene.results(lease, created).await;
        for group in results.chunks(64) {
            scene.ledger.write_back(lease, group, 64).await.unwrap();
        }
    }
    println!("10,000 results after {:?}, {} KiB resident", started.elapsed(), resident());
    assert_eq!(scene.view(run).await.tally.created, 10_000);
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).unwrap_or("?").to_owned()
}
