//! Faults 16 to 23: the transport forgets, refuses, or can't be reached.

use std::{fs, path::Path, process::Command, time::Duration};

use ferry_testbed::{OwnRedis, PATIENCE, local, redis_at, tail};
use tokio::time::{Instant, sleep};

use crate::{
    results::Told,
    scene::{Scene, ferry_binary, play},
    setup::Setup,
    watch::{queued, recovery},
};

/// Options of a Redis that keeps what it was told, up to the last second.
const AOF: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "everysec"];

/// How long after `at` the next users are across.
async fn progress_after(scene: &Scene, at: Instant) -> Duration {
    let across = scene.across().await;
    // The batches under way end without the queue; this many more users need it.
    scene
        .until("the run goes on", async || {
            scene.across().await >= across + 100 || scene.state().await == "sealed"
        })
        .await;
    at.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn s16_redis_restarts_with_its_log() {
    play(Setup::new(16, "Redis restart, AOF on").own_redis(&AOF).users(600, 25), async |scene| {
        scene.start(&[]);
        scene.workers(2);
        scene.until_done(20).await;
        let own = scene.redis.as_mut().unwrap();
        own.stop();
        sleep(Duration::from_secs(2)).await;
        own.up();
        let at = Instant::now();
        let after = progress_after(scene, at).await;
        scene.until_sealed().await;
        for worker in &mut scene.workers {
            assert!(worker.lives(), "no worker was restarted: {}", tail(&worker.said()));
        }
        Told::recovered(after, "down for 2 s; from its return to 100 more users")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s17_redis_loses_its_last_second() {
    play(Setup::new(17, "Redis killed, last second of the AOF lost").own_redis(&AOF), async |scene| {
        scene.start(&[]);
        let own = scene.redis.as_ref().unwrap();
        let (log, old) = (own.folder().join("appendonlydir"), own.folder().join("a-second-ago"));
        copy(&log, &old);
        let relay = scene.command(ferry_binary(), &["worker", "--roles", "relay,report"], &[]);
        let relay = scene.hire(relay);
        let sent = "SELECT count(*) FROM ferry.jobs WHERE state = 'queued'";
        scene.until("the relay has sent", async || scene.number(sent).await > 0).await;
        sleep(Duration::from_millis(300)).await;
        let lost = queued(&scene.pool).await;
        // What the operating system had not written yet is what the kill of a machine takes.
        let own = scene.redis.as_mut().unwrap();
        own.kill();
        fs::remove_dir_all(&log).unwrap();
        copy(&old, &log);
        own.up();
        let at = Instant::now();
        scene.workers(2);
        let after = recovery(&scene.pool, &lost, at, PATIENCE).await.claimed;
        scene.until_sealed().await;
        assert!(scene.workers[relay].lives(), "{}", tail(&scene.workers[relay].said()));
        Told::recovered(after, format!("{} jobs lost; found by reconciliation", lost.len()))
    })
    .await;
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn s18_an_emptied_redis_is_filled_again_by_one_command() {
    play(Setup::new(18, "FLUSHALL, queue rebuild").own_redis(&[]), async |scene| {
        scene.start(&[]);
        scene.workers(2);
        scene.until_done(20).await;
        let lost = queued(&scene.pool).await;
        let at = Instant::now();
        let mut redis = scene.redis().await;
        let _: () = redis::cmd("FLUSHALL").query_async(&mut redis).await.unwrap();
        let rebuilt =
            scene.place.json(&["queue", "rebuild", "--yes", "--reason", "chaos", "--output", "json"]);
        let after = recovery(&scene.pool, &lost, at, PATIENCE).await.claimed;
        scene.until_sealed().await;
        Told::recovered(after, format!("{} queued jobs lost, {} sent again", lost.len(), rebuilt["lost"]))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s19_fail_over_to_a_replica_that_lags() {
    play(Setup::new(19, "fail-over to a replica that lags").own_redis(&[]).users(600, 25), async |scene| {
        let to_replica = scene.redis_proxy().await;
        let master = format!("127.0.0.1 {}", to_replica.port);
        let mut options = vec!["--replicaof"];
        options.extend(master.split(' '));
        let replica = OwnRedis::start(&scene.place.dir.path().join("replica"), &options);
        let clients = scene.redis_proxy().await;
        scene.place.set("REDIS_URL", format!("redis://127.0.0.1:{}", clients.port));
        scene.start(&[]);
        scene.workers(2);
        scene.until_done(20).await;
        to_replica.cut(true); // the replica misses what comes now
        sleep(Duration::from_secs(1)).await;
        let lost = queued(&scene.pool).await;
        scene.redis.as_mut().unwrap().kill();
        let at = Instant::now();
        clients.change(|weather| weather.to = local(replica.port));
        sleep(Duration::from_secs(1)).await; // it answers READONLY
        let mut promoted = redis_at(&replica.url()).await;
        let _: () = redis::cmd("REPLICAOF").arg("NO").arg("ONE").query_async(&mut promoted).await.unwrap();
        let after = recovery(&scene.pool, &lost, at, PATIENCE).await.claimed;
        scene.until_sealed().await;
        scene.redis_url = replica.url(); // where the invariants look
        let told = Told::recovered(after, format!("1 s of READONLY; {} jobs were queued", lost.len()));
        scene.redis = Some(replica);
        told
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s20_redis_has_no_memory_left() {
    play(Setup::new(20, "Redis maxmemory reached").own_redis(&[]).users(600, 25), async |scene| {
        scene.start(&[]);
        scene.workers(2);
        scene.until_done(20).await;
        let mut redis = scene.redis().await;
        let mut limit = async |bytes: &str| {
            let mut set = redis::cmd("CONFIG");
            set.arg("SET").arg("maxmemory").arg(bytes).arg("maxmemory-policy").arg("noeviction");
            let _: () = set.query_async(&mut redis).await.unwrap();
        };
        limit("100kb").await;
        scene.until("somebody says so", async || scene.logs_say("OOM")).await;
        sleep(Duration::from_secs(3)).await;
        limit("0").await;
        let at = Instant::now();
        let after = progress_after(scene, at).await;
        scene.until_sealed().await;
        Told::recovered(after, "OOM in the logs; from the end of it to 100 more users")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s21_a_slow_redis_costs_no_lease() {
    play(Setup::new(21, "Redis 200 ms away, stalls as of 5 % loss"), async |scene| {
        let slow = scene.redis_proxy().await;
        slow.change(|weather| {
            weather.latency = Duration::from_millis(100);
            weather.stall = Some((20, Duration::from_millis(400)));
        });
        scene.start(&[]);
        let url = format!("redis://127.0.0.1:{}", slow.port);
        let began = Instant::now();
        for _ in 0..2 {
            scene.worker_with(&[("REDIS_URL", &url)]);
        }
        scene.until_sealed().await;
        let rescues = scene.number("SELECT coalesce(sum(rescues), 0)::bigint FROM ferry.jobs").await;
        assert_eq!(rescues, 0, "nobody is taken for dead");
        Told::note(format!("no rescue; sealed after {:.1} s", began.elapsed().as_secs_f64()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s22_one_worker_loses_its_redis() {
    play(Setup::new(22, "connection to Redis cut for one worker").users(600, 25), async |scene| {
        let line = scene.redis_proxy().await;
        scene.start(&[]);
        let url = format!("redis://127.0.0.1:{}", line.port);
        let alone = scene.worker_with(&[("REDIS_URL", &url)]);
        scene.worker();
        scene.until_busy(alone).await;
        scene.until_done(20).await;
        let waiting = queued(&scene.pool).await;
        line.cut(true);
        let at = Instant::now();
        let after = recovery(&scene.pool, &waiting, at, PATIENCE).await.claimed;
        sleep(Duration::from_secs(1)).await;
        line.cut(false);
        scene.until_sealed().await;
        let worker = &mut scene.workers[alone];
        assert!(worker.lives(), "{}", tail(&worker.said()));
        Told::recovered(after, format!("{} queued jobs, all claimed", waiting.len()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s23_the_scripts_are_flushed_all_the_time() {
    play(Setup::new(23, "SCRIPT FLUSH ten times a second").own_redis(&[]), async |scene| {
        scene.start(&[]);
        let mut redis = scene.redis().await;
        let flushing = tokio::spawn(async move {
            let mut times = 0_u64;
            loop {
                let _: () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut redis).await.unwrap();
                times += 1;
                if times.is_multiple_of(10) {
                    println!("flushed {times} times");
                }
                sleep(Duration::from_millis(100)).await;
            }
        });
        scene.workers(2);
        scene.until_sealed().await;
        flushing.abort();
        assert!(!scene.logs_say("NOSCRIPT"), "it is no error:\n{}", scene.logs());
        Told::note("no error in the logs")
    })
    .await;
}
