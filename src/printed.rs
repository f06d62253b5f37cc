//! What programs read on stdout: JSON and CSV.
//!
//! Each JSON object at the top (the value, each item of an array, each line) says in its first field
//! `schema` which form it has. The name comes from the type ([`Printed`]), and so does the schema
//! (`ferry schema`): a program prints no object of a form that it does not describe.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::output;

/// A value that is printed as a JSON object. All of them are listed in [`crate::schemas`].
pub trait Printed: Serialize + JsonSchema {
    /// Name and version of its form, like `ferry.run/1`.
    const SCHEMA: &'static str;
}

impl<T: Printed> Printed for &T {
    const SCHEMA: &'static str = T::SCHEMA;
}

#[derive(Serialize)]
struct Marked<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    value: &'a T,
}

/// The object on one line, with the name of its schema.
pub fn text<T: Printed>(value: &T) -> serde_json::Result<String> {
    serde_json::to_string(&Marked { schema: T::SCHEMA, value })
}

/// Prints one object on one line: the form of one value in JSON and NDJSON.
pub fn object<T: Printed>(value: &T) -> anyhow::Result<()> {
    output::data(&text(value)?);
    Ok(())
}

/// Prints a list that is held as one JSON array.
pub fn array<T: Printed>(items: impl IntoIterator<Item = T>) -> anyhow::Result<()> {
    let mut array = Array::begin();
    items.into_iter().try_for_each(|item| array.push(&item))?;
    array.end();
    Ok(())
}

/// Prints a list as NDJSON: each item on a line of its own.
pub fn lines<T: Printed>(items: impl IntoIterator<Item = T>) -> anyhow::Result<()> {
    items.into_iter().try_for_each(|item| object(&item))
}

/// A JSON array that is printed while its items are read, for lists that are too long to be held.
pub struct Array {
    separator: &'static str,
}

impl Array {
    /// Opens it.
    pub fn begin() -> Self {
        output::part("[");
        Array { separator: "" }
    }

    /// Prints one more item.
    pub fn push<T: Printed>(&mut self, item: &T) -> anyhow::Result<()> {
        let text = text(item)?;
        output::part(&format!("{}{text}", self.separator));
        self.separator = ",";
        Ok(())
    }

    /// Closes it, and the line.
    pub fn end(self) {
        output::data("]");
    }
}

/// Prints a list as CSV: columns are fields of its JSON objects. What is null is an empty cell; a list
/// within a cell has a semicolon between its parts.
pub fn csv<T: Printed, const N: usize>(
    columns: [&str; N],
    items: impl IntoIterator<Item = T>,
) -> anyhow::Result<()> {
    output::part(&ferry_report::cells(columns.map(str::to_owned)));
    for item in items {
        let object = serde_json::to_value(&item)?;
        output::part(&ferry_report::cells(columns.map(|column| cell(&object[column]))));
    }
    Ok(())
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(cell).collect::<Vec<_>>().join("; "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Serialize, JsonSchema)]
    struct Example {
        zebra: u8,
        #[serde(flatten)]
        inner: Inner,
    }

    #[derive(Serialize, JsonSchema)]
    struct Inner {
        ant: &'static str,
    }

    impl Printed for Example {
        const SCHEMA: &'static str = "ferry.example/7";
    }

    #[test]
    fn the_schema_is_the_first_field_and_the_others_keep_their_order() {
        let example = Example { zebra: 1, inner: Inner { ant: "a" } };
        assert_eq!(text(&example).unwrap(), r#"{"schema":"ferry.example/7","zebra":1,"ant":"a"}"#);
    }

    #[test]
    fn a_cell_is_empty_for_null_and_plain_for_a_text() {
        let of = |value: Value| cell(&value);
        assert_eq!(
            (of(json!(null)), of(json!("a, b")), of(json!(7))),
            ("".into(), "a, b".into(), "7".into())
        );
        assert_eq!(of(json!(["run list", "run show"])), "run list; run show");
        assert_eq!(of(json!({"users": 2})), r#"{"users":2}"#);
    }
}
