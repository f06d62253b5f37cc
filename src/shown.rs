//! What several commands print in the same way.

use std::time::Duration;

use ferry_domain::{
    ItemState, RunView,
    ports::{DeadView, SourceWarning},
};
use ferry_operations::{
    Access, Error,
    cost::Cost,
    plan::{Record, Settled, target::Predicted},
    report::{self, Shown},
    units,
};
use ferry_report::FieldCount;

use crate::{
    output::{self, WIDTH, folded, folded_between, shortened},
    settings::Settings,
    table,
};

/// Most characters of a field's name: keys of metadata may be of any length.
const FIELD: usize = 40;
/// Most of them beside a code.
const FIELD_BESIDE: usize = 30;
/// Most characters of a code with its fields, and of a place, in a list: the key has the rest.
const REASON: usize = 36;
const PLACE: usize = 24;

/// What becomes of a source's records: users to send, and what a rule settled, by reason, each with
/// what to do about it and the fields that it speaks of: one beside it, several below it.
pub fn planned(to_send: i64, settled: &[Settled]) -> String {
    let groups = groups(settled);
    let mut rows = vec![vec!["to send".to_owned(), String::new(), String::new(), to_send.to_string()]];
    let mut below = vec![Vec::new()]; // of those to send
    for group in &groups {
        let (state, code) = (group[0].state.as_str().to_owned(), group[0].code.to_string());
        let count = group.iter().map(|settled| settled.count).sum::<i64>();
        let mut lines = folded(group[0].remedy, 2);
        let field = match &*fields(group) {
            [one] if one.count == count && one.field.chars().count() <= FIELD_BESIDE => one.field.clone(),
            several => {
                let each = several.iter().map(|of| format!("{} {}", shortened(&of.field, FIELD), of.count));
                lines.extend(named("fields:", each.collect(), 2));
                String::new()
            }
        };
        rows.push(vec![state, code, field, count.to_string()]);
        below.push(lines);
    }
    table::with_below(&["what", "code", "field", "users"], rows, &[3], &below)
}

/// The same end and code together, in the order given; none is empty.
fn groups(settled: &[Settled]) -> Vec<Vec<&Settled>> {
    let mut groups: Vec<Vec<&Settled>> = Vec::new();
    for settled in settled {
        let alike =
            |group: &&mut Vec<&Settled>| (group[0].state, group[0].code) == (settled.state, settled.code);
        match groups.iter_mut().find(alike) {
            Some(group) => group.push(settled),
            None => groups.push(vec![settled]),
        }
    }
    groups
}

fn fields(group: &[&Settled]) -> Vec<FieldCount> {
    let told = group.iter().filter_map(|settled| Some((settled.field.as_deref()?, settled.count)));
    ferry_report::count_fields(told)
}

/// A name and what it is of, with commas between, in lines; nothing where there is none.
fn named(name: &str, mut each: Vec<String>, indent: usize) -> Vec<String> {
    let Some(last) = each.pop() else { return Vec::new() };
    let mut pieces = vec![name.to_owned()];
    pieces.extend(each.into_iter().map(|piece| format!("{piece},")));
    pieces.push(last);
    folded_between(pieces.iter().map(String::as_str), indent)
}

/// Prints how long this number of users takes at least under the settings' limits; nothing without any.
pub fn cost(users: i64, settings: &Settings) {
    let limits = settings.limits().ok();
    if let Some(cost) = limits.as_ref().and_then(|limits| Cost::of(users, limits)) {
        output::say(&folded(&cost.to_string(), 0).join("\n"));
    }
}

/// What asking Auth0 for each of these users takes, within the limits.
pub fn asking(users: i64, settings: &Settings) {
    let takes = settings.limits().ok().and_then(|limits| ferry_operations::cost::asking(users, &limits));
    let takes = takes.map(|takes| format!(", which takes up to {takes}")).unwrap_or_default();
    output::say(
        &folded(
            &format!(
                "Asking Auth0 for {users} users, by reading only: up to {} requests{takes}.",
                users * 2 + 1
            ),
            0,
        )
        .join("\n"),
    );
}

/// What would become of the users to send, as Auth0 is now.
pub fn predicted(found: &Predicted) -> String {
    let mut rows = vec![("create", found.create), ("adopt", found.adopt)];
    rows.retain(|(_, users)| *users > 0);
    let mut rows: Vec<_> = rows
        .into_iter()
        .map(|(what, users)| vec![what.to_owned(), String::new(), users.to_string()])
        .collect();
    let mut below = vec![Vec::new(); rows.len()];
    for settled in found.by_code.iter().filter(|settled| settled.state != ItemState::Adopted) {
        let (state, code) = (settled.state.as_str().to_owned(), settled.code.to_string());
        rows.push(vec![state, code, settled.count.to_string()]);
        below.push(folded(settled.remedy, 2));
    }
    let table = table::with_below(&["at Auth0 now", "code", "users"], rows, &[2], &below);
    let mut remarks = Vec::new();
    if found.write_id > 0 {
        remarks.push(format!(
            "The run writes {} ids that the source lacks of users who are there.",
            found.write_id
        ));
    }
    if found.unknown > 0 {
        remarks.push(format!(
            "Auth0 did not answer for {} users: nothing is known of them, ask again.",
            found.unknown
        ));
    }
    let said = format!(
        "{} requests in {}; nothing was changed. The run asks again: what changes until then is not in this.",
        found.requests,
        units::rounded(Duration::from_millis(found.took_ms))
    );
    let remarks = remarks.iter().chain([&said]).flat_map(|remark| folded(remark, 0));
    std::iter::once(table).chain(remarks).collect::<Vec<_>>().join("\n")
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
    /// Whether none was written yet.
    pub fn is_first(&self) -> bool {
        self.place == 0
    }

    /// One record: place, code and field, key, and the other record where there is one. What a
    /// line has no room for is below it, indented: many fields, or the other record.
    pub fn record(&mut self, record: &Record) -> String {
        let place = shortened(&record.place, PLACE);
        let code = record.code.map_or_else(|| record.state.as_str().to_owned(), |code| code.to_string());
        let whole = [Some(code.as_str()), record.field.as_deref()].into_iter().flatten();
        let whole = whole.collect::<Vec<_>>().join(" ");
        let fits = whole.chars().count() <= REASON;
        let reason = if fits { whole } else { code };
        self.place = self.place.max(place.chars().count());
        self.reason = self.reason.max(reason.chars().count());
        let line =
            format!("{place:at$}  {reason:width$}  {}", record.key, at = self.place, width = self.reason);
        let mut lines = Vec::new();
        let other = record.other.as_ref().map(|other| format!("(see {other})"));
        match other {
            Some(other) if line.chars().count() + 1 + other.chars().count() < WIDTH => {
                lines.push(format!("{line} {other}"));
            }
            other => {
                lines.push(cut(line));
                lines.extend(other.map(|other| cut(format!("  {other}"))));
            }
        }
        if let Some(fields) = record.field.as_deref().filter(|_| !fits) {
            let each = fields.split(", ").map(|field| shortened(field, FIELD)).collect();
            lines.extend(named("fields:", each, 2));
        }
        lines.join("\n")
    }
}

/// The begin of a line that does not fit a terminal.
fn cut(line: String) -> String {
    match line.char_indices().nth(WIDTH - 1) {
        Some((cut, last)) if cut + last.len_utf8() < line.len() => format!("{}…", &line[..cut]),
        _ => line,
    }
}

/// `payload`, or what the job of a dead letter would have done.
pub fn what(letter: &DeadView) -> String {
    letter.job_kind.map_or_else(|| letter.kind.as_str().to_owned(), |kind| kind.to_string())
}

/// The report of a run; says so where it is not the kept one.
pub async fn report(access: &Access, run: &RunView, revision: Option<i32>) -> Result<Shown, Error> {
    let shown = report::show(access, run, revision).await?;
    if shown.standing.revision.is_none() {
        output::say(&shown.standing.told(&run.id.to_string()));
    }
    Ok(shown)
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
        assert!(one_line(&text).contains(remedy), "no word is lost: {text}");
    }

    #[test]
    fn a_plan_with_many_combinations_of_fields_says_the_remedy_once_and_counts_each_field() {
        let names: Vec<String> = (0..40).map(|n| format!("user_metadata.preference_{n}")).collect();
        let long = settled(Code::FieldTooLong, Some(&"x".repeat(300)));
        let many: Vec<Settled> = (1..=names.len())
            .map(|n| Settled {
                state: ItemState::Conflict,
                ..settled(Code::ChangedSinceMoved, Some(&names[..n].join(", ")))
            })
            .chain([long])
            .collect();
        let text = planned(5, &many);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        let words = one_line(&text);
        assert_eq!(words.matches(Code::ChangedSinceMoved.remedy()).count(), 1, "{text}");
        assert!(words.contains("conflict CHANGED_SINCE_MOVED 80 "), "{text}");
        assert!(words.contains("fields: user_metadata.preference_0 80, "), "{text}");
        assert!(words.contains("user_metadata.preference_39 2 failed FIELD_TOO_LONG 2"), "{text}");
    }

    #[test]
    fn a_plan_counts_the_same_code_apart_for_each_end() {
        let skipped = Settled { state: ItemState::Skipped, ..settled(Code::FieldInvalid, Some("name")) };
        let text = planned(0, &[settled(Code::FieldInvalid, Some("name")), skipped]);
        let words = one_line(&text);
        assert!(
            words.contains("failed FIELD_INVALID name 2") && words.contains("skipped FIELD_INVALID name 2"),
            "{text}"
        );
    }

    fn one_line(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_record_with_many_fields_is_listed_with_its_key_and_all_of_them() {
        let names: Vec<String> = (0..30).map(|n| format!("app_metadata.right_{n}")).collect();
        let record = Record {
            place: format!("{}.csv:12", "a_long_name_".repeat(8)),
            key: "0b9c3a52-6f5c-4b8e-9f6a-0d6b7c2e1f3a".into(),
            state: ItemState::Conflict,
            code: Some(Code::ChangedSinceMoved),
            field: Some(names.join(", ")),
            other: Some("users.csv:2, a row that has the same address".into()),
            remedy: None,
        };
        let mut lines = Lines::default();
        let text = lines.record(&record);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        let first = text.lines().next().unwrap();
        assert!(first.contains(".csv:12  CHANGED_SINCE_MOVED  0b9c3a52"), "{text}");
        assert!(text.contains("\n  (see users.csv:2, a row"), "{text}");
        assert!(one_line(&text).contains(&format!("fields: {}", names.join(", "))), "{text}");
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
