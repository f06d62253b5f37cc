//! Faults 1 to 13: processes that die, stop, or hang.

use std::time::Duration;

use ferry_testbed::{PATIENCE, tail};
use tokio::time::Instant;

use crate::{
    results::Told,
    scene::{Scene, play},
    setup::Setup,
    watch::{Recovery, held_by, recovery},
};

#[tokio::test(flavor = "multi_thread")]
async fn s01_a_killed_worker_s_batches_go_to_others() {
    play(Setup::new(1, "SIGKILL a worker in mid-batch"), async |scene| {
        scene.start(&[]);
        scene.workers(3);
        scene.until_busy(0).await;
        scene.until_done(20).await;
        let killed = scene.kill(0).await;
        // Sent and not written down: on their way, or answered and still in memory.
        let across = scene.across().await;
        let asked = || i64::try_from(scene.simulator.stats().requests_to("POST /api/v2/users")).unwrap();
        let in_flight = asked() - across;
        let after = scene.recovered(&killed).await;
        scene.until_sealed().await;
        let repeated = asked() - i64::try_from(scene.simulator.users().len()).unwrap();
        assert!(repeated <= in_flight, "{repeated} requests were repeated, {in_flight} were in flight");
        Told::taken_over(after, format!("{} batches were held", killed.1.len()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s41_a_killed_worker_where_only_leases_tell() {
    let setup = Setup::new(41, "as 1, the death lock switched off");
    play(setup.set("FERRY_LEDGER__DEATH_LOCK", "false"), async |scene| {
        scene.start(&[]);
        scene.workers(3);
        scene.until_busy(0).await;
        scene.until_done(20).await;
        let killed = scene.kill(0).await;
        let after = scene.recovered(&killed).await;
        scene.until_sealed().await;
        Told::taken_over(after, format!("{} batches were held", killed.1.len()))
    })
    .await;
}

const LIMIT: &str = "custom:60:60";

/// All slots are taken for seconds and jobs wait behind them, as in any run at a tenant's limit.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s43_a_killed_worker_at_the_limit_with_a_backlog() {
    let setup = Setup::new(43, "as 1, at a limit of 60/s and with a backlog").set("AUTH0_PLAN", LIMIT);
    let setup = setup.users(1_500, 100).simulated(|config| config.limits = LIMIT.parse().unwrap());
    play(setup, async |scene| {
        scene.start(&[]);
        scene.workers(3);
        scene.until_busy(0).await;
        scene.until_done(150).await;
        let killed = scene.kill(0).await;
        let waiting = scene.number("SELECT count(*) FROM ferry.jobs WHERE state = 'queued'").await;
        let after = scene.recovered(&killed).await;
        scene.until_sealed().await;
        Told::taken_over(
            after,
            format!("{} batches were held, {waiting} waited in the queue", killed.1.len()),
        )
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s07_a_worker_restarted_at_once_takes_its_old_work_up() {
    play(Setup::new(7, "immediate restart under the same name"), async |scene| {
        scene.start(&[]);
        scene.worker();
        scene.until_busy(0).await;
        scene.until_done(20).await;
        let killed = scene.kill(0).await;
        scene.worker();
        let after = scene.recovered(&killed).await;
        scene.until_sealed().await;
        Told::taken_over(after, "start of the new process included")
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

#[tokio::test(flavor = "multi_thread")]
async fn s05_all_workers_killed_and_one_started_an_hour_later() {
    play(Setup::new(5, "SIGKILL of all workers, one starts an hour later"), async |scene| {
        scene.start(&[]);
        scene.workers(2);
        scene.until_busy(0).await;
        scene.until_done(20).await;
        scene.kill(0).await;
        scene.kill(1).await;
        // An hour passes: everything that carries a time was an hour earlier.
        for sql in [
            "UPDATE ferry.jobs SET created_at = created_at - interval '1 h', not_before = not_before - interval '1 h',
                queued_at = queued_at - interval '1 h', expires_at = expires_at - interval '1 h',
                ended_at = ended_at - interval '1 h'",
            "UPDATE ferry.roles SET expires_at = expires_at - interval '1 h'",
            "UPDATE ferry.workers SET seen_at = seen_at - interval '1 h'",
        ] {
            scene.execute(sql).await;
        }
        let across = scene.across().await;
        let listed = scene.place.json(&["queue", "list", "--output", "json"]);
        let kinds = listed["kinds"].as_array().unwrap().iter();
        let oldest = kinds.filter_map(|kind| kind["oldest_due_seconds"].as_f64()).fold(0.0, f64::max);
        assert!(oldest >= 3_600.0, "the delay is visible as the oldest age: {listed}");
        let started = Instant::now();
        scene.worker();
        scene.until_done(across + 1).await;
        let after = started.elapsed();
        scene.until_sealed().await;
        Told::recovered(after, "from the new process's start to the next user")
    })
    .await;
}

/// Users written back per second while something goes on.
async fn pace(scene: &mut Scene, meanwhile: impl AsyncFnOnce(&mut Scene)) -> f64 {
    let (before, began) = (scene.across().await, Instant::now());
    meanwhile(scene).await;
    (scene.across().await - before) as f64 / began.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s06_the_same_worker_killed_twenty_times() {
    // Slow enough that the run outlasts the kills.
    let setup = Setup::new(6, "SIGKILL the same worker 20 times").users(3_000, 20).latency(300);
    play(setup.set("FERRY_WORKER__USERS", "4"), async |scene| {
        scene.start(&[]);
        scene.worker();
        scene.until_done(60).await;
        let alone = pace(scene, async |_| tokio::time::sleep(Duration::from_secs(5)).await).await;
        let mut victim = scene.worker();
        let (mut kills, mut recoveries) = (0, tokio::task::JoinSet::new());
        let under_kills = pace(scene, async |scene| {
            while kills < 20 && scene.state().await == "running" {
                scene.until_busy(victim).await;
                tokio::time::sleep(Duration::from_millis(500)).await;
                let (at, held) = scene.kill(victim).await;
                kills += 1;
                let pool = scene.pool.clone();
                recoveries.spawn(async move { recovery(&pool, &held, at, PATIENCE).await });
                victim = scene.worker();
            }
        })
        .await;
        scene.until_sealed().await;
        let all = recoveries.join_all().await;
        let quick = all.iter().filter(|one| one.claimed <= Duration::from_secs(1)).count();
        let worst = all.into_iter().reduce(|a, b| Recovery {
            taken_back: a.taken_back.max(b.taken_back),
            claimed: a.claimed.max(b.claimed),
        });
        let share = 100.0 * under_kills / alone;
        let note = format!("{kills} kills, the slowest of them; {quick} over within 1 s; meanwhile {share:.0} % of the other worker's pace alone");
        Told::taken_over(worst.unwrap(), note)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s09_sigterm_and_then_sigkill() {
    play(Setup::new(9, "SIGTERM, SIGKILL after 1 s").latency(1_800).users(200, 25), async |scene| {
        scene.start(&[]);
        scene.worker();
        scene.until_busy(0).await;
        scene.until_done(1).await;
        scene.workers[0].signal("TERM");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let lived = scene.workers[0].lives();
        let killed = scene.kill(0).await;
        scene.worker();
        let after = scene.recovered(&killed).await;
        scene.until_sealed().await;
        Told::taken_over(after, format!("it still lived: {lived}; {} batches held", killed.1.len()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s10_a_worker_that_slept_for_two_leases() {
    play(Setup::new(10, "SIGSTOP for two leases, SIGCONT").users(200, 25).latency(150), async |scene| {
        scene.start(&[]);
        scene.worker();
        scene.until_busy(0).await;
        scene.until_done(5).await;
        let at = Instant::now();
        scene.workers[0].signal("STOP");
        let held = held_by(&scene.pool, scene.workers[0].pid()).await;
        scene.worker();
        let after = recovery(&scene.pool, &held, at, PATIENCE).await;
        // Its life is two leases: it comes back to work that another process holds.
        tokio::time::sleep(Duration::from_secs(12).saturating_sub(at.elapsed())).await;
        scene.workers[0].signal("CONT");
        scene.until_sealed().await;
        assert!(scene.workers[0].lives(), "it goes on: {}", tail(&scene.workers[0].said()));
        Told::taken_over(after, format!("by lease expiry; {} batches were held", held.len()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s15_a_server_that_never_answers() {
    let setup =
        Setup::new(15, "a server that never answers").set("FERRY_AUTH0__REQUEST_TIMEOUT_SECONDS", "1");
    play(setup.users(200, 25), async |scene| {
        let silent = scene.auth0_behind_a_proxy().await;
        scene.start(&[]);
        scene.worker();
        scene.until_done(5).await;
        silent.change(|weather| weather.mute = true);
        tokio::time::sleep(Duration::from_secs(5)).await;
        silent.change(|weather| weather.mute = false);
        let (at, across) = (Instant::now(), scene.across().await);
        scene.until_done(across + 1).await;
        let after = at.elapsed();
        scene.until_sealed().await;
        let failed = scene.number("SELECT count(*) FROM ferry.items WHERE code = 'TIMED_OUT'").await;
        assert_eq!(failed, 0, "nobody fails for a silence of five seconds");
        let attempts = scene.number("SELECT count(*) FROM ferry.attempts").await;
        Told::recovered(after, format!("silent for 5 s; {attempts} attempts"))
    })
    .await;
}
