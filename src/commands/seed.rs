//! `ferry seed`: writes the MedLogistics example application into a database.

use ferry_seed::{SeedError, WriteOptions, Written, population};
use serde_json::json;

use crate::{
    cli::{Output, Seed},
    exit::{Exit, refused, usage},
    output::{self, Progress},
};

pub async fn run(options: Seed) -> anyhow::Result<Exit> {
    let population = population(options.users, options.seed).map_err(usage)?;
    let mut progress = Progress::new("seeding", options.users);
    let replace = WriteOptions { replace: options.replace };
    let written =
        ferry_seed::write(&options.target, &population, replace, |users| progress.at(users, "")).await;
    progress.done();
    let written = written.map_err(|error| match error {
        SeedError::TablesExist { .. } | SeedError::NotOurs { .. } => refused(error),
        SeedError::BadTarget { .. } | SeedError::UserCount { .. } => usage(error),
        other => other.into(),
    })?;
    tell(&written, options.output)
}

fn tell(written: &Written, form: Output) -> anyhow::Result<Exit> {
    let Written { hospitals, wards, users, permissions, digest, .. } = written;
    match form {
        Output::Json => output::json(&json!({
            "hospitals": hospitals, "wards": wards, "users": users, "permissions": permissions, "digest": digest,
        }))?,
        Output::Table => {
            output::data(&format!(
                "{users} users, {hospitals} hospitals, {wards} wards, {permissions} permissions"
            ));
            output::data(&format!("digest {digest}"));
        }
    }
    Ok(Exit::Done)
}
