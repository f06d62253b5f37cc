//! Why a row has no id still, and what to do before the command is given again.

use ferry_domain::{Code, SourceKey, application::RowId, ports::RefusedRow};
use schemars::JsonSchema;
use serde::Serialize;

/// A user whose row has not the id of its account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NotRestored {
    /// The user's key in the source.
    pub key: SourceKey,
    /// Why.
    #[serde(flatten)]
    pub why: Why,
}

/// Why a row has no id still. Codes are those that runs use, remedies are not: after a run, a user
/// is not sent again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Why {
    /// Reason code.
    pub code: Code,
    /// What was found.
    pub why: String,
    /// What to do; then the same command again.
    pub remedy: &'static str,
}

impl Why {
    fn new(code: Code, why: impl Into<String>, remedy: &'static str) -> Self {
        Why { code, why: why.into(), remedy }
    }

    /// There is no account to name in the row.
    pub(super) fn gone() -> Self {
        Why::new(
            Code::MissingAtTarget,
            "the account is not at Auth0 any more",
            "find out who removed it. A new run makes it again, and writes its id",
        )
    }

    /// A row that nothing can be written to; `None` where it lacks the id, or has it.
    pub(super) fn of_row(found: RowId) -> Option<Self> {
        match found {
            RowId::Carried | RowId::Lacking => None,
            RowId::Another => Some(Why::new(
                Code::AppRowChanged,
                "the row carries another Auth0 id",
                "find out which account is the person's. If it is the run's (ferry run export), empty the column in \
                 that row, and give the command again",
            )),
            RowId::NoRow => Some(Why::new(
                Code::AppRowChanged,
                "there is no row with this key any more",
                "nothing, if the application removed the person. Else put the row back, and give the command again",
            )),
            RowId::Unseen => Some(Why::new(
                Code::AppRowChanged,
                "no row with this key is seen by this database user; row-level security may hide it",
                "connect as a user that sees every row (BYPASSRLS), and give the command again",
            )),
            RowId::Several => Some(Why::new(
                Code::AppKeyShared,
                "several rows carry this key, so none was written to",
                "give the key to one of them alone, and give the command again",
            )),
        }
    }

    /// Others are at work on the row.
    pub(super) fn locked() -> Self {
        Why::new(
            Code::LedgerBusy,
            "the application holds the row locked",
            "wait until its transaction has ended, and give the command again",
        )
    }

    /// The row did not take the id.
    pub(super) fn refused(row: &RefusedRow) -> Self {
        let said = row.said.as_deref();
        match (row.code, said) {
            (Code::AppRowChanged, Some(_)) => Why::new(
                row.code,
                "the row has another address than the account at Auth0",
                "find out whose row it is. If it is the same person, give both the same address, and give the command \
                 again",
            ),
            (Code::AppRowChanged, None) => {
                Why::new(row.code, "the row was changed meanwhile", "give the command again")
            }
            (Code::AppIdTaken, _) => Why::new(
                row.code,
                "another row carries this id already",
                "find out which row is the person's, empty the column in the other, and give the command again",
            ),
            (Code::AppKeyShared, _) => Why::of_row(RowId::Several).unwrap_or_else(Why::locked),
            (code, said) => Why::new(
                code,
                format!("the table refused the id ({})", said.unwrap_or("a trigger left the row as it was")),
                "correct the row or the rule (constraint, trigger or policy), and give the command again",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use ferry_domain::ItemSeq;

    use super::*;

    #[test]
    fn each_reason_says_what_to_do_before_the_command_is_given_again() {
        let refused = |code, said: Option<&str>| {
            Why::refused(&RefusedRow { seq: ItemSeq(1), code, said: said.map(str::to_owned) })
        };
        let mut all = vec![
            Why::gone(),
            Why::locked(),
            refused(Code::AppRowChanged, Some("email")),
            refused(Code::AppRowChanged, None),
            refused(Code::AppIdTaken, Some("SQLSTATE 23505")),
            refused(Code::AppRowRefused, Some("SQLSTATE 23514")),
            refused(Code::AppRowRefused, None),
        ];
        let rows = [RowId::Another, RowId::NoRow, RowId::Unseen, RowId::Several];
        all.extend(rows.map(|row| Why::of_row(row).unwrap()));
        for why in &all {
            assert_ne!(why.remedy, why.code.remedy());
            assert!(why.remedy.contains("command again") || why.code == Code::MissingAtTarget, "{why:?}");
        }
        let mut words: Vec<_> = all.iter().map(|why| &why.why).collect();
        words.sort();
        words.dedup();
        assert_eq!(words.len(), all.len(), "no two reasons read the same");
        assert!(all[5].why.contains("SQLSTATE 23514"), "{:?}", all[5]);
        assert_eq!(refused(Code::AppKeyShared, None), Why::of_row(RowId::Several).unwrap());
        assert_eq!((Why::of_row(RowId::Lacking), Why::of_row(RowId::Carried)), (None, None));
    }
}
