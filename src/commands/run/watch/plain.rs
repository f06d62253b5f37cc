//! Lines, for pipes, files and `--plain`.

use std::time::Duration;

use ferry_domain::RunView;
use ferry_operations::{
    Access,
    pace::{self, Pace, counted, told},
    views::{RunInFull, to_the_second},
    waits::{self, Around},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Form, Watched,
    following::{EVERY, Following, Seen},
};
use crate::{
    output::{self, Progress},
    printed,
};

/// Pause between two looks at the application's table.
const TABLE_EVERY: Duration = Duration::from_secs(3);

/// Prints how far the run is, until it ends or `stop` comes.
/// A bar on a terminal, unless `plain`.
pub async fn run(
    mut following: Following,
    form: Form,
    plain: bool,
    stop: &CancellationToken,
) -> anyhow::Result<Watched> {
    let progress = if plain { Progress::lines } else { Progress::tall };
    let mut lines = Lines::new(form, progress("users", 1)); // what is counted comes with each look
    loop {
        let why = match following.look().await? {
            Seen::Ended(run) => {
                lines.progress.done();
                return Ok(Watched::Ended(Box::new((*run, following.access))));
            }
            Seen::Run(run, around) => {
                lines.saw(&run, &around);
                lines.print(&following.access, &run, &around).await?;
                lines.look_at_table(&following.access, &run).await;
                around.why(&run)
            }
            Seen::Silent(why) => Some(why),
        };
        lines.show(&following.last, why.as_deref());
        if output::is_over() {
            lines.progress.done();
            return Ok(Watched::Left(Box::new(following.last)));
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {
                lines.progress.done();
                return Ok(Watched::Left(Box::new(following.last)));
            }
        }
    }
}

/// What was said by now.
struct Lines {
    form: Form,
    printed: Option<String>,
    progress: Progress,
    pace: Pace,
    began: Instant,
    table: Option<String>,
    table_seen: Option<Instant>,
}

impl Lines {
    fn new(form: Form, progress: Progress) -> Self {
        let (pace, began) = (Pace::default(), Instant::now());
        Lines { form, printed: None, progress, pace, began, table: None, table_seen: None }
    }

    /// A run that is not to go on has no speed, and what was before says nothing of the time after it.
    fn saw(&mut self, run: &RunView, around: &Around) {
        let state = run.state.seen_by_holder(around.orders.stop_all());
        self.pace.seen(self.began.elapsed(), &RunView { state, ..run.clone() });
    }

    /// Prints the run where it changed. While the ledger does not answer it is printed at a later look.
    async fn print(&mut self, access: &Access, run: &RunView, around: &Around) -> anyhow::Result<()> {
        if self.form != Form::Ndjson {
            return Ok(());
        }
        // Without what time alone changes.
        let all_stopped_since = around.orders.stopped_since.map(to_the_second);
        let object = serde_json::to_string(&RunInFull { all_stopped_since, ..RunInFull::from(run) })?;
        if self.printed.as_ref() == Some(&object) {
            return Ok(());
        }
        if let Ok(pauses) = pace::pauses(access, run.id).await {
            printed::object(&RunInFull::at(run, &pauses, access.clock.now()))?;
            self.printed = Some(object);
        }
        Ok(())
    }

    /// Says what the application's table lost while the run goes on, and that it is back.
    async fn look_at_table(&mut self, access: &Access, run: &RunView) {
        if self.table_seen.is_some_and(|at| at.elapsed() < TABLE_EVERY) {
            return;
        }
        self.table_seen = Some(Instant::now());
        let remark = waits::table_remark(access, run).await;
        match (&self.table, &remark) {
            (before, Some(now)) if before.as_ref() != Some(now) => {
                self.progress.say(&format!("warning: {now}"));
            }
            (Some(_), None) if run.tally.pending > 0 => {
                self.progress.say("The application's table has all it needs again.");
            }
            _ => {}
        }
        self.table = remark;
    }

    /// Users that have to be made, then users that have to be read back.
    fn show(&mut self, run: &RunView, why: Option<&str>) {
        let (made, read) = counted(run);
        let (what, steps) = match run.tally.pending {
            0 if read.done < read.total => ("read back", read),
            _ => ("users", made),
        };
        self.progress.waits(why);
        self.progress.of(what, steps.total.unsigned_abs());
        let speed = self.pace.speed(run).and_then(told);
        let note = [Some(totals(run)), speed].into_iter().flatten().collect::<Vec<_>>();
        let separator = if self.progress.is_drawn() { "\n" } else { " · " };
        self.progress.at(steps.done.unsigned_abs(), &note.join(separator));
    }
}

fn totals(run: &RunView) -> String {
    format!(
        "created {} adopted {} need a person {} verified {}",
        run.tally.created,
        run.tally.adopted,
        run.tally.failed + run.tally.conflict,
        run.verified
    )
}
