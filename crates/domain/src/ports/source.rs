//! The port to where users come from.

use std::fmt;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    ids::SourceKey,
    item::{Origin, Outcome},
    record::UserRecord,
    run::SourceIdentity,
};

/// One record of the source after the rules.
#[derive(Clone, Debug, PartialEq)]
pub enum Candidate {
    /// A valid user.
    User {
        /// Where it is in the source.
        origin: Origin,
        /// The user.
        record: Box<UserRecord>,
    },
    /// A rule decided already: failed or skipped, with a code.
    Settled(Settled),
}

/// A record that will not be sent, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// Where it is in the source.
    pub origin: Origin,
    /// Its key, where it has one.
    pub key: Option<SourceKey>,
    /// `Failed` or `Skipped`, with code and field.
    pub outcome: Outcome,
    /// The user, where an earlier run moved it: its address is taken.
    pub record: Option<Box<UserRecord>>,
}

/// The source as a whole can't be read. Names file, line, field, rule and remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}{}: {what}{}. {remedy}", line.map(|l| format!(":{l}")).unwrap_or_default(), field.as_deref().map(|f| format!(" (field {f})")).unwrap_or_default())]
pub struct SourceError {
    /// File or table.
    pub place: String,
    /// Line or record, where one is to blame.
    pub line: Option<u64>,
    /// Column or property, where one is to blame.
    pub field: Option<String>,
    /// Which rule is broken.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// What a person should know of a source as a whole, though no record is refused for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SourceWarning {
    /// Column or property it is about, where there is one.
    pub field: Option<String>,
    /// What was found. Counts and names, never a value.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for SourceWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{field}: {}. {}", self.what, self.remedy),
            None => write!(f, "{}. {}", self.what, self.remedy),
        }
    }
}

/// A stream of users in constant memory.
#[async_trait]
pub trait Source: Send {
    /// Where the users come from, without credentials.
    fn identity(&self) -> SourceIdentity;

    /// Up to `most` further records in source order; empty at the end.
    async fn next_chunk(&mut self, most: usize) -> Result<Vec<Candidate>, SourceError>;

    /// SHA-256 of a file's bytes as 64 hex digits, once the end was reached;
    /// `None` before, and for tables (their users are compared one by one).
    fn digest(&self) -> Option<String>;

    /// What a person should know of the whole, once the end was reached.
    fn warnings(&self) -> Vec<SourceWarning> {
        Vec::new()
    }
}
