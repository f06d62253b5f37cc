//! The application's database, where the ledger is in another one.

use std::fmt;

use async_trait::async_trait;

use super::{AppRows, LedgerError};
use crate::{
    app_schema::AppSchema,
    application::{AppTable, RowId},
    ids::{Auth0UserId, SourceKey},
    item::ItemResult,
    run::WriteBackTarget,
};

type Result<T> = std::result::Result<T, LedgerError>;

/// The application's tables, in a database without a ledger. What is written here is written
/// before the ledger hears of it: a process that ends in between leaves rows with ids whose users
/// count as not moved yet. They are tried again with the same ids, and written again.
#[async_trait]
pub trait Application: fmt::Debug + Send + Sync {
    /// Which database it is, as runs remember it ([`WriteBackTarget::database`]).
    fn name(&self) -> &str;

    /// As [`Planning::prepare_application`](super::Planning::prepare_application).
    async fn prepare(&self, target: &WriteBackTarget) -> Result<bool>;

    /// As [`Planning::application_table`](super::Planning::application_table); the target in the
    /// answer names this database.
    async fn table(&self, target: &WriteBackTarget) -> Result<AppTable>;

    /// As [`Reports::row_ids`](super::Reports::row_ids).
    async fn row_ids(
        &self,
        target: &WriteBackTarget,
        users: &[(SourceKey, Auth0UserId)],
    ) -> Result<Vec<RowId>>;

    /// As [`Planning::application_schema`](super::Planning::application_schema).
    async fn schema(&self, target: &WriteBackTarget, names: &[&str]) -> Result<AppSchema>;

    /// Gives the rows of these results their ids, where there is none yet or the same one, in
    /// transactions of its own. Safe to repeat.
    async fn write_ids(&self, target: &WriteBackTarget, results: &[&ItemResult]) -> Result<AppRows>;
}
