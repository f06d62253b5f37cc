//! What is told of a run that ended.

use ferry_domain::{RunState, RunView};
use ferry_operations::{Access, pace, report, units, views::RunInFull, waits};
use ferry_report::Table;
use time::OffsetDateTime;

use super::Form;
use crate::{exit::Exit, output, printed};

/// Prints it; the exit code is the run's.
pub async fn tell(access: &Access, run: &RunView, form: Form) -> anyhow::Result<Exit> {
    let table = report::table(access, run).await?;
    let exit = Exit::of_run(run, table.as_ref());
    let now = access.clock.now();
    match form {
        Form::Table if run.abandoned => {
            output::data(&output::folded(&waits::abandoned(run), 0).join("\n"));
        }
        Form::Table => print(run, table, now),
        Form::Json | Form::Ndjson => {
            let pauses = pace::pauses(access, run.id).await?;
            printed::object(&RunInFull { table, ..RunInFull::at(run, &pauses, now) })?;
        }
    }
    Ok(exit)
}

fn print(run: &RunView, table: Option<Table>, now: OffsetDateTime) {
    output::data(&output::folded(&sums(run, now), 0).join("\n"));
    if let Some(told) = table.and_then(|table| table.told(run.id)) {
        output::data(&output::folded(&format!("Ids in the application's table: {told}."), 0).join("\n"));
    }
    if run.state == RunState::Stopped {
        match (waits::code_of(run), &run.why) {
            (Some(code), _) => say_folded(&format!("Stopped by {code}. {}", code.remedy())),
            (None, Some(why)) => say_folded(&format!("Stopped: {why}")),
            (None, None) => {}
        }
        output::say(&format!("Go on: ferry run resume {}", run.id));
    }
    output::say(&format!("Report: ferry run report {}", run.id));
    if run.source.is_file() {
        output::say(&format!("Ids:    ferry run export {}", run.id));
    }
}

fn say_folded(text: &str) {
    output::say(&output::folded(text, 0).join("\n"));
}

fn sums(run: &RunView, now: OffsetDateTime) -> String {
    let t = &run.tally;
    let took = pace::elapsed(run, now).map(|time| format!(" It took {}.", units::rounded(time)));
    format!(
        "Run {} is {}: {} users, created {}, adopted {}, skipped {}, conflict {}, failed {}, cancelled {}, pending {}; verified {}, discrepancies {}.{}",
        run.id,
        run.state,
        t.source,
        t.created,
        t.adopted,
        t.skipped,
        t.conflict,
        t.failed,
        t.cancelled,
        t.pending,
        run.verified,
        run.discrepancies,
        took.filter(|_| !run.state.is_active()).unwrap_or_default()
    )
}
