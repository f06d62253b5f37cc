//! Prisma's schema. Tried by hand only: its engine is a program that npm does not bring.

use super::{
    Group, Words,
    facts::Facts,
    names::{camel, text},
};

pub(super) fn words(facts: &Facts<'_>) -> Words {
    let also = if facts.ledger() && facts.sqlite() { ", and the ledger's tables," } else { "" };
    let risk = format!(
        "`prisma db push` drops {}{also} and asks only once a user has an id; `prisma migrate dev` takes them for \
         drift and offers to reset the database, unless schema and migrations know them (`migrate deploy` leaves \
         them alone)",
        facts.lost()
    );
    let column = facts.column().map(|name| Group {
        comment: "//",
        place: format!("In the model of {}", facts.table()),
        lines: vec![format!("{} String? @map({})", camel(name), text(name))],
    });
    let index = facts.index().map(|index| Group {
        comment: "--",
        place: "In the migration's SQL, where the model has no word for it".to_owned(),
        lines: vec![format!("{};", facts.create_index(index, ""))],
    });
    let tried = if facts.sqlite() { "not tried on SQLite. " } else { "" };
    let note = format!(
        "{tried}No @unique: Prisma sees no partial index, and would make another. Where the column is there \
         already, mark the migration by `prisma migrate resolve --applied NAME`"
    );
    Words { risk: Some(risk), note: Some(note), groups: [column, index].into_iter().flatten().collect() }
}
