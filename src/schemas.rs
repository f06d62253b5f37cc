//! The form of each JSON object that a command prints, with a name, a version, and the commands.
//!
//! The list below is the only place for names and versions; the schemas themselves are derived from
//! the types that are printed. A version is raised when a field is taken away, is renamed or means
//! something else; a new field leaves it. ADR 0023 has the reasons.

use ferry_operations::{audit, batch, dead, moves, plan, queue, rate, retry, start, stop_all, user, views};
use ferry_report::Report;
use schemars::{Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde_json::{Value, json};

use crate::{
    commands::{check, config, demo, health, plan as planning, run, schema, seed},
    printed::Printed,
};

/// A schema that objects name.
pub struct Known {
    /// Name and version, as objects say it: `ferry.run/1`.
    pub id: &'static str,
    /// The commands that print it, as they are typed after `ferry`.
    pub commands: &'static [&'static str],
    make: fn() -> Schema,
}

macro_rules! schemas {
    ($($id:literal = $printed:ty: $($command:literal),+;)+) => {
        $(impl Printed for $printed {
            const SCHEMA: &'static str = $id;
        })+

        /// All of them, in the order of the command line's help.
        pub const ALL: &[Known] = &[$(
            Known { id: $id, commands: &[$($command),+], make: made_of::<$printed> },
        )+];
    };
}

schemas! {
    "ferry.demo/1" = demo::Summary: "demo";
    "ferry.plan/1" = planning::Shown<'_>: "plan";
    "ferry.plan_record/1" = plan::Record: "plan";
    "ferry.check/1" = check::Found<'_>: "check";
    "ferry.run_started/1" = start::Started: "run start";
    "ferry.listed_run/1" = views::RunLine: "run list";
    "ferry.run/1" = views::RunInFull: "run show", "run watch";
    "ferry.run_moved/1" = moves::Moved: "run pause", "run resume", "run cancel";
    "ferry.rate_changed/1" = rate::Changed: "run rate";
    "ferry.run_retried/1" = retry::Retried: "run retry";
    "ferry.report/1" = Report: "run report";
    "ferry.ids_restored/1" = run::Restored<'_>: "run restore-ids";
    "ferry.account/1" = views::IdView: "run export";
    "ferry.users/1" = user::Listed: "user list";
    "ferry.listed_user/1" = user::User: "user list";
    "ferry.user/1" = user::UserView: "user show";
    "ferry.batches/1" = batch::Listed: "batch list";
    "ferry.batch/1" = batch::Batch: "batch list", "batch show";
    "ferry.sending_switched/1" = stop_all::Switched: "stop-all", "resume-all";
    "ferry.queue/1" = queue::Listing: "queue list";
    "ferry.queue_rebuilt/1" = queue::Rebuilt: "queue rebuild";
    "ferry.listed_letter/1" = views::Letter: "dead list";
    "ferry.letter/1" = views::LetterInFull: "dead show";
    "ferry.letters_redriven/1" = dead::RedriveDone: "dead redrive";
    "ferry.letters_discarded/1" = dead::DiscardDone: "dead discard";
    "ferry.order/1" = audit::Line: "audit";
    "ferry.health/1" = health::Health: "health";
    "ferry.seeded/1" = seed::Done<'_>: "seed";
    "ferry.setting/1" = config::Setting: "config show";
    "ferry.settings_checked/1" = config::Checked<'_>: "config check";
    "ferry.schema/1" = schema::Line: "schema";
}

impl Known {
    /// The name without its version.
    pub fn name(&self) -> &'static str {
        self.split().0
    }

    /// The version alone.
    pub fn version(&self) -> u32 {
        self.split().1.parse().unwrap_or_default() // a number, as a test says
    }

    fn split(&self) -> (&'static str, &'static str) {
        self.id.split_once('/').unwrap_or((self.id, ""))
    }

    /// The JSON Schema (2020-12) of one object.
    pub fn document(&self) -> Value {
        let mut schema = (self.make)();
        schema.insert("title".to_owned(), self.id.into());
        let mark = json!({"const": self.id, "description": "Name and version of this schema."});
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert("schema".to_owned(), mark);
        }
        if let Some(required) = schema.ensure_object().entry("required").or_insert(json!([])).as_array_mut() {
            required.insert(0, "schema".into());
        }
        schema.to_value()
    }
}

/// By `ferry.run/1`, `ferry.run`, or `run`.
pub fn named(name: &str) -> Option<&'static Known> {
    let is = |known: &&Known| {
        [known.id, known.name()].iter().any(|of| *of == name || of.strip_prefix("ferry.") == Some(name))
    };
    ALL.iter().find(is)
}

/// As it is written, not as it would be read: a field that is always there is required.
fn made_of<T: Printed>() -> Schema {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    settings.with_transform(RecursiveTransform(close)).into_generator().into_root_schema_for::<T>()
}

/// The binary that prints an object knows each of its fields, so another one is a mistake.
fn close(schema: &mut Schema) {
    if schema.get("properties").is_some() && schema.get("additionalProperties").is_none() {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Each command of the command line that has an option, by the words that are typed.
    fn commands_with(option: &str) -> BTreeSet<String> {
        fn look(command: &clap::Command, words: &[&str], option: &str, found: &mut BTreeSet<String>) {
            if command.get_arguments().any(|arg| arg.get_long() == Some(option)) {
                found.insert(words.join(" "));
            }
            for inner in command.get_subcommands() {
                look(inner, &[words, &[inner.get_name()]].concat(), option, found);
            }
        }
        let mut found = BTreeSet::new();
        look(&crate::cli::command(), &[], option, &mut found);
        found
    }

    #[test]
    fn each_command_with_an_output_is_named_by_a_schema_and_no_other() {
        let named = ALL.iter().flat_map(|known| known.commands).map(|command| (*command).to_owned());
        assert_eq!(named.collect::<BTreeSet<_>>(), commands_with("output"));
    }

    #[test]
    fn ids_are_unique_and_each_has_a_name_and_a_version() {
        let ids: BTreeSet<_> = ALL.iter().map(|known| known.id).collect();
        assert_eq!(ids.len(), ALL.len());
        for known in ALL {
            let word = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(
                known.name().strip_prefix("ferry.").is_some_and(|name| name.chars().all(word)),
                "{}",
                known.id
            );
            assert_eq!(known.id, format!("{}/{}", known.name(), known.version()));
            for name in [known.id, known.name(), &known.id[6..], &known.name()[6..]] {
                assert_eq!(named(name).map(|found| found.id), Some(known.id), "{name}");
            }
        }
        assert!(named("nothing").is_none());
    }

    #[test]
    fn each_schema_is_an_object_that_says_its_name_and_takes_no_other_field() {
        for known in ALL {
            let document = known.document();
            assert_eq!(document["$schema"], "https://json-schema.org/draft/2020-12/schema", "{}", known.id);
            assert_eq!(document["type"], "object", "{document}");
            assert_eq!(document["additionalProperties"], false, "{document}");
            assert_eq!(document["properties"]["schema"]["const"], known.id, "{document}");
            assert_eq!(document["required"][0], "schema", "{document}");
            assert!(document["description"].is_string(), "{} says nothing about itself", known.id);
            let text = document.to_string();
            let link = text.find("[`").map(|at| &text[at..(at + 40).min(text.len())]);
            assert_eq!(link, None, "{}: a link of the code's documentation says nothing here", known.id);
            assert!(!text.contains("`None`"), "{}: in JSON it is null", known.id);
        }
    }
}
