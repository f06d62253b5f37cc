//! Pages as a terminal would show them.

use std::time::Duration;

use ferry_domain::{
    Code, ItemState, JobKind, OnExisting, RunSpec, RunState, RunView, SourceIdentity, Tally, WorkerId,
    ports::{Orders, QueueCount, QueueState, WaitReason, WorkerRecord, WorkerView},
    run::RunMove,
    threshold::StopAfter,
};
use ferry_operations::{
    pace::Speed,
    views::jobs_of_kinds,
    waits::Around,
    watching::{Details, Group, Limits, Look},
};
use ratatui::{Terminal, backend::TestBackend, text::Text};
use time::OffsetDateTime;

use super::{Palette, Shown, page};
use crate::commands::run::watch::keys::{Key, Mode, Order, press};

const SIZES: [(u16, u16); 3] = [(40, 12), (80, 24), (200, 50)];
const BEGUN: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn run(state: RunState) -> RunView {
    let tally = Tally {
        source: 20_031,
        created: 12_100,
        adopted: 200,
        conflict: 4,
        failed: 12,
        pending: 7_684,
        skipped: 31,
        ..Tally::default()
    };
    RunView {
        id: "01890000-0000-7000-8000-000000000001".parse().unwrap(),
        migration: "medlogistics".into(),
        source: SourceIdentity { kind: "postgres".into(), location: "clinic.users".into() },
        spec: RunSpec {
            tenant: "acme.eu.auth0.com".into(),
            connection: "Users".into(),
            on_existing: OnExisting::Adopt,
            batch_size: 100,
            max_attempts: 8,
            limits: "enterprise".into(),
            write_back: None,
            source_digest: String::new(),
            stop_after: StopAfter { failures: None, rate: None },
        },
        state,
        tally,
        verified: 6_100,
        discrepancies: 2,
        requests: 20_000,
        open_batches: 80,
        revision: 0,
        round: 1,
        rate: None,
        why: None,
        abandoned: false,
        created_at: BEGUN,
        moved_at: BEGUN,
        started_at: Some(BEGUN),
        provisioned_at: None,
        sealed_at: None,
    }
}

fn worker(number: u8, silent: u64, waits: Option<&str>) -> WorkerView {
    let record = WorkerRecord {
        id: WorkerId(Default::default()),
        host: format!("ward-{number}.clinic.example"),
        pid: 4_710 + i32::from(number),
        slots: 9,
        waiting_for: waits.map(|why| WaitReason(why.to_owned())),
    };
    WorkerView { record, watched: true, silent_for: Duration::from_secs(silent), leases: 8 }
}

fn look(run: RunView, workers: Vec<WorkerView>, groups: usize) -> Look {
    let around = Around { orders: Orders::default(), workers };
    let count = |state, jobs, oldest| QueueCount { kind: JobKind::Provision, state, jobs, oldest };
    let jobs = [
        count(QueueState::Ready, 12, Some(Duration::from_millis(3_200))),
        count(QueueState::Queued, 48, None),
        count(QueueState::Leased, 16, None),
    ];
    let group = |(at, code): (usize, &Code)| Group {
        state: if at % 2 == 0 { ItemState::Failed } else { ItemState::Conflict },
        code: *code,
        users: 1_000 / (at as i64 + 1),
    };
    let failures = Code::ALL.iter().take(groups).enumerate().map(group).collect();
    let running = run.state == RunState::Running;
    Look {
        at: BEGUN + Duration::from_secs(840),
        why: around.why(&run),
        sending: run.state.is_sending(),
        speed: running.then_some(Speed { users_per_second: 12.34, left: Some(Duration::from_secs(700)) }),
        recent: vec![0.0, 4.0, 12.0, 16.0],
        requests_per_second: running.then_some(14.9),
        limits: Limits::of(&run, &around),
        workers: around.workers,
        details: Details { failures, jobs: jobs_of_kinds(&jobs), table: None },
        run,
    }
}

fn shown(look: Look) -> Shown {
    Shown {
        first: look.run.clone(),
        look: Some(look),
        silent: None,
        mode: Mode::Watching,
        notice: None,
        settings: "enterprise".parse().ok(),
        palette: Palette { colours: true },
    }
}

fn running() -> Shown {
    shown(look(run(RunState::Running), vec![worker(7, 0, None), worker(8, 1, None)], 3))
}

/// What the terminal has in each of its rows.
fn drawn(shown: &Shown, (width, height): (u16, u16)) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let lines = page(shown, width.into(), height.into());
    assert_eq!(lines.len(), usize::from(height));
    for line in &lines {
        assert!(line.width() <= width.into(), "{} columns in {width}: {line}", line.width());
    }
    terminal.draw(|frame| frame.render_widget(Text::from(lines), frame.area())).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |row| (0..width).map(|column| buffer[(column, row)].symbol()).collect::<String>();
    (0..height).map(|at| row(at).trim_end().to_owned()).collect()
}

/// All sizes have to show these words; lines are joined, since long texts are folded.
fn says(shown: &Shown, words: &[&str]) {
    for size in SIZES {
        let text = drawn(shown, size).join(" ");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(
                text.contains(word),
                "{word:?} is missing at {size:?}:\n{}",
                drawn(shown, size).join("\n")
            );
        }
    }
}

#[test]
fn a_run_that_goes_shows_how_far_how_fast_and_what_is_left() {
    let shown = running();
    says(&shown, &["01890000", "running", "12,304/19,988", "61 %", "6,102/19,984", "12.3 of 16 users/s"]);
    says(
        &shown,
        &["about 11 min", "pending 7,684", "failures 16 users", "workers 2", "jobs", "q quit", "? help"],
    );
    let middle = drawn(&shown, SIZES[1]).join("\n");
    for words in [
        "14.9 of 16 requests/s",
        "ward-7.clinic.example/4717",
        "heard 0.0 s ago",
        "waiting 60  held 16",
        "oldest waits 3.2 s",
    ] {
        assert!(middle.contains(words), "{words}:\n{middle}");
    }
    let large = drawn(&shown, SIZES[2]).join("\n");
    assert!(large.contains("▂▆█  of 16 users/s, the last 8 s"), "{large}");
    assert!(large.contains("from postgres clinic.users to acme.eu.auth0.com / Users"), "{large}");
}

#[test]
fn a_run_that_stands_says_why_and_what_to_do() {
    let of = |state, why: &str| {
        let run = RunView { why: Some(why.into()), ..run(state) };
        shown(look(run, vec![worker(7, 0, None)], 0))
    };
    says(
        &of(RunState::Paused, "ward rounds"),
        &["paused", "not known: nothing is sent", "ferry run resume", "(ward rounds)"],
    );
    says(&of(RunState::Stopped, "TOO_MANY_FAILURES"), &["stopped: ferry run", "(TOO_MANY_FAILURES)"]);
    let nobody = shown(look(run(RunState::Running), Vec::new(), 0));
    says(&nobody, &["waits: no worker runs: ferry worker"]);
    let gone = shown(look(run(RunState::Running), vec![worker(7, 200, None)], 0));
    says(&gone, &["no worker runs"]);
    assert!(drawn(&gone, SIZES[1]).join("\n").contains("silent for 3 min"));
    let waits = "waiting for the limit: user writes, 3.3 requests/s allowed";
    says(&shown(look(run(RunState::Running), vec![worker(7, 0, Some(waits))], 0)), &[waits]);
}

#[test]
fn a_ledger_that_is_silent_is_told_beside_what_was_known() {
    let mut shown = running();
    shown.silent = Some("the ledger does not answer; watching on for 5 min".into());
    says(&shown, &["the ledger does not answer; watching on", "12,304/19,988"]);
    let before = Shown { look: None, silent: shown.silent.clone(), ..running() };
    says(&before, &["01890000", "the ledger does not answer", "q quit"]);
}

#[test]
fn many_failures_are_counted_where_they_are_not_listed() {
    let many = shown(look(run(RunState::Running), (0..30).map(|at| worker(at, 0, None)).collect(), 30));
    let middle = drawn(&many, SIZES[1]).join("\n");
    assert!(middle.contains("more codes") && middle.contains("workers   30"), "{middle}");
    let large = drawn(&many, SIZES[2]).join("\n");
    assert!(!large.contains("more codes") && !large.contains("more workers"), "{large}");
    says(&many, &["failures", "workers 30"]);
}

#[test]
fn what_is_asked_is_in_the_foot_of_every_size() {
    let mut shown = running();
    shown.mode = Mode::Confirm(Order::Move(RunMove::Pause));
    says(&shown, &["Pause the run?", "y yes", "n no"]);
    shown.mode = Mode::Confirm(Order::Rate("80".into()));
    says(
        &shown,
        &["at most 80 new users per second?", "above the plan of the settings, enterprise", "y yes"],
    );
    shown.mode = press(Mode::Watching, Key::Char('+'), &shown.facts()).mode;
    says(&shown, &["Requests per second, or a plan's name: 20_", "Enter set", "Esc leave"]);
    shown.mode = Mode::Doing(Order::Move(RunMove::Pause));
    says(&shown, &["Pausing the run"]);
    shown.mode = Mode::Watching;
    shown.notice = Some("The run is paused.".into());
    says(&shown, &["The run is paused.", "p pause"]);
    shown.mode = Mode::Help;
    says(&shown, &["pause the run: requests under way are finished", "? back"]);
}

#[test]
fn without_colours_there_are_none() {
    let mut shown = running();
    let colours = |shown: &Shown| {
        let page = page(shown, 80, 24);
        page.iter().flat_map(|line| &line.spans).filter(|span| span.style.fg.is_some()).count()
    };
    assert!(colours(&shown) > 0);
    shown.palette.colours = false;
    assert_eq!(colours(&shown), 0);
}

#[test]
fn every_size_is_drawn_somehow() {
    let shown = running();
    for width in [1, 5, 10, 20, 39, 59, 119, 120, 300] {
        for height in [1, 2, 5, 11, 100] {
            drawn(&shown, (width, height));
        }
    }
}
