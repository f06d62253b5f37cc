//! What a plan was made with: kept in its file, and set again by `run start --plan`.

use std::path::{Path, PathBuf};

use ferry_domain::plan::{MadeWith, PlanFile};
use ferry_operations::{Error, plan};
use ferry_sources::Mapping;
use figment::value::Value;

use crate::{
    files,
    reading::{self, Reading},
    settings::Flag,
    setup::Setup,
};

/// Settings that a plan may carry. Any other in a plan's file is none of ours.
const CARRIED: [&str; 6] = [
    "source.preset",
    "migration.name",
    "source.email_verified",
    "source.inactive",
    "source.discard_hashes",
    "source.row_security",
];

/// What a source is read with.
pub async fn of(
    setup: &Setup,
    reading: &Reading,
    mapping: &Mapping,
    migration: &str,
) -> anyhow::Result<MadeWith> {
    let mut made = MadeWith::default();
    if let Some(file) = setup.origins.file() {
        made.settings_digest = Some(reading::file_digest(&file).await?);
        made.settings_file = Some(file.canonicalize().unwrap_or(file).display().to_string());
    }
    for (key, value) in reading.flags() {
        made.options.insert(key.to_owned(), serde_json::to_value(value)?);
    }
    let settings = &setup.settings;
    made.rule("source", &serde_json::to_value(mapping)?);
    made.rule("migration.name", &migration.into());
    made.rule("auth0.connection", &settings.auth0.connection.as_str().into());
    made.rule("run.on_existing", &serde_json::to_value(settings.run.on_existing)?);
    Ok(made)
}

/// What `run start --plan` takes from a plan before settings are read.
#[derive(Default)]
pub struct Carried {
    /// The settings file that the plan was made with, where it is still there.
    pub settings_file: Option<PathBuf>,
    /// Options that need not be typed again.
    pub flags: Vec<Flag>,
}

/// Reads a plan's file.
pub fn read_plan(path: &Path) -> anyhow::Result<PlanFile> {
    use anyhow::Context;
    let bytes = files::read("the plan", path)?;
    plan::read(&bytes).map_err(Error::from).with_context(|| path.display().to_string())
}

/// What a plan carries.
pub fn carried(plan: &PlanFile) -> anyhow::Result<Carried> {
    let MadeWith { settings_file, options, .. } = &plan.made_with;
    let known = options.iter().filter_map(|(key, value)| {
        let key = CARRIED.iter().find(|known| **known == key)?;
        Some((*key, value))
    });
    let flags = known
        .map(|(key, value)| Ok((key, Value::serialize(value)?)))
        .collect::<anyhow::Result<Vec<Flag>>>()?;
    let settings_file = settings_file.as_ref().map(PathBuf::from).filter(|file| file.is_file());
    Ok(Carried { settings_file, flags })
}
