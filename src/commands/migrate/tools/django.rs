//! Django's models.
//!
//! Django compares its migrations with each other, never with the database. What it makes anew on
//! SQLite it makes from the model, though.

use super::{
    Group, Words,
    facts::Facts,
    names::{snake, text},
};

/// What its models do once they know the column.
const SAVE: &str = "once the model knows the column, save() of an object that was read earlier writes no value \
                    over a new id: put the lines in after the run, or let the model's manager defer the field \
                    while it lasts";

pub(super) fn words(facts: &Facts<'_>) -> Words {
    let risk = facts.sqlite().then(|| {
        format!(
            "when a migration changes a field, Django makes the table anew from its model, and {} are gone \
             with all ids, unless the model knows them",
            facts.lost()
        )
    });
    let note = match risk {
        Some(_) => SAVE.to_owned(),
        None => format!(
            "Django leaves all of it alone; the lines are for databases that are made anew. But {SAVE}"
        ),
    };
    let group = |place: &str, lines| Group { comment: "#", place: place.to_owned(), lines };
    let field = snake(facts.name());
    let column = facts.column().map(|name| {
        let line = format!("{field} = models.TextField(db_column={}, null=True, blank=True)", text(name));
        group(&format!("In the model of {}", facts.table()), vec![line])
    });
    let index = facts.index().map(|index| {
        let condition = index.predicate.as_deref().map(|only| {
            // A comparison that no blank passes, as Django can write it.
            let test =
                if only.to_ascii_uppercase().contains("IS NOT NULL") { "isnull=False" } else { "gt=\"\"" };
            format!(", condition=models.Q({field}__{test})")
        });
        let line = format!(
            "models.UniqueConstraint(name={}, fields=[{}]{}),",
            text(&index.name),
            text(&field),
            condition.unwrap_or_default()
        );
        group("In its class Meta, in the list constraints", vec![line])
    });
    let then = vec![
        "python manage.py makemigrations APP".to_owned(),
        "python manage.py migrate --fake APP".to_owned(),
    ];
    let then = group("Then, when no other change waits; --fake only where the column is there already", then);
    let groups = [column, index, Some(then)].into_iter().flatten().collect();
    Words { risk, note: Some(note), groups }
}
