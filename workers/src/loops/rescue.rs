//! Rescues jobs of holders that are gone, isolates the user that kills them, stops runs in
//! which too many users fail, and seals runs that have nothing left but were not sealed.

use ferry_domain::{
    BatchId, WorkerId, crash,
    figures::JobEnd,
    liveness::{self, Due},
    poison::{self, Remedy},
    ports::{Command, Duty, LedgerError, Loss, Rescued, WatchedRun, Whose},
    run::RunMove,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::pause;
use crate::environment::Environment;

pub(crate) async fn rescue(env: &Environment, end: &CancellationToken) {
    let mut looks = 0u32;
    loop {
        let relay = env.figures.relay.get() == 1;
        let due = liveness::due(looks, relay);
        let wait = match look(env, relay, due).await {
            Ok(()) => due.wait,
            Err(error) => {
                // Nobody could renew either, and all registrations may have gone with the
                // server: an outage must not count as the death of all holders.
                warn!(%error, "leases could not be looked at; waiting for one lease");
                env.tuning.lease
            }
        };
        looks = looks.wrapping_add(1);
        if !pause(wait, end).await {
            return;
        }
    }
}

async fn look(env: &Environment, relay: bool, due: Due) -> Result<(), LedgerError> {
    if !env.identity.is_registered() {
        return Ok(()); // a process that is not registered does not judge others
    }
    let whose = if relay { Whose::Anyone } else { Whose::Leader(Duty::Relay) };
    let dead = env.processes.died(env.identity.id(), whose).await?;
    if due.take_back || !dead.is_empty() {
        take_over(env, dead, relay).await?;
    }
    if due.sweep {
        stop_failing(env).await?;
        let sealing = env.reports.seal_finished().await?;
        if sealing > 0 {
            info!(sealing, "runs have nothing left and will be sealed");
            env.nudge();
        }
    }
    Ok(())
}

/// Takes back what is held by processes that are gone, and lets it go to others: what they had
/// claimed through the ledger, what they had only fetched through the queue.
async fn take_over(env: &Environment, mut dead: Vec<WorkerId>, relay: bool) -> Result<(), LedgerError> {
    if !relay && !dead.is_empty() {
        env.vacant.notify_one(); // what is taken back needs a relay
    }
    let rescued = env.leases.rescue(env.identity.id(), true).await?;
    if !rescued.is_empty() {
        crash::pass("rescue.taken");
        count(env, &rescued);
        for job in &rescued {
            heal(env, job).await?;
        }
        env.nudge();
        dead.extend(rescued.iter().filter(|job| job.because == Loss::Dead).map(|job| job.holder));
    }
    dead.sort_unstable();
    dead.dedup();
    match env.queue.deliver_again(&dead).await {
        Ok(0) => {}
        Ok(again) => info!(again, "deliveries to the dead go to others"),
        // They are missed after a while, and sent again.
        Err(error) => warn!(%error, "deliveries to the dead could not be given to others yet"),
    }
    Ok(())
}

fn count(env: &Environment, rescued: &[Rescued]) {
    let dead = rescued.iter().filter(|job| job.because == Loss::Dead).count();
    let expired = rescued.len() - dead;
    env.figures.rescues_dead.add(dead as u64);
    env.figures.rescues_expired.add(expired as u64);
    warn!(dead, expired, "holders are gone; their work goes to others");
}

/// A job that was rescued again and again is halved until the user that ends its workers is alone.
async fn heal(env: &Environment, rescued: &Rescued) -> Result<(), LedgerError> {
    let (job, rescues) = (rescued.job, rescued.rescues);
    match poison::remedy(rescued.kind, rescues, rescued.pending) {
        Remedy::Again => {}
        Remedy::Halve => {
            let into = BatchId::new(&*env.clock, &*env.random);
            let moved = env.jobs.halve(job, into).await?;
            if moved > 0 {
                crash::pass("rescue.halved");
                env.figures.halvings.one();
                warn!(job.id = %job, rescues, moved, batch.id = %into, "workers died over this batch; it is halved");
            }
        }
        Remedy::GiveUp(code) => {
            if env.jobs.give_up(job, code, env.identity.id()).await? {
                env.figures.job_ended(rescued.kind, JobEnd::Dead);
                error!(job.id = %job, rescues, code = code.as_str(), remedy = code.remedy(), "given up");
            }
        }
    }
    Ok(())
}

/// Stops runs in which more users fail than was agreed.
async fn stop_failing(env: &Environment) -> Result<(), LedgerError> {
    for WatchedRun { run, limits, tally } in env.runs.watched_runs().await? {
        let Some(code) = limits.exceeded(&tally) else { continue };
        let command = Command { by: "ferry", reason: Some(code.as_str()) };
        match env.moves.move_run(run, RunMove::Stop, &command).await {
            Ok(moved) if moved.changed() => {
                error!(run.id = %run, code = code.as_str(), remedy = code.remedy(), "the run is stopped");
            }
            Ok(_) | Err(LedgerError::Refused(_)) => {} // another process was faster
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
