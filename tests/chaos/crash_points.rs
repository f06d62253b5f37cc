//! Every crash point is visited: a worker dies there, a usual one finishes, and the
//! invariants hold. A point that no death reached is reported and fails the test.

use crate::{
    embedded::dies_between_the_files,
    results::{Told, skip},
    scene::{Scene, crash_binary, ferry_binary, play},
    setup::Setup,
};
use std::{process::Command, time::Duration};

/// Numbers of these in the results: after the scenarios.
const FIRST: u32 = 100;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --crash-points"]
async fn every_point_is_visited() {
    let Some(binary) = crash_binary() else {
        return skip(FIRST, "crash points", "FERRY_CRASH_BINARY is not set; tests/chaos/run sets it");
    };
    let listed = Command::new(&binary).arg("crash-points").output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let points: Vec<&str> = listed.lines().filter_map(|line| line.split('\t').next()).collect();
    assert!(!points.is_empty(), "the crash build lists its points");
    let mut missed = Vec::new();
    for (n, point) in (FIRST..).zip(&points) {
        let died = match *point {
            // The scenes' ledger is in the application's database.
            "apart.written" => dies_between_the_files(&binary, point).await,
            point => visit(n, point).await,
        };
        if !died {
            missed.push(*point);
        }
    }
    println!("crash points: {} of {} visited; not: {missed:?}", points.len() - missed.len(), points.len());
    assert!(missed.is_empty(), "no process died at {missed:?}");
}

/// Dies at one point, finishes, checks; whether a process did die there.
async fn visit(number: u32, point: &str) -> bool {
    let mut died = false;
    let name: &'static str = format!("crash at {point}").leak();
    // A verdict comes from a pause here: the run must last until the pause is there.
    let users = if point == "worker.concluded" { 2_000 } else { 80 };
    let setup = Setup::new(number, name).users(users, 40).latency(20);
    play(setup, async |scene| {
        scene.start(&[]);
        let armed = match point {
            "rescue.taken" | "rescue.halved" => over_a_death(scene, point).await,
            "cancel.asked" => in_a_cancelled_run(scene, point).await,
            "poison.asked" => over_one_left(scene, point).await,
            _ => scene.armed(point, &[]).unwrap(),
        };
        match point {
            "stop.retiring" => {
                scene.until_busy(armed).await;
                scene.workers[armed].signal("TERM");
            }
            "worker.concluded" => {
                // A batch that goes well ends with its last write, without a verdict.
                scene.until_busy(armed).await;
                scene.place.must(&["run", "pause", &scene.run.clone(), "--yes", "--reason", "chaos"]);
            }
            _ => {}
        }
        let said = format!("crash point {point}");
        died = reached(scene, armed, &said).await;
        if point == "worker.concluded" {
            scene.place.must(&["run", "resume", &scene.run.clone(), "--yes", "--reason", "chaos"]);
        }
        scene.worker();
        let end = if point == "cancel.asked" { "cancelled" } else { "sealed" };
        scene.until_state(end).await;
        Told::note(if died { "" } else { "not visited" })
    })
    .await;
    died
}

/// Waits for the death; gives up when the run has ended without it.
async fn reached(scene: &mut Scene, armed: usize, said: &str) -> bool {
    for _ in 0..1_200 {
        if !scene.workers[armed].lives() {
            return scene.workers[armed].said().contains(said);
        }
        if matches!(scene.state().await.as_str(), "sealed" | "cancelled") {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let lives = scene.workers[armed].lives();
            scene.workers[armed].kill();
            return !lives && scene.workers[armed].said().contains(said);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

/// A second process dies and leaves work to be rescued by the armed one.
async fn over_a_death(scene: &mut Scene, point: &str) -> usize {
    let victim = scene.command(ferry_binary(), &["worker"], &[]);
    let victim = scene.hire(victim);
    scene.until_busy(victim).await;
    if point == "rescue.halved" {
        scene.execute("UPDATE ferry.jobs SET rescues = 2 WHERE kind = 'provision'").await;
    }
    scene.workers[victim].kill();
    // It rescues, and has to be the only one that can.
    scene.armed(point, &[]).unwrap()
}

/// One user of a batch is left, and workers died over it as often as makes it only asked for.
async fn over_one_left(scene: &mut Scene, point: &str) -> usize {
    scene
        .execute(
            "WITH one AS (SELECT batch_id, min(seq) AS seq FROM ferry.items WHERE state = 'pending' GROUP BY 1 LIMIT 1),
             parted AS (UPDATE ferry.jobs j SET rescues = 5 FROM one WHERE j.batch_id = one.batch_id RETURNING 1)
             UPDATE ferry.items i SET state = 'cancelled' FROM one, parted
             WHERE i.batch_id = one.batch_id AND i.seq <> one.seq AND i.state = 'pending'",
        )
        .await;
    scene
        .execute(
            "UPDATE ferry.batches b SET cancelled = n.cancelled, pending = n.pending FROM
             (SELECT batch_id, count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
                     count(*) FILTER (WHERE state = 'pending') AS pending FROM ferry.items GROUP BY 1) n
             WHERE n.batch_id = b.id",
        )
        .await;
    scene.armed(point, &[]).unwrap()
}

/// Some users are at Auth0 and not written down when the run is cancelled.
async fn in_a_cancelled_run(scene: &mut Scene, point: &str) -> usize {
    let victim = scene.worker();
    scene.until_busy(victim).await;
    scene.workers[victim].kill();
    scene.place.must(&["run", "cancel", &scene.run.clone(), "--yes", "--reason", "chaos"]);
    scene.armed(point, &[]).unwrap()
}
