//! Names of metrics, and what their labels may hold.
//!
//! A label's value is a word of ours or the id of a run, never a text: a text could be
//! an address, and each new one would be a series that stays for months.
//! `docs/TELEMETRY.md` has the same list for people; a test compares the two.

use crate::{
    figures::JobEnd,
    ids::RunId,
    item::ItemState,
    job::JobKind,
    ports::{Group, QueueState},
    run::BatchState,
};

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows while the process lives; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A gauge whose numbers of several series or processes add up to one that says something.
    UpDown,
    /// Values counted by these bounds: times in seconds, or attempts.
    Histogram(&'static [f64]),
}

/// Bounds for jobs: a batch takes from a moment to many minutes, where a tenant's limit is small.
const OF_JOBS: &[f64] =
    &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0];
/// Bounds for requests: 2 s is where Auth0 counts as slow.
const OF_REQUESTS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];
/// Bounds for the wait at a limit: at 2 requests a second it takes seconds.
const OF_LIMITS: &[f64] = &[0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Bounds for statements.
const OF_LEDGERS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bounds for attempts: most jobs need one, and are given up after 8 unless it is set otherwise.
const OF_ATTEMPTS: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0, 8.0, 13.0];

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Name as scraped, in base units.
    pub name: &'static str,
    /// Name as sent over OTLP, by OpenTelemetry's conventions (ADR 0022).
    pub instrument: &'static str,
    /// Unit as sent over OTLP, in UCUM: `s`, `By`, or what is counted in braces.
    pub unit: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// One sentence for people.
    pub help: &'static str,
}

/// What a label may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// A word from the source code.
    Word(&'static str),
    /// A run; at most [`MOST_RUNS`](crate::figures::MOST_RUNS) at a time.
    Run(RunId),
}

impl From<JobKind> for Label {
    fn from(kind: JobKind) -> Self {
        Label::Word(kind.as_str())
    }
}

impl From<QueueState> for Label {
    fn from(state: QueueState) -> Self {
        Label::Word(state.as_str())
    }
}

impl From<ItemState> for Label {
    fn from(state: ItemState) -> Self {
        Label::Word(state.as_str())
    }
}

impl From<BatchState> for Label {
    fn from(state: BatchState) -> Self {
        Label::Word(state.as_str())
    }
}

impl From<Group> for Label {
    fn from(group: Group) -> Self {
        Label::Word(group_word(group))
    }
}

/// The word of a group in labels.
pub const fn group_word(group: Group) -> &'static str {
    match group {
        Group::UserWrites => "user_writes",
        Group::UserReads => "user_reads",
        Group::Rest => "rest",
        Group::ReadBack => "read_back",
    }
}

impl From<JobEnd> for Label {
    fn from(end: JobEnd) -> Self {
        Label::Word(end.as_str())
    }
}

impl From<RunId> for Label {
    fn from(run: RunId) -> Self {
        Label::Run(run)
    }
}

impl From<&'static str> for Label {
    fn from(word: &'static str) -> Self {
        Label::Word(word)
    }
}

macro_rules! metrics {
    ($($constant:ident: $kind:ident$(($bounds:ident))? $name:literal [$instrument:literal in $unit:literal]
        [$($label:literal),*] $help:literal;)+) => {
        $(
            #[doc = $help]
            pub const $constant: Metric = Metric {
                name: $name,
                instrument: $instrument,
                unit: $unit,
                kind: Kind::$kind$(($bounds))?,
                labels: &[$($label),*],
                help: $help,
            };
        )+

        /// All of them, in the order in which documents list them.
        pub const ALL: &[Metric] = &[$($constant),+];
    };
}

metrics! {
    QUEUE_JOBS: UpDown "ferry_queue_jobs" ["ferry.queue.jobs" in "{job}"] ["queue", "state"]
        "Jobs in the ledger. From the elected exporter only.";
    QUEUE_OLDEST_READY: Gauge "ferry_queue_oldest_ready_age_seconds" ["ferry.queue.oldest_ready_age" in "s"] ["queue"]
        "Age of the oldest job that may run now, 0 without one. From the elected exporter only.";
    USERS: UpDown "ferry_users" ["ferry.users" in "{user}"] ["run", "outcome"]
        "Users of a run with this outcome; a retry takes failed ones out again. From the elected exporter only.";
    USERS_REMAINING: UpDown "ferry_users_remaining" ["ferry.users_remaining" in "{user}"] ["run"]
        "Users of a run without an outcome yet. From the elected exporter only.";
    BATCHES: UpDown "ferry_batches" ["ferry.batches" in "{batch}"] ["run", "state"]
        "Batches of a run in this state. From the elected exporter only.";
    RUN_ETA: Gauge "ferry_run_eta_seconds" ["ferry.run.eta" in "s"] ["run"]
        "About how long a run still takes, as `ferry run watch` says; absent while that is not known. From the elected exporter only.";
    RUN_PAUSED: Gauge "ferry_run_paused_seconds" ["ferry.run.paused" in "s"] ["run"]
        "How long a run has been paused or stopped, 0 while it is not. From the elected exporter only.";
    EXPORTER_ACTIVE: Gauge "ferry_exporter_active" ["ferry.exporter.active" in "{exporter}"] []
        "1 while this process is the elected exporter and has a reading of the store.";
    EXPORTER_AGE: Gauge "ferry_exporter_reading_age_seconds" ["ferry.exporter.reading_age" in "s"] []
        "Age of the reading behind the store's metrics. From the elected exporter only.";

    JOBS_ENQUEUED: Counter "ferry_jobs_enqueued_total" ["ferry.jobs.enqueued" in "{job}"] ["queue"]
        "Jobs that the queue took from this process while it was the relay. A job counts again each time it is sent.";
    JOBS_FINISHED: Counter "ferry_jobs_finished_total" ["ferry.jobs.finished" in "{try}"] ["queue", "outcome"]
        "Tries of jobs that ended, by what became of the job.";
    JOB_WAIT: Histogram(OF_JOBS) "ferry_job_wait_seconds" ["ferry.job.wait" in "s"] ["queue"]
        "From when a job might run until a worker had leased it.";
    JOB_RUN: Histogram(OF_JOBS) "ferry_job_run_seconds" ["ferry.job.run" in "s"] ["queue", "outcome"]
        "From the lease of a job to its end, by what became of it.";
    JOB_ATTEMPTS: Histogram(OF_ATTEMPTS) "ferry_job_attempts" ["ferry.job.attempts" in "{attempt}"] ["queue"]
        "Attempts that a job had when a worker ended it, the last one included.";
    REQUESTS: Histogram(OF_REQUESTS) "ferry_auth0_request_seconds" ["ferry.auth0.request" in "s"] ["operation", "status"]
        "Requests to Auth0, without the wait for a permit.";
    LEDGER_STEPS: Histogram(OF_LEDGERS) "ferry_ledger_operation_seconds" ["ferry.ledger.operation" in "s"] ["operation"]
        "What the ledger was asked for in the course of jobs.";
    DELIVERIES: Counter "ferry_deliveries_total" ["ferry.deliveries" in "{delivery}"] []
        "Deliveries that came from the queue.";
    STALE_DELIVERIES: Counter "ferry_stale_deliveries_total" ["ferry.stale_deliveries" in "{delivery}"] []
        "Deliveries with nothing to do: stale or repeated.";
    FOREIGN_DELIVERIES: Counter "ferry_foreign_deliveries_total" ["ferry.foreign_deliveries" in "{delivery}"] []
        "Deliveries that no ledger row of ours explains.";
    USERS_SETTLED: Counter "ferry_users_settled_total" ["ferry.users_settled" in "{user}"] ["outcome"]
        "Users settled by this process, by outcome.";
    RESCUES: Counter "ferry_rescues_total" ["ferry.rescues" in "{lease}"] ["because"]
        "Leases this process took back from others.";
    BATCHES_HALVED: Counter "ferry_batches_halved_total" ["ferry.batches_halved" in "{batch}"] []
        "Batches halved because workers died over them.";
    STALE_WRITES: Counter "ferry_stale_writes_rejected_total" ["ferry.stale_writes_rejected" in "{write}"] []
        "Writes refused by the fence: the lease had gone to another.";
    RELAY_ACTIVE: Gauge "ferry_relay_active" ["ferry.relay.active" in "{relay}"] []
        "1 while this process is the relay.";
    BREAKER_OPEN: Gauge "ferry_breaker_open" ["ferry.breaker.open" in "{breaker}"] ["dependency"]
        "1 while the breaker lets only probes pass.";
    STORE_UP: Gauge "ferry_store_up" ["ferry.store.up" in "{store}"] ["store"]
        "1 while the store answers this process.";
    STORE_RECONNECTS: Counter "ferry_store_reconnects_total" ["ferry.store.reconnects" in "{time}"] ["store"]
        "Times that the store answered this process again after it had not.";

    WORKER_READY: Gauge "ferry_worker_ready" ["ferry.worker.ready" in "{worker}"] []
        "1 while /readyz says ready.";
    WORKER_LEASES: UpDown "ferry_worker_leases" ["ferry.worker.leases" in "{lease}"] []
        "Leases this process holds.";
    WORKER_SLOTS: UpDown "ferry_worker_slots" ["ferry.worker.slots" in "{batch}"] []
        "Batches this process works on at the same time, at most.";
    WORKER_WATCHED: Gauge "ferry_worker_watched" ["ferry.worker.watched" in "{worker}"] []
        "1 when others see this process's death immediately, 0 when only lease expiry can tell.";
    WORKER_WAITING: Gauge "ferry_worker_waiting" ["ferry.worker.waiting" in "{worker}"] []
        "1 while the work of this process waits; `ferry run show` says why.";
    IDENTITIES_LOST: Counter "ferry_worker_identities_lost_total" ["ferry.worker.identities_lost" in "{identity}"] []
        "Times this process lost its registration and took a new identity.";
    RENEWAL_AGE: Gauge "ferry_worker_renewal_age_seconds" ["ferry.worker.renewal_age" in "s"] []
        "Time since leases were last renewed; absent before the first time.";
    CLOCK_SKEW: Gauge "ferry_clock_skew_seconds" ["ferry.clock.skew" in "s"] []
        "By how much the clock of this process is ahead of the ledger's; absent before they were compared.";
    TURN_AGE: Gauge "ferry_worker_turn_age_seconds" ["ferry.worker.turn_age" in "s"] []
        "Time since the runtime last ran an idle task.";

    RATE_ALLOWED: Gauge "ferry_ratelimit_allowed_per_second" ["ferry.ratelimit.allowed" in "{request}/s"] ["group"]
        "Requests a second that all processes together may send now; absent without a limit.";
    RATE_GRANTED: Counter "ferry_ratelimit_granted_total" ["ferry.ratelimit.granted" in "{request}"] ["group"]
        "Permits given to requests of this process.";
    RATE_THROTTLED: Counter "ferry_ratelimit_throttled_total" ["ferry.ratelimit.throttled" in "{answer}"] []
        "429s that this process received.";
    RATE_FACTOR: Gauge "ferry_ratelimit_factor" ["ferry.ratelimit.factor" in "{share}"] []
        "Part of the allowed rate that is used: 1, and less after a 429.";
    RATE_WAITED: Histogram(OF_LIMITS) "ferry_ratelimit_wait_seconds" ["ferry.ratelimit.wait" in "s"] ["group"]
        "Wait of a request for its permit.";
    RATE_WAITERS: UpDown "ferry_ratelimit_waiters" ["ferry.ratelimit.waiters" in "{request}"] []
        "Requests that wait for a permit now.";
    RATE_PROCESSES: Gauge "ferry_ratelimit_processes" ["ferry.ratelimit.processes" in "{process}"] []
        "Processes that share the limit as last seen, this one included.";
    RATE_FOREIGN: Counter "ferry_ratelimit_foreign_total" ["ferry.ratelimit.foreign" in "{request}"] []
        "Requests of others to the tenant, as far as headers told of them.";
    RATE_SHARED: Gauge "ferry_ratelimit_shared" ["ferry.ratelimit.shared" in "{limiter}"] []
        "1 while the shared limiter answers; absent where the limit is this process's alone.";

    BUILD_INFO: Gauge "ferry_build_info" ["ferry.build.info" in "{process}"] ["version", "commit"]
        "Always 1.";
    PROCESS_CPU: Counter "process_cpu_seconds_total" ["process.cpu.time" in "s"] []
        "Processor time, user and system.";
    PROCESS_MEMORY: UpDown "process_resident_memory_bytes" ["process.memory.usage" in "By"] []
        "Resident memory.";
    PROCESS_FDS: UpDown "process_open_fds" ["process.unix.file_descriptor.count" in "{file_descriptor}"] []
        "Open file descriptors.";
    PROCESS_START: Gauge "process_start_time_seconds" ["ferry.process.start_time" in "s"] []
        "Start of the process since the Unix epoch.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What Prometheus makes of a name that comes over OTLP, unless it is told not to.
    fn translated(metric: &Metric) -> String {
        let unit = match metric.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            of_time if of_time.ends_with("}/s") => "_per_second",
            counted => {
                assert!(counted.starts_with('{') && counted.ends_with('}'), "{}: {counted}", metric.name);
                ""
            }
        };
        let total = if metric.kind == Kind::Counter { "_total" } else { "" };
        format!("{}{unit}{total}", metric.instrument.replace('.', "_"))
    }

    /// Rules and dashboards hold for both ways, as long as this does.
    #[test]
    fn prometheus_makes_the_same_names_of_what_is_sent_but_for_those_of_the_process() {
        let others = ALL.iter().filter(|metric| translated(metric) != metric.name);
        let others: Vec<(&str, &str)> = others.map(|metric| (metric.name, metric.instrument)).collect();
        assert_eq!(
            others,
            [
                ("process_cpu_seconds_total", "process.cpu.time"),
                ("process_resident_memory_bytes", "process.memory.usage"),
                ("process_open_fds", "process.unix.file_descriptor.count"),
                ("process_start_time_seconds", "ferry.process.start_time"),
            ]
        );
    }

    #[test]
    fn instruments_follow_the_conventions_of_opentelemetry() {
        let names: BTreeSet<&str> = ALL.iter().map(|metric| metric.instrument).collect();
        assert_eq!(names.len(), ALL.len());
        for name in &names {
            assert!(name.split('.').all(|part| !part.is_empty()), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c)));
            assert!(
                !name.ends_with("total") && !name.ends_with("seconds") && !name.ends_with("bytes"),
                "{name}"
            );
            let within = names.iter().find(|other| other.starts_with(&format!("{name}.")));
            assert_eq!(within, None, "a name is no namespace: {name}");
        }
    }

    #[test]
    fn names_follow_the_rules_of_prometheus_and_none_is_there_twice() {
        let names: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len());
        for metric @ Metric { name, kind, labels, help, .. } in ALL {
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(name.starts_with("ferry_") || name.starts_with("process_"), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{name}");
            for not_base in ["_ms", "_millis", "_minutes", "_kb", "_percent"] {
                assert!(!name.contains(not_base), "{name}");
            }
            assert!(help.ends_with('.'), "{name}: {help}");
            assert!(labels.iter().all(|label| label.chars().all(|c| c.is_ascii_lowercase())), "{name}");
            if let Kind::Histogram(bounds) = kind {
                assert_eq!(metric.unit == "s", name.ends_with("_seconds"), "{name}");
                assert!(bounds.is_sorted() && bounds.iter().all(|bound| bound.is_finite()), "{name}");
            }
        }
    }
}
