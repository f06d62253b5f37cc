//! `ferry seed`: writes the MedLogistics example application into a database.

use clap::Args;
use ferry_seed::{SeedError, WriteOptions, Written, population};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    exit::{Exit, refused, usage},
    options::Output,
    output::{self, Progress},
    printed,
    setup::Setup,
};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Where to write it: a PostgreSQL URL, or a SQLite file [default: DATABASE_URL, with which no password is seen in
    /// a list of processes]
    #[arg(long, value_name = "URL")]
    pub target: Option<String>,
    /// Number of users, at least 40
    #[arg(long, default_value_t = 1_000)]
    pub users: u64,
    /// Chooses the users: the same seed, the same users
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Remove an earlier example first: only tables that this command made
    #[arg(long)]
    pub replace: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let target = match options.target {
        Some(target) => target,
        None => setup
            .servers
            .database()?
            .map(|url| url.text().to_owned())
            .ok_or_else(|| usage("no database: name it with --target, or set DATABASE_URL to it"))?,
    };
    let population = population(options.users, options.seed).map_err(usage)?;
    let mut progress = Progress::new("seeding", options.users);
    let replace = WriteOptions { replace: options.replace };
    let written = ferry_seed::write(&target, &population, replace, |users| progress.at(users, "")).await;
    progress.done();
    let written = written.map_err(|error| match error {
        SeedError::TablesExist { .. } | SeedError::NotOurs { .. } => refused(error),
        SeedError::BadTarget { .. } | SeedError::UserCount { .. } => usage(error),
        other => other.into(),
    })?;
    tell(&written, options.output)
}

/// An example application that was written: numbers of rows.
#[derive(Serialize, JsonSchema)]
pub struct Done<'a> {
    hospitals: u64,
    wards: u64,
    users: u64,
    permissions: u64,
    /// Digest of all rows: the same options, the same digest.
    digest: &'a str,
}

fn tell(written: &Written, form: Output) -> anyhow::Result<Exit> {
    let Written { hospitals, wards, users, permissions, ref digest, .. } = *written;
    match form {
        Output::Json | Output::Ndjson => {
            printed::object(&Done { hospitals, wards, users, permissions, digest })?
        }
        Output::Table => {
            output::data(&format!(
                "{users} users, {hospitals} hospitals, {wards} wards, {permissions} permissions"
            ));
            output::data(&format!("digest {digest}"));
        }
    }
    Ok(Exit::Done)
}
