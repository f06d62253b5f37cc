//! Opening a source as options and settings say: what `plan` and `run start` share.

use clap::Args;
pub use ferry_domain::shell::quoted;
use ferry_domain::{RunSpec, migration, ports::Clock, run::WriteBackTarget};
use ferry_operations::{accept::Accept, planner::Subject};
use ferry_sources::Location;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use crate::{
    exit::usage,
    made_with,
    place::Place,
    servers::Servers,
    settings::{self, Flag, Settings},
    setup::Setup,
    system::SystemClock,
};

/// How records are read; each overrides the settings file.
#[derive(Clone, Debug, Default, Args)]
pub struct Reading {
    /// Named mapping of the source's columns: medlogistics or authjs [default: section source of the settings]
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Name of this migration, a part of every user id [default: the settings', else made of the source]
    #[arg(long, value_name = "NAME")]
    pub migration: Option<String>,
    /// Format of the file: csv, json, ndjson [default: by the ending of its name]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Which addresses count as verified: column (as the mapped column says), assume (all), never (none)
    #[arg(long, value_name = "RULE")]
    pub email_verified: Option<String>,
    /// Users that are disabled in the source: skip, block (create them blocked), carry (create them as active)
    #[arg(long, value_name = "RULE")]
    pub inactive: Option<String>,
    /// Create users without their password hashes, which cannot be added later
    #[arg(long)]
    pub discard_hashes: bool,
    /// Go on although Ferry would refuse: ROW_SECURITY (policies may hide rows of the table from this
    /// database user); for run start also SOURCE_CHANGED (since the plan), MIGRATION_TAKEN (the name has
    /// another source), MIGRATION_RENAMED (this source had another name). May be repeated
    #[arg(long, value_name = "CODE")]
    pub accept: Vec<Accept>,
}

impl Reading {
    /// The settings that these override.
    pub fn flags(&self) -> Vec<Flag> {
        let mut flags = Vec::new();
        settings::push(&mut flags, "source.preset", self.preset.as_deref());
        settings::push(&mut flags, "migration.name", self.migration.as_deref());
        settings::push(&mut flags, "source.email_verified", self.email_verified.as_deref());
        settings::push(&mut flags, "source.inactive", self.inactive.as_deref());
        if self.discard_hashes {
            flags.push(("source.discard_hashes", true.into()));
        }
        if self.accept.contains(&Accept::RowSecurity) {
            flags.push(("source.row_security", "accept".into()));
        }
        flags
    }

    /// What a person has to accept again, as options of `run start`: a plan keeps the rest.
    pub fn accepted_again(&self) -> String {
        let again = self.accept.iter().filter(|word| **word != Accept::RowSecurity);
        again.map(|word| format!(" --accept {word}")).collect()
    }

    /// Refuses what can't be accepted by this command.
    pub fn check_accepted(&self, known: &[Accept]) -> anyhow::Result<()> {
        match self.accept.iter().find(|word| !known.contains(word)) {
            None => Ok(()),
            Some(unknown) => Err(usage(format!("--accept {unknown}: it can be accepted by run start"))),
        }
    }
}

/// A source ready to be read.
pub struct Opened {
    /// The source, and what the settings say about a run over it.
    pub subject: Subject,
    /// Where it is.
    pub location: Location,
}

/// The source that was named, else the application's database: so no password has to be typed,
/// where every user of the machine could read it in the list of processes.
pub fn named(source: Option<&str>, servers: &Servers) -> anyhow::Result<String> {
    if let Some(source) = source {
        return Ok(source.to_owned());
    }
    servers.database()?.map(|url| url.text().to_owned()).ok_or_else(|| {
        usage("name a source (a file, or the URL of a database), or set DATABASE_URL to the application's database")
    })
}

/// Opens a source named on the command line. `tenant` is empty where none is needed yet.
pub async fn open(setup: &Setup, text: &str, reading: &Reading, tenant: String) -> anyhow::Result<Opened> {
    let settings = &setup.settings;
    let format = reading.format.as_deref().map(str::parse).transpose().map_err(usage)?;
    let location = Location::parse(text, format)?;
    location.check_exists()?;
    let mapping = settings.mapping()?;
    let source = ferry_sources::open(&location, &mapping, SystemClock.now()).await?;
    let source_digest = match &location {
        Location::File { path, .. } => file_digest(path).await?,
        _ => String::new(),
    };
    let spec = RunSpec {
        tenant,
        connection: settings.auth0.connection.clone(),
        on_existing: settings.run.on_existing,
        batch_size: settings.run.batch_size,
        max_attempts: settings.run.max_attempts,
        limits: settings.auth0.limits.clone(),
        write_back: ferry_sources::write_back_target(&location, &mapping),
        source_digest,
        stop_after: settings.stop_after()?,
    };
    let migration = settings.migration.name.clone().unwrap_or_else(|| migration::name_of(&source.identity()));
    let made_with = made_with::of(setup, reading, &mapping, &migration).await?;
    let subject = Subject {
        source,
        migration,
        mapping: settings.mapping_name(),
        mapping_digest: mapping.digest(),
        made_with,
        spec,
    };
    Ok(Opened { subject, location })
}

pub async fn file_digest(path: &std::path::Path) -> anyhow::Result<String> {
    use tokio::io::AsyncReadExt;
    let mut file = tokio::fs::File::open(path).await?;
    let (mut sha, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut buffer).await?;
        if read == 0 {
            return Ok(ferry_domain::hex::hex(&sha.finalize()));
        }
        sha.update(&buffer[..read]);
    }
}

/// The application's table that gets `auth0_user_id`: the settings', or the usual one.
pub fn application(settings: &Settings, place: &Place) -> anyhow::Result<WriteBackTarget> {
    if settings.source.is_empty() {
        return Ok(usual_table());
    }
    let location = match place {
        Place::Sqlite(path) => Location::Sqlite { path: path.clone() },
        Place::Postgres(url) => Location::Postgres { url: url.expose_secret().to_owned().into() },
    };
    let mapping = settings.mapping()?;
    mapping.check_for_table()?;
    ferry_sources::write_back_target(&location, &mapping)
        .ok_or_else(|| usage("[source] names no table of a database"))
}

/// The application's table where nothing names it: MedLogistics' and most others'.
pub fn usual_table() -> WriteBackTarget {
    WriteBackTarget::new(None, "users", "id", "auth0_user_id")
}
