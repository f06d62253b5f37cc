//! `ferry queue rebuild`: after a lost or emptied Redis, sends again at once what it no
//! longer holds. The relay finds the same by itself after some seconds; this is for
//! operators who don't want to wait, and who want to see the count.

use clap::Args;
use std::{collections::BTreeSet, time::Duration};

use ferry_domain::{
    Envelope,
    ports::{Ledger, Queue},
};
use ferry_queue::RedisQueue;
use serde_json::json;

use crate::{
    exit::Exit,
    options::{Consent, Output},
    output,
    place::Place,
    setup::Setup,
    wiring,
};

/// Sends that go back to `ready` in one transaction.
const PASS: usize = 1_000;
/// Between the two looks: a relay that has claimed jobs and not yet pushed them is through by then.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(flatten)]
    pub consent: Consent,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let place = setup.place()?;
    let ledger = wiring::ledger(&place, setup).await?;
    let Place::Postgres(_) = place else {
        output::say(
            "Nothing to rebuild: an embedded queue is in the memory of its worker, who fills it from the ledger at its start.",
        );
        return told(&options, 0, 0, 0);
    };
    let queue = wiring::redis(setup).await?;
    let queued = ledger.queued().await?;
    let lost = lost(&*ledger, &queue, queued).await?;
    if lost.is_empty() {
        output::say(&format!("Nothing to rebuild: Redis holds all {queued} jobs that were sent to it."));
        return told(&options, queued, 0, 0);
    }
    let question =
        format!("Redis has lost {} of the {queued} jobs that were sent to it. Send them again?", lost.len());
    if !output::confirmed(options.consent.yes, &question)? {
        output::say("Nothing was changed.");
        return Ok(Exit::Refused);
    }
    let mut back = 0;
    for pass in lost.chunks(PASS) {
        back += ledger.unsend(pass).await?;
    }
    output::say(&format!(
        "{back} of {} lost jobs are ready again; a relay sends them at once. Those that moved on meanwhile were left alone.",
        lost.len()
    ));
    told(&options, queued, lost.len(), back)
}

fn told(options: &Options, queued: i64, lost: usize, back: u64) -> anyhow::Result<Exit> {
    if options.output == Output::Json {
        output::json(&json!({"queued": queued, "lost": lost, "ready_again": back}))?;
    }
    Ok(Exit::Done)
}

/// Sends that Redis does not hold, now and half a second ago: what is just on its way is
/// not lost. A send taken for lost by mistake would only travel twice.
async fn lost(ledger: &dyn Ledger, queue: &RedisQueue, queued: i64) -> anyhow::Result<Vec<Envelope>> {
    let first = missing(ledger, queue, queued).await?;
    if first.is_empty() {
        return Ok(first);
    }
    let names: BTreeSet<String> = first.iter().map(Envelope::send_name).collect();
    tokio::time::sleep(BETWEEN_LOOKS).await;
    let mut lost = missing(ledger, queue, queued).await?;
    lost.retain(|send| names.contains(&send.send_name()));
    Ok(lost)
}

/// The window bounds what is queued, so one list holds it.
async fn missing(ledger: &dyn Ledger, queue: &RedisQueue, queued: i64) -> anyhow::Result<Vec<Envelope>> {
    let sends = ledger.queued_longer_than(Duration::ZERO, queued.max(1)).await?;
    Ok(queue.missing(&sends).await?)
}
