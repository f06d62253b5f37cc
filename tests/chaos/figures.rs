//! Scenario 45: what people read on the command line, what is scraped, and what the tables hold
//! are the same, at moments of a run under load.
//!
//! For each moment the tables of the ledger are locked against writing, never against reading, so
//! that all three are asked about the same state while the workers stand in the middle of their work.

use std::{collections::BTreeMap, time::Duration};

use ferry_testbed::free_port;
use sqlx::{Postgres, Row, Transaction, postgres::PgRow};
use tokio::time::{Instant, sleep};

use crate::{
    results::Told,
    scene::{Scene, ferry_binary, play},
    setup::Setup,
};

/// Moments at which all three are compared.
const MOMENTS: usize = 20;
/// How long the lock is tried for; less than PostgreSQL waits until it looks for deadlocks.
const LOCK: &str = "SET LOCAL lock_timeout = '300ms'";
/// All that a worker writes of jobs and users.
const TABLES: &str =
    "LOCK TABLE ferry.runs, ferry.batches, ferry.jobs, ferry.planned_items, ferry.outcomes IN SHARE MODE";
/// The exporter reads every 5 s.
const EXPORTED: Duration = Duration::from_secs(15);
/// Jobs that are due this soon, in seconds, are waited for: they would become ready between two readings.
const SOON: f64 = 3.0;
/// A reading of the store takes a while, in seconds: its statements come one after the other, and its age is
/// counted from the last.
const READING: f64 = 0.5;

const STATES: [&str; 6] = ["ready", "scheduled", "retrying", "queued", "leased", "dead"];
const OUTCOMES: [&str; 6] = ["created", "adopted", "skipped", "conflict", "failed", "cancelled"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s45_command_metrics_and_tables_say_the_same() {
    let setup = Setup::new(45, "command, metrics and tables at random moments")
        .users(6_000, 25)
        .set("FERRY_LEDGER__MAX_CONNECTIONS", "40")
        .latency(700)
        .simulated(|simulated| simulated.faults.server_errors = 0.003);
    play(setup, async |scene| {
        scene.start(&[]);
        let ports: Vec<u16> = (0..3).map(|_| worker(scene)).collect();
        scene.until_done(50).await;
        let (mut settled, mut left_out) = (Vec::new(), 0);
        while settled.len() < MOMENTS {
            let wait = 50 + scene.seed.wrapping_mul(7_919).wrapping_add(settled.len() as u64 * 104_729) % 900;
            sleep(Duration::from_millis(wait)).await;
            match compared(scene, &ports).await {
                Some(users) => settled.push(users),
                None => left_out += 1, // a job became due meanwhile, by time alone
            }
            assert!(left_out < MOMENTS, "jobs become due at each moment");
            assert_eq!(scene.state().await, "running", "the run lasts longer than the moments");
        }
        scene.until_sealed().await;
        let (first, last) = (settled.first().unwrap(), settled.last().unwrap());
        assert!(first < last, "the run went on between the moments: {settled:?}");
        Told::note(format!(
            "equal at {MOMENTS} moments, from {first} to {last} users; {left_out} more left out"
        ))
    })
    .await;
}

/// Starts a worker with a page; its port.
fn worker(scene: &mut Scene) -> u16 {
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    scene.hire(scene.command(ferry_binary(), &["worker"], &[("FERRY_LISTEN", &listen)]));
    port
}

/// What is compared.
#[derive(Debug, Default)]
struct Seen {
    /// When it was read, by the database's clock in seconds: not before, not after.
    read: (f64, f64),
    /// Jobs by kind and state.
    jobs: BTreeMap<(String, String), i64>,
    /// Users by outcome.
    users: BTreeMap<String, i64>,
    /// By kind, the age of the oldest that waits, in seconds.
    oldest: BTreeMap<String, f64>,
}

/// Compares all three at this moment; the number of users that were created, or `None` where the state changed by
/// itself meanwhile: a job that waits for its time becomes ready without a write.
async fn compared(scene: &Scene, ports: &[u16]) -> Option<i64> {
    let mut still = frozen(scene).await;
    let tables = tables(scene, &mut still).await;
    let soon = tables.due_within(clock(&mut still).await, SOON);
    sleep(Duration::from_secs_f64(soon)).await;
    let locked = Instant::now();
    let shown = command(scene, &mut still).await;
    let exported = metrics(&scene.run, ports, locked, &mut still).await;
    still.rollback().await.unwrap();
    for (from, seen) in [("the command", &shown), ("the metrics", &exported)] {
        let (jobs, due) = tables.at(seen.read.0);
        if tables.at(seen.read.1).0 != jobs {
            return None;
        }
        assert_eq!(seen.jobs, jobs, "jobs, as {from} and the tables have them");
        assert_eq!(seen.users, tables.users, "users, as {from} and the tables have them");
        let kinds = |ages: &BTreeMap<String, f64>| ages.keys().cloned().collect::<Vec<_>>();
        assert_eq!(kinds(&seen.oldest), kinds(&due), "kinds that wait, as {from} and the tables have them");
        for (kind, age) in &seen.oldest {
            let ages = seen.read.0 - due[kind]..=seen.read.1 - due[kind];
            assert!(ages.contains(age), "the oldest {kind}, as {from} has it: {age} s, and it is {ages:?}");
        }
    }
    Some(tables.users.get("created").copied().unwrap_or_default())
}

/// What the tables hold, by statements of the test's own.
struct Tables {
    jobs: Vec<Job>,
    users: BTreeMap<String, i64>,
}

struct Job {
    kind: String,
    state: String,
    /// When it may run, in seconds of the database's clock.
    due: f64,
    tried: bool,
}

impl Tables {
    /// Seconds from `now` until the jobs that become due within that many seconds are.
    fn due_within(&self, now: f64, seconds: f64) -> f64 {
        let waits = self.jobs.iter().map(|job| job.due - now).filter(|wait| (0.0..seconds).contains(wait));
        waits.fold(0.0, f64::max)
    }

    /// Jobs by kind and state at a time, and by kind when the oldest that waits was due.
    fn at(&self, time: f64) -> (BTreeMap<(String, String), i64>, BTreeMap<String, f64>) {
        let (mut jobs, mut oldest) = (BTreeMap::new(), BTreeMap::<String, f64>::new());
        for job in &self.jobs {
            let state = match &*job.state {
                "ready" if job.due <= time => "ready",
                "ready" if job.tried => "retrying",
                "ready" => "scheduled",
                other => other,
            };
            if matches!(state, "ready" | "queued") {
                let due = oldest.entry(job.kind.clone()).or_insert(job.due);
                *due = due.min(job.due);
            }
            *jobs.entry((job.kind.clone(), state.to_owned())).or_default() += 1;
        }
        (jobs, oldest)
    }
}

/// A transaction in which nobody writes; tried again while workers hold what it needs.
async fn frozen(scene: &Scene) -> Transaction<'static, Postgres> {
    for _ in 0..200 {
        let mut still = scene.pool.begin().await.unwrap();
        sqlx::query(LOCK).execute(&mut *still).await.unwrap();
        if sqlx::query(TABLES).execute(&mut *still).await.is_ok() {
            return still;
        }
        still.rollback().await.unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    panic!("the tables could not be locked");
}

async fn clock(still: &mut Transaction<'static, Postgres>) -> f64 {
    let now = "SELECT extract(epoch FROM clock_timestamp())::float8";
    sqlx::query(now).fetch_one(&mut **still).await.unwrap().get(0)
}

async fn tables(scene: &Scene, still: &mut Transaction<'static, Postgres>) -> Tables {
    let jobs = "SELECT kind, state, extract(epoch FROM not_before)::float8, attempts > 0
        FROM ferry.jobs WHERE state NOT IN ('done', 'dead') OR state = 'dead' AND EXISTS (
            SELECT FROM ferry.dead_letters WHERE job_id = jobs.id AND dead_letters.state = 'kept')";
    let jobs = sqlx::query(jobs).fetch_all(&mut **still).await.unwrap();
    let job = |row: &PgRow| Job { kind: row.get(0), state: row.get(1), due: row.get(2), tried: row.get(3) };
    let users = "SELECT coalesce(outcome.state, item.state) AS told, count(*)
        FROM ferry.planned_items AS item
        LEFT JOIN ferry.outcomes AS outcome ON outcome.batch_id = item.batch_id AND outcome.seq = item.seq
        WHERE item.run_id::text = $1 GROUP BY told";
    let users = sqlx::query(users).bind(&scene.run).fetch_all(&mut **still).await.unwrap();
    Tables {
        jobs: jobs.iter().map(job).collect(),
        users: users.iter().map(|row| (row.get(0), row.get(1))).collect(),
    }
}

/// As `queue list` and `run show` tell it.
async fn command(scene: &Scene, still: &mut Transaction<'static, Postgres>) -> Seen {
    let from = clock(still).await;
    let listed = scene.place.json(&["queue", "list", "--output", "json"]);
    let mut seen = Seen { read: (from, clock(still).await), ..Seen::default() };
    for line in listed["kinds"].as_array().unwrap() {
        let kind = line["kind"].as_str().unwrap();
        for state in STATES {
            seen.job(kind, state, line[state].as_i64().unwrap());
        }
        if let Some(age) = line["oldest_due_seconds"].as_f64() {
            seen.oldest.insert(kind.to_owned(), age);
        }
    }
    let run = scene.place.json(&["run", "show", &scene.run, "--output", "json"]);
    for outcome in OUTCOMES.into_iter().chain(["pending"]) {
        seen.user(outcome, run[outcome].as_i64().unwrap());
    }
    seen
}

/// As the elected exporter tells it, once it has read what is locked.
async fn metrics(
    run: &str,
    ports: &[u16],
    locked: Instant,
    still: &mut Transaction<'static, Postgres>,
) -> Seen {
    loop {
        assert!(locked.elapsed() < EXPORTED, "no worker has read the store for its metrics");
        for port in ports {
            let (from, since) = (clock(still).await, locked.elapsed().as_secs_f64());
            let page = page(*port).await;
            let to = clock(still).await;
            let age = page.iter().find(|(name, ..)| name == "ferry_exporter_reading_age_seconds");
            if let Some((_, _, age)) = age.filter(|(_, _, age)| *age + READING < since) {
                return exported(&page, run, (from - age - READING, to - age));
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// A series of a page: name, labels, number.
type Series = (String, BTreeMap<String, String>, f64);

/// The page of a worker; nothing where it has none.
async fn page(port: u16) -> Vec<Series> {
    let Ok(answer) = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await else {
        return Vec::new();
    };
    let text = answer.text().await.unwrap_or_default();
    text.lines().filter(|line| !line.starts_with('#')).filter_map(series).collect()
}

/// `name{label="value",…} number`; the values that are compared hold no commas and quotes.
fn series(line: &str) -> Option<Series> {
    let (series, number) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
    let labels = labels.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()));
    Some((name.to_owned(), labels.collect(), number.parse().ok()?))
}

/// What such a page says of this run; `read` is when the store was read.
fn exported(page: &[Series], run: &str, read: (f64, f64)) -> Seen {
    let mut seen = Seen { read, ..Seen::default() };
    for (name, labels, number) in page {
        let label = |name: &str| labels.get(name).map_or("", String::as_str);
        let of_run = label("run") == run;
        match &**name {
            "ferry_queue_jobs" => seen.job(label("queue"), label("state"), *number as i64),
            "ferry_users" if of_run => seen.user(label("outcome"), *number as i64),
            "ferry_users_remaining" if of_run => seen.user("pending", *number as i64),
            // 0 is nobody waits.
            "ferry_queue_oldest_ready_age_seconds" if *number > 0.0 => {
                seen.oldest.insert(label("queue").to_owned(), *number);
            }
            _ => {}
        }
    }
    seen
}

impl Seen {
    fn job(&mut self, kind: &str, state: &str, jobs: i64) {
        if jobs > 0 {
            self.jobs.insert((kind.to_owned(), state.to_owned()), jobs);
        }
    }

    fn user(&mut self, outcome: &str, users: i64) {
        if users > 0 {
            self.users.insert(outcome.to_owned(), users);
        }
    }
}
