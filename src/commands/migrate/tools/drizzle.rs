//! drizzle's schema files.
//!
//! On SQLite drizzle-kit reads no predicate of an index, so that a line with one would differ for
//! ever. And it fails over a view that its filter leaves out, so the ledger's view is declared.

use super::{
    Group, Words,
    facts::{Facts, IF_ABSENT, quoted},
    names::{camel, template, text},
};

pub(super) fn words(facts: &Facts<'_>) -> Words {
    let also = if facts.ledger() && facts.sqlite() { ", and the ledger's tables" } else { "" };
    let risk = format!(
        "`drizzle-kit push` drops {}{also}, the index without asking, unless the schema knows them \
         (generate and migrate look at no database)",
        facts.lost()
    );
    let group = |place: String, line: String| Group { comment: "//", place, lines: vec![line] };
    let attribute = camel(facts.name());
    let column = facts.column().map(|name| {
        let place = format!("In the columns of {}, in the schema", facts.table());
        group(place, format!("{attribute}: text({}),", text(name)))
    });
    let index = facts.index().map(|index| {
        let only = index.predicate.as_deref().filter(|_| !facts.sqlite());
        let part = only.map(|only| format!(".where(sql`{}`)", template(only))).unwrap_or_default();
        let line = format!("uniqueIndex({}).on(table.{attribute}){part},", text(&index.name));
        group("In its list of indexes: (table) => [ … ]".to_owned(), line)
    });
    let mut groups: Vec<Group> = [column, index].into_iter().flatten().collect();
    if facts.ledger() && facts.sqlite() {
        let view = "export const ferryNow = sqliteView(\"ferry_now\", { at: integer(\"at\") }).existing();";
        groups.push(group("Beside the tables of the schema".to_owned(), view.to_owned()));
        let filter = "tablesFilter: [\"!ferry_!(now)\"],".to_owned();
        groups.push(group("In drizzle.config.ts; tablesFilter must not leave out a view".to_owned(), filter));
    }
    groups.push(migration(facts));
    let note = facts.sqlite().then(|| {
        "drizzle-kit reads no WHERE of an index from SQLite, so its line has none; the index itself keeps it"
            .to_owned()
    });
    Words { risk: Some(risk), note, groups }
}

/// `drizzle-kit generate` compares the schema with its own snapshot, and so writes a migration that
/// fails where the column is there.
fn migration(facts: &Facts<'_>) -> Group {
    let mut statements = Vec::new();
    if facts.sqlite() {
        statements.push("SELECT 1; -- ferry migrate --app makes them, here and elsewhere".to_owned());
    } else {
        if let Some(name) = facts.column() {
            let (table, name) = (facts.quoted_table(), quoted(name));
            statements.push(format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {name} text;"));
        }
        statements.extend(facts.index().map(|index| format!("{};", facts.create_index(index, IF_ABSENT))));
    }
    let place = "Then, where migrations are used: what `drizzle-kit generate` writes becomes".to_owned();
    let lines = statements.join("\n--> statement-breakpoint\n").lines().map(str::to_owned).collect();
    Group { comment: "--", place, lines }
}
