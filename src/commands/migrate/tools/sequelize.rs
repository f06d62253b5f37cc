//! Sequelize's models.

use super::{
    Group, Words,
    facts::Facts,
    names::{camel, text},
};

pub(super) fn words(facts: &Facts<'_>) -> Words {
    let risk = format!(
        "`sync({{ alter: true }})` drops {} without asking, unless the model knows them (migrations drop what \
         is written in them only)",
        facts.lost()
    );
    let group = |place: &str, line| Group { comment: "//", place: place.to_owned(), lines: vec![line] };
    let column = facts.column().map(|name| {
        let attribute = camel(name);
        let line =
            format!("{attribute}: {{ field: {}, type: DataTypes.TEXT, allowNull: true }},", text(name));
        group(&format!("In the attributes of the model of {}", facts.table()), line)
    });
    let index = facts.index().map(|index| {
        let part =
            index.predicate.as_deref().map(|only| format!(", where: Sequelize.literal({})", text(only)));
        let (name, column, part) = (text(&index.name), text(facts.name()), part.unwrap_or_default());
        let line = format!("{{ name: {name}, unique: true, fields: [{column}]{part} }},");
        group("In its option indexes", line)
    });
    let note = facts.sqlite().then(|| {
        "on SQLite `sync({ alter: true })` makes the table anew each time; with the lines the ids stay, and the \
         index is made again"
            .to_owned()
    });
    Words { risk: Some(risk), note, groups: [column, index].into_iter().flatten().collect() }
}
