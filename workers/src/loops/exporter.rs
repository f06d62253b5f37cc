//! Reads what the whole store holds, for metrics. One process is elected for it: every
//! process would read the same numbers, and their sum would be wrong.

use std::time::Duration;

use ferry_domain::{
    RunId,
    figures::{self, StoreFigures},
    pace::Paces,
    ports::{Duty, LedgerError},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::pause;
use crate::environment::Environment;

/// How often the store is read; the elected process leads for two turns without renewal.
const EVERY: Duration = Duration::from_secs(5);
/// How many runs are looked at; fewer get a series of their own.
const RUNS: i64 = 100;

pub(crate) async fn exporter(env: &Environment, end: &CancellationToken) {
    let mut paces = Paces::default();
    loop {
        if let Err(error) = turn(env, &mut paces).await {
            debug!(%error, "the store could not be read for metrics");
            env.figures.store.clear(); // an old number looks like a new one
        }
        if !pause(EVERY, end).await {
            break;
        }
    }
    if env.figures.store.get().is_some()
        && env.processes.step_down(Duty::Exporter, env.identity.id()).await.is_err()
    {
        info!("another process can be the exporter in {} s", (EVERY * 2).as_secs());
    }
}

async fn turn(env: &Environment, paces: &mut Paces) -> Result<(), LedgerError> {
    let elected = env.identity.is_registered()
        && env.processes.lead(Duty::Exporter, env.identity.id(), EVERY * 2).await?;
    if !elected {
        env.figures.store.clear();
        *paces = Paces::default(); // looks of long ago would make runs slow
        return Ok(());
    }
    let (counts, runs) = (env.jobs.queue_counts().await?, env.runs.runs(RUNS).await?);
    let (orders, now) = (env.controls.orders().await?, env.processes.clock().await?);
    let shown = figures::shown(&runs, now);
    let ids: Vec<RunId> = shown.iter().map(|run| run.id).collect();
    let batches = env.batches.batch_counts(&ids).await?;
    let read = StoreFigures::read(counts, &shown, &batches, &orders, now, env.uptime_ms());
    let left = paces.left(env.uptime(), &shown, orders.stop_all());
    env.figures.store.put(read.with_left(left));
    Ok(())
}
