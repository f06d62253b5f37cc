//! `ferry run watch`: follows a run until it ends.

use std::time::Duration;

use ferry_domain::{RunState, RunView, ports::Ledger};

use super::run_show;
use crate::{
    cli::RunWatch,
    exit::Exit,
    lifecycle,
    output::{self, Progress},
    settings::Settings,
    wiring::{self, Place},
};

const EVERY: Duration = Duration::from_millis(500);
/// Workers not seen for longer are taken for gone.
const FRESH: Duration = Duration::from_secs(10);

pub async fn run(settings: &Settings, options: RunWatch) -> anyhow::Result<Exit> {
    let ledger = wiring::ledger(&Place::from_environment()?, settings).await?;
    let stop = lifecycle::stop_on_signal()?;
    let first = run_show::find(&*ledger, options.run).await?;
    let mut progress = Progress::new("users", first.tally.source.unsigned_abs());
    loop {
        let run = run_show::find(&*ledger, options.run).await?;
        if ended(run.state) {
            progress.done();
            tell(&run);
            return Ok(Exit::of_run(&run));
        }
        progress.at(run.tally.finished().unsigned_abs(), &note(&*ledger, &run).await);
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {
                progress.done();
                output::say(&format!("No longer watching; run {} goes on as it was ({}).", run.id, run.state));
                return Ok(Exit::Interrupted);
            }
        }
    }
}

fn ended(state: RunState) -> bool {
    matches!(state, RunState::Sealed | RunState::Cancelled | RunState::Stopped)
}

/// What is going on, and why it waits if it does.
async fn note(ledger: &dyn Ledger, run: &RunView) -> String {
    let sums = format!(
        "created {} adopted {} needs a look {} verified {}",
        run.tally.created,
        run.tally.adopted,
        run.tally.failed + run.tally.conflict,
        run.verified
    );
    let why = match run.state {
        RunState::Paused => "waits: paused by a person",
        RunState::Planned | RunState::Planning => "waits: not started",
        RunState::Sealing => "writing the report",
        _ if ledger.live_slots(FRESH).await.unwrap_or(1) == 0 => "waits: no worker runs, start ferry worker",
        _ if run.tally.pending == 0 => "reading users back",
        _ => return sums,
    };
    format!("{sums} · {why}")
}

fn tell(run: &RunView) {
    output::say(&format!(
        "Run {} is {}: {} users, created {}, adopted {}, skipped {}, conflict {}, failed {}, cancelled {}, pending {}; verified {}, discrepancies {}.",
        run.id,
        run.state,
        run.tally.source,
        run.tally.created,
        run.tally.adopted,
        run.tally.skipped,
        run.tally.conflict,
        run.tally.failed,
        run.tally.cancelled,
        run.tally.pending,
        run.verified,
        run.discrepancies
    ));
    output::say(&format!("Report: ferry run report {}", run.id));
}
