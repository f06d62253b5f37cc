//! `ferry queue list`: jobs of all runs, what Redis holds of them, and who works.

use std::time::Duration;

use clap::Args;
use ferry_domain::{liveness::FRESH, ports::Queue};
use ferry_operations::{
    queue::{self, Listing},
    units,
    views::{JobsOfKind, Window, Worker},
};

use crate::{exit::Exit, options::Output, output, place::Place, printed, setup::Setup, table, wiring};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let access = wiring::access(setup).await?;
    let listing = queue::list(&access, window(setup).await?).await?;
    match options.output {
        Output::Json | Output::Ndjson => printed::object(&listing)?,
        Output::Table => print(&listing),
    }
    Ok(Exit::Done)
}

/// What Redis holds, or why it could not be asked; nothing for an embedded ledger.
async fn window(setup: &Setup) -> anyhow::Result<Option<Window>> {
    if let Place::Sqlite(_) = Place::of(&setup.servers)? {
        return Ok(None);
    }
    let asked = async {
        let redis = wiring::redis(setup).await?;
        redis.fit("can't hold jobs").await?;
        anyhow::Ok(redis.depth().await?)
    };
    let (held, error) = match asked.await {
        Ok(held) => (Some(held), None),
        Err(error) => (None, Some(error.to_string())),
    };
    Ok(Some(Window { held, size: setup.settings.queue.window, error }))
}

fn print(listing: &Listing) {
    if listing.stop_all {
        output::data("All sending is stopped: ferry resume-all\n");
    }
    let header = ["jobs", "ready", "scheduled", "retrying", "queued", "leased", "dead", "oldest due"];
    let rows = listing.kinds.iter().map(kind_row).collect();
    output::data(&table::table(&header, rows, &[1, 2, 3, 4, 5, 6, 7]));
    output::data(&match &listing.window {
        None => "\nThe queue is in the memory of the worker.".to_owned(),
        Some(Window { held: Some(jobs), size, .. }) => {
            format!("\nRedis holds {jobs} jobs, waiting or in flight; {size} at most.")
        }
        Some(Window { error, .. }) => {
            let why = error.as_deref().unwrap_or_default();
            format!("\n{}", output::folded(&format!("What Redis holds is not known: {why}"), 0).join("\n"))
        }
    });
    if listing.workers.is_empty() {
        output::data("\nNo worker runs. Start one: ferry worker");
        return;
    }
    let header = ["worker", "slots", "leases", "watched", "heard"];
    let rows = listing.workers.iter().map(worker_row).collect();
    // Why a worker waits is a sentence: it has lines of its own.
    let waits = listing.workers.iter().map(|worker| worker.waits.as_deref());
    let reasons: Vec<_> = waits.map(|why| why.map_or_else(Vec::new, |why| output::folded(why, 2))).collect();
    output::data("");
    output::data(&table::with_below(&header, rows, &[1, 2, 4], &reasons));
}

fn kind_row(jobs: &JobsOfKind) -> Vec<String> {
    let JobsOfKind { kind, oldest_due_seconds, ready, scheduled, retrying, queued, leased, dead } = jobs;
    let mut row = vec![kind.to_string()];
    row.extend([ready, scheduled, retrying, queued, leased, dead].map(ToString::to_string));
    row.push(oldest_due_seconds.map_or_else(|| "-".to_owned(), ago));
    row
}

fn worker_row(worker: &Worker) -> Vec<String> {
    vec![
        format!("{}/{}", worker.host, worker.pid),
        worker.slots.to_string(),
        worker.leases.to_string(),
        if worker.watched { "yes" } else { "no" }.to_owned(),
        match worker.silent_seconds > FRESH.as_secs_f64() {
            true => format!("silent for {}", ago(worker.silent_seconds)),
            false => format!("{} ago", ago(worker.silent_seconds)),
        },
    ]
}

fn ago(seconds: f64) -> String {
    units::shown(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}
