//! Schemas as the binary tells them, and commands that were held against them.

use std::{collections::BTreeSet, path::Path};

use boon::{Compiler, SchemaIndex, Schemas};
use ferry_testbed::Place;
use serde_json::Value;

/// Every schema of the binary, and what was called by now.
pub struct Checked<'a> {
    pub place: &'a Place,
    compiled: Schemas,
    schemas: Vec<(String, SchemaIndex)>,
    /// The list of schemas, with the commands of each.
    listed: Vec<Value>,
    commands: BTreeSet<String>,
    seen: BTreeSet<String>,
}

impl<'a> Checked<'a> {
    pub fn new(place: &'a Place) -> Self {
        place.must(&["schema", "--all", "schemas"]);
        let files = std::fs::read_dir(place.path("schemas")).unwrap();
        let mut compiled = Schemas::new();
        let schemas: Vec<_> = files.map(|file| read(&file.unwrap().path(), &mut compiled)).collect();
        let listed = objects(&place.must(&["schema", "--output", "json"]).out, "json");
        assert!(listed.len() > 25 && listed.len() == schemas.len(), "{listed:?}");
        Checked { place, compiled, schemas, listed, commands: BTreeSet::new(), seen: BTreeSet::new() }
    }

    /// Runs a command of words separated by spaces; the objects that it printed, each of which has to be
    /// as its schema says. Its exit code is what it found, and not looked at.
    pub fn print(&mut self, line: &str, form: &str) -> Vec<Value> {
        let printed = self.print_only(line, form);
        printed.iter().for_each(|object| self.assert_valid(object));
        let command = self.command(line);
        for object in &printed {
            let id = object["schema"].as_str().unwrap();
            let named = |of: &&Value| format!("{}/{}", of["name"].as_str().unwrap(), of["version"]) == id;
            let commands = &self.listed.iter().find(named).unwrap()["commands"];
            assert!(commands.as_array().unwrap().contains(&command.as_str().into()), "{id}: {command}");
        }
        self.commands.insert(command);
        printed
    }

    /// The same, without looking at what was printed.
    pub fn print_only(&self, line: &str, form: &str) -> Vec<Value> {
        let ran = self.place.run(&words(line, form));
        let printed = objects(&ran.out, form);
        assert!(ran.out.is_empty() || ran.out.trim() == "[]" || !printed.is_empty(), "{}", ran.all());
        printed
    }

    /// One value: JSON and NDJSON are one line, and the same but for what time changes.
    pub fn is_one(&mut self, line: &str) {
        let [json, ndjson] = ["json", "ndjson"].map(|form| self.print(line, form));
        for printed in [&json, &ndjson] {
            assert_eq!(printed.len(), 1, "ferry {line}: {printed:?}");
        }
        assert_eq!(fields(&json[0]), fields(&ndjson[0]), "ferry {line}");
    }

    /// What changes something: done twice it prints an object of one form twice.
    pub fn does(&mut self, line: &str, schema: &str) {
        for form in ["json", "ndjson"] {
            let printed = self.print(line, form);
            assert_eq!(printed.len(), 1, "ferry {line}: {printed:?}");
            assert_eq!(printed[0]["schema"], schema, "ferry {line}");
        }
    }

    /// A list: lines of NDJSON are the items of the array of JSON, in its order.
    pub fn is_a_list(&mut self, line: &str) -> Vec<Value> {
        let [json, ndjson] = ["json", "ndjson"].map(|form| self.print(line, form));
        assert_eq!(json, ndjson, "ferry {line}");
        let array = self.place.must(&words(line, "json")).out;
        assert!(array.starts_with('['), "an array, an empty one too: ferry {line}: {array}");
        json
    }

    /// A page or a plan: one object with a list in it, whose items are the lines of NDJSON.
    pub fn has_a_list(&mut self, line: &str, field: &str, schema: &str) {
        let [json, mut ndjson] = ["json", "ndjson"].map(|form| self.print(line, form));
        assert_eq!(json.len(), 1, "ferry {line}: {json:?}");
        for item in &mut ndjson {
            assert_eq!(item.as_object_mut().unwrap().remove("schema"), Some(schema.into()), "{item}");
        }
        assert!(!ndjson.is_empty(), "ferry {line} has no items");
        assert_eq!(json[0][field], Value::from(ndjson), "ferry {line}");
    }

    pub fn validate(&self, object: &Value) -> Result<(), String> {
        let id = object["schema"].as_str().ok_or("the object does not say its schema")?;
        let known = self.schemas.iter().find(|(known, _)| known == id);
        let (_, schema) = known.ok_or_else(|| format!("there is no schema {id}"))?;
        self.compiled.validate(object, *schema).map_err(|error| format!("{error:#}"))
    }

    pub fn assert_valid(&mut self, object: &Value) {
        self.validate(object).unwrap_or_else(|wrong| panic!("{wrong}\n{object:#}"));
        self.seen.insert(object["schema"].as_str().unwrap().to_owned());
    }

    /// Each column is a field of the items, and each cell is its value.
    pub fn assert_csv(&self, line: &str) {
        let items = self.print_only(line, "ndjson");
        let csv = self.place.must(&words(line, "csv")).out;
        let mut rows = csv.lines().map(cells);
        let header = rows.next().unwrap();
        let rows: Vec<_> = rows.collect();
        assert!(!items.is_empty() && items.len() == rows.len(), "ferry {line}:\n{csv}");
        for (item, row) in items.iter().zip(&rows) {
            assert_eq!(header.len(), row.len(), "ferry {line}:\n{csv}");
            for (column, cell) in header.iter().zip(row) {
                let value = item.get(column).unwrap_or_else(|| panic!("{column} is no field of {item}"));
                let text = match value {
                    Value::Null => String::new(),
                    Value::String(text) => text.clone(),
                    Value::Array(_) => continue, // has a form of its own
                    other => other.to_string(),
                };
                assert_eq!(cell, &text, "ferry {line}: {column}");
            }
        }
    }

    /// No command that prints objects, and no schema, was left out.
    pub fn assert_all_were_called(&self) {
        let told = self.listed.iter().flat_map(|schema| schema["commands"].as_array().unwrap());
        let told: BTreeSet<String> = told.map(|command| command.as_str().unwrap().to_owned()).collect();
        let missing: Vec<_> = told.difference(&self.commands).collect();
        assert!(missing.is_empty(), "commands that this test does not call yet: {missing:?}");
        let ids = self.schemas.iter().map(|(id, _)| id);
        let unseen: Vec<_> = ids.filter(|id| !self.seen.contains(*id)).collect();
        assert!(unseen.is_empty(), "schemas of which no object was printed: {unseen:?}");
    }

    /// The command of a line, by the longest name that it begins with.
    fn command(&self, line: &str) -> String {
        let all = self.listed.iter().flat_map(|schema| schema["commands"].as_array().unwrap());
        let names = all.map(|command| command.as_str().unwrap());
        let begins = |name: &&str| line == *name || line.starts_with(&format!("{name} "));
        let longest = names.filter(begins).max_by_key(|name| name.len());
        longest.unwrap_or_else(|| panic!("no schema names ferry {line}")).to_owned()
    }
}

/// The objects of what was printed: items of one array, or one on each line.
pub fn objects(out: &str, form: &str) -> Vec<Value> {
    let read = |text: &str| -> Value {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("no JSON ({error}): {text}"))
    };
    let objects = match form {
        "json" if out.starts_with('[') => read(out).as_array().unwrap().clone(),
        _ => out.lines().map(read).collect(),
    };
    for line in out.lines().filter(|line| *line != "[]") {
        let begin = line.trim_start_matches('[');
        assert!(begin.starts_with(r#"{"schema":"ferry."#), "the schema is the first field: {begin}");
    }
    objects
}

fn words<'a>(line: &'a str, form: &'a str) -> Vec<&'a str> {
    line.split(' ').chain(["--output", form]).collect()
}

fn fields(object: &Value) -> BTreeSet<&String> {
    object.as_object().unwrap().keys().collect()
}

/// The name of a schema, which has to be one itself, and where it is among all.
fn read(file: &Path, compiled: &mut Schemas) -> (String, SchemaIndex) {
    let schema: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let id = schema["title"].as_str().unwrap().to_owned();
    let name = file.file_name().unwrap().to_str().unwrap();
    assert_eq!(name, format!("{}.schema.json", id.replace('/', "-")));
    let mut compiler = Compiler::new();
    compiler.enable_format_assertions();
    compiler.add_resource(name, schema).unwrap();
    let index = compiler.compile(name, compiled).unwrap_or_else(|error| panic!("{name}: {error:#}"));
    (id, index)
}

/// The cells of a line of CSV, none of which goes over a line.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let cell = cells.last_mut().unwrap();
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            other => cell.push(other),
        }
    }
    cells
}
