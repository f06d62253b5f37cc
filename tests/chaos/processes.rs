//! Faults 1 to 13: processes that die, stop, or hang.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    results::Told,
    scene::{Setup, play},
    worker::tail,
};

/// Requests of one process under way at most, by its settings: batches times users.
const IN_FLIGHT: i64 = 4 * 16;

#[tokio::test(flavor = "multi_thread")]
async fn s01_a_killed_worker_s_batches_go_to_others() {
    play(Setup::new(1, "SIGKILL a worker in mid-batch"), async |scene| {
        scene.start(&[]);
        scene.workers(2);
        scene.until_busy(0).await;
        scene.until_done(20).await;
        let killed = scene.kill(0).await;
        let after = scene.recovered(&killed).await;
        scene.until_sealed().await;
        let asked = scene.simulator.stats().requests_to("POST /api/v2/users");
        let made = i64::try_from(scene.simulator.users().len()).unwrap();
        let repeated = i64::try_from(asked).unwrap() - made;
        assert!(repeated <= IN_FLIGHT, "{repeated} requests were repeated, {IN_FLIGHT} were under way");
        Told::recovered(after, format!("{} batches were held", killed.1.len()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s07_a_worker_restarted_at_once_takes_its_old_work_up() {
    play(Setup::new(7, "restart at once under the same name"), async |scene| {
        scene.start(&[]);
        scene.worker();
        scene.until_busy(0).await;
        scene.until_done(20).await;
        let killed = scene.kill(0).await;
        scene.worker();
        let after = scene.recovered(&killed).await;
        scene.until_sealed().await;
        Told::recovered(after, "start of the new process included")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s08_sigterm_hands_back_and_costs_no_attempt() {
    play(Setup::new(8, "SIGTERM in mid-batch"), async |scene| {
        scene.start(&[]);
        scene.worker();
        scene.until_busy(0).await;
        scene.until_done(20).await;
        let asked = Instant::now();
        scene.workers[0].signal("TERM");
        let ended = scene.workers[0].ended(Duration::from_secs(40)).await;
        let took = asked.elapsed();
        assert_eq!(ended.code(), Some(0), "{}", tail(&scene.workers[0].said()));
        let held = scene.number("SELECT count(*) FROM ferry.jobs WHERE state = 'leased'").await;
        assert_eq!(held, 0, "everything is handed back");
        scene.worker();
        scene.until_sealed().await;
        assert_eq!(scene.number("SELECT count(*) FROM ferry.attempts").await, 0, "no attempt is spent");
        Told::note(format!("ended after {} ms", took.as_millis()))
    })
    .await;
}
