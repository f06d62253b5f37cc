//! Reading a whole source, and saying what came out of it.

use std::path::{Path, PathBuf};

use ferry_domain::{
    Code, ItemState, UserRecord,
    ports::{Candidate, Settled, Source, SourceError},
};
use ferry_sources::{EmailVerified, Location, Mapping, open};
use time::{OffsetDateTime, macros::datetime};

/// Chunks small enough that every test crosses their border.
pub const CHUNK: usize = 3;

pub async fn read(source: &mut dyn Source, most: usize) -> Result<Vec<Candidate>, SourceError> {
    let mut all = Vec::new();
    loop {
        let chunk = source.next_chunk(most).await?;
        assert!(chunk.len() <= most);
        if chunk.is_empty() {
            return Ok(all);
        }
        all.extend(chunk);
    }
}

/// Reads everything a place holds.
pub async fn candidates(location: &Location, mapping: &Mapping) -> Result<Vec<Candidate>, SourceError> {
    Ok(all_of(location, mapping).await?.0)
}

/// Reads everything a place holds, and what is said about the whole.
pub async fn all_of(
    location: &Location,
    mapping: &Mapping,
) -> Result<(Vec<Candidate>, Vec<String>), SourceError> {
    let mut source = open(location, mapping, now()).await?;
    let all = read(source.as_mut(), CHUNK).await?;
    Ok((all, source.warnings().iter().map(ToString::to_string).collect()))
}

/// The time of every test.
pub fn now() -> OffsetDateTime {
    datetime!(2026-06-01 12:00 UTC)
}

/// Writes a file and reads it.
pub async fn read_text(
    name: &str,
    text: impl AsRef<[u8]>,
    mapping: &Mapping,
) -> Result<Vec<Candidate>, SourceError> {
    Ok(read_all(name, text, mapping).await?.0)
}

/// Writes a file, reads it, and returns what is said about the whole as well.
pub async fn read_all(
    name: &str,
    text: impl AsRef<[u8]>,
    mapping: &Mapping,
) -> Result<(Vec<Candidate>, Vec<String>), SourceError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    all_of(&Location::parse(path.to_str().unwrap(), None).unwrap(), mapping).await
}

pub async fn fails(name: &str, text: impl AsRef<[u8]>, mapping: &Mapping) -> SourceError {
    read_text(name, text, mapping).await.unwrap_err()
}

/// key, email, and nothing else; no address is verified.
pub fn simple() -> Mapping {
    mapping(&[("key", "id"), ("email", "email")])
}

/// A mapping by names of fields; `email_verified` is read where it is among them.
pub fn mapping(fields: &[(&str, &str)]) -> Mapping {
    let mut mapping = Mapping { email_verified: EmailVerified::Never, ..Mapping::default() };
    let columns = &mut mapping.columns;
    for (field, column) in fields {
        let column_name = (*column).to_owned();
        if let Some(key) = field.strip_prefix("app_metadata.") {
            columns.app_metadata.insert(key.to_owned(), column_name);
            continue;
        }
        let slot = match *field {
            "key" => &mut columns.key,
            "email" => &mut columns.email,
            "email_verified" => &mut columns.email_verified,
            "name" => &mut columns.name,
            "given_name" => &mut columns.given_name,
            "family_name" => &mut columns.family_name,
            "nickname" => &mut columns.nickname,
            "picture" => &mut columns.picture,
            "active" => &mut columns.active,
            "blocked" => &mut columns.blocked,
            "deleted_at" => &mut columns.deleted_at,
            "blocked_at" => &mut columns.blocked_at,
            "banned_until" => &mut columns.banned_until,
            "provider" => &mut columns.provider,
            "password_hash" => &mut columns.password_hash,
            "auth0_user_id" => &mut columns.auth0_user_id,
            other => panic!("no field {other}"),
        };
        *slot = Some(column_name);
        if *field == "email_verified" {
            mapping.email_verified = EmailVerified::Column;
        }
    }
    mapping
}

pub fn users(all: &[Candidate]) -> Vec<&UserRecord> {
    all.iter()
        .filter_map(|c| if let Candidate::User { record, .. } = c { Some(record.as_ref()) } else { None })
        .collect()
}

pub fn settled(all: &[Candidate]) -> Vec<&Settled> {
    all.iter().filter_map(|c| if let Candidate::Settled(s) = c { Some(s) } else { None }).collect()
}

/// How many records a code decided.
pub fn coded(all: &[Candidate], code: Code) -> usize {
    settled(all).iter().filter(|s| s.outcome.code == Some(code)).count()
}

pub fn of_state(all: &[Candidate], state: ItemState) -> usize {
    settled(all).iter().filter(|s| s.outcome.state == state).count()
}

/// `line:key` of users and `line:CODE(field)` of the others, in source order.
pub fn story(all: &[Candidate]) -> Vec<String> {
    all.iter()
        .map(|candidate| match candidate {
            Candidate::User { origin, record } => format!("{}:{}", origin.line, record.key.0),
            Candidate::Settled(s) => {
                let field = s.outcome.field.as_ref().map(|f| format!("({f})")).unwrap_or_default();
                format!("{}:{}{field}", s.origin.line, s.outcome.code.unwrap())
            }
        })
        .collect()
}

/// A sample file that is not ours; `None`, with a line that says so, where it is absent.
pub fn sample(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/samples");
    let folder = std::env::var_os("FERRY_SAMPLES").map_or(beside, PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: no sample file {}", path.display());
    None
}
