//! The columns that are read and the statement for them, for both databases.
//!
//! The statement names the mapped columns, never `*`: columns that Ferry does
//! not read can't leak. All names are looked up in the catalogue first and
//! quoted. Rows come in pages in key order, each page a statement of its own, so
//! that memory is constant and no transaction stays open; rows that appear meanwhile
//! before the present key are for the next run. A cursor was rejected for the
//! transaction it holds open on the application's database.
//!
//! A page ends with the last row of its last key, whatever the number of rows with that key:
//! the key column need not be unique, and a duplicate must be seen to be refused.

use std::fmt::Write as _;

use ferry_domain::{null, ports::SourceError};
use serde_json::Value;

use crate::{
    error::{listed, no_column},
    fields::{Field, Target},
    found::Found,
    mapping::Mapping,
    presets::{self, Join},
    strict,
    values::dig,
    words::says_nothing,
};

/// Rows of one page.
pub(crate) const PAGE: usize = 2_000;

/// A table as the catalogue knows it.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// Name for use in a statement: quoted, with its schema where there are schemas.
    pub(crate) quoted: String,
    /// Columns as they are written in the catalogue.
    pub(crate) columns: Vec<String>,
}

/// What a statement reads for one wanted field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// `t."name"`, ready for use in a statement.
    pub(crate) column: String,
    /// Path into the JSON of that column; empty if the column is the value.
    pub(crate) path: String,
    /// Read only whether there is a value.
    pub(crate) presence_only: bool,
    /// The key column itself.
    pub(crate) is_key: bool,
}

/// The names from which the statements are written.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    base: String,
    joins: String,
    /// Key column, quoted, without an alias.
    key: String,
    /// One for each wanted field; `None` where an optional column is not there.
    pub(crate) cells: Vec<Option<Cell>>,
    found: Found,
}

/// Names as catalogues compare them: SQLite ignores case, PostgreSQL does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Matters,
    Ignored,
}

impl Plan {
    /// Looks up all mapped columns. `joined` are the tables of the preset's joins, in order.
    ///
    /// # Errors
    /// A column that is not there, with those that are.
    pub(crate) fn new(
        mapping: &Mapping,
        place: &str,
        case: Case,
        base: &Table,
        joined: &[Table],
    ) -> Result<Plan, SourceError> {
        let joins = presets::joins(mapping.preset.as_deref());
        let lookup = Lookup { place, case, base, joins, joined };
        let key = lookup.key(mapping)?;
        let fields = mapping.fields();
        let cells = fields.iter().map(|field| lookup.cell(field)).collect::<Result<Vec<_>, _>>()?;
        let mut text = String::new();
        for (at, (join, table)) in joins.iter().zip(joined).enumerate() {
            let (unique, from) = (lookup.must(table, join.unique)?, lookup.must(base, join.from)?);
            let _ = write!(text, " LEFT JOIN {} AS j{at} ON j{at}.{unique} = t.{from}", table.quoted); // can't fail
        }
        Ok(Plan {
            base: base.quoted.clone(),
            joins: text,
            key,
            cells,
            found: Found::new(mapping, base.columns.clone()),
        })
    }

    /// The statement of one page. In `select`, `{key}` is replaced by the key column;
    /// `after` is how the last key is written, absent for the first page.
    pub(crate) fn page(&self, select: &str, after: Option<&str>) -> String {
        let Plan { base, joins, key: k, cells: _, found: _ } = self;
        let begin =
            |alias: &str| after.map(|after| format!(" AND {alias}.{k} > {after}")).unwrap_or_default();
        let select = select.replacen("{key}", &format!("t.{k}"), 1);
        format!(
            "SELECT {select} FROM {base} AS t{joins} WHERE t.{k} IS NOT NULL{} AND t.{k} <= \
             (SELECT p.{k} FROM (SELECT x.{k} FROM {base} AS x WHERE x.{k} IS NOT NULL{} ORDER BY x.{k} LIMIT {PAGE}) AS p \
             ORDER BY p.{k} DESC LIMIT 1) ORDER BY t.{k}",
            begin("t"),
            begin("x"),
        )
    }

    /// The expressions of all cells that are there, separated by commas.
    pub(crate) fn select(&self, value: fn(&Cell) -> String) -> String {
        self.cells.iter().flatten().map(value).collect::<Vec<_>>().join(", ")
    }

    /// Values in the order of the wanted fields, from those of the cells that are there.
    pub(crate) fn values(&mut self, read: impl IntoIterator<Item = Value>) -> Vec<Value> {
        let Plan { cells, found, .. } = self;
        let mut read = read.into_iter();
        let mut value = |(at, cell): (usize, &Option<Cell>)| {
            let Some(cell) = cell else { return Value::Null };
            let value = read.next().unwrap_or(Value::Null);
            if cell.path.is_empty() {
                return value;
            }
            let inner = dig(&value, &cell.path);
            if !says_nothing(&value)
                && let Some(there) = inner.is_there()
            {
                found.note(at, there);
            }
            inner.into_value()
        };
        cells.iter().enumerate().map(&mut value).collect()
    }

    /// The position of the wanted field that reads what stands at a path into the values of the cells that
    /// are there, if one does.
    pub(crate) fn read_at(&self, path: &[String]) -> Option<usize> {
        let (place, inner) = path.split_first()?;
        let place: usize = place.parse().ok()?;
        let mut there = self.cells.iter().enumerate().filter_map(|(at, cell)| Some((at, cell.as_ref()?)));
        let (at, cell) = there.nth(place)?;
        let reads = cell.path.is_empty() || strict::touches(&cell.path, &inner.join("."));
        reads.then_some(at)
    }

    /// What was found of paths into JSON columns so far.
    pub(crate) fn found(&self) -> &Found {
        &self.found
    }

    /// Counts the rows without a key. They are only reported as such, so their number
    /// is enough.
    pub(crate) fn without_key(&self) -> String {
        format!("SELECT count(*) FROM {} AS t WHERE t.{} IS NULL", self.base, self.key)
    }
}

struct Lookup<'a> {
    place: &'a str,
    case: Case,
    base: &'a Table,
    joins: &'a [Join],
    joined: &'a [Table],
}

impl Lookup<'_> {
    fn find<'t>(&self, table: &'t Table, name: &str) -> Option<&'t String> {
        table.columns.iter().find(|column| match self.case {
            Case::Matters => *column == name,
            Case::Ignored => column.eq_ignore_ascii_case(name),
        })
    }

    fn must(&self, table: &Table, name: &str) -> Result<String, SourceError> {
        let found = self.find(table, name).map(|column| quote(column));
        found.ok_or_else(|| no_column(self.place, "join", name, &listed(&table.columns)))
    }

    /// The key must be a column of the users' table itself: pages go by it.
    fn key(&self, mapping: &Mapping) -> Result<String, SourceError> {
        let fields = mapping.fields();
        let field = fields.iter().find(|field| field.target == Target::Key);
        let names = field.map(|field| field.names.as_slice()).unwrap_or_default();
        let found = names.iter().find_map(|name| self.find(self.base, name));
        found.map(|column| quote(column)).ok_or_else(|| {
            let column = names.first().map_or("", String::as_str);
            no_column(self.place, &Target::Key.name(), column, &listed(&self.base.columns))
        })
    }

    fn cell(&self, field: &Field) -> Result<Option<Cell>, SourceError> {
        let found = field.names.iter().find_map(|name| self.column(name));
        match found {
            Some((column, path)) => {
                let presence_only = field.target == Target::PasswordHash && path.is_empty();
                let is_key = field.target == Target::Key && path.is_empty();
                Ok(Some(Cell { column, path, presence_only, is_key }))
            }
            None if field.optional => Ok(None),
            None => {
                let there = listed(&self.base.columns);
                Err(no_column(self.place, &field.target.name(), &field.names[0], &there))
            }
        }
    }

    /// A column with exactly this name, else in a joined table, else as the
    /// beginning of a path into JSON.
    fn column(&self, name: &str) -> Option<(String, String)> {
        if let Some(column) = self.find(self.base, name) {
            return Some((format!("t.{}", quote(column)), String::new()));
        }
        if let Some((table, column)) = name.split_once('.')
            && let Some(at) = self.joins.iter().position(|join| join.table == table)
            && let Some(column) = self.find(&self.joined[at], column)
        {
            return Some((format!("j{at}.{}", quote(column)), String::new()));
        }
        name.match_indices('.').find_map(|(at, _)| {
            let column = self.find(self.base, &name[..at])?;
            Some((format!("t.{}", quote(column)), name[at + 1..].to_owned()))
        })
    }
}

/// What counts as no password hash, besides blanks: words for NULL, and what Django (`!…`) and Unix
/// (`!`, `*`) write for "no password signs in here". `text` is an expression of type text.
pub(crate) fn is_hash(text: &str) -> String {
    let none = null::sql_list();
    format!("({text} NOT IN ({none}, '*', '\\x') AND {text} NOT LIKE '!%')")
}

/// A name for use in a statement.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn table(name: &str, columns: &[&str]) -> Table {
        Table { quoted: quote(name), columns: columns.iter().map(|c| (*c).to_owned()).collect() }
    }

    fn medlogistics() -> (Table, Vec<Table>) {
        let users = ["id", "email", "name", "role", "hospital_id", "ward_id", "active", "blocked", "api_key"];
        (table("users", &users), vec![table("hospitals", &["id", "code"]), table("wards", &["id", "code"])])
    }

    fn plain(cell: &Cell) -> String {
        cell.column.clone()
    }

    #[test]
    fn only_mapped_columns_stand_in_the_statement() {
        let (users, joined) = medlogistics();
        let mapping = Mapping::preset("medlogistics").unwrap();
        let plan = Plan::new(&mapping, "users", Case::Matters, &users, &joined).unwrap();
        for after in [None, Some("$1")] {
            let sql = plan.page(&format!("{{key}}, {}", plan.select(plain)), after);
            assert!(!sql.contains("api_key") && !sql.contains('*'), "{sql}");
            assert!(sql.contains("j0.\"code\"") && sql.contains("j1.\"code\""), "{sql}");
        }
        assert!(plan.cells.iter().any(Option::is_none), "auth0_user_id is not there yet, and may be");
    }

    #[test]
    fn names_that_are_no_identifiers_are_quoted_or_refused() {
        let nasty = "x\"; DROP TABLE users; --";
        let base = table("users", &["id", "email", nasty]);
        let mut mapping = Mapping::default();
        mapping.columns.key = Some("id".into());
        mapping.columns.email = Some("email".into());
        mapping.columns.name = Some(nasty.into());
        let plan = Plan::new(&mapping, "users", Case::Matters, &base, &[]).unwrap();
        assert!(plan.page(&plan.select(plain), None).contains("t.\"x\"\"; DROP TABLE users; --\""));
        mapping.columns.name = Some("1; DROP TABLE users".into());
        let error = Plan::new(&mapping, "users", Case::Matters, &base, &[]).unwrap_err();
        assert_eq!(error.field.as_deref(), Some("name"));
        assert!(error.remedy.contains("id, email"), "{error}");
    }

    #[test]
    fn a_dotted_name_is_a_column_first_then_a_path() {
        let base = table("users", &["id", "traits.email", "traits", "data"]);
        let mut mapping = Mapping::default();
        mapping.columns.key = Some("ID".into());
        mapping.columns.email = Some("traits.email".into());
        mapping.columns.name = Some("data.name.full".into());
        let plan = Plan::new(&mapping, "users", Case::Ignored, &base, &[]).unwrap();
        let cells: Vec<_> = plan.cells.into_iter().flatten().map(|c| (c.column, c.path)).collect();
        assert_eq!(cells[0].0, "t.\"id\"");
        assert_eq!(cells[1], ("t.\"traits.email\"".into(), String::new()));
        assert_eq!(cells[2], ("t.\"data\"".into(), "name.full".into()));
        assert!(Plan::new(&mapping, "users", Case::Matters, &base, &[]).is_err(), "ID is not id");
    }
}
