//! TypeORM's entities.

use super::{
    Group, Words,
    facts::Facts,
    names::{camel, text},
};

pub(super) fn words(facts: &Facts<'_>) -> Words {
    let risk = format!(
        "`synchronize` drops {} at the next start without asking, and `migration:generate` writes a migration \
         that does, unless the entity knows them",
        facts.lost()
    );
    let mut lines = Vec::new();
    if let Some(index) = facts.index() {
        let part = index.predicate.as_deref().map(|only| format!(", where: {}", text(only)));
        lines.push(format!("@Index({}, {{ unique: true{} }})", text(&index.name), part.unwrap_or_default()));
    }
    let attribute = camel(facts.name());
    match facts.column() {
        Some(name) => {
            let name = text(name);
            lines.push(format!("@Column({{ name: {name}, type: \"text\", nullable: true, update: false }})"));
            lines.push(format!("{attribute}!: string | null;"));
        }
        None => lines.push(format!("// above the property {attribute} that is there already")),
    }
    let note = facts.column().map(|_| {
        "update: false keeps save() of an entity that was read earlier from writing no value over a new id; \
         take it out after the run"
            .to_owned()
    });
    let place = format!("In the entity of {}", facts.table());
    Words { risk: Some(risk), note, groups: vec![Group { comment: "//", place, lines }] }
}
