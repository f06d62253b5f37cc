//! What the application's rows carry of the ids of a run's users, counted at its end: a schema tool
//! may have dropped the column after ids were written, or an older table was put back.

use std::fmt;

use ferry_domain::{
    ItemState, RunId, RunView,
    application::RowIds,
    ports::{AuditLine, ItemFilter, ItemPages, Items, LedgerError, Reports},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::facts::to_the_second;

/// Users looked at with one statement.
const GROUP: i64 = 500;

/// The application's table at the end of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Table {
    /// Its name.
    pub table: String,
    /// What its rows carried.
    #[serde(flatten)]
    pub rows: RowIds,
    /// Why they could not be looked at.
    #[serde(default)]
    pub unknown: Option<String>,
    /// When that was (RFC 3339, UTC); null where they were looked at just now.
    #[serde(default)]
    #[schemars(extend("format" = "date-time"))]
    pub as_of: Option<String>,
    /// Ids that were written again since the run ended.
    #[serde(default)]
    pub written_again: Option<WrittenAgain>,
}

/// What `run restore-ids` did after a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WrittenAgain {
    /// Number of ids.
    pub ids: i64,
    /// When the last of them were written (RFC 3339, UTC).
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
}

impl fmt::Display for WrittenAgain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = if self.ids == 1 { "1 id was" } else { &format!("{} ids were", self.ids) };
        write!(f, "{ids} written again at {}", self.at)
    }
}

impl Table {
    /// Whether a person has to act.
    pub fn needs_a_person(&self) -> bool {
        self.rows.lost() > 0 || self.unknown.is_some()
    }

    /// The same, and a sentence where all is well.
    pub(crate) fn standing(&self, run: impl std::fmt::Display) -> String {
        let well = || format!("each of {} rows of {} carries its id", self.rows.users(), self.table);
        self.told(run).unwrap_or_else(well)
    }

    /// What is not as it should be, and the command that mends it; `None` where all is well and
    /// always was.
    pub fn told(&self, run: impl std::fmt::Display) -> Option<String> {
        let Table { table, rows, unknown, .. } = self;
        let users = rows.users();
        match (unknown, rows.told()) {
            (Some(why), _) => Some(format!(
                "whether the rows of {table} carry their ids could not be looked at ({why}): ferry run restore-ids {run} \
                 looks again"
            )),
            (None, told) if told.is_empty() => {
                let again = self.written_again.as_ref()?;
                Some(format!("each of {users} rows of {table} carries its id; {again}"))
            }
            (None, told) if rows.lost() == 0 => {
                Some(format!("{table}, of {users} users: {told}{}", self.when()))
            }
            (None, told) => Some(format!(
                "{table}, of {users} users: {told}{}. Write ids again: ferry run restore-ids {run}",
                self.when()
            )),
        }
    }

    /// Behind what the rows carry: the time for which that is true.
    fn when(&self) -> String {
        match (&self.written_again, &self.as_of) {
            (Some(again), _) => format!(", after {again}"),
            (None, Some(at)) => format!(" (looked at {at}, when the run ended)"),
            (None, None) => String::new(),
        }
    }

    /// With the time of its look, the end of the run, and as ids were written again since, by the
    /// audit of the run, newest first.
    #[must_use]
    pub fn since(mut self, ended: OffsetDateTime, audit: &[AuditLine], run: RunId) -> Self {
        self.as_of = Some(to_the_second(ended));
        let concerns =
            |line: &&AuditLine| line.run == Some(run) && line.action == "ids_restored" && line.at > ended;
        audit.iter().rev().filter(concerns).for_each(|line| self.restored(line));
        self
    }

    /// One more time that ids were written again.
    fn restored(&mut self, line: &AuditLine) {
        let at = to_the_second(line.at);
        let ids = line.detail["restored"].as_i64().unwrap_or_default();
        if line.detail["ended"] == "whole"
            && let Ok(rows) = serde_json::from_value::<RowIds>(line.detail.clone())
        {
            self.rows = rows;
            (self.unknown, self.as_of) = (None, Some(at.clone()));
        }
        // What was not looked at is as it was.
        let mended = ids.min(self.rows.lacking);
        (self.rows.lacking, self.rows.carried) = (self.rows.lacking - mended, self.rows.carried + mended);
        if ids > 0 {
            let before = self.written_again.take().map_or(0, |again| again.ids);
            self.written_again = Some(WrittenAgain { ids: before + ids, at });
        }
    }
}

/// Looks at the rows of all users with an account, group by group; `None` for a run whose users
/// came from a file. A table that can't be looked at keeps no run from its end.
///
/// # Errors
/// When the ledger fails.
pub async fn of_table(
    reports: &dyn Reports,
    items: &dyn Items,
    run: &RunView,
) -> Result<Option<Table>, LedgerError> {
    use ItemState::{Adopted, Created, Skipped};
    let Some(target) = &run.spec.write_back else { return Ok(None) };
    let mut found = Table {
        table: target.shown(),
        rows: RowIds::default(),
        unknown: None,
        as_of: None,
        written_again: None,
    };
    // Conflicts are left out: their rows did not take the id for a reason, which is in the report.
    let filter = ItemFilter { states: vec![Created, Adopted, Skipped], codes: Vec::new() };
    let mut pages = ItemPages::of(items, run.id, filter, GROUP);
    while let Some(page) = pages.next().await? {
        let users: Vec<_> =
            page.into_iter().filter_map(|item| Some((item.key, item.auth0_user_id?))).collect();
        match reports.row_ids(target, &users).await {
            Ok(rows) => rows.into_iter().for_each(|row| found.rows.add(row)),
            Err(error) => {
                found.unknown = Some(error.to_string());
                return Ok(Some(found));
            }
        }
    }
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table(rows: RowIds) -> Table {
        Table { table: "public.users".into(), rows, unknown: None, as_of: None, written_again: None }
    }

    #[test]
    fn rows_without_their_ids_are_told_with_the_command_that_writes_them() {
        let well = table(RowIds { carried: 5, ..RowIds::default() });
        assert_eq!((well.told("R"), well.needs_a_person()), (None, false));
        let removed = table(RowIds { carried: 4, no_row: 1, ..RowIds::default() });
        assert!(!removed.needs_a_person(), "an application removes people");
        assert_eq!(removed.told("R").unwrap(), "public.users, of 5 users: 1 user has no row any more");
        let lost = table(RowIds { carried: 3, lacking: 2, ..RowIds::default() });
        assert!(lost.needs_a_person());
        assert!(
            lost.told("R")
                .unwrap()
                .ends_with("2 rows lack their id. Write ids again: ferry run restore-ids R")
        );
        let unknown = Table { unknown: Some("no column".into()), ..well };
        assert!(unknown.needs_a_person() && unknown.told("R").unwrap().contains("(no column)"));
    }

    #[test]
    fn what_was_restored_since_is_not_told_as_lost() {
        let run = RunId(Default::default());
        let at = |second: u64| OffsetDateTime::UNIX_EPOCH + std::time::Duration::from_secs(second);
        let line = |second, action: &str, detail| AuditLine {
            at: at(second),
            actor: "ann@host".into(),
            action: action.into(),
            run: Some(run),
            detail,
            reason: None,
        };
        let numbers = |ended: &str, lacking: i64, restored: i64| {
            json!({ "carried": 5 - lacking, "lacking": lacking, "another_id": 0, "no_row": 0, "unseen": 0,
                    "several_rows": 0, "restored": restored, "gone": 0, "refused": 0, "ended": ended })
        };
        let lost = table(RowIds { carried: 2, lacking: 3, ..RowIds::default() });
        let since = |audit: &[AuditLine]| lost.clone().since(at(10), audit, run);
        let told = |table: &Table| table.told("R").unwrap();

        let begun = line(20, "restore_ids", json!({ "carried": 2, "lacking": 3 }));
        let earlier = line(9, "ids_restored", numbers("whole", 3, 3));
        let then = since(&[begun.clone(), earlier]);
        assert_eq!((&then.rows, &then.written_again), (&lost.rows, &None));
        let words =
            "3 rows lack their id (looked at 1970-01-01T00:00:10Z, when the run ended). Write ids again";
        assert!(told(&then).contains(words), "{}", told(&then));

        let interrupted = line(21, "ids_restored", numbers("interrupted", 1, 1));
        let now = since(&[interrupted.clone(), begun.clone()]);
        assert_eq!((now.rows.carried, now.rows.lacking), (3, 2), "who was not looked at is as before");
        let words = "2 rows lack their id, after 1 id was written again at 1970-01-01T00:00:21Z. Write";
        assert!(told(&now).contains(words), "{}", told(&now));

        let whole = line(30, "ids_restored", numbers("whole", 2, 2));
        let now = since(&[whole, interrupted, begun]);
        assert_eq!((now.rows.carried, now.rows.lacking, now.needs_a_person()), (5, 0, false));
        let words =
            "each of 5 rows of public.users carries its id; 3 ids were written again at 1970-01-01T00:00:30Z";
        assert_eq!(told(&now), words);
    }
}
