//! What Ferry's work looks like from outside, in the application's database: the column, its
//! index and the ledger's tables, beside the tables by which a schema tool is known.
//!
//! A tool that compares a model with the database sees just this, and drops what its model does
//! not know. So it is read from the catalogue, not from what Ferry would make today.

use crate::run::WriteBackTarget;

/// How the names of Ferry's own indexes begin.
pub const INDEX_PREFIX: &str = "ferry_";

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The ledger's tables are in schema `ferry`.
    Postgres,
    /// The ledger's tables begin with `ferry_`.
    Sqlite,
}

/// What is in the application's database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppSchema {
    /// Its kind.
    pub engine: Engine,
    /// The application's table; the schema is the one that the search path led to.
    pub target: WriteBackTarget,
    /// The column for the ids, if it is there.
    pub column: Option<Column>,
    /// An index that keeps two rows from having the same id; Ferry's own, where there are several.
    pub index: Option<Index>,
    /// Whether the ledger's tables are in this database too.
    pub ledger: bool,
    /// Tables of the names that were asked for, in any schema.
    pub tables: Vec<NamedTable>,
}

/// The column as the database describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// With its length: `text`, `character varying(64)`.
    pub type_name: String,
    /// Whether a row may have no value.
    pub nullable: bool,
}

/// The index as the database describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Which rows it has, where it is partial.
    pub predicate: Option<String>,
}

/// A table that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTable {
    /// Where the database has schemas.
    pub schema: Option<String>,
    /// Its name as it is written there.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<String>,
}

impl NamedTable {
    /// The table as people write it.
    pub fn shown(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}", self.name),
            None => self.name.clone(),
        }
    }
}

impl AppSchema {
    /// The column, if it may be Ferry's: it makes text that may be empty, and nothing else.
    pub fn own_column(&self) -> Option<&Column> {
        self.column.as_ref().filter(|column| column.nullable && column.type_name.eq_ignore_ascii_case("text"))
    }

    /// The index, if Ferry made it.
    pub fn own_index(&self) -> Option<&Index> {
        self.index.as_ref().filter(|index| index.name.starts_with(INDEX_PREFIX))
    }
}

/// The predicate in the statement that made a partial index: what follows its first `WHERE` that
/// is no part of a name or a text.
pub fn predicate(create_index: &str) -> Option<&str> {
    const WORD: &str = "where";
    let mut closes = None;
    for (at, letter) in create_index.char_indices() {
        match (closes, letter) {
            (Some(end), _) if letter == end => closes = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => closes = Some(letter),
            (None, '[') => closes = Some(']'),
            (None, _) => {
                let is_word =
                    create_index.get(at..at + WORD.len()).is_some_and(|w| w.eq_ignore_ascii_case(WORD));
                let begins = create_index[..at].ends_with(|c: char| c.is_whitespace() || c == ')');
                if is_word && begins {
                    return Some(create_index[at + WORD.len()..].trim());
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_predicate_is_found_whatever_the_names_are() {
        for (sql, expected) in [
            (r#"CREATE UNIQUE INDEX "a" ON "users" ("c") WHERE "c" <> ''"#, Some(r#""c" <> ''"#)),
            (r#"create unique index a on users(c)where c is not null "#, Some("c is not null")),
            (r#"CREATE UNIQUE INDEX "is where" ON `where` ([a where b])"#, None),
            (
                r#"CREATE UNIQUE INDEX "ä where" ON t ("x""y") WHERE "x""y" <> 'where'"#,
                Some(r#""x""y" <> 'where'"#),
            ),
            ("CREATE UNIQUE INDEX somewhere ON t (c)", None),
        ] {
            assert_eq!(predicate(sql), expected, "{sql}");
        }
    }

    #[test]
    fn what_the_application_made_itself_is_not_ferrys() {
        let mut schema = AppSchema {
            engine: Engine::Postgres,
            target: WriteBackTarget::new(Some("public"), "users", "id", "auth0_user_id"),
            column: Some(Column { type_name: "text".into(), nullable: true }),
            index: Some(Index { name: "ferry_users_auth0_user_id_77dd85c3".into(), predicate: None }),
            ledger: true,
            tables: Vec::new(),
        };
        assert!(schema.own_column().is_some() && schema.own_index().is_some());
        schema.column = Some(Column { type_name: "character varying(64)".into(), nullable: true });
        schema.index = Some(Index { name: "uq_auth0".into(), predicate: None });
        assert!(schema.own_column().is_none() && schema.own_index().is_none());
        schema.column = Some(Column { type_name: "TEXT".into(), nullable: false });
        assert!(schema.own_column().is_none());
    }
}
