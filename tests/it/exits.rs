//! Ends that are neither good nor wrong usage: their exit codes are what scripts rest on.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::world::{World, new_place, servers};

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_changed_at_auth0_before_it_is_read_back_is_a_failed_verification() {
    let Some(mut world) = World::new("exit 4").await else { return };
    let run = world.started(60, &[]);
    let creator = world.worker(&["--roles", "provision,relay"]);
    world.until(&run, "provisioned", |shown| shown["pending"] == 0).await;
    world.workers()[creator].stop();
    let victim = world.simulator.users().into_iter().find(|u| u.app_metadata.is_some()).unwrap().user_id;
    assert!(world.simulator.change(&victim, |user| user.email_verified = false));

    world.worker(&["--roles", "verify,report,relay"]);
    let shown = world.until_sealed(&run).await;
    assert_eq!(shown["discrepancies"], 1, "{shown}");
    let watched = world.place.run(&["run", "watch", &run]);
    assert_eq!(watched.code, 4, "{}", watched.all());
    let report = world.place.json(&["run", "report", &run, "--output", "json"]);
    assert_eq!(report["discrepant"][0]["fields"][0], "email_verified", "{report}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_ends_with_130_on_ctrl_c_and_the_run_goes_on() {
    let Some(world) = World::new("exit 130").await else { return };
    let run = world.started(60, &[]);
    let watch = world.place.ferry(&["run", "watch", &run]).stderr(Stdio::piped()).spawn().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    interrupt(&watch);
    let output = watch.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("goes on") && said.contains(&run), "{said}");
    assert_eq!(world.show(&run)["state"], "running");
    world.end().await;
}

#[test]
fn ctrl_c_in_the_demo_ends_it_with_130_and_keeps_what_was_done() {
    let place = new_place();
    let args = ["demo", "--users", "400", "--limits", "custom:5:5", "--output", "json"];
    let demo = place.ferry(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let file = place.path("ferry-demo-7/medlogistics.db");
    let begun = Instant::now();
    while !file.is_file() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the demo did not begin");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_secs(4));
    interrupt(&demo);
    let output = demo.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("Interrupted") && said.contains("medlogistics.db"), "{said}");
    assert!(output.stdout.is_empty(), "an interrupted demo has no result to print");

    let mut place = place;
    place.set("DATABASE_URL", "sqlite://ferry-demo-7/medlogistics.db");
    let runs = place.json(&["run", "list", "--output", "json"]);
    assert_eq!(runs[0]["state"], "running", "it can be gone on with: {runs}");
    assert!(runs[0]["pending"].as_i64() > Some(0), "{runs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_waits_for_a_ledger_that_is_away_and_ends_when_asked() {
    let mut place = new_place();
    place.set("DATABASE_URL", "postgres://ferry@127.0.0.1:1/clinic"); // nobody listens there
    place.set("REDIS_URL", "redis://127.0.0.1:1");
    place.set("AUTH0_BASE_URL", "http://127.0.0.1:1");
    place.set("AUTH0_CLIENT_ID", "ferry");
    place.set("AUTH0_CLIENT_SECRET", "simulated");
    let worker = place.ferry(&["worker"]).stderr(Stdio::piped()).spawn().unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    interrupt(&worker);
    let output = worker.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(said.matches("Waiting to begin").count(), 1, "told once while nothing changes: {said}");
    assert!(said.contains("127.0.0.1:1"), "{said}");
}

#[test]
fn a_worker_without_tables_ends_at_once_and_says_what_to_do() {
    let Some((database, redis)) = servers("no tables") else { return };
    let mut place = new_place();
    place.set("DATABASE_URL", database); // the server's own database, where nothing was migrated
    place.set("REDIS_URL", redis);
    place.set("AUTH0_BASE_URL", "http://127.0.0.1:1");
    place.set("AUTH0_CLIENT_ID", "ferry");
    place.set("AUTH0_CLIENT_SECRET", "simulated");
    let ended = place.run(&["worker"]);
    assert_eq!(ended.code, 1, "{}", ended.all());
    assert!(ended.err.contains("ferry migrate"), "{}", ended.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_can_not_be_written_is_no_success_and_a_closed_pipe_is_no_failure() {
    let Some(world) = World::new("output").await else { return };
    let run = world.started(60, &[]);
    for args in [
        &["run", "export", &run] as &[&str],
        &["run", "list"],
        &["user", "list"],
        &["batch", "list"],
        &["audit"],
        &["config", "show"],
        &["completions", "bash"],
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let ended = world.place.ferry(args).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("the output could not be written"), "{args:?}: {said}");
        let mut child = world.place.ferry(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{args:?} into a pipe that closes");
    }
    for args in
        [&["run", "retry", &run, "--where", "", "--yes"] as &[&str], &["user", "list", "--where", " "]]
    {
        let ran = world.place.run(args);
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.err.contains("leave --where out to mean all"), "{}", ran.err);
    }
    // A wrong variable of traces keeps nobody from stopping everything.
    let stop =
        world.place.ferry(&["stop-all", "--yes"]).env("OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere").output();
    assert_eq!(stop.unwrap().status.code(), Some(0));
    world.end().await;
}

#[test]
fn the_version_has_the_commit_that_the_program_is_from() {
    let root = env!("CARGO_MANIFEST_DIR");
    let place = new_place();
    assert_eq!(place.run(&["-V"]).out.trim(), concat!("ferry ", env!("CARGO_PKG_VERSION")));
    let told = place.run(&["--version"]).out;
    let commit =
        told.lines().find_map(|line| line.strip_prefix("commit ")).unwrap_or_else(|| panic!("{told}"));
    assert_eq!(commit, env!("FERRY_BUILT_FROM"));
    let asked = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(root).output();
    let head = asked.ok().filter(|asked| asked.status.success()).map(|asked| asked.stdout);
    let is_given = option_env!("FERRY_COMMIT").is_some();
    match head.filter(|_| std::path::Path::new(root).join(".git").exists() && !is_given) {
        Some(head) => assert_eq!(commit, String::from_utf8(head).unwrap().trim()),
        None => assert!(!commit.is_empty()),
    }
}
