//! What the application's rows carry of the ids of a run's users, counted at its end: a schema tool
//! may have dropped the column after ids were written, or an older table was put back.

use ferry_domain::{
    ItemSeq, ItemState, RunId, RunView,
    application::RowIds,
    ports::{AuditLine, ItemFilter, Items, LedgerError, Reports},
};
use serde::{Deserialize, Serialize};

/// Users looked at with one statement.
const GROUP: i64 = 500;

/// The application's table at the end of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub table: String,
    /// What its rows carried.
    #[serde(flatten)]
    pub rows: RowIds,
    /// Why they could not be looked at.
    #[serde(default)]
    pub unknown: Option<String>,
}

impl Table {
    /// Whether a person has to act.
    pub fn needs_a_person(&self) -> bool {
        self.rows.lost() > 0 || self.unknown.is_some()
    }

    /// What is not as it should be, and the command that mends it; `None` where all is well.
    pub fn told(&self, run: impl std::fmt::Display) -> Option<String> {
        let Table { table, rows, unknown } = self;
        let users = rows.users();
        match (unknown, rows.told()) {
            (Some(why), _) => Some(format!(
                "whether the rows of {table} carry their ids could not be looked at ({why}): ferry run restore-ids {run} \
                 looks again"
            )),
            (None, told) if told.is_empty() => None,
            (None, told) if rows.lost() == 0 => Some(format!("{table}, of {users} users: {told}")),
            (None, told) => Some(format!(
                "{table}, of {users} users: {told}. Write ids again: ferry run restore-ids {run}"
            )),
        }
    }

    /// As ids were written back again since, by the audit of the run, newest first.
    #[must_use]
    pub fn since(mut self, audit: &[AuditLine], run: RunId) -> Self {
        let whole = |line: &&AuditLine| {
            line.run == Some(run) && line.action == "ids_restored" && line.detail["ended"] == "whole"
        };
        if let Some(line) = audit.iter().find(whole)
            && let Ok(rows) = serde_json::from_value::<RowIds>(line.detail.clone())
        {
            let restored = line.detail["restored"].as_i64().unwrap_or_default();
            self.rows = RowIds { lacking: rows.lacking - restored, carried: rows.carried + restored, ..rows };
            self.unknown = None;
        }
        self
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
    let mut found = Table { table: target.shown(), rows: RowIds::default(), unknown: None };
    // Conflicts are left out: their rows did not take the id for a reason, which is in the report.
    let filter = ItemFilter { states: vec![Created, Adopted, Skipped], codes: Vec::new() };
    let mut after = ItemSeq(0);
    loop {
        let page = items.items(run.id, &filter, after, GROUP).await?;
        let Some(last) = page.last() else { return Ok(Some(found)) };
        after = last.seq;
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
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::OffsetDateTime;

    use super::*;

    fn table(rows: RowIds) -> Table {
        Table { table: "public.users".into(), rows, unknown: None }
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
        let line = |action: &str, detail| AuditLine {
            at: OffsetDateTime::UNIX_EPOCH,
            actor: "ann@host".into(),
            action: action.into(),
            run: Some(run),
            detail,
            reason: None,
        };
        let lost = table(RowIds { carried: 3, lacking: 2, ..RowIds::default() });
        let begun = line("restore_ids", json!({ "carried": 3, "lacking": 2 }));
        assert_eq!(lost.clone().since(std::slice::from_ref(&begun), run), lost);
        let numbers = |ended: &str| {
            json!({ "carried": 3, "lacking": 2, "another_id": 0, "no_row": 0, "unseen": 0, "several_rows": 0,
                    "restored": 1, "gone": 1, "refused": 0, "ended": ended })
        };
        let interrupted = line("ids_restored", numbers("interrupted"));
        assert_eq!(
            lost.clone().since(&[interrupted.clone(), begun.clone()], run),
            lost,
            "not all were looked at"
        );
        let whole = line("ids_restored", numbers("whole"));
        let now = lost.since(&[interrupted, whole, begun], run);
        assert_eq!((now.rows.carried, now.rows.lacking), (4, 1));
    }
}
