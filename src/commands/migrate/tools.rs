//! What the application's schema tool does to Ferry's column, index and ledger, and the lines by
//! which its model knows them.
//!
//! A tool that compares a model with the database drops what the model does not know. The tool is
//! recognised by its own table; the lines name what the catalogue says is there. All of it is
//! pure: the ledger's port reads the database. What each tool did when it was tried is in
//! `docs/SCHEMA-TOOLS.md`, and `tests/tools/schema-tools` tries it again.

mod alembic;
mod django;
mod drizzle;
mod facts;
mod mikro_orm;
mod names;
mod prisma;
mod rails;
mod recognised;
mod sequelize;
mod typeorm;

use clap::ValueEnum;
use ferry_domain::app_schema::AppSchema;

pub use recognised::TABLES;

use self::{
    facts::Facts,
    recognised::{Kind, Recognised},
};
use crate::output;

/// Width of what a line of talk is about.
const NAMES: usize = 12;

/// A tool whose model can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tool {
    Alembic,
    Django,
    #[value(name = "typeorm")]
    TypeOrm,
    Drizzle,
    Sequelize,
    #[value(name = "mikro-orm")]
    MikroOrm,
    Prisma,
    Rails,
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Tool::Alembic => "Alembic",
            Tool::Django => "Django",
            Tool::TypeOrm => "TypeORM",
            Tool::Drizzle => "drizzle",
            Tool::Sequelize => "Sequelize",
            Tool::MikroOrm => "MikroORM",
            Tool::Prisma => "Prisma",
            Tool::Rails => "Rails",
        }
    }

    fn words(self, facts: &Facts<'_>) -> Words {
        match self {
            Tool::Alembic => alembic::words(facts),
            Tool::Django => django::words(facts),
            Tool::TypeOrm => typeorm::words(facts),
            Tool::Drizzle => drizzle::words(facts),
            Tool::Sequelize => sequelize::words(facts),
            Tool::MikroOrm => mikro_orm::words(facts),
            Tool::Prisma => prisma::words(facts),
            Tool::Rails => rails::words(facts),
        }
    }
}

/// What is said about a tool.
#[derive(Debug, Default, PartialEq, Eq)]
struct Words {
    /// What the tool would destroy, where it would.
    risk: Option<String>,
    /// What else a person should know.
    note: Option<String>,
    /// The lines, each group with the place it belongs to.
    groups: Vec<Group>,
}

/// Lines that belong to one place.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    /// How a comment begins there.
    comment: &'static str,
    /// Where they belong.
    place: String,
    lines: Vec<String>,
}

/// What a command prints: talk, and the lines as data.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Talk, line by line.
    pub talk: Vec<String>,
    /// Lines for the model, with comments that say where they belong; one empty line between groups.
    pub lines: Option<String>,
}

/// What there is to say. `asked` is a tool that a person named; without it, tools are recognised.
/// Nothing where the column and the index are the application's own: its model made them.
pub fn said(schema: &AppSchema, asked: Option<Tool>) -> Said {
    let facts = Facts::of(schema);
    if facts.column().is_none() && facts.index().is_none() {
        return Said::default();
    }
    let mut said = Said::default();
    match asked {
        Some(tool) => said.tool(tool, tool.name().to_owned(), &facts),
        None => {
            let found = recognised::recognised(schema);
            if found.is_empty() {
                said.unknown(&facts);
            }
            for found in found {
                said.recognised(&found, &facts);
            }
        }
    }
    said
}

impl Said {
    fn recognised(&mut self, found: &Recognised, facts: &Facts<'_>) {
        let heading = format!("{} (its table {} is here)", found.name, found.table);
        match found.kind {
            Kind::Told(tool) => self.tool(tool, heading, facts),
            Kind::Compares => {
                self.say("schema tool", &heading);
                let text = format!(
                    "it drops what its model does not know: tell it of {}, then pass --model-known",
                    facts.summary()
                );
                self.say("risk", &text);
            }
            Kind::Written => {
                let text = format!("{heading}: it runs what is written, and leaves all of Ferry's alone");
                self.say("schema tool", &text);
            }
        }
    }

    fn tool(&mut self, tool: Tool, heading: String, facts: &Facts<'_>) {
        let words = tool.words(facts);
        self.say("schema tool", &heading);
        if let Some(risk) = &words.risk {
            self.say("risk", risk);
            self.say("to do", "put the lines below in, or pass --model-known where they are in already");
        }
        if let Some(note) = &words.note {
            self.say("note", note);
        }
        let groups = words.groups.iter().map(|group| {
            let Group { comment, place, lines } = group;
            format!("{comment} {place}:\n{}", lines.join("\n"))
        });
        let lines = groups.collect::<Vec<_>>().join("\n\n");
        self.lines = match self.lines.take() {
            Some(before) => Some(format!("{before}\n\n{lines}")),
            None => Some(lines).filter(|lines| !lines.is_empty()),
        };
    }

    fn unknown(&mut self, facts: &Facts<'_>) {
        self.say("schema tool", "none recognised by a table of its own");
        let text = format!(
            "a tool that makes tables from a model may drop what the model does not know ({}). \
             --schema-tool NAME prints the lines for it ({}); --model-known leaves this out",
            facts.summary(),
            Tool::value_variants()
                .iter()
                .filter_map(|tool| Some(tool.to_possible_value()?.get_name().to_owned()))
                .collect::<Vec<_>>()
                .join(", "),
        );
        self.say("note", &text);
    }

    fn say(&mut self, name: &str, text: &str) {
        self.talk.push(output::field(name, NAMES, text));
    }
}

#[cfg(test)]
mod tests;
