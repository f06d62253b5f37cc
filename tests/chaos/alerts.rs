//! Alerts, seen to fire and to end in a real Prometheus and Alertmanager while a run goes on:
//! the cause is brought about, people are told of the right alert and of no other, and when the
//! cause is gone nothing fires any more. `tests/chaos/run --alerts` prints the table.

use std::{collections::BTreeSet, time::Duration};

use ferry_simulator::Faults;
use ferry_testbed::free_port;
use tokio::time::{Instant, sleep};

use crate::{
    deploy::libfaketime,
    monitoring::{FASTER, Monitoring},
    scene::{Scene, ferry_binary},
    setup::Setup,
};

/// The longest that an alert may need, and its end: 30 minutes of a rule.
const PATIENCE: Duration = Duration::from_secs(30 * 60 / FASTER);
/// How long it is watched for alerts that have no cause: 8 minutes of a rule.
const WATCHED: Duration = Duration::from_secs(8 * 60 / FASTER);

/// A run at a limit, workers with pages, and both servers.
struct Ward {
    scene: Scene,
    monitoring: Monitoring,
    ports: Vec<u16>,
}

impl Ward {
    /// `None` where a server is not installed.
    async fn open(setup: Setup) -> Option<Ward> {
        let (number, name) = (setup.number, setup.name);
        let scene = setup.own_postgres(&[]).own_redis(&[]).open().await?;
        let Some(monitoring) = Monitoring::start(&scene.place.path("monitoring")).await else {
            let why = "prometheus or alertmanager is not installed (apt-get install prometheus prometheus-alertmanager)";
            crate::results::skip(number, name, why);
            return None;
        };
        let mut ward = Ward { scene, monitoring, ports: Vec::new() };
        ward.scene.start(&[]);
        for _ in 0..3 {
            ward.worker(&[]);
        }
        ward.until("all workers are seen and users are settled", async |ward| {
            ward.monitoring.number("sum(ferry_worker_ready)").await == Some(3.0)
                && ward.monitoring.number("ferry:users_settled:rate5m").await > Some(0.0)
        })
        .await;
        sleep(WATCHED / 4).await;
        assert_eq!(ward.monitoring.firing().await, set(&[]), "before there is a cause");
        Some(ward)
    }

    /// Starts a worker whose pages are scraped.
    fn worker(&mut self, more: &[(&str, &str)]) -> usize {
        self.hire(&["worker"], more)
    }

    fn hire(&mut self, args: &[&str], more: &[(&str, &str)]) -> usize {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let mut more = more.to_vec();
        more.push(("FERRY_LISTEN", &listen));
        self.ports.push(port);
        self.monitoring.scrape(&self.ports);
        self.scene.hire(self.scene.command(ferry_binary(), args, &more))
    }

    fn stop_all(&mut self) {
        for worker in &mut self.scene.workers {
            worker.stop();
        }
    }

    async fn until(&mut self, what: &str, holds: impl AsyncFn(&Ward) -> bool) -> Duration {
        let began = Instant::now();
        while !holds(self).await {
            if began.elapsed() > PATIENCE {
                let said = (self.monitoring.firing().await, self.monitoring.told());
                panic!(
                    "not within {PATIENCE:?}: {what}; firing and told: {said:?}\n{}",
                    self.monitoring.said()
                );
            }
            sleep(Duration::from_millis(200)).await;
        }
        began.elapsed()
    }

    /// Waits for the first of these alerts; how long that took, and which of the others people were
    /// told of within a while. Of any other alert nobody may be told.
    async fn fires(&mut self, expected: &[&str]) -> (Duration, BTreeSet<String>) {
        let (all, first) = (set(expected), set(&expected[..1]));
        let after = self
            .until(&format!("people are told of {}", expected[0]), async |ward| {
                first.is_subset(&ward.monitoring.told())
            })
            .await;
        let (watched, mut also) = (Instant::now(), BTreeSet::new());
        while watched.elapsed() < WATCHED {
            let told = self.monitoring.told();
            assert!(told.is_subset(&all), "people are told of {told:?}, and only {all:?} has a cause");
            also.extend(told);
            sleep(Duration::from_millis(500)).await;
        }
        also.remove(expected[0]);
        (after, also)
    }

    /// Waits until nothing fires any more, and nobody is told of anything.
    async fn clears(&mut self) -> Duration {
        self.until("nothing fires any more", async |ward| {
            ward.monitoring.firing().await.is_empty() && ward.monitoring.told().is_empty()
        })
        .await
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

const LIMIT: &str = "custom:20:20";

/// A run that lasts: 20 users a second, read back as well.
fn steady(number: u32, name: &'static str) -> Setup {
    Setup::new(number, name)
        .users(6_000, 50)
        .set("AUTH0_PLAN", LIMIT)
        .simulated(|config| config.limits = LIMIT.parse().unwrap())
}

/// Brings a cause about, waits for its alert, takes it away, and waits until nothing fires. The first
/// of the alerts has to come; the others follow from the same cause and may.
async fn proved(
    setup: Setup,
    expected: &[&str],
    hurt: impl AsyncFnOnce(&mut Ward),
    mend: impl AsyncFnOnce(&mut Ward),
) {
    let name = setup.name;
    let Some(mut ward) = Ward::open(setup).await else { return };
    hurt(&mut ward).await;
    let (fired, also) = ward.fires(expected).await;
    let also: Vec<String> = also.into_iter().collect();
    mend(&mut ward).await;
    let cleared = ward.clears().await;
    let seconds = |took: Duration| (took.as_secs_f64() * FASTER as f64).round();
    println!(
        "alert: | {name} | {} | {} | {} | {} |",
        expected[0],
        also.join(", "),
        seconds(fired),
        seconds(cleared)
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --alerts"]
async fn a01_all_workers_stop() {
    let hurt = async |ward: &mut Ward| ward.stop_all();
    let mend = async |ward: &mut Ward| {
        ward.ports.clear();
        for _ in 0..3 {
            ward.worker(&[]);
        }
    };
    proved(steady(101, "all workers are stopped"), &["FerryNoWorker"], hurt, mend).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --alerts"]
async fn a02_the_database_is_cut() {
    let hurt = async |ward: &mut Ward| ward.scene.postgres.as_mut().unwrap().down();
    let mend = async |ward: &mut Ward| ward.scene.postgres.as_mut().unwrap().up();
    proved(steady(102, "PostgreSQL is stopped"), &["FerryLedgerDown"], hurt, mend).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --alerts"]
async fn a03_redis_is_cut() {
    let hurt = async |ward: &mut Ward| ward.scene.redis.as_mut().unwrap().stop();
    let mend = async |ward: &mut Ward| ward.scene.redis.as_mut().unwrap().up();
    proved(steady(103, "Redis is stopped"), &["FerryQueueDown"], hurt, mend).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --alerts"]
async fn a04_a_pause_is_forgotten() {
    let hurt = async |ward: &mut Ward| {
        let run = ward.scene.run.clone();
        ward.scene.place.must(&["run", "pause", &run, "--yes", "--reason", "lunch"]);
        // An hour passes for the ledger.
        ward.scene.execute("UPDATE ferry.runs SET touched_at = touched_at - interval '1 h'").await;
    };
    let mend = async |ward: &mut Ward| {
        let run = ward.scene.run.clone();
        ward.scene.place.must(&["run", "resume", &run, "--yes", "--reason", "back"]);
    };
    proved(steady(104, "a pause of an hour"), &["FerryForgottenPause"], hurt, mend).await;
}

/// Somebody else sends to the tenant. A smaller limit alone would not do: its headers name it, and
/// the limiter keeps to it before anybody has to know.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --alerts"]
async fn a05_the_limit_is_broken() {
    let faults = |storm_429| Faults { latency_ms: 60, storm_429, ..Faults::default() };
    let hurt = async |ward: &mut Ward| ward.scene.simulator.set_faults(faults(0.3)).unwrap();
    let mend = async |ward: &mut Ward| ward.scene.simulator.set_faults(faults(0.0)).unwrap();
    let setup = steady(105, "three of ten answers are 429");
    proved(setup, &["FerryRateLimited", "FerryRateReduced"], hurt, mend).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --alerts"]
async fn a06_a_clock_is_wrong() {
    let Some(library) = libfaketime() else {
        return crate::results::skip(106, "a clock is 10 minutes ahead", "libfaketime is not installed");
    };
    let library = library.display().to_string();
    let hurt = async |ward: &mut Ward| {
        ward.worker(&[
            ("LD_PRELOAD", &library),
            ("FAKETIME", "+600s"),
            ("DONT_FAKE_MONOTONIC", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]);
    };
    let mend = async |ward: &mut Ward| {
        let mut odd = ward.scene.workers.pop().unwrap();
        odd.stop();
        ward.ports.pop();
        ward.monitoring.scrape(&ward.ports);
    };
    proved(steady(106, "a clock is 10 minutes ahead"), &["FerryClockSkew"], hurt, mend).await;
}

/// Processes are ready, but none of them creates users.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --alerts"]
async fn a07_a_run_stalls() {
    let hurt = async |ward: &mut Ward| {
        ward.stop_all();
        ward.ports.clear();
        ward.hire(&["worker", "--roles", "verify,report,relay"], &[]);
    };
    let mend = async |ward: &mut Ward| {
        ward.worker(&[]);
    };
    proved(steady(107, "no process creates users"), &["FerryRunStalled"], hurt, mend).await;
}

/// Auth0 fails, and one try is all that a batch has.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --alerts"]
async fn a08_dead_letters_come() {
    let faults = |share| Faults { latency_ms: 60, server_errors: share, ..Faults::default() };
    let hurt = async |ward: &mut Ward| {
        ward.scene.simulator.set_faults(faults(0.1)).unwrap();
        let dead = "SELECT count(*) FROM ferry.jobs WHERE state = 'dead'";
        ward.scene.until("jobs are given up", async || ward.scene.number(dead).await >= 2).await;
        ward.scene.simulator.set_faults(faults(0.0)).unwrap();
    };
    let setup = steady(108, "jobs are given up").set("FERRY_RUN__MAX_ATTEMPTS", "1");
    proved(setup, &["FerryDeadLetters", "FerryMigrationErrors"], hurt, async |_| {}).await;
}

/// 10,000 users, three workers started anew one after the other, and nobody is told of anything.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --alerts"]
async fn a09_a_quiet_run_with_a_rolling_restart() {
    let limit = "custom:100:100";
    let setup = Setup::new(109, "a quiet run of 10,000 users, rolling restart").users(10_000, 100);
    let setup = setup.set("AUTH0_PLAN", limit).simulated(|config| config.limits = limit.parse().unwrap());
    let Some(mut ward) = Ward::open(setup).await else { return };
    let mut fired = BTreeSet::new();
    for restarted in 0..3 {
        ward.scene.workers[restarted].stop();
        let listen = format!("127.0.0.1:{}", ward.ports[restarted]);
        let again = ward.scene.command(ferry_binary(), &["worker"], &[("FERRY_LISTEN", &listen)]);
        ward.scene.hire(again);
        for _ in 0..20 {
            fired.append(&mut ward.monitoring.firing().await);
            sleep(Duration::from_millis(500)).await;
        }
    }
    while ward.scene.state().await != "sealed" {
        fired.append(&mut ward.monitoring.firing().await);
        sleep(Duration::from_millis(500)).await;
    }
    sleep(WATCHED).await;
    fired.append(&mut ward.monitoring.firing().await);
    assert_eq!(fired, set(&[]), "a quiet run wakes nobody");
    println!("alert: | a quiet run of 10,000 users, rolling restart of three workers | none | | | |");
}

/// Each query of the dashboards, asked while a run goes on: a panel without data is a fault of the
/// panel, unless it says that it has none in quiet times.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --alerts"]
async fn a10_every_panel_has_data() {
    let Some(ward) = Ward::open(steady(110, "the panels of the dashboards")).await else { return };
    sleep(Duration::from_secs(20)).await;
    let make = concat!(env!("CARGO_MANIFEST_DIR"), "/ops/grafana/make");
    let listed = std::process::Command::new(make).arg("--queries").output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let (mut asked, mut empty) = (0, Vec::new());
    for line in String::from_utf8(listed.stdout).unwrap().lines() {
        let query: serde_json::Value = serde_json::from_str(line).unwrap();
        let series = ward.monitoring.ask(query["expr"].as_str().unwrap()).await;
        let series = series.unwrap_or_else(|error| panic!("{query}: {error}"));
        let may_be_empty = query["empty_when_quiet"] == true || query["needs_application"] == true;
        if series.is_empty() && !may_be_empty {
            empty.push(format!("{} / {}: {}", query["dashboard"], query["panel"], query["expr"]));
        }
        asked += 1;
    }
    assert!(empty.is_empty(), "{} of {asked} queries gave nothing:\n{}", empty.len(), empty.join("\n"));
    assert!(asked > 50, "only {asked} queries");
    println!("alert: | {asked} queries of the dashboards during a run | none | none is empty | | |");
}
