//! `ferry queue rebuild`: after Redis was lost or emptied, sends again what it no longer
//! holds. The relay finds the same by itself after some seconds; this is for operators
//! who don't want to wait, and who want to see the count.

use clap::Args;
use ferry_operations::queue::{self, Rebuilt};

use crate::{
    consent::{Concerned, Consent},
    exit::Exit,
    options::Output,
    output,
    place::Place,
    printed,
    setup::Setup,
    wiring,
};

#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(flatten)]
    pub consent: Consent,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let access = wiring::access(setup).await?;
    if let Place::Sqlite(_) = Place::of(&setup.servers)? {
        output::say(
            "Nothing to rebuild: an embedded queue is in the memory of its worker, which fills it from the ledger at its start.",
        );
        return end(&options, Rebuilt::default());
    }
    let question = queue::ask(&access, &wiring::redis(setup).await?).await?;
    if question.lost.is_empty() {
        let queued = question.queued;
        output::say(&format!("Nothing to rebuild: Redis holds all {queued} jobs that were sent to it."));
    } else if !options.consent.agreed(true, &question, &Concerned::holds([]))? {
        return Ok(output::nothing_changed());
    }
    let rebuilt = queue::rebuild(&access, &question).await?;
    if rebuilt.lost > 0 {
        output::say(&format!(
            "{} of {} lost jobs are ready again; a relay sends them now. Those that moved on meanwhile were left alone.",
            rebuilt.ready_again, rebuilt.lost
        ));
    }
    end(&options, rebuilt)
}

fn end(options: &Options, rebuilt: Rebuilt) -> anyhow::Result<Exit> {
    if options.output != Output::Table {
        printed::object(&rebuilt)?;
    }
    Ok(Exit::Done)
}
