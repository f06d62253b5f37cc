//! When a run was paused, or all sending was stopped: what the audit says of it.
//!
//! One look at a run knows only when it was started. Without its pauses, a run that was paused overnight
//! seems slow for the rest of its time.

use std::time::Duration;

use time::OffsetDateTime;

use crate::{
    ports::AuditLine,
    run::{RunMove, RunState},
};

/// Times in which a run was not to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    /// From, and to; the last one may go on still.
    times: Vec<(OffsetDateTime, Option<OffsetDateTime>)>,
    all_stopped_since: Option<OffsetDateTime>,
    /// What was before is not known: there are more lines than were read.
    known_from: Option<OffsetDateTime>,
}

impl Pauses {
    /// Number of lines of the audit to read. Only pauses, stops and what people order of one run are among them.
    pub const LINES: i64 = 1_000;

    /// From lines of the audit of one run, with those about all runs, newest first: the newest [`Pauses::LINES`].
    pub fn of(lines: &[AuditLine]) -> Pauses {
        let mut pauses = Pauses::default();
        let cut = i64::try_from(lines.len()).unwrap_or(i64::MAX) >= Self::LINES;
        pauses.known_from = lines.last().filter(|_| cut).map(|line| line.at);
        let mut paused = false;
        for line in lines.iter().rev() {
            match line.action.as_str() {
                "stop_all" => _ = pauses.all_stopped_since.get_or_insert(line.at),
                "resume_all" => pauses.all_stopped_since = None,
                _ if line.run.is_some() => paused = paused_after(line).unwrap_or(paused),
                _ => {}
            }
            pauses.note(line.at, paused || pauses.all_stopped_since.is_some());
        }
        pauses
    }

    /// From `at` on it is to go on, or not.
    fn note(&mut self, at: OffsetDateTime, waits: bool) {
        match self.times.last_mut() {
            Some((_, end @ None)) if !waits => *end = Some(at),
            Some((_, None)) => {}
            _ if waits => self.times.push((at, None)),
            _ => {}
        }
    }

    /// Since when all sending is stopped.
    pub fn all_stopped_since(&self) -> Option<OffsetDateTime> {
        self.all_stopped_since
    }

    /// Whether the run is not to go on now.
    pub fn is_now(&self) -> bool {
        matches!(self.times.last(), Some((_, None)))
    }

    /// How much of a time it was not to go on; `None` where that is not known.
    pub fn within(&self, from: OffsetDateTime, to: OffsetDateTime) -> Option<Duration> {
        if self.known_from.is_some_and(|known| from < known) {
            return None;
        }
        let of = |(begin, end): &(OffsetDateTime, Option<OffsetDateTime>)| {
            let (begin, end) = ((*begin).max(from), end.unwrap_or(to).min(to));
            Duration::try_from(end - begin).unwrap_or_default() // negative: it lies outside
        };
        Some(self.times.iter().map(of).sum())
    }
}

/// Whether a run was paused or stopped after an order; `None` where the order moved no run.
fn paused_after(line: &AuditLine) -> Option<bool> {
    if line.action == RunMove::Retry.as_str() {
        return Some(false); // it names no state: the run goes on
    }
    let after = RunState::parse(line.detail.get("after")?.as_str()?)?;
    Some(matches!(after, RunState::Paused | RunState::Stopped))
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::ids::RunId;

    /// A line at this second.
    fn line((second, action, after): (u64, &str, Option<&str>)) -> AuditLine {
        let all = action.ends_with("_all");
        AuditLine {
            at: at(second),
            actor: "ann@host".into(),
            action: action.into(),
            run: (!all).then_some(RunId(uuid::Uuid::max())),
            detail: after.map_or(json!({}), |after| json!({ "after": after })),
            reason: None,
        }
    }

    fn at(second: u64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    /// From orders in the order of time.
    pub(in crate::pace) fn pauses(orders: &[(u64, &str, Option<&str>)]) -> Pauses {
        Pauses::of(&orders.iter().rev().copied().map(line).collect::<Vec<_>>())
    }

    fn seconds(pauses: &Pauses, from: u64, to: u64) -> Option<u64> {
        pauses.within(at(from), at(to)).map(|time| time.as_secs())
    }

    #[test]
    fn times_of_a_pause_and_of_a_stop_of_all_count_once() {
        let pauses = pauses(&[
            (10, "pause", Some("paused")),
            (15, "stop_all", None),
            (20, "resume", Some("running")),
            (30, "resume_all", None),
            (40, "rate", None),
            (50, "stop", Some("stopped")),
            (60, "retry", None),
        ]);
        assert_eq!(seconds(&pauses, 0, 100), Some(30), "10 to 30, and 50 to 60");
        assert_eq!(seconds(&pauses, 12, 52), Some(20));
        assert_eq!((pauses.is_now(), pauses.all_stopped_since()), (false, None));
    }

    #[test]
    fn a_stop_of_all_from_before_the_start_counts_until_now() {
        let pauses = pauses(&[(10, "stop_all", None), (12, "stop_all", None)]);
        assert_eq!((pauses.is_now(), pauses.all_stopped_since()), (true, Some(at(10))));
        assert_eq!(seconds(&pauses, 20, 100), Some(80));
    }

    #[test]
    fn what_is_older_than_the_lines_is_not_known() {
        let many: Vec<_> =
            (0..Pauses::LINES).map(|second| (second.unsigned_abs() + 5, "rate", None)).collect();
        assert_eq!(seconds(&pauses(&many), 4, 100), None);
        assert_eq!(seconds(&pauses(&many), 5, 100), Some(0));
        assert_eq!(seconds(&pauses(&many[1..]), 4, 100), Some(0), "these are all");
    }
}
