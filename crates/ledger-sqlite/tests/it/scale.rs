//! Plans of many users, and planners that die.

use std::time::{Duration, Instant};

use ferry_domain::{
    ports::Planning,
    testing::ledger::{
        LedgerWorld,
        scene::{Scene, pending},
    },
};
use ferry_ledger_sqlite::SqliteLedger;

use crate::world::world;

#[tokio::test]
async fn a_planner_that_died_leaves_a_planning_run_that_is_cleared() {
    let world = world().await.unwrap();
    let scene = Scene::new(&world).await;
    let (dead, next) = (scene.new_run("a.csv"), scene.new_run("a.csv"));
    let batch = scene.batch();
    {
        // A process of its own that ends between two chunks: nothing is closed, nothing cleaned up.
        let planner = SqliteLedger::open_existing(&world.path()).await.unwrap();
        planner.open_run(&dead).await.unwrap();
        let items: Vec<_> = (1..=25_000).map(|seq| pending(seq, batch)).collect();
        for chunk in items.chunks(5_000) {
            planner.add_items(dead.id, chunk).await.unwrap();
        }
    }
    assert_eq!(world.count("items").await, 25_000);
    world.advance(Duration::from_secs(61)).await;
    scene.ledger.open_run(&next).await.unwrap();
    assert_eq!((world.count("items").await, world.count("runs").await), (0, 1));
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
    let planned = scene.ledger.finish_planning(new.id).await.unwrap();
    println!("planned after {:?}, {} KiB resident", started.elapsed(), resident());
    assert_eq!(planned.tally.pending, users);
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).unwrap_or("?").to_owned()
}
