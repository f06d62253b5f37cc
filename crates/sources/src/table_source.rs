//! The stream over a table, the same for both databases.

use std::collections::VecDeque;

use async_trait::async_trait;
use ferry_domain::{
    Code, Origin, SourceIdentity,
    ports::{Candidate, Source, SourceError, SourceWarning},
};
use time::OffsetDateTime;

use crate::{
    error::refuse,
    found::Found,
    mapping::Mapping,
    notes::Notes,
    rules::{Raw, Rules},
};

/// What differs between the databases: reading the next rows in key order.
#[async_trait]
pub(crate) trait Pages: Send {
    /// Rows with a key, in its order; empty after the last.
    async fn next_page(&mut self) -> Result<Vec<Raw>, SourceError>;

    /// The number of rows without a key.
    async fn without_key(&mut self) -> Result<u64, SourceError>;

    /// What was found of paths into JSON columns so far.
    fn found(&self) -> &Found;
}

pub(crate) struct TableSource<P> {
    pages: P,
    identity: SourceIdentity,
    /// Table name, for origins.
    table: String,
    rules: Rules,
    notes: Notes,
    buffer: VecDeque<Row>,
    row: u64,
    stage: Stage,
}

/// A row, and whether a row that is none of this move carries the same key.
struct Row {
    raw: Raw,
    shares_key: bool,
}

enum Stage {
    WithKey,
    /// The number of rows without a key that are still to be reported.
    WithoutKey(u64),
}

impl<P: Pages> TableSource<P> {
    pub(crate) fn new(
        pages: P,
        identity: SourceIdentity,
        table: &str,
        mapping: &Mapping,
        now: OffsetDateTime,
    ) -> Self {
        TableSource {
            pages,
            identity,
            table: table.to_owned(),
            rules: Rules::new(mapping, true, now),
            notes: Notes::default(),
            buffer: VecDeque::new(),
            row: 0,
            stage: Stage::WithKey,
        }
    }

    async fn next_row(&mut self) -> Result<Option<Row>, SourceError> {
        match &mut self.stage {
            Stage::WithKey if self.buffer.is_empty() => {
                let page = self.pages.next_page().await?;
                let sharing = self.rules.sharing(&page);
                let row = |(raw, shares_key)| Row { raw, shares_key };
                self.buffer = page.into_iter().zip(sharing).map(row).collect();
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
        self.pages.found().check(&self.identity.location)?;
        let count = self.pages.without_key().await?;
        if self.row == 0 && count == 0 {
            let remedy = "Check that it is the right table, and whether row policies hide its rows";
            return Err(refuse(&self.identity.location, "the table has no rows", remedy));
        }
        Ok(count)
    }

    /// One more row without a key, while there are any.
    fn report(&mut self) -> Option<Row> {
        let Stage::WithoutKey(left) = &mut self.stage else { return None };
        *left = left.checked_sub(1)?;
        Some(Row { raw: Err(Code::KeyMissing), shares_key: false })
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
            let Some(Row { raw, shares_key }) = self.next_row().await? else { break };
            self.row += 1;
            let origin = Origin { place: self.table.clone(), line: self.row };
            let candidate = match shares_key {
                true => Some(self.rules.refuse_shared(origin, raw)),
                false => self.rules.judge(origin, raw, &mut self.notes),
            };
            chunk.extend(candidate);
        }
        Ok(chunk)
    }

    fn digest(&self) -> Option<String> {
        None
    }

    fn warnings(&self) -> Vec<SourceWarning> {
        self.pages.found().warnings().into_iter().chain(self.notes.warnings()).collect()
    }
}
