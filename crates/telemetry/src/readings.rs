//! Which metric shows which figure: one line for each. To add a metric, name it in
//! `ferry_domain::telemetry::metrics`, read it here, and describe it in `docs/TELEMETRY.md`;
//! tests fail if one of these is missing.

use std::sync::Arc;

use ferry_domain::{
    BatchState, Figures, ItemState, JobKind,
    figures::{Count, JobEnd, Level, Reachable, RunFigures, StoreFigures},
    ports::{Group, GroupFigures, QueueState},
    telemetry::metrics::{self as m, Label, Metric},
};

use crate::{Sources, health, process};

/// One series of a metric: its labels' values, in the metric's order, and its number.
pub(crate) type Row = (Vec<Label>, f64);

/// Reads a metric's series.
pub(crate) type Read = fn(&Sources) -> Vec<Row>;

/// All counters and gauges with their sources; histograms are in `timings`. Those without a number now
/// have no series.
pub(crate) const READINGS: &[(Metric, Read)] = &[
    (m::QUEUE_JOBS, |s| store(s).map_or_else(Vec::new, |store| queue_jobs(&store))),
    (m::QUEUE_OLDEST_READY, |s| store(s).map_or_else(Vec::new, |store| oldest_ready(&store))),
    (m::USERS, |s| store(s).map_or_else(Vec::new, |store| users(&store))),
    (m::USERS_REMAINING, |s| store(s).map_or_else(Vec::new, |store| remaining(&store))),
    (m::BATCHES, |s| store(s).map_or_else(Vec::new, |store| batches(&store))),
    (m::RUN_ETA, |s| store(s).map_or_else(Vec::new, |store| eta(&store))),
    (m::RUN_PAUSED, |s| store(s).map_or_else(Vec::new, |store| paused(&store))),
    (m::EXPORTER_ACTIVE, |s| one(if store(s).is_some() { 1.0 } else { 0.0 })),
    (m::EXPORTER_AGE, |s| some(store(s).map(|store| age(s, store.taken_at_ms)))),
    (m::JOBS_ENQUEUED, |s| {
        let enqueued = |kind: JobKind| (vec![kind.into()], whole(s.figures.jobs_enqueued(kind)));
        JobKind::ALL.into_iter().map(enqueued).collect()
    }),
    (m::JOBS_FINISHED, |s| jobs_finished(&s.figures)),
    (m::DELIVERIES, |s| one(count(&s.figures.deliveries))),
    (m::STALE_DELIVERIES, |s| one(count(&s.figures.stale_deliveries))),
    (m::FOREIGN_DELIVERIES, |s| one(count(&s.figures.foreign_deliveries))),
    (m::USERS_SETTLED, |s| {
        let settled = |outcome: ItemState| (vec![outcome.into()], whole(s.figures.users_settled(outcome)));
        outcomes().map(settled).collect()
    }),
    (m::RESCUES, |s| {
        vec![word("dead", count(&s.figures.rescues_dead)), word("expired", count(&s.figures.rescues_expired))]
    }),
    (m::BATCHES_HALVED, |s| one(count(&s.figures.halvings))),
    (m::STALE_WRITES, |s| one(count(&s.figures.stale_writes_rejected))),
    (m::RELAY_ACTIVE, |s| one(level(&s.figures.relay))),
    (m::BREAKER_OPEN, |s| {
        let f = &s.figures;
        vec![word("auth0", level(&f.auth0_breaker_open)), word("ledger", level(&f.ledger_breaker_open))]
    }),
    (m::STORE_UP, |s| {
        let f = &s.figures;
        let up = |store: &Reachable| if store.answers() { 1.0 } else { 0.0 };
        vec![word("ledger", up(&f.ledger_reachable)), word("queue", up(&f.queue_reachable))]
    }),
    (m::STORE_RECONNECTS, |s| {
        let f = &s.figures;
        vec![
            word("ledger", whole(f.ledger_reachable.again())),
            word("queue", whole(f.queue_reachable.again())),
        ]
    }),
    (m::WORKER_READY, |s| one(if health::lacking(&s.figures).is_empty() { 1.0 } else { 0.0 })),
    (m::WORKER_LEASES, |s| one(level(&s.figures.leases))),
    (m::WORKER_SLOTS, |s| one(level(&s.figures.slots))),
    (m::WORKER_WATCHED, |s| one(level(&s.figures.watched))),
    // The reason of waiting is a free text, so it is no label.
    (m::WORKER_WAITING, |s| one(if s.figures.waiting_for().is_some() { 1.0 } else { 0.0 })),
    (m::IDENTITIES_LOST, |s| one(count(&s.figures.identities_lost))),
    (m::RENEWAL_AGE, |s| {
        let renewed_at = s.figures.renewed_at_ms.get();
        some((renewed_at > 0).then(|| age(s, renewed_at)))
    }),
    (m::CLOCK_SKEW, |s| some(s.figures.clock_ahead_ms().map(|ahead| signed(ahead) / 1_000.0))),
    (m::TURN_AGE, |s| one(age(s, s.figures.turned_at_ms.get()))),
    (m::RATE_ALLOWED, |s| groups(s, |group| group.allowed_per_second)),
    (m::RATE_GRANTED, |s| groups(s, |group| Some(whole(group.granted)))),
    (m::RATE_THROTTLED, |s| one(whole((s.limiter)().throttled))),
    (m::RATE_FACTOR, |s| one((s.limiter)().factor)),
    (m::RATE_WAITERS, |s| one(whole((s.limiter)().waiters))),
    (m::RATE_PROCESSES, |s| one(whole((s.limiter)().processes))),
    (m::RATE_FOREIGN, |s| one(whole((s.limiter)().foreign))),
    (m::RATE_SHARED, |s| some((s.limiter)().shared_reachable.map(|up| if up { 1.0 } else { 0.0 }))),
    (m::BUILD_INFO, |s| vec![(vec![env!("CARGO_PKG_VERSION").into(), s.commit.into()], 1.0)]),
    (m::PROCESS_CPU, |_| some(process::cpu_seconds())),
    (m::PROCESS_MEMORY, |_| some(process::resident_bytes())),
    (m::PROCESS_FDS, |_| some(process::open_fds())),
    (m::PROCESS_START, |_| some(process::started_at())),
];

fn store(sources: &Sources) -> Option<Arc<StoreFigures>> {
    sources.figures.store.get()
}

/// Every kind and state has a series, 0 if there is nothing, so that a graph has no gaps.
fn queue_jobs(store: &StoreFigures) -> Vec<Row> {
    let jobs = |kind: JobKind, state: QueueState| -> i64 {
        store.queues.iter().filter(|q| q.kind == kind && q.state == state).map(|q| q.jobs).sum()
    };
    let of_kind = |kind: JobKind| {
        QueueState::ALL
            .into_iter()
            .map(move |state| (vec![kind.into(), state.into()], signed(jobs(kind, state))))
    };
    JobKind::ALL.into_iter().flat_map(of_kind).collect()
}

fn oldest_ready(store: &StoreFigures) -> Vec<Row> {
    let of_kind = |kind: JobKind| {
        let ages = store.queues.iter().filter(|q| q.kind == kind).filter_map(|q| q.oldest);
        (vec![kind.into()], ages.max().unwrap_or_default().as_secs_f64())
    };
    JobKind::ALL.into_iter().map(of_kind).collect()
}

/// What can become of a user.
fn outcomes() -> impl Iterator<Item = ItemState> {
    ItemState::ALL.into_iter().filter(|state| *state != ItemState::Pending)
}

fn jobs_finished(figures: &Figures) -> Vec<Row> {
    let ends = JobKind::ALL.into_iter().flat_map(|kind| JobEnd::ALL.map(|end| (kind, end)));
    ends.map(|(kind, end)| (vec![kind.into(), end.into()], whole(figures.jobs_ended(kind, end)))).collect()
}

fn users(store: &StoreFigures) -> Vec<Row> {
    let of_run = |run: &RunFigures| {
        let run = *run;
        outcomes().map(move |state| (vec![run.run.into(), state.into()], signed(run.tally.count(state))))
    };
    store.runs.iter().flat_map(of_run).collect()
}

fn remaining(store: &StoreFigures) -> Vec<Row> {
    store.runs.iter().map(|run| (vec![run.run.into()], signed(run.tally.pending))).collect()
}

fn batches(store: &StoreFigures) -> Vec<Row> {
    let of_run = |run: &RunFigures| {
        let RunFigures { run, batches, .. } = *run;
        let series = BatchState::ALL.into_iter().zip(batches);
        series.map(move |(state, batches)| (vec![run.into(), state.into()], signed(batches)))
    };
    store.runs.iter().flat_map(of_run).collect()
}

fn eta(store: &StoreFigures) -> Vec<Row> {
    let of_run = |run: &RunFigures| Some((vec![run.run.into()], run.left?.as_secs_f64()));
    store.runs.iter().filter_map(of_run).collect()
}

fn paused(store: &StoreFigures) -> Vec<Row> {
    store.runs.iter().map(|run| (vec![run.run.into()], run.paused_for.as_secs_f64())).collect()
}

fn groups(sources: &Sources, number: fn(&GroupFigures) -> Option<f64>) -> Vec<Row> {
    let series = |(group, figures): (Group, &GroupFigures)| Some((vec![group.into()], number(figures)?));
    Group::ALL.into_iter().zip(&(sources.limiter)().groups).filter_map(series).collect()
}

fn age(sources: &Sources, then_ms: i64) -> f64 {
    health::since(then_ms, (sources.monotonic_ms)()).as_secs_f64()
}

fn one(number: f64) -> Vec<Row> {
    vec![(Vec::new(), number)]
}

fn some(number: Option<f64>) -> Vec<Row> {
    number.map_or_else(Vec::new, one)
}

fn word(word: &'static str, number: f64) -> Row {
    (vec![word.into()], number)
}

fn count(count: &Count) -> f64 {
    whole(count.get())
}

fn level(level: &Level) -> f64 {
    signed(level.get())
}

/// Prometheus counts in floating point: exact up to 2^53.
fn whole(number: u64) -> f64 {
    number as f64
}

fn signed(number: i64) -> f64 {
    number as f64
}
