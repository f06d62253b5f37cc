//! Faults 37 and 40: clocks that jump, and versions that meet.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use ferry_testbed::tail;
use sqlx::migrate::Migrator;
use tokio::time::sleep;

use crate::{
    payloads::plant,
    results::{Told, skip},
    scene::play,
    setup::Setup,
};

pub fn libfaketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|folder| folder.path());
    folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|library| library.is_file())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s37_one_worker_s_clock_jumps() {
    let (number, name) = (37, "clock of one worker jumps by 10 min, 30 s off");
    let Some(library) = libfaketime() else {
        return skip(number, name, "libfaketime is not installed (apt-get install faketime)");
    };
    play(Setup::new(number, name).users(800, 25).latency(150), async |scene| {
        scene.start(&[]);
        let file = scene.place.dir.path().join("clock");
        fs::write(&file, "+30s\n").unwrap();
        let (library, clock) = (library.display().to_string(), file.display().to_string());
        let odd = scene.worker_with(&[
            ("LD_PRELOAD", &library),
            ("FAKETIME_TIMESTAMP_FILE", &clock),
            ("FAKETIME_NO_CACHE", "1"),
            // The steady clock of a real machine does not jump either.
            ("DONT_FAKE_MONOTONIC", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]);
        scene.worker();
        for clock in ["+600s\n", "-600s\n", "+0s\n"] {
            let across = scene.across().await;
            scene
                .until("the run has gone on", async || {
                    scene.across().await >= across + 40 || scene.state().await == "sealed"
                })
                .await;
            fs::write(&file, clock).unwrap();
            sleep(Duration::from_millis(500)).await;
        }
        scene.until_sealed().await;
        assert!(scene.workers[odd].lives(), "{}", tail(&scene.workers[odd].said()));
        let rescues = scene.number("SELECT coalesce(sum(rescues), 0)::bigint FROM ferry.jobs").await;
        assert_eq!(rescues, 0, "leases go by the store's clock: nothing is rescued early");
        Told::note("no rescue")
    })
    .await;
}

/// Rows and an envelope as version 1 of both layouts wrote them, 40 users in the middle of a run.
const LEDGER_V1: &str = include_str!("golden/ledger_v1.sql");
const ENVELOPE_V1: &str = include_str!("golden/envelope_v1.json");
/// The seed of those users.
const GOLDEN: &str = "7";

#[tokio::test(flavor = "multi_thread")]
async fn s40_a_run_of_the_first_version_is_finished_by_this_one() {
    play(
        Setup::new(40, "ledger and payload of version 1, upgraded in mid-run").users(40, 10),
        async |scene| {
            let url = scene.database.url.clone();
            scene.place.must(&["seed", "--target", &url, "--users", "40", "--seed", GOLDEN]);
            // The first version's ledger, and its run.
            let first = scene.place.dir.path().join("first");
            fs::create_dir(&first).unwrap();
            let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/postgres");
            fs::copy(migrations.join("0001_ledger.sql"), first.join("0001_ledger.sql")).unwrap();
            let mut migrator = Migrator::new(first.as_path()).await.unwrap();
            migrator.dangerous_set_table_name("ferry._migrations");
            scene.execute("CREATE SCHEMA ferry; ALTER TABLE users ADD COLUMN auth0_user_id text").await;
            migrator.run(&scene.pool).await.unwrap();
            let tenant = scene.simulator.base_url().replace("http://", "");
            scene.execute(&LEDGER_V1.replace("{auth0}", &tenant)).await;
            scene.run = scene.text("SELECT id::text FROM ferry.runs").await;

            scene.place.must(&["migrate", "--app", "--yes"]);
            plant(scene, "provision", "golden", ENVELOPE_V1.trim().as_bytes()).await;
            scene.workers(2);
            scene.until_sealed().await;
            let letters = scene.number("SELECT count(*) FROM ferry.dead_letters").await;
            assert_eq!(letters, 0, "the old payload is read");
            let versions = scene.number("SELECT count(*) FROM ferry._migrations").await;
            Told::note(format!("finished after {versions} migrations"))
        },
    )
    .await;
}
