//! SQLAlchemy's models, with Alembic.

use super::{
    Group, Words,
    facts::Facts,
    names::{snake, text},
};

pub(super) fn words(facts: &Facts<'_>) -> Words {
    let also = match (facts.ledger(), facts.sqlite()) {
        (false, _) => "",
        (true, true) => ", and the ledger's tables",
        (true, false) => ", and with include_schemas the ledger's tables",
    };
    let risk = format!(
        "`alembic revision --autogenerate` writes a migration that drops {}{also}, unless the model knows them",
        facts.lost()
    );
    let group = |place: String, lines| Group { comment: "#", place, lines };
    let column = facts.column().map(|name| {
        let line = format!("{} = Column({}, Text, nullable=True)", snake(name), text(name));
        let place =
            format!("In the class of {} (from sqlalchemy import Column, Index, Text, text)", facts.table());
        group(place, vec![line])
    });
    let index = facts.index().map(|index| {
        let option = if facts.sqlite() { "sqlite_where" } else { "postgresql_where" };
        let part = index.predicate.as_deref().map(|only| format!(", {option}=text({})", text(only)));
        let (name, column) = (text(&index.name), text(facts.name()));
        let line = format!("Index({name}, {column}, unique=True{}),", part.unwrap_or_default());
        group("In its __table_args__".to_owned(), vec![line])
    });
    let ledger = facts.ledger().then(|| {
        let test = if facts.sqlite() {
            r#"type_ == "table" and name.startswith("ferry_")"#
        } else {
            r#"type_ == "schema" and name == "ferry""#
        };
        let lines = vec![
            "def without_ferry(name, type_, parent_names):".to_owned(),
            format!("    return not ({test})"),
        ];
        let place = "In env.py, for context.configure(…, include_name=without_ferry)".to_owned();
        group(place, lines)
    });
    Words { risk: Some(risk), note: None, groups: [column, index, ledger].into_iter().flatten().collect() }
}
