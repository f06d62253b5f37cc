//! The application's table, as a ledger found it, and what that means for a run.
//!
//! Whatever would keep ids from being written is found here, before the first account is
//! made: afterwards it would be a conflict for each user. Texts name tables, columns and
//! privileges, never a value.

mod row_ids;

use std::fmt;

pub use row_ids::{RowId, RowIds};

use crate::{ports::LedgerError, run::WriteBackTarget};

/// Characters of an id that Ferry chooses: `auth0|` and a UUID.
pub const ID_LENGTH: u32 = 42;
/// The word by which a person accepts that row-level security may hide people.
pub const ROW_SECURITY: &str = "ROW_SECURITY";

/// What a name stands for in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// A table of its own.
    Table,
    /// A table with partitions, or with tables that inherit from it: no index spans them all,
    /// unless the database makes one.
    Divided,
    /// A view over one table, through which the database itself writes.
    SimpleView,
    /// Any other view.
    View,
    /// A table of another server.
    Foreign,
}

/// The column that gets the ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdColumn {
    /// Whether it takes text.
    pub is_text: bool,
    /// Whether its value is computed, so that nothing can be written to it.
    pub computed: bool,
    /// Most characters it takes, where there is a limit.
    pub most: Option<u32>,
    /// Whether an index keeps two rows from having the same id.
    pub unique: bool,
}

/// The application's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppTable {
    /// Its names; the schema is the one that the search path led to.
    pub target: WriteBackTarget,
    /// What it is.
    pub relation: Relation,
    /// Whether the key column is there, and an index over all rows makes it unique.
    pub key: Option<bool>,
    /// The column for the ids, if it is there.
    pub id: Option<IdColumn>,
    /// Whether the column that addresses were read from is there; also where there is none to compare.
    pub email: bool,
    /// Privileges that the database user lacks, such as `SELECT on id`.
    pub lacks: Vec<String>,
    /// Whether policies decide which rows this database user sees and changes.
    pub row_security: bool,
    /// Why the database can't even prepare the write: what a trigger needs and only the
    /// application has. The database's words; they name functions and columns.
    pub unprepared: Option<String>,
}

/// What a finding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// No run may start, and `migrate --app` can't mend it.
    Refuses,
    /// No run may start before `migrate --app`.
    Lacks,
    /// Who sees or changes rows is limited; a person may accept it.
    Hides,
    /// Work is possible; a person should know it.
    Warns,
}

/// What was found, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it means.
    pub weight: Weight,
    /// What was found.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.remedy)
    }
}

impl From<Finding> for LedgerError {
    fn from(finding: Finding) -> Self {
        LedgerError::WriteBackTarget(finding.to_string())
    }
}

fn finding(weight: Weight, what: String, remedy: impl Into<String>) -> Finding {
    Finding { weight, what, remedy: remedy.into() }
}

impl AppTable {
    /// All that was found, the worst first.
    pub fn findings(&self) -> Vec<Finding> {
        let mut all: Vec<Finding> =
            [self.of_relation(), self.of_key(), self.of_email(), self.of_id(), self.of_privileges()]
                .into_iter()
                .chain([self.of_triggers(), self.of_row_security(), self.of_shared_keys(), self.of_index()])
                .flatten()
                .collect();
        all.sort_by_key(|finding| finding.weight as u8);
        all
    }

    /// Refuses a table that a run can't begin over.
    ///
    /// # Errors
    /// The worst that was found, unless it only warns.
    pub fn check(&self) -> Result<(), LedgerError> {
        self.first(|weight| weight != Weight::Warns)
    }

    /// Refuses a table that ids can't be written to. What a person accepted, or what only warns,
    /// is no reason.
    ///
    /// # Errors
    /// The worst that was found.
    pub fn check_writing(&self) -> Result<(), LedgerError> {
        self.first(|weight| matches!(weight, Weight::Refuses | Weight::Lacks))
    }

    /// Refuses a table that `migrate --app` can't prepare.
    ///
    /// # Errors
    /// The worst that was found.
    pub fn check_preparing(&self) -> Result<(), LedgerError> {
        let found = [self.of_relation(), self.of_key(), self.of_id()];
        if let Some(worst) = found.into_iter().flatten().find(|found| found.weight == Weight::Refuses) {
            return Err(worst.into());
        }
        if self.id.is_none() && self.relation == Relation::SimpleView {
            let what = format!("{} is a view without {}", self.target.shown(), self.target.id_column);
            let remedy = "add the column to the table behind it, and to the view";
            return Err(finding(Weight::Refuses, what, remedy).into());
        }
        Ok(())
    }

    /// The index that `migrate --app` made, where it is not there: a schema tool removed it.
    pub fn lost_index(&self) -> Option<Finding> {
        self.of_index().filter(|_| self.relation == Relation::Table)
    }

    fn first(&self, matters: impl Fn(Weight) -> bool) -> Result<(), LedgerError> {
        match self.findings().into_iter().find(|finding| matters(finding.weight)) {
            Some(worst) => Err(worst.into()),
            None => Ok(()),
        }
    }

    fn of_relation(&self) -> Option<Finding> {
        let table = self.target.shown();
        let (weight, what) = match self.relation {
            Relation::Table | Relation::Divided => return None,
            Relation::SimpleView => {
                let what = format!("{table} is a view: whether its keys are unique can't be seen");
                let remedy = "nothing, if they are; rows that share a key are refused";
                return Some(finding(Weight::Warns, what, remedy));
            }
            Relation::View => (Weight::Refuses, "a view, through which ids can't be written"),
            Relation::Foreign => (Weight::Refuses, "a foreign table, where ids can't be written safely"),
        };
        let remedy = "name the table behind it as source.table";
        Some(finding(weight, format!("{table} is {what}"), remedy))
    }

    fn of_key(&self) -> Option<Finding> {
        if self.key.is_some() {
            return None;
        }
        let what = format!("{} has no column {}", self.target.shown(), self.target.key_column);
        Some(finding(Weight::Refuses, what, "set source.columns.key to the column with the users' keys"))
    }

    /// Without it nobody can tell whose row it is by now.
    fn of_email(&self) -> Option<Finding> {
        let column = self.target.email_column.as_ref().filter(|_| !self.email)?;
        let what = format!("{} has no column {column}, where the addresses were", self.target.shown());
        Some(finding(
            Weight::Refuses,
            what,
            "put it back, or begin a new run with the column that has them now",
        ))
    }

    fn of_id(&self) -> Option<Finding> {
        let (table, column) = (self.target.shown(), &self.target.id_column);
        let Some(id) = &self.id else {
            let what = format!("{table} has no column {column}");
            return Some(finding(Weight::Lacks, what, "run ferry migrate --app"));
        };
        let refused = |what: &str| {
            let remedy = "change its type to text, or map another column as auth0_user_id";
            Some(finding(Weight::Refuses, format!("column {column} of {table} {what}"), remedy))
        };
        match id.most {
            _ if id.computed => refused("is computed, so that nothing can be written to it"),
            _ if !id.is_text => refused("is not text"),
            Some(most) if most < ID_LENGTH => {
                refused(&format!("takes {most} characters, and an id has up to {ID_LENGTH}"))
            }
            _ => None,
        }
    }

    fn of_privileges(&self) -> Option<Finding> {
        if self.lacks.is_empty() {
            return None;
        }
        let table = self.target.shown();
        let what = format!("the database user lacks privileges on {table}: {}", self.lacks.join(", "));
        Some(finding(Weight::Refuses, what, "grant them to it"))
    }

    fn of_triggers(&self) -> Option<Finding> {
        let why = self.unprepared.as_ref()?;
        let what =
            format!("{} can't be written to from outside of the application ({why})", self.target.shown());
        Some(finding(Weight::Refuses, what, "take what a trigger needs there out of it while the run lasts"))
    }

    fn of_row_security(&self) -> Option<Finding> {
        if !self.row_security {
            return None;
        }
        let what = format!(
            "row-level security of {} is active for this database user: people whom a policy hides are \
             left out without a word",
            self.target.shown()
        );
        if self.target.accepts_row_security {
            return Some(finding(Weight::Warns, what, format!("nothing, it was accepted by {ROW_SECURITY}")));
        }
        let remedy = format!(
            "connect as a user with BYPASSRLS, or accept it by --accept {ROW_SECURITY} when every row is seen"
        );
        Some(finding(Weight::Hides, what, remedy))
    }

    fn of_shared_keys(&self) -> Option<Finding> {
        let (table, key) = (self.target.shown(), &self.target.key_column);
        let what = match (self.key, self.relation) {
            (Some(false), Relation::Table) => format!("no index makes {key} of {table} unique"),
            (Some(false), Relation::Divided) => {
                format!(
                    "{table} is divided into several tables, and no index makes {key} unique over all of them"
                )
            }
            _ => return None,
        };
        Some(finding(Weight::Warns, what, "nothing, if it is unique; rows that share a key are refused"))
    }

    fn of_index(&self) -> Option<Finding> {
        self.id.as_ref().filter(|id| !id.unique)?;
        let what = format!("no unique index on {} of {}", self.target.id_column, self.target.shown());
        match self.relation {
            Relation::Table => Some(finding(Weight::Warns, what, "run ferry migrate --app")),
            Relation::Divided => Some(finding(
                Weight::Warns,
                format!("{what}: none can span its parts"),
                "nothing; Ferry never writes an id to two rows",
            )),
            _ => None,
        }
    }
}

/// There is no such table.
pub fn no_table(target: &WriteBackTarget) -> LedgerError {
    let remedy = "correct source.table or source.schema, or connect to the database that has it";
    LedgerError::WriteBackTarget(format!("there is no table {}: {remedy}", target.shown()))
}

/// Two rows have the same id, so the column can't be made unique.
pub fn equal_ids(target: &WriteBackTarget) -> LedgerError {
    LedgerError::WriteBackTarget(format!(
        "several rows of {} have the same {}; decide which is right, then try again",
        target.shown(),
        target.id_column
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> AppTable {
        AppTable {
            target: WriteBackTarget::new(Some("public"), "users", "id", "auth0_user_id"),
            relation: Relation::Table,
            key: Some(true),
            email: true,
            id: Some(IdColumn { is_text: true, computed: false, most: None, unique: true }),
            lacks: Vec::new(),
            row_security: false,
            unprepared: None,
        }
    }

    fn id_column(change: impl FnOnce(&mut IdColumn)) -> AppTable {
        let mut table = users();
        change(table.id.as_mut().unwrap());
        table
    }

    #[test]
    fn a_table_with_all_it_needs_has_no_finding() {
        assert_eq!(users().findings(), []);
        assert!(users().check().is_ok() && users().check_preparing().is_ok());
        assert!(id_column(|id| id.most = Some(ID_LENGTH)).check().is_ok(), "an id just fits");
    }

    #[test]
    fn only_a_plain_table_can_lose_its_index() {
        assert_eq!(users().lost_index(), None);
        let lost = id_column(|id| id.unique = false);
        assert!(lost.lost_index().is_some_and(|found| found.remedy == "run ferry migrate --app"));
        assert_eq!(AppTable { relation: Relation::Divided, ..lost }.lost_index(), None, "it never had one");
    }

    #[test]
    fn what_can_not_take_ids_is_refused_before_an_account_is_made() {
        let cases = [
            (AppTable { relation: Relation::View, ..users() }, "public.users is a view"),
            (AppTable { relation: Relation::Foreign, ..users() }, "foreign table"),
            (AppTable { key: None, ..users() }, "public.users has no column id"),
            (
                AppTable {
                    target: WriteBackTarget { email_column: Some("email".into()), ..users().target },
                    email: false,
                    ..users()
                },
                "public.users has no column email",
            ),
            (AppTable { id: None, ..users() }, "has no column auth0_user_id: run ferry migrate --app"),
            (id_column(|id| id.is_text = false), "is not text"),
            (id_column(|id| id.computed = true), "is computed"),
            (id_column(|id| id.most = Some(20)), "takes 20 characters, and an id has up to 42"),
            (AppTable { lacks: vec!["SELECT on id".into()], ..users() }, "SELECT on id"),
            (AppTable { unprepared: Some("no such function: f".into()), ..users() }, "no such function: f"),
            (AppTable { row_security: true, ..users() }, "--accept ROW_SECURITY"),
        ];
        for (table, words) in cases {
            let refused = table.check().unwrap_err().to_string();
            assert!(refused.contains(words), "{words}: {refused}");
        }
    }

    #[test]
    fn what_is_only_to_be_known_stops_nothing() {
        for table in [
            AppTable { key: Some(false), ..users() },
            AppTable { key: Some(false), relation: Relation::Divided, ..users() },
            AppTable { relation: Relation::SimpleView, ..users() },
            id_column(|id| id.unique = false),
        ] {
            assert_eq!(table.findings().len(), 1, "{table:?}");
            assert!(table.check().is_ok(), "{table:?}");
        }
    }

    #[test]
    fn row_security_is_accepted_by_name_and_never_stops_a_run_that_goes_on() {
        let mut table = AppTable { row_security: true, ..users() };
        assert!(table.check().is_err() && table.check_writing().is_ok());
        table.target.accepts_row_security = true;
        assert!(table.check().is_ok());
        assert_eq!(table.findings().len(), 1, "it is still said");
    }

    #[test]
    fn only_what_migrate_can_make_is_left_to_it() {
        assert!(AppTable { id: None, ..users() }.check_preparing().is_ok());
        let view = AppTable { id: None, relation: Relation::SimpleView, ..users() };
        assert!(
            view.check_preparing().unwrap_err().to_string().contains("add the column to the table behind")
        );
        assert!(id_column(|id| id.most = Some(20)).check_preparing().is_err());
        assert!(AppTable { row_security: true, ..users() }.check_preparing().is_ok());
    }
}
