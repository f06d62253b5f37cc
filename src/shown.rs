//! What several commands print in the same way.

use ferry_domain::{
    RunView,
    ports::{DeadView, SourceWarning},
};
use ferry_operations::{
    Access, Error,
    cost::Cost,
    plan::{Record, Settled},
    report::{self, Shown},
};
use ferry_report::Report;

use crate::{
    output::{self, WIDTH, folded},
    settings::Settings,
};

/// What becomes of a source's records: users to send, and what a rule settled, by reason and
/// field, each with what to do about it.
pub fn planned(to_send: i64, settled: &[Settled]) -> String {
    let mut rows = vec![vec!["to send".to_owned(), String::new(), String::new(), to_send.to_string()]];
    rows.extend(settled.iter().map(|settled| {
        vec![
            settled.state.as_str().to_owned(),
            settled.code.to_string(),
            settled.field.clone().unwrap_or_default(),
            settled.count.to_string(),
        ]
    }));
    let table = output::table(&["what", "code", "field", "users"], rows, &[3]);
    let remedies = [None, None].into_iter().chain(settled.iter().map(|settled| Some(settled.remedy)));
    let mut lines = Vec::new();
    for (line, remedy) in table.lines().zip(remedies) {
        lines.push(line.to_owned());
        lines.extend(remedy.into_iter().flat_map(|remedy| folded(remedy, 2)));
    }
    lines.join("\n")
}

/// Prints how long this number of users takes at least under the settings' limits; nothing without any.
pub fn cost(users: i64, settings: &Settings) {
    let limits = settings.limits().ok();
    if let Some(cost) = limits.as_ref().and_then(|limits| Cost::of(users, limits)) {
        output::say(&folded(&cost.to_string(), 0).join("\n"));
    }
}

/// What a person should know of a source as a whole; talk, not data.
pub fn warnings(warnings: &[SourceWarning]) {
    for warning in warnings {
        output::say(&folded(&format!("Note: {warning}."), 0).join("\n"));
    }
}

/// Lines of a list that is printed while it is read: columns grow with what was seen.
#[derive(Default)]
pub struct Lines {
    place: usize,
    reason: usize,
}

impl Lines {
    /// One record: place, code and field, key, and the other record where there is one.
    pub fn record(&mut self, record: &Record) -> String {
        let code = record.code.map(|code| code.to_string()).unwrap_or_default();
        let reason = [Some(code.as_str()), record.field.as_deref()].into_iter().flatten();
        let reason = reason.collect::<Vec<_>>().join(" ");
        self.place = self.place.max(record.place.chars().count());
        self.reason = self.reason.max(reason.chars().count());
        let line = format!(
            "{:place$}  {reason:width$}  {}",
            record.place,
            record.key,
            place = self.place,
            width = self.reason
        );
        let line = match &record.other {
            Some(other) => format!("{line} (see {other})"),
            None => line,
        };
        match line.char_indices().nth(WIDTH - 1) {
            Some((cut, last)) if cut + last.len_utf8() < line.len() => format!("{}…", &line[..cut]),
            _ => line,
        }
    }
}

/// `payload`, or what the job of a dead letter would have done.
pub fn what(letter: &DeadView) -> String {
    letter.job_kind.map_or_else(|| letter.kind.as_str().to_owned(), |kind| kind.to_string())
}

/// The report of a run; says so where it is not the kept one.
pub async fn report(access: &Access, run: &RunView, revision: Option<i32>) -> Result<Report, Error> {
    let Shown { report, kept } = report::show(access, run, revision).await?;
    if !kept {
        output::say(&format!("Run {} is {}: this is its state now, not its report.", run.id, run.state));
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use ferry_domain::{Code, ItemState};

    use super::*;

    fn settled(code: Code, field: Option<&str>) -> Settled {
        let field = field.map(str::to_owned);
        Settled { state: ItemState::Failed, code, field, count: 2, remedy: code.remedy() }
    }

    #[test]
    fn a_plan_names_the_field_beside_the_code_and_fits_a_terminal() {
        let settled =
            [settled(Code::FieldInvalid, Some("email_verified")), settled(Code::HashNeedsImport, None)];
        let text = planned(5, &settled);
        assert!(
            text.lines().any(|line| line.contains("FIELD_INVALID") && line.contains("email_verified")),
            "{text}"
        );
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        let remedy = Code::HashNeedsImport.remedy();
        assert!(
            text.split_whitespace().collect::<Vec<_>>().join(" ").contains(remedy),
            "no word is lost: {text}"
        );
    }

    #[test]
    fn a_long_key_is_cut_in_a_list_for_people() {
        let record = |key: &str| Record {
            place: "users.csv:12".into(),
            key: key.into(),
            state: ItemState::Failed,
            code: Some(Code::FieldInvalid),
            field: Some("blocked".into()),
            other: None,
            remedy: None,
        };
        let mut lines = Lines::default();
        assert_eq!(lines.record(&record("7")), "users.csv:12  FIELD_INVALID blocked  7");
        let long = lines.record(&record(&"é".repeat(200)));
        assert_eq!((long.chars().count(), long.ends_with('…')), (WIDTH, true), "{long}");
    }
}
