//! Keeps this process registered, so that its death is seen immediately.
//!
//! A registration can be lost while the process lives (its connection was cut).
//! Others may take its jobs from then on, so it drops what it held and registers again
//! under another identity; the fence refuses writes that are still on their way.

use std::time::Duration;

use ferry_domain::{
    JobId, WorkerId,
    ports::{LedgerError, Presence},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{lasting::Lasting, pause};
use crate::environment::Environment;

/// Pause between two tries to register.
const AGAIN: Duration = Duration::from_millis(500);

/// Registers the process under its present identity.
async fn register(env: &Environment) -> Result<Presence, LedgerError> {
    let presence = env.processes.register(&env.identity.record()).await?;
    env.identity.register();
    env.send_gate.ledger_refuses(None);
    env.figures.watched.set(i64::from(presence.unwatched.is_none()));
    if let Some(why) = &presence.unwatched {
        warn!(
            why,
            "this process's death can't be seen immediately; its jobs go to others when its leases run out"
        );
    }
    Ok(presence)
}

/// Registers the process at its start, also while the ledger is away for a moment: a worker
/// that was started while PostgreSQL restarted ended by itself (seen in a storm). `None`
/// when it is asked to stop first.
pub(crate) async fn come_up(env: &Environment) -> Result<Option<Presence>, LedgerError> {
    let mut lasting = Lasting::default();
    loop {
        match register_and_beat(env).await {
            Ok(presence) => return Ok(Some(presence)),
            Err(error) if error.passes() => not_registered(&error, &mut lasting),
            Err(error) => return Err(error),
        }
        if !pause(AGAIN, &env.stopping).await {
            return Ok(None);
        }
    }
}

fn not_registered(error: &LedgerError, lasting: &mut Lasting) {
    if lasting.is_told() {
        warn!(%error, "could not register; trying again");
    }
}

async fn register_and_beat(env: &Environment) -> Result<Presence, LedgerError> {
    let presence = register(env).await?;
    if let Err(error) = env.processes.heartbeat(&env.record(), env.tuning.lease, &[]).await {
        env.identity.unregister();
        return Err(error);
    }
    env.figures.renewed_at_ms.set(env.uptime_ms());
    Ok(presence)
}

pub(crate) async fn presence(env: &Environment, mut presence: Presence, end: &CancellationToken) {
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            () = &mut presence.lost => {}
        }
        let Some(again) = start_anew(env, end).await else { return };
        presence = again;
    }
}

/// Drops what was held, takes another identity and hands back under the old one.
async fn start_anew(env: &Environment, end: &CancellationToken) -> Option<Presence> {
    env.identity.unregister();
    env.figures.identities_lost.one();
    let held = env.held.jobs();
    let dropped = env.held.lose_all();
    let old = env.identity.become_another(WorkerId::new(&*env.clock, &*env.random));
    warn!(dropped, "the registration was lost; its leases are dropped and a new identity is taken");
    let mut lasting = Lasting::default();
    loop {
        match register(env).await {
            Ok(presence) => {
                hand_back(env, old, &held).await;
                info!(worker = %env.identity.id(), "registered anew");
                return Some(presence);
            }
            Err(error) => not_registered(&error, &mut lasting),
        }
        if !pause(AGAIN, end).await {
            return None;
        }
    }
}

/// Hands back what the old identity still holds, without a rescue. Takes one rescue off
/// the jobs that others took meanwhile: their holder was not dead.
async fn hand_back(env: &Environment, old: WorkerId, held: &[JobId]) {
    match env.processes.retire(old).await {
        Ok(0) => {}
        Ok(jobs) => info!(jobs, "what the lost registration held was handed back"),
        Err(error) => warn!(%error, "what the lost registration held is left to the rescue"),
    }
    if !held.is_empty()
        && let Err(error) = env.leases.undo_rescue(held).await
    {
        warn!(%error, "jobs of the lost registration keep a rescue although their holder lives");
    }
    env.nudge();
}
