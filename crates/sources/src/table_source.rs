//! The stream over a table, the same for both databases.

use std::collections::VecDeque;

use async_trait::async_trait;
use ferry_domain::{
    Code, Origin, SourceIdentity,
    ports::{Candidate, Source, SourceError},
};

use crate::{
    error::refuse,
    mapping::Mapping,
    rules::{Raw, Rules},
};

/// What differs between the databases: reading the next rows in key order.
#[async_trait]
pub(crate) trait Pages: Send {
    /// Rows with a key, in its order; empty after the last.
    async fn next_page(&mut self) -> Result<Vec<Raw>, SourceError>;

    /// The number of rows without a key.
    async fn without_key(&mut self) -> Result<u64, SourceError>;
}

pub(crate) struct TableSource<P> {
    pages: P,
    identity: SourceIdentity,
    /// Table name, for origins.
    table: String,
    rules: Rules,
    buffer: VecDeque<Raw>,
    row: u64,
    stage: Stage,
}

enum Stage {
    WithKey,
    /// The number of rows without a key that are still to be reported.
    WithoutKey(u64),
}

impl<P: Pages> TableSource<P> {
    pub(crate) fn new(pages: P, identity: SourceIdentity, table: &str, mapping: &Mapping) -> Self {
        TableSource {
            pages,
            identity,
            table: table.to_owned(),
            rules: Rules::new(mapping),
            buffer: VecDeque::new(),
            row: 0,
            stage: Stage::WithKey,
        }
    }

    async fn next_raw(&mut self) -> Result<Option<Raw>, SourceError> {
        match &mut self.stage {
            Stage::WithKey if self.buffer.is_empty() => {
                self.buffer = self.pages.next_page().await?.into();
                if self.buffer.is_empty() {
                    self.stage = Stage::WithoutKey(self.rest().await?);
                    return Ok(self.report());
                }
                Ok(self.buffer.pop_front())
            }
            Stage::WithKey => Ok(self.buffer.pop_front()),
            Stage::WithoutKey(_) => Ok(self.report()),
        }
    }

    async fn rest(&mut self) -> Result<u64, SourceError> {
        let count = self.pages.without_key().await?;
        if self.row == 0 && count == 0 {
            let remedy = "Check that it is the right table, and whether row policies hide its rows";
            return Err(refuse(&self.identity.location, "the table has no rows", remedy));
        }
        Ok(count)
    }

    /// One more row without a key, while there are any.
    fn report(&mut self) -> Option<Raw> {
        let Stage::WithoutKey(left) = &mut self.stage else { return None };
        *left = left.checked_sub(1)?;
        Some(Err(Code::KeyMissing))
    }
}

#[async_trait]
impl<P: Pages> Source for TableSource<P> {
    fn identity(&self) -> SourceIdentity {
        self.identity.clone()
    }

    async fn next_chunk(&mut self, most: usize) -> Result<Vec<Candidate>, SourceError> {
        let mut chunk = Vec::new();
        while chunk.len() < most {
            let Some(raw) = self.next_raw().await? else { break };
            self.row += 1;
            chunk.push(self.rules.judge(Origin { place: self.table.clone(), line: self.row }, raw));
        }
        Ok(chunk)
    }

    fn digest(&self) -> Option<String> {
        None
    }
}
