//! `ferry queue list`: jobs of all runs, what Redis holds of them, and who works.
//! The figures are the ledger's; an unreachable Redis is shown, not an error, since
//! that is when an operator looks here.

use clap::Args;
use std::time::Duration;

use ferry_domain::{
    JobKind, JobState,
    ports::{Queue, WorkerView},
};
use serde_json::{Value, json};

use crate::{
    exit::Exit, options::Output, output, place::Place, settings::Settings, setup::Setup, units, wiring,
};

const STATES: [JobState; 5] =
    [JobState::Ready, JobState::Queued, JobState::Leased, JobState::Done, JobState::Dead];

#[derive(Clone, Debug, Args)]
pub struct Options {
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let place = setup.place()?;
    let ledger = wiring::ledger(&place, setup).await?;
    let kinds = kinds(&ledger.queue_counts().await?);
    let stop_all = ledger.controls().await?.stop_all;
    let workers = ledger.workers().await?;
    let held = held(&place, setup).await;
    match options.output {
        Output::Json => output::json(&json!({
            "stop_all": stop_all,
            "kinds": kinds.iter().map(Kind::object).collect::<Vec<_>>(),
            "window": window_object(&held, &setup.settings),
            "workers": workers.iter().map(worker_object).collect::<Vec<_>>(),
        }))?,
        Output::Table => print(stop_all, &kinds, &held, &workers, &setup.settings),
    }
    Ok(Exit::Done)
}

/// Jobs of one kind.
struct Kind {
    kind: JobKind,
    counts: [i64; STATES.len()],
    oldest: Option<Duration>,
}

type Counts = [(JobKind, String, i64, Option<Duration>)];

fn kinds(counted: &Counts) -> Vec<Kind> {
    JobKind::ALL
        .map(|kind| {
            let of_kind = || counted.iter().filter(|line| line.0 == kind);
            let count =
                |state: JobState| of_kind().filter(|line| line.1 == state.as_str()).map(|l| l.2).sum();
            Kind { kind, counts: STATES.map(count), oldest: of_kind().filter_map(|line| line.3).max() }
        })
        .into()
}

impl Kind {
    fn object(&self) -> Value {
        let mut object = json!({
            "kind": self.kind, "oldest_due_seconds": self.oldest.map(|age| age.as_secs_f64()),
        });
        for (state, count) in STATES.iter().zip(self.counts) {
            object[state.as_str()] = count.into();
        }
        object
    }

    fn row(&self) -> Vec<String> {
        let mut row = vec![self.kind.to_string()];
        row.extend(self.counts.iter().map(ToString::to_string));
        row.push(self.oldest.map_or_else(|| "-".to_owned(), units::shown));
        row
    }
}

/// What Redis holds: nothing to ask for an embedded ledger, or why it could not be asked.
enum Held {
    InMemory,
    Jobs(usize),
    Unknown(String),
}

async fn held(place: &Place, setup: &Setup) -> Held {
    let asked = async {
        match place {
            Place::Postgres(_) => Ok(Held::Jobs(wiring::redis(setup).await?.depth().await?)),
            Place::Sqlite(_) => Ok(Held::InMemory),
        }
    };
    asked.await.unwrap_or_else(|error: anyhow::Error| Held::Unknown(error.to_string()))
}

fn window_object(held: &Held, settings: &Settings) -> Value {
    let size = settings.queue.window;
    match held {
        Held::InMemory => Value::Null,
        Held::Jobs(jobs) => json!({"held": jobs, "size": size}),
        Held::Unknown(error) => json!({"held": null, "size": size, "error": error}),
    }
}

fn worker_object(worker: &WorkerView) -> Value {
    json!({
        "worker": worker.record.id, "host": worker.record.host, "pid": worker.record.pid,
        "slots": worker.record.slots, "watched": worker.watched,
        "silent_seconds": worker.silent_for.as_secs_f64(), "leases": worker.leases,
        "waits": worker.record.waits,
    })
}

fn print(stop_all: bool, kinds: &[Kind], held: &Held, workers: &[WorkerView], settings: &Settings) {
    if stop_all {
        output::data("All sending is stopped: ferry resume-all\n");
    }
    let header = ["jobs", "ready", "queued", "leased", "done", "dead", "oldest due"];
    output::data(&output::table(&header, kinds.iter().map(Kind::row).collect(), &[1, 2, 3, 4, 5, 6]));
    let size = settings.queue.window;
    output::data(&match held {
        Held::InMemory => "\nThe queue is in the memory of the worker.".to_owned(),
        Held::Jobs(jobs) => format!("\nRedis holds {jobs} jobs, waiting or in flight; {size} at most."),
        Held::Unknown(error) => format!("\nWhat Redis holds is not known: {error}"),
    });
    if workers.is_empty() {
        output::data("\nNo worker runs. Start one: ferry worker");
        return;
    }
    let header = ["worker", "slots", "leases", "watched", "silent for", "waits"];
    let rows = workers.iter().map(worker_row).collect();
    output::data(&format!("\n{}", output::table(&header, rows, &[1, 2, 4])));
}

fn worker_row(worker: &WorkerView) -> Vec<String> {
    vec![
        format!("{}/{}", worker.record.host, worker.record.pid),
        worker.record.slots.to_string(),
        worker.leases.to_string(),
        if worker.watched { "yes" } else { "no" }.to_owned(),
        units::shown(worker.silent_for),
        worker.record.waits.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}
