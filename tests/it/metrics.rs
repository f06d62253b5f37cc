//! The pages of metrics and health, as Prometheus and Kubernetes see them.

mod sent;
mod strict;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ferry_domain::{
    BatchState, Figures, ItemState, JobKind, RunId, Tally,
    figures::{Answered, JobEnd, LedgerStep, Operation, RunFigures, StoreFigures, Timed},
    ports::{Group, GroupFigures, LimiterFigures, QueueCount, QueueState, WaitReason},
    telemetry::metrics::{ALL, Kind},
};
use ferry_telemetry::{Exposition, Patience, Sources, serve};
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
};

use crate::world::new_place;

/// The commit that the program seems to be from.
const COMMIT: &str = "0123abc";
/// The id of a run.
const A_RUN: &str = "0193f3a0-0000-7000-8000-000000000001";

/// A text that must never be on a page.
const PRIVATE: &str = "grace.hopper@hospital.example";

fn rate() -> LimiterFigures {
    let group = |allowed_per_second| GroupFigures { granted: 30, allowed_per_second };
    LimiterFigures {
        kept: None,
        groups: [group(Some(12.5)), group(Some(20.0)), group(None), group(Some(20.0))],
        throttled: 2,
        factor: 0.5,
        waiters: 3,
        processes: 2,
        foreign: 7,
        named: None,
        slowed_by: 0,
        alone: None,
        shared_reachable: Some(true),
    }
}

/// Sources in which every metric has a number.
fn full() -> Sources {
    let figures = Arc::new(Figures::default());
    (0..5).for_each(|_| figures.job_ended(JobKind::Provision, JobEnd::Done));
    (0..3).for_each(|_| figures.job_enqueued(JobKind::Verify));
    figures.user_settled(ItemState::Created);
    figures.slots.set(8);
    figures.set_clock_ahead_ms(-250);
    figures.rescues_dead.one();
    [true, false, true].into_iter().for_each(|answers| figures.ledger_reachable.set(answers));
    figures.renewed_at_ms.set(1);
    figures.set_waiting_for(Some(WaitReason(format!("waiting for {PRIVATE}"))));
    figures.store.put(StoreFigures {
        taken_at_ms: 1,
        queues: vec![
            queue(QueueState::Ready, 40, Some(Duration::from_millis(1_500))),
            queue(QueueState::Dead, 2, None),
        ],
        runs: vec![RunFigures {
            run: A_RUN.parse::<RunId>().unwrap(),
            tally: Tally { source: 10, created: 6, failed: 1, pending: 3, ..Tally::default() },
            paused_for: Duration::from_secs(90),
            batches: [4, 3, 2],
            left: Some(Duration::from_secs(75)),
        }],
    });
    sources(figures, Patience::default())
}

fn queue(state: QueueState, jobs: i64, oldest: Option<Duration>) -> QueueCount {
    QueueCount { kind: JobKind::Provision, state, jobs, oldest }
}

fn sources(figures: Arc<Figures>, patience: Patience) -> Sources {
    let began = Instant::now();
    Sources {
        figures,
        limiter: Arc::new(rate),
        monotonic_ms: Arc::new(move || i64::try_from(began.elapsed().as_millis()).unwrap() + 2),
        patience,
        commit: COMMIT,
    }
}

/// One of each kind of what is timed.
const TIMED: [Timed; 5] = [
    Timed::JobWait(JobKind::Provision),
    Timed::JobRun(JobKind::Provision, JobEnd::Done),
    Timed::Request(Operation::CreateUser, Answered::Success),
    Timed::LimitWait(Group::UserWrites),
    Timed::Ledger(LedgerStep::WriteBack),
];

fn page(sources: &Sources) -> BTreeMap<String, strict::Family> {
    let exposition = Exposition::new(sources).unwrap();
    tell(&sources.figures);
    let page = exposition.page().unwrap();
    strict::read(&page).unwrap_or_else(|error| panic!("{error}\n{page}"))
}

/// Tells of one of each, so that every histogram has a series.
fn tell(figures: &Figures) {
    TIMED.into_iter().for_each(|what| figures.took(what, Duration::from_millis(1_250)));
    figures.tried(JobKind::Provision, JobEnd::Done, 1);
}

/// The number of the only series with this label value, or of the only series.
fn number(page: &BTreeMap<String, strict::Family>, name: &str, value: Option<&str>) -> f64 {
    let family = page.get(name).unwrap_or_else(|| panic!("no {name}"));
    let fits =
        |labels: &BTreeMap<String, String>| value.is_none_or(|v| labels.values().any(|label| label == v));
    let found: Vec<f64> = family.series.iter().filter(|(labels, _)| fits(labels)).map(|(_, n)| *n).collect();
    assert_eq!(found.len(), 1, "{name} {value:?}: {family:?}");
    found[0]
}

fn queue_jobs(page: &BTreeMap<String, strict::Family>, queue: &str, state: &str) -> Option<f64> {
    let series = &page["ferry_queue_jobs"].series;
    series.iter().find(|(labels, _)| labels["queue"] == queue && labels["state"] == state).map(|(_, n)| *n)
}

#[test]
fn the_page_shows_what_was_counted() {
    let page = page(&full());
    let finished = &page["ferry_jobs_finished_total"].series;
    assert_eq!(finished.len(), 12, "each queue and end at zero from the start");
    assert_eq!(finished.iter().map(|(_, number)| number).sum::<f64>(), 6.0);
    let attempts = &page["ferry_job_attempts"];
    let up_to = |bound: &str| attempts.buckets.iter().find(|(labels, _)| labels["le"] == bound).unwrap().1;
    assert_eq!((up_to("1"), up_to("2")), (0.0, 1.0), "the second attempt was the last");
    assert_eq!(number(&page, "ferry_jobs_enqueued_total", Some("verify")), 3.0);
    assert_eq!(number(&page, "ferry_jobs_enqueued_total", Some("report")), 0.0);
    assert_eq!(number(&page, "ferry_users_settled_total", Some("created")), 1.0);
    assert_eq!(number(&page, "ferry_users_settled_total", Some("failed")), 0.0);
    assert_eq!(number(&page, "ferry_run_paused_seconds", Some(A_RUN)), 90.0);
    let batches = ["open", "provisioned", "verified"].map(|word| number(&page, "ferry_batches", Some(word)));
    assert_eq!(batches, [4.0, 3.0, 2.0]);
    assert_eq!(number(&page, "ferry_run_eta_seconds", Some(A_RUN)), 75.0);
    assert_eq!(number(&page, "ferry_worker_slots", None), 8.0);
    assert_eq!(number(&page, "ferry_clock_skew_seconds", None), -0.25);
    assert_eq!(number(&page, "ferry_rescues_total", Some("dead")), 1.0);
    assert_eq!(number(&page, "ferry_store_up", Some("ledger")), 1.0);
    assert_eq!(number(&page, "ferry_store_up", Some("queue")), 0.0);
    assert_eq!(number(&page, "ferry_store_reconnects_total", Some("ledger")), 1.0);
    assert_eq!(number(&page, "ferry_store_reconnects_total", Some("queue")), 0.0);
    assert_eq!(queue_jobs(&page, "provision", "ready"), Some(40.0));
    assert_eq!(queue_jobs(&page, "verify", "ready"), Some(0.0), "a queue without jobs is no hole");
    assert_eq!(queue_jobs(&page, "provision", "retrying"), Some(0.0));
    assert_eq!(queue_jobs(&page, "provision", "done"), None, "nobody counts them over all runs");
    assert_eq!(number(&page, "ferry_queue_oldest_ready_age_seconds", Some("provision")), 1.5);
    assert_eq!(number(&page, "ferry_queue_oldest_ready_age_seconds", Some("report")), 0.0);
    assert_eq!(number(&page, "ferry_users", Some("created")), 6.0);
    assert_eq!(number(&page, "ferry_users_remaining", Some(A_RUN)), 3.0);
    assert_eq!(number(&page, "ferry_ratelimit_allowed_per_second", Some("user_writes")), 12.5);
    assert_eq!(
        page["ferry_ratelimit_allowed_per_second"].series.len(),
        3,
        "a group without a limit has none"
    );
    assert_eq!(number(&page, "ferry_ratelimit_factor", None), 0.5);
    assert_eq!(number(&page, "ferry_worker_waiting", None), 1.0);
    assert_eq!(number(&page, "ferry_build_info", None), 1.0);
}

/// Rules, alerts and dashboards of people's own go by these texts: a change of one is a change
/// that people have to be told of.
#[test]
fn the_page_is_the_same_to_the_letter_but_for_the_numbers() {
    let sources = full();
    let exposition = Exposition::new(&sources).unwrap();
    tell(&sources.figures);
    let without_number = |line: &str| match line.rsplit_once(' ') {
        Some((series, _)) if !line.starts_with('#') => format!("{series}\n"),
        _ => format!("{line}\n"),
    };
    let page: String = exposition.page().unwrap().lines().map(without_number).collect();
    let page = page.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    assert_eq!(page, include_str!("metrics/page.txt"), "the page has changed:\n{page}");
}

#[test]
fn times_are_counted_by_their_bounds_once_there_is_one() {
    let sources = full();
    let exposition = Exposition::new(&sources).unwrap();
    let page = || strict::read(&exposition.page().unwrap()).unwrap();
    assert!(!page().contains_key("ferry_auth0_request_seconds"), "no series before the first value");
    for millis in [3, 700, 60_000] {
        let what = Timed::Request(Operation::GetUser, Answered::Throttled);
        sources.figures.took(what, Duration::from_millis(millis));
    }
    let times = &page()["ferry_auth0_request_seconds"];
    assert_eq!((times.kind.as_str(), times.series.len()), ("histogram", 1));
    let (labels, sum) = &times.series[0];
    assert_eq!((labels["operation"].as_str(), labels["status"].as_str()), ("get_user", "429"));
    assert!((sum - 60.703).abs() < 1e-6, "{sum}");
    let below = |bound: &str| times.buckets.iter().find(|(labels, _)| labels["le"] == bound).unwrap().1;
    assert_eq!(["0.005", "0.5", "1", "30", "+Inf"].map(below), [1.0, 1.0, 2.0, 2.0, 3.0]);
}

#[test]
fn only_the_elected_exporter_shows_the_store_and_stops_when_it_is_not() {
    let sources = full();
    let exposition = Exposition::new(&sources).unwrap();
    let names =
        || -> BTreeSet<String> { strict::read(&exposition.page().unwrap()).unwrap().into_keys().collect() };
    let elected = names();
    sources.figures.store.clear();
    let not_elected = names();
    let gone: Vec<&String> = elected.difference(&not_elected).collect();
    assert_eq!(
        gone,
        [
            "ferry_batches",
            "ferry_exporter_reading_age_seconds",
            "ferry_queue_jobs",
            "ferry_queue_oldest_ready_age_seconds",
            "ferry_run_eta_seconds",
            "ferry_run_paused_seconds",
            "ferry_users",
            "ferry_users_remaining"
        ]
    );
    assert_eq!(number(&page(&sources), "ferry_exporter_active", None), 0.0);
}

#[test]
fn labels_come_from_closed_lists_and_carry_nothing_private() {
    let sources = full();
    let text = Exposition::new(&sources).unwrap().page().unwrap();
    assert!(!text.contains("grace") && !text.contains("hospital"), "{text}");
    let mut closed: BTreeSet<&str> = BTreeSet::from([
        "ready",
        "queued",
        "leased",
        "done",
        "dead",
        "retried",
        "snoozed",
        "expired",
        "auth0",
        "ledger",
        "queue",
        "user_writes",
        "user_reads",
        "rest",
        "read_back",
        "create_user",
        "2xx",
        "write_back",
        "scheduled",
        "retrying",
        A_RUN,
        env!("CARGO_PKG_VERSION"),
        COMMIT,
    ]);
    closed.extend(JobKind::ALL.map(JobKind::as_str));
    closed.extend(ItemState::ALL.map(ItemState::as_str));
    closed.extend(BatchState::ALL.map(BatchState::as_str));
    for (name, family) in page(&sources) {
        for value in family.series.iter().flat_map(|(labels, _)| labels.values()) {
            assert!(closed.contains(value.as_str()), "{name} has the label {value:?}, which is on no list");
        }
    }
}

/// `docs/TELEMETRY.md` has a table row for each metric: name, type, labels.
#[test]
fn documents_and_page_name_the_same_metrics() {
    let document =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/TELEMETRY.md")).unwrap();
    let documented: BTreeSet<(String, String, String)> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .filter(|(name, _)| name.starts_with("ferry_") || name.starts_with("process_"))
        .map(|(name, rest)| {
            let mut cells = rest.split('|').map(|cell| cell.trim().replace('`', ""));
            (name.to_owned(), cells.next().unwrap(), cells.next().unwrap())
        })
        .collect();
    let kind = |kind: Kind| match kind {
        Kind::Counter => "counter".to_owned(),
        Kind::Gauge | Kind::UpDown => "gauge".to_owned(),
        Kind::Histogram(_) => "histogram".to_owned(),
    };
    let named: BTreeSet<(String, String, String)> = ALL
        .iter()
        .map(|metric| (metric.name.to_owned(), kind(metric.kind), metric.labels.join(", ")))
        .collect();
    assert_eq!(documented, named, "left: docs/TELEMETRY.md, right: crates/domain/src/telemetry/metrics.rs");

    let page = page(&full());
    let shown: BTreeSet<(String, String, String)> = page
        .iter()
        .map(|(name, family)| {
            // On the page labels are in alphabetical order, in documents in the order of importance.
            let mut labels: Vec<&String> = family.series[0].0.keys().collect();
            let order = ALL
                .iter()
                .find(|metric| metric.name == name.as_str())
                .map_or(&[][..], |metric| metric.labels);
            labels.sort_by_key(|label| order.iter().position(|known| known == &label.as_str()));
            let labels: Vec<&str> = labels.into_iter().map(String::as_str).collect();
            (name.clone(), family.kind.clone(), labels.join(", "))
        })
        .collect();
    assert_eq!(shown, named, "left: the page, right: crates/domain/src/telemetry/metrics.rs");
}

/// A runtime of two threads with pages, and what stops them.
fn served(sources: Sources) -> (Runtime, ferry_telemetry::Pages, oneshot::Sender<()>) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (stop, stopped) = oneshot::channel();
    let serving = async {
        let exposition = Exposition::new(&sources).unwrap();
        serve("127.0.0.1:0".parse().unwrap(), &sources, exposition, async {
            let _ = stopped.await;
        })
    };
    let pages = runtime.block_on(serving).unwrap();
    (runtime, pages, stop)
}

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: ferry\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

/// Waits for what has to come; how long it takes is no matter.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < patience, "never came: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_blocked_runtime_is_dead_while_the_pages_still_answer_and_alive_when_it_turns_again() {
    let patience = Patience { turn: Duration::from_millis(400), ..Patience::default() };
    let (runtime, pages, _stop) = served(sources(Arc::new(Figures::default()), patience));
    let address = pages.address();
    until("alive at first", || get(address, "/healthz").0 == 200);

    let free = Arc::new(AtomicBool::new(false));
    for _ in 0..2 {
        let free = free.clone();
        runtime.spawn(async move {
            while !free.load(Ordering::Relaxed) {
                thread::yield_now();
            }
        });
    }
    let mut why = String::new();
    until("dead while all threads are busy", || {
        let (status, answer) = get(address, "/healthz");
        why = answer;
        status == 503
    });
    assert!(why.contains("the runtime has not turned"), "{why}");
    assert_eq!(get(address, "/metrics").0, 200, "metrics are served all the same");

    free.store(true, Ordering::Relaxed);
    until("alive again", || get(address, "/healthz").0 == 200);
}

#[test]
fn readiness_names_what_lacks_and_no_page_stays_after_the_stop() {
    let figures = Arc::new(Figures::default());
    let (runtime, pages, stop) = served(sources(figures.clone(), Patience::default()));
    let address = pages.address();
    figures.ready.set(1);
    figures.ledger_reachable.set(true);
    let (status, answer) = get(address, "/readyz");
    assert_eq!(status, 503);
    assert!(answer.ends_with("not ready: the queue was not looked at yet\n"), "{answer}");
    figures.set_queue_lacks(None);
    assert_eq!(get(address, "/readyz").0, 200);
    assert_eq!(
        get(address, "/healthz").0,
        200,
        "a process that lives need not be ready, and the other way round"
    );

    let (status, answer) = get(address, "/metrics");
    assert_eq!(status, 200);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert_eq!(number(&strict::read(body).unwrap(), "ferry_worker_ready", None), 1.0);
    assert_eq!(get(address, "/").0, 404);

    stop.send(()).unwrap();
    runtime.block_on(pages.ended());
    assert!(TcpStream::connect(address).is_err(), "the port is free again");
}

#[test]
fn health_asks_a_worker_and_says_why_it_takes_no_work() {
    let figures = Arc::new(Figures::default());
    let (_runtime, pages, _stop) = served(sources(figures.clone(), Patience::default()));
    let mut place = new_place();
    let at = pages.address().to_string();
    let asked = place.run(&["health", "--at", &at]);
    assert_eq!((asked.code, asked.out.as_str()), (1, ""));
    assert!(asked.err.contains("not ready: "), "{}", asked.err);
    let live = place.run(&["health", "--live", "--at", &at]);
    assert_eq!((live.code, live.out.as_str()), (0, "alive\n"));

    figures.ready.set(1);
    figures.ledger_reachable.set(true);
    figures.set_queue_lacks(None);
    place.set("FERRY_LISTEN", format!("0.0.0.0:{}", pages.address().port()));
    let ready = place.run(&["health"]);
    assert_eq!((ready.code, ready.out.as_str()), (0, "ready\n"), "{}", ready.err);

    let nobody = place.run(&["health", "--at", "127.0.0.1:1"]);
    assert_eq!(nobody.code, 1);
    assert!(nobody.err.contains("no worker answers at http://127.0.0.1:1/readyz"), "{}", nobody.err);
    assert!(nobody.err.contains("--at"), "{}", nobody.err);
}

#[test]
fn an_address_in_use_is_an_error_at_once() {
    let (runtime, pages, _stop) = served(sources(Arc::new(Figures::default()), Patience::default()));
    let again = runtime.block_on(async {
        let sources = sources(Arc::new(Figures::default()), Patience::default());
        let exposition = Exposition::new(&sources).unwrap();
        serve(pages.address(), &sources, exposition, std::future::pending())
    });
    assert_eq!(again.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
}
