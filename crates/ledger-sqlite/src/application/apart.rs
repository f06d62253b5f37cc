//! The application's file, for a ledger in another file or database.

use std::path::Path;

use async_trait::async_trait;
use ferry_domain::{
    Auth0UserId, ItemResult, SourceKey, WriteBackTarget,
    app_schema::AppSchema,
    application::{AppTable, RowId},
    ports::{AppRows, Application, LedgerError, Planning, RefusedRow},
};
use ferry_ledger::Result;

use super::{Parts, Trouble, WRITING, row_ids, write_rows};
use crate::{SqliteLedger, errors::Doing};

const READING: &str = "could not read the application's table";

/// The application's database in a SQLite file, without a ledger. Clones share connections.
#[derive(Clone, Debug)]
pub struct SqliteApplication {
    /// Connections to the file; its ledger, if it has one, is not touched.
    file: SqliteLedger,
    name: String,
}

impl SqliteApplication {
    /// Opens a file that must be there, and turns it to WAL. `name` is what runs remember it by.
    ///
    /// # Errors
    /// As [`SqliteLedger::open_existing`].
    pub async fn open(path: &Path, name: impl Into<String> + Send) -> Result<Self> {
        Ok(SqliteApplication { file: SqliteLedger::open_before_a_ledger(path).await?, name: name.into() })
    }

    /// For people: the name without its scheme.
    fn shown(&self) -> String {
        format!("the file {}", self.name.strip_prefix("sqlite://").unwrap_or(&self.name))
    }

    async fn write_once(
        &self,
        target: &WriteBackTarget,
        results: &[&ItemResult],
        parts: &mut Parts,
    ) -> std::result::Result<Vec<RefusedRow>, Trouble> {
        let mut tx = self.file.write(WRITING).await?;
        let refused = write_rows(&mut tx, target, results, parts).await?;
        tx.commit().await.doing(WRITING)?;
        Ok(refused)
    }
}

#[async_trait]
impl Application for SqliteApplication {
    fn name(&self) -> &str {
        &self.name
    }

    async fn prepare(&self, target: &WriteBackTarget) -> Result<bool> {
        self.file.prepare_application(target).await
    }

    async fn table(&self, target: &WriteBackTarget) -> Result<AppTable> {
        let mut table = self.file.application_table(target).await?;
        table.target.database = Some(self.name.clone());
        Ok(table)
    }

    async fn schema(&self, target: &WriteBackTarget, names: &[&str]) -> Result<AppSchema> {
        self.file.application_schema(target, names).await
    }

    async fn row_ids(
        &self,
        target: &WriteBackTarget,
        users: &[(SourceKey, Auth0UserId)],
    ) -> Result<Vec<RowId>> {
        let mut connection = self.file.reader().acquire().await.doing(READING)?;
        row_ids(&mut connection, target, users).await
    }

    async fn write_ids(&self, target: &WriteBackTarget, results: &[&ItemResult]) -> Result<AppRows> {
        let mut parts = Parts::default();
        loop {
            match self.write_once(target, results, &mut parts).await {
                Err(Trouble::Ended) => {} // again, with that row in a smaller part
                Err(Trouble::Ledger(LedgerError::Busy)) => return Err(LedgerError::AppBusy(self.shown())),
                Err(Trouble::Ledger(error)) => return Err(error),
                Ok(refused) => return Ok(AppRows { refused, locked: Vec::new() }), // SQLite locks no rows
            }
        }
    }
}
