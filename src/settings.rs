//! Settings: default < file < environment < flag, with an origin for each value.
//!
//! The embedded default file is the reference: it holds every key, so it can't
//! go stale. Servers and secrets are read from the environment only, when a
//! command needs them, and are never part of what `config show` prints.

mod sections;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context;
use ferry_domain::{limits::LimitPlan, threshold::StopAfter};
use ferry_operations::consent;
use ferry_sources::Mapping;
use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Env, Format, Serialized, Toml},
    value::{Dict, Map, Value},
};
use serde::Deserialize;

use crate::{exit::usage, figure, files, servers::Servers};

pub use self::sections::*;

/// The default file, which is also the reference.
pub const DEFAULTS: &str = include_str!("settings.default.toml");
/// Read from the working directory when it is there and nothing else is named.
pub const FILE: &str = "ferry.toml";

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The named move.
    pub migration: Migration,
    /// The target.
    pub auth0: Auth0,
    /// What holds for a run.
    pub run: Run,
    /// Raw; see [`Settings::mapping`].
    #[serde(default)]
    pub source: Dict,
    /// Pace of a worker process.
    pub worker: Worker,
    pub queue: Queue,
    pub ledger: Ledger,
    pub dead: Dead,
    pub log: Log,
    pub traces: Traces,
}

/// The default of a key, as a person types it; `None` where it has none.
pub fn default_of(key: &str) -> Option<String> {
    let of_source = Serialized::default("source", Mapping::default());
    let value = Figment::from(of_source).merge(Toml::string(DEFAULTS)).find_value(key).ok()?;
    Some(plain(&value)).filter(|text| !text.is_empty())
}

/// A value given by a flag, and the key it overrides.
pub type Flag = (&'static str, Value);

/// Adds a flag that was given.
pub fn push(flags: &mut Vec<Flag>, key: &'static str, value: Option<&str>) {
    if let Some(value) = value {
        flags.push((key, value.into()));
    }
}

struct Flags(Vec<Flag>);

impl Provider for Flags {
    fn metadata(&self) -> Metadata {
        Metadata::named("flag")
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        let mut dict = Dict::new();
        for (key, value) in &self.0 {
            let nested = figment::util::nest(key, value.clone()).into_dict().unwrap_or_default();
            dict = merge(dict, nested);
        }
        Ok(Profile::Default.collect(dict))
    }
}

fn merge(mut into: Dict, from: Dict) -> Dict {
    for (key, value) in from {
        let merged = match (into.remove(&key), value) {
            (Some(Value::Dict(tag, old)), Value::Dict(_, new)) => Value::Dict(tag, merge(old, new)),
            (_, new) => new,
        };
        into.insert(key, merged);
    }
    into
}

/// Where each setting came from.
#[derive(Clone)]
pub struct Origins(Figment);

/// Reads all layers. `file` must exist when it is named.
pub fn load(file: Option<&Path>, flags: Vec<Flag>, servers: &Servers) -> anyhow::Result<(Settings, Origins)> {
    let mut figment = Figment::from(Toml::string(DEFAULTS));
    if let Some(path) = file {
        if !path.exists() {
            return Err(usage(format!(
                "{}: no such settings file. Name another with --config",
                path.display()
            )));
        }
        figment = with_file(figment, path)?;
    } else if Path::new(FILE).exists() {
        figment = with_file(figment, Path::new(FILE))?;
    }
    let figment = figment.merge(ferry_variables()).merge(auth0_variables(servers)).merge(Flags(flags));
    let settings = figment.extract::<Settings>().map_err(|error| usage(explain(&error)))?;
    settings.check()?;
    Ok((settings, Origins(figment)))
}

/// What a pipe gives has no place for origins but its name.
fn with_file(figment: Figment, path: &Path) -> anyhow::Result<Figment> {
    const WHAT: &str = "settings file";
    let kind = path.metadata().map(|of| of.file_type());
    if !kind.is_ok_and(|kind| std::os::unix::fs::FileTypeExt::is_fifo(&kind)) {
        files::check(WHAT, path)?;
        return Ok(figment.merge(Toml::file_exact(path)));
    }
    let text = String::from_utf8(files::read_once(WHAT, path)?)
        .map_err(|_| usage(format!("{WHAT} {} is no text in UTF-8", path.display())))?;
    Ok(figment.merge(Named("settings file (a pipe)", Toml::string(&text))))
}

/// `FERRY_SECTION__KEY`; variables without a section are servers and switches.
fn ferry_variables() -> impl Provider {
    Env::prefixed("FERRY_").filter(|key| key.as_str().contains("__")).split("__")
}

fn auth0_variables(servers: &Servers) -> impl Provider + use<> {
    let mut auth0 = BTreeMap::new();
    for (variable, key) in servers.of_settings() {
        if let Some(value) = variable.get() {
            auth0.insert(key, value.to_owned());
        }
    }
    Named("environment (AUTH0_…)", Serialized::default("auth0", auth0))
}

struct Named<P>(&'static str, P);

impl<P: Provider> Provider for Named<P> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.0)
    }
    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        self.1.data()
    }
}

fn explain(error: &figment::Error) -> String {
    let place = match &error.metadata {
        Some(metadata) => match &metadata.source {
            Some(source) => source.to_string(),
            None => metadata.name.to_string(),
        },
        None => "settings".to_owned(),
    };
    let key = if error.path.is_empty() { String::new() } else { format!(" at {}", error.path.join(".")) };
    format!("{place}{key}: {}. `ferry config template` lists every setting", error.kind)
}

impl Settings {
    fn check(&self) -> anyhow::Result<()> {
        let range = |key: &str, value: u64, low: u64, high: u64| {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            Err(usage(format!("{key} = {value}: must be {low} to {high}")))
        };
        range("run.batch_size", self.run.batch_size.into(), 1, 1_000)?;
        range("run.max_attempts", u64::try_from(self.run.max_attempts).unwrap_or(0), 1, 100)?;
        range("worker.batches", self.worker.batches as u64, 1, 256)?;
        range("worker.users", self.worker.users as u64, 1, 256)?;
        range("worker.group", self.worker.group as u64, 1, 1_000)?;
        range("worker.group_wait_ms", self.worker.group_wait_ms, 0, 10_000)?;
        range("worker.lease_seconds", self.worker.lease_seconds, 1, 3_600)?;
        range("worker.grace_seconds", self.worker.grace_seconds, 0, 3_600)?;
        range("queue.window", u64::try_from(self.queue.window).unwrap_or(0), 1, 4_000)?;
        range("ledger.max_connections", self.ledger.max_connections.into(), 2, 100)?;
        range("auth0.request_timeout_seconds", self.auth0.request_timeout_seconds, 1, 300)?;
        range("auth0.connect_timeout_seconds", self.auth0.connect_timeout_seconds, 1, 60)?;
        if self.migration.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
            return Err(usage("migration.name is empty: give the migration a name, or leave the key out"));
        }
        if self.auth0.connection.trim().is_empty() {
            return Err(usage("auth0.connection is empty: name the connection users are created in"));
        }
        range("dead.keep_days", self.dead.keep_days, 0, 36_500)?;
        self.stop_after()?;
        if let Some(wrong) = self.auth0.production.iter().find(|tenant| !consent::is_name(tenant)) {
            return Err(usage(format!(
                "auth0.production holds {wrong:?}, which names no tenant: write its bare host, as AUTH0_DOMAIN does, \
                 for example acme.eu.auth0.com"
            )));
        }
        if !(self.auth0.floor_share > 0.0 && self.auth0.floor_share <= 1.0) {
            return Err(usage("auth0.floor_share is a share of the limits: above 0, at most 1"));
        }
        if !(0.0..=1.0).contains(&self.traces.user_share) {
            return Err(usage("traces.user_share is a share of the users: 0 to 1"));
        }
        self.limits()?;
        self.log.format.parse::<ferry_telemetry::Format>().map_err(usage)?;
        Ok(())
    }

    /// The tenant's limits.
    pub fn limits(&self) -> anyhow::Result<LimitPlan> {
        self.auth0.limits.parse().map_err(usage)
    }

    /// When a run stops by itself.
    pub fn stop_after(&self) -> anyhow::Result<StopAfter> {
        figure::stop_after(&self.run.max_failures, &self.run.max_failure_rate).map_err(usage)
    }

    /// Name of the preset, if one is set.
    pub fn preset(&self) -> Option<&str> {
        self.source.get("preset").and_then(Value::as_str)
    }

    /// Which column is what: the preset's mapping with the file's own keys over it.
    pub fn mapping(&self) -> anyhow::Result<Mapping> {
        let mut own = self.source.clone();
        own.remove("preset");
        let base = match self.preset() {
            Some(name) => {
                let preset = Mapping::preset(name).map_err(usage)?;
                Figment::from(Serialized::defaults(preset))
            }
            None => Figment::new(),
        };
        base.merge(Serialized::defaults(own)).extract::<Mapping>().map_err(|error| {
            usage(format!(
                "[source]: {}. Name a preset with --preset, or see `ferry config template`",
                explain(&error)
            ))
        })
    }

    /// Name of the mapping, for plans.
    pub fn mapping_name(&self) -> String {
        self.preset().unwrap_or("mapping").to_owned()
    }
}

impl Origins {
    /// The settings file that was read, if one was.
    pub fn file(&self) -> Option<PathBuf> {
        let sources = self.0.metadata().filter_map(|metadata| metadata.source.as_ref());
        sources.filter_map(|source| source.file_path()).map(Path::to_owned).next()
    }

    /// Every setting as (key, value, origin), in order of key.
    pub fn listed(&self) -> anyhow::Result<Vec<(String, String, String)>> {
        let all: Dict = self.0.extract().context("settings can't be listed")?;
        let mut rows = Vec::new();
        self.list(&mut rows, "", &all);
        Ok(rows)
    }

    fn list(&self, rows: &mut Vec<(String, String, String)>, prefix: &str, dict: &Dict) {
        for (name, value) in dict {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            match value {
                Value::Dict(_, inner) => self.list(rows, &key, inner),
                value => rows.push((key.clone(), plain(value), self.origin(&key))),
            }
        }
    }

    /// Whether nobody set this key.
    pub fn is_default(&self, key: &str) -> bool {
        self.origin(key) == "default"
    }

    fn origin(&self, key: &str) -> String {
        let Some(metadata) = self.0.find_metadata(key) else { return "default".to_owned() };
        match &metadata.source {
            Some(figment::Source::File(path)) => path.display().to_string(),
            _ if metadata.name.contains("TOML") => "default".to_owned(),
            _ if metadata.name.contains("environment") => "environment".to_owned(),
            _ => metadata.name.to_string(),
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(_, text) => text.clone(),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => number
            .to_i128()
            .map(|n| n.to_string())
            .or_else(|| number.to_f64().map(|n| n.to_string()))
            .unwrap_or_default(),
        Value::Array(_, items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Char(_, c) => c.to_string(),
        Value::Dict(..) | Value::Empty(..) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use ferry_sources::RowSecurity;

    use super::*;

    /// The settings that the template shows in a section, commented out or not.
    fn shown(section: &str) -> Vec<String> {
        let lines = DEFAULTS.lines().map(|line| line.trim_start_matches('#'));
        let inside =
            lines.skip_while(|line| *line != section).skip(1).take_while(|line| !line.starts_with('['));
        inside.filter_map(|line| Some(line.split_once(" = ")?.0.to_owned())).collect()
    }

    #[test]
    fn the_template_lists_every_setting_of_a_source() {
        // What is left out of a mapping's digest where it is the default has to be another.
        let mapping = Mapping { row_security: RowSecurity::Accept, ..Mapping::default() };
        let mapping = serde_json::to_value(mapping).expect("it has string keys");
        for (section, object, elsewhere) in [
            ("[source]", &mapping, &["columns", "words"][..]),
            ("[source.columns]", &mapping["columns"], &[]),
            ("[source.words]", &mapping["words"], &[]),
        ] {
            let listed = shown(section);
            let keys = object.as_object().expect("a table").keys();
            for key in keys.filter(|key| !elsewhere.contains(&key.as_str())) {
                assert!(listed.contains(key), "{section} lacks {key}: {listed:?}");
            }
            for key in &listed {
                assert!(object.get(key).is_some(), "{section} shows {key}, which is no setting");
            }
        }
    }

    /// `#key = value` of `[source]`, each with the remarks above and beside it.
    fn behind_a_hash() -> Vec<(String, Value, String)> {
        let section = DEFAULTS.split("[source]\n").nth(1).and_then(|rest| rest.split("#[").next());
        let (mut above, mut found, mut ended) = (String::new(), Vec::new(), false);
        for line in section.unwrap_or_default().lines() {
            match line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')) {
                None if ended => (above, ended) = (line.to_owned(), false),
                None => above.push_str(line),
                Some(setting) => {
                    ended = true;
                    let (key, _) = setting.split_once(" = ").expect("a setting");
                    let value = Figment::from(Toml::string(setting)).find_value(key).expect("it is TOML");
                    let beside = setting.split_once("  # ").map(|(_, beside)| beside);
                    found.push((key.to_owned(), value, beside.unwrap_or(&above).to_lowercase()));
                }
            }
        }
        found
    }

    #[test]
    fn the_template_says_of_each_setting_of_a_source_whether_it_shows_the_default_or_an_example() {
        let shown = behind_a_hash();
        assert!(shown.len() > 10, "{shown:?}");
        for (key, value, remark) in shown {
            // Readers know the one where it is not set, a digest leaves the other out.
            let unset = match key.as_str() {
                "comment" => Some("#".to_owned()),
                "row_security" if RowSecurity::default() == RowSecurity::Refuse => Some("refuse".to_owned()),
                _ => None,
            };
            let is_default = default_of(&format!("source.{key}")).or(unset) == Some(plain(&value));
            assert_eq!(remark.contains("the default"), is_default, "{key}: {remark}");
            assert_eq!(remark.contains("example"), !is_default, "{key}: {remark}");
        }
    }

    #[test]
    fn what_the_template_shows_of_a_source_is_taken() {
        let section = DEFAULTS.split("[source]\n").nth(1).and_then(|rest| rest.split("[worker]").next());
        let shown = section.unwrap_or_default().lines().map(|line| {
            let setting = line.strip_prefix('#').filter(|rest| !rest.starts_with(' '));
            setting.unwrap_or(line)
        });
        let text = format!("[source]\n{}", shown.collect::<Vec<_>>().join("\n"));
        let figment = Figment::from(Toml::string(&text));
        let source: Dict = figment.extract_inner("source").expect("it is TOML");
        let mapping = Figment::from(Serialized::defaults(source)).extract::<Mapping>();
        assert_eq!(
            mapping.map(|mapping| mapping.table).map_err(|e| e.to_string()),
            Ok(Some("users".to_owned()))
        );
    }
}
