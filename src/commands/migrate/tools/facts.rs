//! What the lines of every tool are made of.

use ferry_domain::app_schema::{AppSchema, Engine, Index};

/// For a statement that may run where the index is already.
pub(super) const IF_ABSENT: &str = "if not exists ";

/// What is in the database, as far as Ferry made it.
pub(super) struct Facts<'a>(&'a AppSchema);

impl<'a> Facts<'a> {
    pub fn of(schema: &'a AppSchema) -> Self {
        Facts(schema)
    }

    pub fn sqlite(&self) -> bool {
        self.0.engine == Engine::Sqlite
    }

    /// Whether the ledger is where the tool looks.
    pub fn ledger(&self) -> bool {
        self.0.ledger
    }

    /// The table's bare name.
    pub fn table(&self) -> &'a str {
        &self.0.target.table
    }

    /// The table as a statement names it.
    pub fn quoted_table(&self) -> String {
        let name = quoted(&self.0.target.table);
        match &self.0.target.schema {
            Some(schema) => format!("{}.{name}", quoted(schema)),
            None => name,
        }
    }

    /// The name of the column for the ids.
    pub fn name(&self) -> &'a str {
        &self.0.target.id_column
    }

    /// The column's name, if Ferry made the column.
    pub fn column(&self) -> Option<&'a str> {
        self.0.own_column().map(|_| self.name())
    }

    /// The index, if Ferry made it.
    pub fn index(&self) -> Option<&'a Index> {
        self.0.own_index()
    }

    /// What would be lost: `users.auth0_user_id and its index`.
    pub fn lost(&self) -> String {
        let column = format!("{}.{}", self.table(), self.name());
        match (self.column(), self.index()) {
            (Some(_), Some(_)) => format!("{column} and its index"),
            (Some(_), None) => column,
            _ => format!("the index on {column}"),
        }
    }

    /// What is there, in words.
    pub fn summary(&self) -> String {
        let column = self.column().map(|name| format!("column {name} of type text"));
        let index = self.index().map(|index| {
            let part = index.predicate.as_deref().map(|only| format!(" where {only}")).unwrap_or_default();
            format!("unique index {} on {}{part}", index.name, self.name())
        });
        column.into_iter().chain(index).collect::<Vec<_>>().join("; ")
    }

    /// The statement that makes the index as it is; `option` is nothing or [`IF_ABSENT`].
    pub fn create_index(&self, index: &Index, option: &str) -> String {
        let part = index.predicate.as_deref().map(|only| format!(" where {only}")).unwrap_or_default();
        let (name, table, column) = (quoted(&index.name), self.quoted_table(), quoted(self.name()));
        format!("create unique index {option}{name} on {table} ({column}){part}")
    }
}

/// A name in SQL, whatever is in it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
