//! The application's database, for a ledger in another one.

use async_trait::async_trait;
use ferry_domain::{
    Auth0UserId, ItemResult, SourceKey, WriteBackTarget,
    app_schema::AppSchema,
    application::{AppTable, RowId},
    ports::{AppRows, Application, LedgerError, Planning},
};
use ferry_ledger::Result;
use tokio::time::Instant;

use super::How;
use crate::{
    Options, PostgresLedger,
    errors::{Fault, Tried},
    transaction::Tries,
};

const READING: &str = "could not read the application's table";
const WRITING: &str = "could not write ids to the application's table";

/// The application's database on a PostgreSQL server, without a ledger. Clones share connections.
#[derive(Clone, Debug)]
pub struct PostgresApplication {
    /// Connections, and what was learned of the tables; its ledger, if it has one, is not touched.
    server: PostgresLedger,
    name: String,
}

impl PostgresApplication {
    /// Connects, and gives up after 5 s. `name` is what runs remember it by.
    ///
    /// # Errors
    /// As [`PostgresLedger::connect`].
    pub async fn connect(
        url: &str,
        name: impl Into<String> + Send,
        options: Options,
    ) -> std::result::Result<Self, LedgerError> {
        let options = Options { death_lock: false, ..options };
        Ok(PostgresApplication { server: PostgresLedger::connect(url, options).await?, name: name.into() })
    }

    /// One part of a group, in one transaction; again where others' locks or refused rows stopped it.
    async fn write_part(&self, target: &WriteBackTarget, part: &[&ItemResult]) -> Tried<AppRows> {
        let mut tries = Tries::default();
        let mut how = self.server.pace.how();
        loop {
            let fault = match self.write_once(target, part, how).await {
                Err(fault) => fault,
                written => return written,
            };
            match how.after(&fault, part.len()) {
                Some(next) => how = next,
                None if tries.again(&fault).await => {}
                None => return Err(fault),
            }
        }
    }

    async fn write_once(&self, target: &WriteBackTarget, part: &[&ItemResult], how: How) -> Tried<AppRows> {
        let mut tx = self.server.begin_write_back(how).await?;
        match self.server.write_rows(&mut tx, target, part.iter().copied(), how).await {
            Ok(rows) => {
                tx.commit().await?;
                Ok(rows)
            }
            Err(fault) => {
                // The next try would take its rows for locked by others. It fails with a lost
                // connection only, whose server undoes it.
                let _ = tx.rollback().await;
                Err(fault)
            }
        }
    }
}

#[async_trait]
impl Application for PostgresApplication {
    fn name(&self) -> &str {
        &self.name
    }

    async fn prepare(&self, target: &WriteBackTarget) -> Result<bool> {
        self.server.prepare_application(target).await
    }

    async fn table(&self, target: &WriteBackTarget) -> Result<AppTable> {
        let mut table = self.server.application_table(target).await?;
        table.target.database = Some(self.name.clone());
        Ok(table)
    }

    async fn schema(&self, target: &WriteBackTarget, names: &[&str]) -> Result<AppSchema> {
        self.server.application_schema(target, names).await
    }

    async fn row_ids(
        &self,
        target: &WriteBackTarget,
        users: &[(SourceKey, Auth0UserId)],
    ) -> Result<Vec<RowId>> {
        self.server.trying(READING, || self.server.row_ids_here(target, users)).await
    }

    async fn write_ids(&self, target: &WriteBackTarget, results: &[&ItemResult]) -> Result<AppRows> {
        let pace = &self.server.pace;
        let mut parts = pace.parts(results);
        let mut done = AppRows::default();
        while let Some(part) = parts.pop() {
            let began = Instant::now();
            match self.write_part(target, part).await {
                Err(Fault::AppSlow) => {
                    pace.too_slow(part.len());
                    parts.extend(pace.parts(part));
                }
                Err(fault) => return Err(self.server.failed(WRITING)(fault)),
                Ok(rows) => {
                    pace.took(part.len(), began.elapsed());
                    if !rows.locked.is_empty() {
                        pace.met_a_lock();
                    }
                    done.add(rows);
                }
            }
        }
        Ok(done)
    }
}
