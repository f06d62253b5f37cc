//! `ferry check`: whether users could be moved, asked before any is. Each line is one
//! check with what was found and, unless it is well, what to do. Safe at any time: it
//! leaves nothing behind, at Auth0 it only reads.

mod auth0;
mod ledger;
mod migration;
mod redis;
mod table;

use clap::Args;
use ferry_operations::rate;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    exit::Exit, options::Output, output, place::Place, printed, settings::Settings, setup::Setup, wiring,
};

/// Width of a result and its check's name.
const NAMES: usize = 21;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    /// Work is possible, but a person should know this.
    Warning,
    /// To be mended first.
    Error,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// One check.
#[derive(Debug, Serialize, JsonSchema)]
struct Line {
    #[serde(rename = "check")]
    name: &'static str,
    #[serde(rename = "result")]
    level: Level,
    /// What was found.
    found: String,
    /// What to do; null where all is well.
    remedy: Option<String>,
}

/// All checks, and how many of them are not well.
#[derive(Serialize, JsonSchema)]
pub struct Found<'a> {
    checks: &'a [Line],
    errors: usize,
    warnings: usize,
}

fn ok(name: &'static str, found: impl ToString) -> Line {
    Line { name, level: Level::Ok, found: found.to_string(), remedy: None }
}

fn warning(name: &'static str, found: impl ToString, remedy: impl ToString) -> Line {
    Line { name, level: Level::Warning, found: found.to_string(), remedy: Some(remedy.to_string()) }
}

fn error(name: &'static str, found: impl ToString, remedy: impl ToString) -> Line {
    Line { name, level: Level::Error, found: found.to_string(), remedy: Some(remedy.to_string()) }
}

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let mut lines = vec![check_settings(&setup.settings), limits(setup)];
    match wiring::ledger_place(&setup.servers).await {
        Ok(place) => {
            let takes_writes = ledger::check(&place, setup, &mut lines).await;
            match Place::of_application(&setup.servers) {
                Ok(own) => {
                    // Of a table in a database that takes no writes, the check of the ledger says all.
                    if takes_writes || own.is_some_and(|own| own.shown() != place.shown()) {
                        table::check(&place, setup, &mut lines).await;
                    }
                    table::check_ids(&place, setup, &mut lines).await;
                    migration::check(&place, setup, &mut lines).await;
                }
                Err(wrong) => lines.push(error("table", wrong, "Correct DATABASE_URL or DATABASE_URL_FILE.")),
            }
            redis::check(&place, setup, &mut lines).await;
        }
        Err(wrong) => lines.push(error("ledger", wrong, "Correct DATABASE_URL or FERRY_LEDGER_URL.")),
    }
    auth0::check(setup, &mut lines).await;
    tell(&lines, options.output)
}

/// Settings that can't be read are the first thing a check finds, not a wrong usage of it.
pub fn unreadable(wrong: &anyhow::Error, options: &Options) -> anyhow::Result<Exit> {
    let line = error("settings", wrong, "Correct the settings; the other checks need them.");
    tell(&[line], options.output)
}

fn check_settings(settings: &Settings) -> Line {
    let migration = match &settings.migration.name {
        Some(name) => format!("migration {name:?}"),
        None => "migration named after its source".to_owned(),
    };
    if settings.source.is_empty() {
        return ok("settings", migration);
    }
    match settings.mapping() {
        Ok(_) => ok("settings", format!("{migration}, source {}", settings.mapping_name())),
        Err(wrong) => error("settings", wrong, "Correct section source, or name a preset."),
    }
}

fn limits(setup: &Setup) -> Line {
    let plan = match setup.settings.limits() {
        Ok(plan) => plan,
        Err(wrong) => return error("limits", wrong, "Set AUTH0_PLAN to the tenant's plan."),
    };
    match rate::speed(&plan) {
        Some(speed) => ok("limits", format!("{plan}: {speed}")),
        None if setup.servers.base_url.get().is_some() => ok("limits", format!("{plan}: no limit is kept")),
        None => warning(
            "limits",
            format!("{plan}: no limit is kept, and a real tenant has one"),
            "Set AUTH0_PLAN to the tenant's plan; else other applications of the tenant are refused too.",
        ),
    }
}

fn tell(lines: &[Line], form: Output) -> anyhow::Result<Exit> {
    let count = |level: Level| lines.iter().filter(|line| line.level == level).count();
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    match form {
        Output::Json | Output::Ndjson => {
            printed::object(&Found { checks: lines, errors, warnings })?;
        }
        Output::Table => {
            for line in lines {
                let name = format!("{:8} {}", line.level.word(), line.name);
                output::data(&output::field(&name, NAMES, &line.found));
                if let Some(remedy) = &line.remedy {
                    output::data(&output::field("", NAMES, &format!("→ {remedy}")));
                }
            }
            let counted = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
            output::say(&format!("{}, {}.", counted(errors, "error"), counted(warnings, "warning")));
        }
    }
    Ok(match (errors, warnings) {
        (0, 0) => Exit::Done,
        (0, _) => Exit::CheckWarnings,
        _ => Exit::CheckErrors,
    })
}
