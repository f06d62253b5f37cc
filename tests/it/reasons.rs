//! Why nothing goes on, said so that the reader knows whom to ask and what to type.

use std::{os::unix::fs::PermissionsExt, process::Command, time::Duration};

use ferry_testbed::{Place, Worker, comes_true, is_root, until};
use sqlx::{Connection, Executor, SqliteConnection};

use crate::{
    beside::Embedded,
    world::{World, new_place},
};

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ") // lines are wrapped
}

/// `run show` says this within the time that tests have.
async fn is_told(place: &Place, run: &str, words: &str) {
    let mut said = String::new();
    let told = async || {
        said = one_line(&place.must(&["run", "show", run]).all());
        said.contains(words)
    };
    assert!(comes_true(Duration::from_millis(100), told).await, "{words}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_says_that_the_application_holds_its_whole_table_locked() {
    let Some(mut world) = World::new("table locked").await else { return };
    let run = world.started(60, &[]);
    let mut application = world.connect().await;
    application.execute("BEGIN; LOCK TABLE users IN EXCLUSIVE MODE").await.unwrap();
    world.worker(&[]);
    is_told(&world.place, &run, "the application: it holds public.users locked, find its long transaction")
        .await;
    application.execute("COMMIT").await.unwrap();
    world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_says_that_the_application_holds_its_file_locked() {
    let world = Embedded::new("60").await;
    world.place.must(&["migrate", "--app", "--yes"]);
    let run = world.place.start_run("app.db", &[]);
    let url = format!("sqlite://{}", world.place.path("app.db").display());
    let mut application = SqliteConnection::connect(&url).await.unwrap();
    application.execute("BEGIN IMMEDIATE").await.unwrap();
    let _worker = world.worker("worker.log");
    is_told(&world.place, &run, "it holds the file app.db locked, find its long transaction").await;
    application.execute("COMMIT").await.unwrap();
    world.until_sealed(&run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_that_adds_the_column_works_as_it_is_printed() {
    let mut world = Embedded::new("60").await;
    world.place.env.retain(|(name, _)| name != "DATABASE_URL");
    let start = ["run", "start", "app.db", "--preset", "medlogistics", "--email-verified", "assume", "--yes"];
    let refused = world.place.run(&start);
    assert_eq!(refused.code, 2, "{}", refused.all());
    let printed = one_line(&refused.err);
    let (_, command) = printed.split_once("run DATABASE_URL=").unwrap_or_else(|| panic!("{printed}"));
    let pasted = format!("DATABASE_URL={command} --yes");
    // The shell finds the command where it is installed.
    let binary = env!("CARGO_BIN_EXE_ferry");
    let mut shell =
        world.place.command("sh".as_ref(), &["-c", &pasted.replace(" ferry ", &format!(" {binary} "))]);
    let ran = shell.output().unwrap();
    assert!(ran.status.success(), "{pasted}: {}", String::from_utf8_lossy(&ran.stderr));
    world.place.must(&start);
}

/// As somebody whom file modes stop.
fn as_nobody(place: &Place, args: &[&str]) -> String {
    let mut command: Command = place.ferry(args);
    if is_root() {
        let binary = env!("CARGO_BIN_EXE_ferry");
        let other = ["--reuid", "65534", "--regid", "65534", "--clear-groups", binary];
        command = place.command("setpriv".as_ref(), &[&other[..], args].concat());
    }
    let ran = command.output().unwrap();
    assert!(!ran.status.success(), "{args:?}");
    one_line(&String::from_utf8_lossy(&ran.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_can_not_be_written_to_is_named_with_its_owner() {
    let world = Embedded::new("60").await;
    world.place.must(&["migrate", "--app", "--yes"]);
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for file in ["app.db", "app.ferry.db"] {
        // Closed by the last one who has it open, it leaves no journal, with which it could be read.
        let url = format!("sqlite://{}", world.place.path(file).display());
        let mut last = SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut last).await.unwrap();
        last.close().await.unwrap();
        mode(&world.place.path(file), 0o444);
    }
    mode(world.place.dir.path(), 0o555);
    let said = as_nobody(&world.place, &["run", "list"]);
    mode(world.place.dir.path(), 0o755);
    for words in
        ["app.db can't be opened for writing", "this process runs as user", "(mode 444)", "(mode 555)"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("SQLite code") && !said.contains("(code:"), "{said}");

    let mut place = new_place();
    place.set("DATABASE_URL", "sqlite://nosuch/app.ferry.db");
    place.set("FERRY_LEDGER_URL", "sqlite://nosuch/app.ferry.db");
    let missing = place.run(&["migrate", "--yes"]);
    assert_ne!(missing.code, 0, "{}", missing.all());
    assert!(missing.err.contains("nosuch"), "{}", missing.all());
}

/// A ledger of an earlier version, which is moved while somebody watches.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_while_the_ledger_is_moved_out_of_the_application_s_file() {
    let mut world = Embedded::new("60").await;
    world.place.set("FERRY_LEDGER_URL", "sqlite://app.db");
    world.place.must(&["migrate", "--app", "--yes"]);
    let run = world.place.start_run("app.db", &[]);
    world.place.env.retain(|(name, _)| name != "FERRY_LEDGER_URL");
    let watch = world.place.ferry(&["run", "watch", &run]);
    let mut watch = Worker::start(watch, &world.place.path("watch.log"));
    until("it watches", async || watch.said().contains("no worker runs")).await;
    world.place.must(&["migrate", "--yes"]);
    until("the move is said", async || watch.said().contains("the ledger is being moved")).await;
    let _worker = world.worker("worker.log");
    let code = watch.ended(ferry_testbed::PATIENCE).await.code();
    assert_eq!(code, Some(3), "{}", watch.said());
    assert!(!watch.said().contains("no such table"), "{}", watch.said());
}

/// There is none in this form, whatever happens to its one process.
#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_run_never_speaks_of_redis() {
    let world = Embedded::new("200").await;
    world.place.must(&["migrate", "--app", "--yes"]);
    let run = world.place.start_run("app.db", &["--batch-size", "20"]);
    let watch = world.place.ferry(&["run", "watch", &run]);
    let mut watch = Worker::start(watch, &world.place.path("watch.log"));
    let looked = || {
        for args in [&["run", "show", &run][..], &["queue", "list"]] {
            let said = world.place.must(args).all();
            assert!(!said.contains("Redis"), "{said}");
        }
    };
    looked();
    let mut first = world.worker("first.log");
    until("some are across", async || {
        looked();
        world.number("app.db", "SELECT count(auth0_user_id) FROM users").await >= 20
    })
    .await;
    first.kill();
    looked();
    let _second = world.worker("second.log");
    until("the watch has ended", async || {
        looked();
        !watch.lives()
    })
    .await;
    for said in [watch.said(), first.said(), _second.said()] {
        assert!(!said.contains("Redis"), "{said}");
    }
}

/// A statement that waits for a lock is slow, and sqlx would print it.
#[tokio::test(flavor = "multi_thread")]
async fn no_line_of_a_library_comes_between_what_a_person_reads() {
    let Some(world) = World::new("quiet terminal").await else { return };
    world.started(60, &[]);
    let mut application = world.connect().await;
    application.execute("BEGIN; LOCK TABLE ferry.runs IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let mut list = Worker::start(world.place.ferry(&["run", "list"]), &world.place.path("list.log"));
    let blocked = "SELECT count(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("the list waits for the lock", async || world.number(blocked).await > 0).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await; // what counts as slow is more than a second
    application.execute("COMMIT").await.unwrap();
    let ended = list.ended(ferry_testbed::PATIENCE).await;
    let said = list.said();
    assert!(ended.success(), "{said}");
    for words in ["sqlx", "slow statement", "SELECT", "WARN"] {
        assert!(!said.contains(words), "{words}: {said}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_for_workers_works_as_it_is_printed() {
    let mut world = Embedded::new("60").await;
    world.place.must(&["migrate", "--app", "--yes"]);
    world.place.env.retain(|(name, _)| name != "DATABASE_URL");
    let start = ["run", "start", "app.db", "--preset", "medlogistics", "--email-verified", "assume", "--yes"];
    let started = world.place.must(&start);
    let run = started.out.trim().to_owned();
    let printed = |word: &str| {
        let line = started.err.lines().find_map(|line| line.strip_prefix(word));
        line.unwrap_or_else(|| panic!("{word}: {}", started.all())).trim().to_owned()
    };
    let pasted = |command: String| {
        // With `exec` the shell is not in between when the process is to be ended.
        let command = command.replace("ferry ", &format!("exec {} ", env!("CARGO_BIN_EXE_ferry")));
        world.place.command("sh".as_ref(), &["-c", &command])
    };
    let worker = pasted(printed("Started. Workers: "));
    let _worker = Worker::start(worker, &world.place.path("worker.log"));
    let watched = pasted(printed("Follow: ")).output().unwrap();
    let said = String::from_utf8_lossy(&watched.stdout).into_owned();
    assert!(said.contains(&format!("Run {run} is sealed")), "{said}");
}
