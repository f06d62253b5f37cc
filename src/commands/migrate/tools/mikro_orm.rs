//! MikroORM's entities.

use super::{
    Group, Words,
    facts::Facts,
    names::{camel, template, text},
};

pub(super) fn words(facts: &Facts<'_>) -> Words {
    let also = if facts.ledger() { ", and the whole ledger" } else { "" };
    let risk = format!(
        "`schema:update` drops {}{also} without asking, and so does what `migration:create` writes after a \
         `migration:up` beside them, unless entity and configuration know them",
        facts.lost()
    );
    let group = |place: String, lines| Group { comment: "//", place, lines };
    let column = facts.column().map(|name| {
        let lines = vec![
            format!("@Property({{ fieldName: {}, type: \"text\", nullable: true }})", text(name)),
            format!("{}?: string | null;", camel(name)),
        ];
        group(format!("In the entity of {}", facts.table()), lines)
    });
    let index = facts.index().map(|index| {
        let statement = template(&facts.create_index(index, ""));
        let line = format!("@Index({{ name: {}, expression: `{statement}` }})", text(&index.name));
        group("Above its class".to_owned(), vec![line])
    });
    let ledger = facts.ledger().then(|| {
        let line = if facts.sqlite() {
            "schemaGenerator: { skipTables: [/^ferry_/], skipViews: [/^ferry_/] },"
        } else {
            "schemaGenerator: { ignoreSchema: [\"ferry\"] },"
        };
        group("In the configuration".to_owned(), vec![line.to_owned()])
    });
    let then = "Then, where its migrations are used: `migration:create`, and for a database that has all this \
                already, with the migration's name";
    let then = group(then.to_owned(), vec!["await orm.migrator.logMigration(\"NAME\");".to_owned()]);
    let groups = [column, index, ledger, Some(then)].into_iter().flatten().collect();
    Words { risk: Some(risk), note: None, groups }
}
