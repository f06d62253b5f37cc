//! Lines of the audit: who ordered what, and what came of it.

use ferry_domain::{
    RunId, RunState,
    application::{ROW_SECURITY, RowIds},
    ports::{Command, Migration, Moved, NewRun, Restored, Retried, UserFilter},
    run::RunMove,
};
use serde_json::{Value, json};

/// One line, without its time.
#[derive(Debug)]
pub struct Line<'a> {
    /// Who gave the order.
    pub actor: &'a str,
    /// What was ordered: the word of the command line.
    pub action: &'static str,
    /// The run it was about; `None` where it was about all, or about no run.
    pub run: Option<RunId>,
    /// What came of it; numbers, states and codes.
    pub detail: Value,
    /// Why, in their words.
    pub reason: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn of(command: &Command<'a>, action: &'static str, run: impl Into<Option<RunId>>, detail: Value) -> Self {
        Line { actor: command.by, action, run: run.into(), detail, reason: command.reason }
    }

    /// A run was opened.
    pub fn opened(run: &'a NewRun) -> Self {
        let command = run.command();
        let mut detail = json!({ "migration": run.migration, "source": run.source.to_string() });
        let mut accepted = run.accepted.clone();
        let of_rows = run.spec.write_back.as_ref().is_some_and(|target| target.accepts_row_security);
        if of_rows && !accepted.contains(&ROW_SECURITY) {
            accepted.push(ROW_SECURITY);
        }
        if !accepted.is_empty() {
            detail["accepted"] = json!(accepted);
        }
        Line::of(&command, "open_run", run.id, detail)
    }

    /// Workers may begin with a run.
    pub fn started(run: RunId, command: &Command<'a>) -> Self {
        Line::of(command, RunMove::Start.as_str(), run, json!({}))
    }

    /// A run that was opened is not started: nobody agreed, or planning failed.
    pub fn not_started(run: RunId, command: &Command<'a>) -> Self {
        Line::of(command, "not_started", run, json!({}))
    }

    /// A run was moved. Of a cancel that goes on after the order, as workers do, it says what was to be
    /// cancelled then.
    pub fn moved(run: RunId, step: RunMove, moved: &Moved, command: &Command<'a>) -> Self {
        let cancelled = if moved.after == RunState::Cancelling { "to_cancel" } else { "cancelled" };
        let detail = json!({
            "before": moved.before, "after": moved.after, cancelled: moved.cancelled, "to_ask": moved.to_ask,
        });
        Line::of(command, step.as_str(), run, detail)
    }

    /// Items were taken up again.
    pub fn retried(run: RunId, filter: &UserFilter, retried: &Retried, command: &Command<'a>) -> Self {
        let mut detail = json!({
            "codes": filter.codes, "items": retried.items, "left": retried.left, "batches": retried.batches,
            "round": retried.round,
        });
        if !filter.is_of_codes() {
            detail["where"] = json!(filter.to_string());
        }
        Line::of(command, RunMove::Retry.as_str(), run, detail)
    }

    /// A plan of limits was set, or lifted.
    pub fn rate(run: RunId, plan: Option<&str>, command: &Command<'a>) -> Self {
        Line::of(command, "rate", run, json!({ "plan": plan }))
    }

    /// Ids are about to be written back again: a process that is killed on the way leaves this line.
    pub fn restoring(run: RunId, rows: &RowIds, command: &Command<'a>) -> Self {
        Line::of(command, "restore_ids", run, json!(rows))
    }

    /// Ids were written back again.
    pub fn restored(run: RunId, restored: &Restored, command: &Command<'a>) -> Self {
        Line::of(command, "ids_restored", run, json!(restored))
    }

    /// A migration changed something that others meet.
    pub fn migrated(what: &Migration, command: &Command<'a>) -> Self {
        Line::of(command, "migrate", None, json!(what))
    }

    /// All sending was stopped, or goes on.
    pub fn stop_all(stop: bool, command: &Command<'a>) -> Self {
        Line::of(command, if stop { "stop_all" } else { "resume_all" }, None, json!({}))
    }

    /// Letters of one run were sent again.
    pub fn redriven(run: RunId, letters: &[i64], users: i64, command: &Command<'a>) -> Self {
        Line::of(command, "redrive", run, json!({ "letters": letters, "users": users }))
    }

    /// Letters of one run, or payloads, were discarded.
    pub fn discarded(run: Option<RunId>, letters: &[i64], command: &Command<'a>) -> Self {
        Line::of(command, "discard", run, json!({ "letters": letters }))
    }
}

#[cfg(test)]
mod tests {
    use ferry_domain::{Code, ports::Lines};

    use super::*;

    #[test]
    fn a_line_says_who_did_what_to_which_run_and_why() {
        let run = RunId(uuid::Uuid::max());
        let command = Command { by: "ann@host", reason: Some("too many") };
        let moved = Moved { before: RunState::Running, after: RunState::Cancelling, cancelled: 4, to_ask: 3 };
        let line = Line::moved(run, RunMove::Cancel, &moved, &command);
        assert_eq!((line.actor, line.action, line.run), ("ann@host", "cancel", Some(run)));
        assert_eq!(line.reason, Some("too many"));
        let expected = json!({ "before": "running", "after": "cancelling", "to_cancel": 4, "to_ask": 3 });
        assert_eq!(line.detail, expected);

        let retried = Retried { items: 12, batches: 2, left: 5, round: 3 };
        let line = Line::retried(run, &UserFilter::with_codes(&[Code::Ghost]), &retried, &command);
        let mut expected = json!({ "codes": ["GHOST"], "items": 12, "left": 5, "batches": 2, "round": 3 });
        assert_eq!((line.action, line.detail), ("retry", expected.clone()));
        let of_lines =
            UserFilter { lines: Lines { first: 2, last: 9 }, ..UserFilter::with_codes(&[Code::Ghost]) };
        expected["where"] = json!("code=GHOST line=2..9");
        assert_eq!(Line::retried(run, &of_lines, &retried, &command).detail, expected);

        let lines = [true, false].map(|stop| Line::stop_all(stop, &command));
        assert_eq!(lines.map(|line| (line.action, line.run)), [("stop_all", None), ("resume_all", None)]);
    }
}
