//! Rails's migrations. Not tried: it runs what is written.

use super::{Group, Words, facts::Facts, names::text};

pub(super) fn words(facts: &Facts<'_>) -> Words {
    let table = text(facts.table());
    let column = text(facts.name());
    let mut lines = Vec::new();
    if facts.column().is_some() {
        lines.push(format!("add_column {table}, {column}, :text, if_not_exists: true"));
    }
    if let Some(index) = facts.index() {
        let part = index.predicate.as_deref().map(|only| format!(", where: {}", text(only)));
        let (name, part) = (text(&index.name), part.unwrap_or_default());
        lines.push(format!(
            "add_index {table}, {column}, unique: true, name: {name}{part}, if_not_exists: true"
        ));
    }
    let place = "In a migration, for databases that are made anew".to_owned();
    let mut groups = vec![Group { comment: "#", place, lines }];
    if facts.ledger() && facts.sqlite() {
        let place = "In an initializer, to keep the ledger out of db/schema.rb".to_owned();
        let line = "ActiveRecord::SchemaDumper.ignore_tables << /\\Aferry_/".to_owned();
        groups.push(Group { comment: "#", place, lines: vec![line] });
    }
    let note =
        "Rails runs what is written, and leaves all of it alone; db/schema.rb gets what the database has";
    Words { risk: None, note: Some(note.to_owned()), groups }
}
