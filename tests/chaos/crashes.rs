//! Faults 2, 3, 4, 11, 12 and 13: death, panic and standstill at a chosen instruction, by
//! the build with crash points.

use std::time::Duration;

use ferry_testbed::{PATIENCE, free_port};
use tokio::time::Instant;

use crate::{
    results::{Told, skip},
    scene::{Scene, crash_binary, ferry_binary, play},
    setup::Setup,
};

/// Plays only with the build that can be told to die.
async fn play_armed(setup: Setup, story: impl AsyncFnOnce(&mut Scene) -> Told) {
    if crash_binary().is_none() {
        let why = "FERRY_CRASH_BINARY is not set; tests/chaos/run sets it";
        return skip(setup.number, setup.name, why);
    }
    play(setup, story).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s02_killed_between_the_answer_and_the_write() {
    play_armed(Setup::new(2, "SIGKILL between the 201 and the UPDATE").latency(5), async |scene| {
        scene.start(&[]);
        let dying = scene.armed("provision.sent:5", &[]).unwrap();
        scene.crashed(dying).await;
        let there = scene.simulator.users().len();
        let across = scene.across().await;
        assert!(i64::try_from(there).unwrap() > across, "users are at Auth0 that nobody has written down");
        scene.worker();
        scene.until_sealed().await;
        Told::note(format!("{there} users at Auth0, {across} written down at the death"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s03_killed_between_the_write_and_the_acknowledgement() {
    let setup = Setup::new(3, "SIGKILL between the UPDATE and the ack").set("FERRY_WORKER__BATCHES", "1");
    play_armed(setup.latency(5), async |scene| {
        scene.start(&[]);
        let dying = scene.armed("provision.finished", &[]).unwrap();
        scene.crashed(dying).await;
        let asked = scene.simulator.stats().requests_to("POST /api/v2/users");
        let across = scene.across().await;
        assert_eq!(i64::try_from(asked).unwrap(), across, "all that was sent is written down");
        scene.worker();
        scene.until_sealed().await;
        let (all, made) = (scene.simulator.stats(), scene.simulator.users().len());
        let all = all.requests_to("POST /api/v2/users");
        assert_eq!(all, u64::try_from(made).unwrap(), "nothing was sent twice");
        Told::note("nothing sent twice")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s04_a_completion_event_that_was_lost_comes_once() {
    let setup = Setup::new(4, "SIGKILL between the ack and the completion event").users(100, 25);
    play_armed(setup.latency(5), async |scene| {
        scene.start(&[]);
        let dying = scene.armed("provision.finished:2", &[]).unwrap();
        scene.crashed(dying).await;
        // The events that are on their way get lost in the transport as well. The slot for
        // reports gives the relay a window of three: two batches are left, one event goes.
        let relay = scene.command(ferry_binary(), &["worker", "--roles", "relay,report"], &[]);
        let relay = scene.hire(relay);
        let sent = "SELECT count(*) FROM ferry.jobs WHERE kind = 'verify' AND state = 'queued'";
        scene.until("a completion event is sent", async || scene.number(sent).await > 0).await;
        scene.workers[relay].kill();
        let mut redis = scene.redis().await;
        let pattern = format!("*{}*:verify:*", scene.database.name);
        let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut redis).await.unwrap();
        assert!(!keys.is_empty(), "the event is in the queue");
        let _: i64 = redis::cmd("DEL").arg(keys).query_async(&mut redis).await.unwrap();
        scene.worker();
        scene.until_sealed().await;
        Told::note("events lost in Redis too, each came once")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s11_a_blocked_runtime_loses_its_work_and_its_health() {
    play_armed(Setup::new(11, "runtime blocked").users(200, 25), async |scene| {
        scene.start(&[]);
        let address = format!("127.0.0.1:{}", free_port());
        let blocked =
            scene.armed("block:20", &[("FERRY_LISTEN", &address), ("TOKIO_WORKER_THREADS", "2")]).unwrap();
        scene
            .until("its threads are blocked", async || {
                scene.workers[blocked].said().contains("threads are blocked")
            })
            .await;
        let at = Instant::now();
        let held = crate::watch::held_by(&scene.pool, scene.workers[blocked].pid()).await;
        scene.worker();
        let url = format!("http://{address}/healthz");
        let client = reqwest::Client::builder().timeout(Duration::from_secs(1)).build().unwrap();
        let red = async || match client.get(&url).send().await {
            Ok(answer) => !answer.status().is_success(),
            Err(_) => true, // a probe that gets no answer fails as well
        };
        let seen = async {
            scene.until("the liveness probe is red", red).await;
            at.elapsed()
        };
        let (seen, after) = tokio::join!(seen, crate::watch::recovery(&scene.pool, &held, at, PATIENCE));
        scene.until_sealed().await;
        scene.until("its threads turn again", async || !red().await).await;
        Told::taken_over(after, format!("by lease expiry; probe red after {:.1} s", seen.as_secs_f64()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s12_a_user_that_kills_its_worker_is_isolated() {
    play_armed(Setup::new(12, "one payload kills its worker").latency(5), async |scene| {
        scene.start(&[]);
        let key = poison(scene).await;
        let deaths = until_sealed_over(scene, &format!("user:{key}")).await;
        let dead = format!(
            "SELECT count(*) FROM ferry.items WHERE state = 'failed' AND code = 'CRASHED_WORKER' AND key = '{key}'"
        );
        assert_eq!(scene.number(&dead).await, 1, "the poison is failed with the reason");
        let all = "SELECT count(*) FROM ferry.items WHERE code = 'CRASHED_WORKER'";
        assert_eq!(scene.number(all).await, 1, "nobody else is");
        let letters = "SELECT count(*) FROM ferry.dead_letters WHERE code = 'CRASHED_WORKER'";
        assert_eq!(scene.number(letters).await, 1, "it is in the dead set");
        Told::note(format!("{deaths} deaths until it was given up alone"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s12_a_user_that_kills_once_it_is_sent_is_asked_for() {
    play_armed(Setup::new(12, "one payload kills its worker").latency(5), async |scene| {
        scene.start(&[]);
        let key = poison(scene).await;
        let deaths = until_sealed_over(scene, &format!("sent:{key}")).await;
        let ended = format!("SELECT count(*) FROM ferry.items WHERE state = 'created' AND key = '{key}'");
        assert_eq!(scene.number(&ended).await, 1, "it is at Auth0, so it is created");
        let failed = "SELECT count(*) FROM ferry.items WHERE code = 'CRASHED_WORKER'";
        assert_eq!(scene.number(failed).await, 0, "nobody is given up");
        Told::note(format!("{deaths} deaths of workers that had sent it, then asked for and created"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s13_a_panic_is_a_failure_and_no_death() {
    play_armed(Setup::new(13, "panic in a handler").users(200, 25).latency(5), async |scene| {
        scene.start(&[]);
        let at = format!("panic:{}", poison(scene).await);
        let worker = scene.armed(&at, &[]).unwrap();
        scene.until_sealed().await;
        assert!(scene.workers[worker].lives(), "the process stays up");
        let attempts = "SELECT count(*) FROM ferry.attempts WHERE code = 'HANDLER_PANICKED'";
        assert_eq!(scene.number(attempts).await, 1, "the panic is counted as a failure");
        Told::note("one attempt, the process stayed up")
    })
    .await;
}

/// Two workers that die over a user, started again until the run is sealed; how often they died.
async fn until_sealed_over(scene: &mut Scene, at: &str) -> u32 {
    let mut living = vec![scene.armed(at, &[]).unwrap(), scene.armed(at, &[]).unwrap()];
    let began = Instant::now();
    let mut deaths = 0;
    while scene.state().await != "sealed" {
        assert!(began.elapsed() < PATIENCE, "not sealed after {deaths} deaths");
        for slot in &mut living {
            if !scene.workers[*slot].lives() {
                deaths += 1;
                *slot = scene.armed(at, &[]).unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    deaths
}

/// The key of a user in the middle of a batch.
async fn poison(scene: &Scene) -> i64 {
    scene
        .number("SELECT key::bigint FROM ferry.items WHERE state = 'pending' ORDER BY seq OFFSET 36 LIMIT 1")
        .await
}
