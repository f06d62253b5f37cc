//! Faults 24 to 29: the ledger's server restarts, is away, or has no room.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use ferry_testbed::{is_root, open_to_all, tail};
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};

use crate::{
    results::{Told, skip},
    scene::{Scene, play},
    setup::Setup,
};

fn posts(scene: &Scene) -> u64 {
    scene.simulator.stats().requests_to("POST /api/v2/users")
}

/// How long after `at` another user is written down.
async fn progress_after(scene: &Scene, at: Instant) -> Duration {
    scene.until("the server answers", async || scene.across().await >= 0).await;
    scene.until_done(scene.across().await + 1).await;
    at.elapsed()
}

fn all_live(scene: &mut Scene) {
    for worker in &mut scene.workers {
        assert!(worker.lives(), "no worker may end: {}", tail(&worker.said()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s24_postgres_crashes_and_comes_back() {
    play(Setup::new(24, "Postgres restart (immediate shutdown)").own_postgres(&[]), async |scene| {
        scene.start(&[]);
        scene.workers(2);
        scene.until_done(20).await;
        let own = scene.postgres.as_mut().unwrap();
        own.crash();
        own.up();
        let after = progress_after(scene, Instant::now()).await;
        scene.until_sealed().await;
        all_live(scene);
        Told::recovered(after, "from its return to the next user")
    })
    .await;
}

/// Nothing can be handed back to a ledger that is away: its leases run out, and the process ends.
#[tokio::test(flavor = "multi_thread")]
async fn s44_sigterm_while_postgres_is_down() {
    play(Setup::new(44, "SIGTERM while Postgres is down").own_postgres(&[]), async |scene| {
        scene.start(&[]);
        scene.workers(1);
        scene.until_done(20).await;
        scene.postgres.as_mut().unwrap().down();
        // Until it knows that its registration is gone.
        scene.until("the loss is noticed", async || scene.logs_say("could not register")).await;
        let asked = Instant::now();
        scene.workers[0].signal("TERM");
        let ended = scene.workers[0].ended(Duration::from_secs(60)).await;
        let took = asked.elapsed();
        assert_eq!(ended.code(), Some(0), "{}", tail(&scene.workers[0].said()));
        scene.postgres.as_mut().unwrap().up();
        scene.workers(1);
        scene.until_sealed().await;
        Told::note(format!("ended after {} ms", took.as_millis()))
    })
    .await;
}

/// How long PostgreSQL is away; `tests/chaos/run --outage S` makes it longer.
fn outage() -> Duration {
    let seconds = std::env::var("FERRY_CHAOS_OUTAGE").ok().map_or(20, |seconds| seconds.parse().unwrap());
    Duration::from_secs(seconds.max(10))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s25_nothing_is_sent_while_postgres_is_down() {
    play(Setup::new(25, "Postgres down").own_postgres(&[]).users(600, 25), async |scene| {
        scene.start(&[]);
        scene.workers(2);
        scene.until_done(20).await;
        scene.postgres.as_mut().unwrap().down();
        let late = scene.worker();
        // What was under way gets its answer, and the silence is noticed.
        sleep(Duration::from_secs(5)).await;
        let before = posts(scene);
        sleep(outage() - Duration::from_secs(5)).await;
        assert_eq!(posts(scene), before, "nobody is created whose result can't be stored");
        let said = scene.workers[late].said();
        assert!(said.contains("Waiting to begin"), "a worker started meanwhile waits:\n{said}");
        scene.postgres.as_mut().unwrap().up();
        let after = progress_after(scene, Instant::now()).await;
        scene.until_sealed().await;
        all_live(scene);
        assert!(scene.workers[late].said().contains("ferry worker "), "it began when the server was back");
        let note = format!("down for {} s, no POST after the first five", outage().as_secs());
        Told::recovered(after, note)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s26_backends_are_terminated_steadily() {
    play(Setup::new(26, "backends terminated, one each 200 ms").users(600, 25), async |scene| {
        scene.start(&[]);
        scene.workers(2);
        scene.until_done(20).await;
        let (began, mut ended) = (Instant::now(), 0);
        while scene.state().await == "running" && began.elapsed() < Duration::from_secs(30) {
            let one = "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
                WHERE datname = current_database() AND application_name LIKE 'ferry%'
                ORDER BY random() LIMIT 1) chosen";
            ended += scene.number(one).await;
            sleep(Duration::from_millis(200)).await;
        }
        assert!(ended > 0, "there were backends to terminate");
        scene.until_sealed().await;
        all_live(scene);
        let dead = scene.number("SELECT count(*) FROM ferry.dead_letters").await;
        assert_eq!(dead, 0, "no error reaches the dead set");
        let attempts = scene.number("SELECT count(*) FROM ferry.attempts").await;
        Told::note(format!("{ended} backends ended, {attempts} attempts spent"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s27_every_connection_is_taken_by_others() {
    let setup = Setup::new(27, "all connections of the server taken").own_postgres(&["max_connections=40"]);
    play(setup, async |scene| {
        scene.start(&[]);
        scene.worker();
        scene.until_done(20).await;
        // First as many as there are, then those that Ferry loses now.
        let mut taken = Vec::new();
        take_all(scene, &mut taken).await;
        let mut ours: PgConnection = taken.pop().unwrap();
        let theirs = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE 'ferry%'";
        sqlx::raw_sql(theirs).execute(&mut ours).await.unwrap();
        take_all(scene, &mut taken).await;
        sleep(Duration::from_secs(5)).await;
        let idle = taken.len();
        drop((taken, ours));
        let after = progress_after(scene, Instant::now()).await;
        scene.until_sealed().await;
        all_live(scene);
        Told::recovered(after, format!("{idle} idle connections for 5 s"))
    })
    .await;
}

/// Opens connections until the server has no more.
async fn take_all(scene: &Scene, taken: &mut Vec<PgConnection>) {
    while let Ok(connection) = PgConnection::connect(&scene.database.url).await {
        taken.push(connection);
    }
}

/// How often all jobs of the run are sent and come back under the long transaction.
const CYCLES: i64 = 25;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s28_a_long_transaction_keeps_dead_rows() {
    let setup = Setup::new(28, "a long transaction holds xmin").own_postgres(&[]).users(2_000, 10);
    play(setup.latency(5), async |scene| {
        scene.start(&[]);
        let mut long = PgConnection::connect(&scene.database.url).await.unwrap();
        let hold = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM ferry.jobs";
        sqlx::raw_sql(hold).execute(&mut long).await.unwrap();
        let first = fetch_time(scene).await;
        // Each job that comes and goes leaves such rows. These are as many as CYCLES times the
        // jobs of this run leave.
        for _ in 0..CYCLES {
            for sql in [
                "UPDATE ferry.jobs SET state = 'queued', queued_at = clock_timestamp() WHERE state = 'ready'",
                "UPDATE ferry.jobs SET state = 'ready', queued_at = NULL WHERE state = 'queued'",
            ] {
                scene.execute(sql).await;
            }
        }
        let last = fetch_time(scene).await;
        scene.workers(2);
        scene.until_sealed().await;
        let jobs = scene.number("SELECT count(*) FROM ferry.jobs WHERE kind = 'provision'").await;
        let passed = jobs * CYCLES;
        drop(long);
        Told::note(format!("fetch {first} µs at the start, {last} µs after {passed} jobs came and went"))
    })
    .await;
}

/// What looking for ready jobs takes, the median of 51 tries, in microseconds.
async fn fetch_time(scene: &Scene) -> u128 {
    let sql = "SELECT count(*) FROM (SELECT id FROM ferry.jobs WHERE state = 'ready'
        AND not_before <= clock_timestamp() ORDER BY priority, created_at, id LIMIT 24) ready";
    let mut took = Vec::new();
    for _ in 0..51 {
        let began = Instant::now();
        scene.number(sql).await;
        took.push(began.elapsed().as_micros());
    }
    took.sort_unstable();
    took[25]
}

/// A small file system in memory; unmounted when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, size: &str) -> Option<SmallDisk> {
        fs::create_dir_all(&at).unwrap();
        let option = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &option, "tmpfs"]).arg(&at).output();
        mounted.is_ok_and(|done| done.status.success()).then_some(SmallDisk(at))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Writes zeros until there is no room.
fn fill(file: &Path) {
    let of = format!("of={}", file.display());
    let _ = Command::new("dd").args(["if=/dev/zero", &of, "bs=64k", "status=none"]).output().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s29_the_disk_is_full() {
    let (number, name) = (29, "disk full under Postgres");
    if !is_root() {
        return skip(number, name, "only root can mount a small file system");
    }
    let place = tempfile::tempdir().unwrap();
    open_to_all(place.path());
    let Some(disk) = SmallDisk::mount(place.path().join("disk"), "256m") else {
        return skip(number, name, "mount is refused here");
    };
    let options = ["min_wal_size=32MB", "max_wal_size=64MB"];
    let setup = Setup::new(number, name).own_postgres(&options).postgres_in(&disk.0).users(600, 25);
    play(setup, async |scene| {
        scene.start(&[]);
        scene.workers(2);
        scene.until_done(20).await;
        fill(&disk.filler());
        // Rows that already have room are still written; this asks for more.
        let bulk = "CREATE TABLE bulk AS SELECT repeat('x', 1000) FROM generate_series(1, 300000)";
        let mut other = PgConnection::connect(&scene.database.url).await;
        let refused = match &mut other {
            Ok(connection) => sqlx::raw_sql(bulk).execute(connection).await.is_err(),
            Err(_) => true,
        };
        assert!(refused, "the disk is full");
        sleep(Duration::from_secs(5)).await;
        fs::remove_file(disk.filler()).unwrap();
        let at = Instant::now();
        if scene.across().await < 0 {
            // A full disk may have ended the server; its operator starts it again.
            let own = scene.postgres.as_mut().unwrap();
            own.crash();
            own.up();
        }
        let after = progress_after(scene, at).await;
        scene.until_sealed().await;
        all_live(scene);
        Told::recovered(after, "full for 5 s; from the space's return to the next user")
    })
    .await;
}
