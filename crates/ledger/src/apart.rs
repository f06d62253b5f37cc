//! The application's database, where it is not the ledger's.

use std::sync::Arc;

use ferry_domain::{
    WriteBackTarget,
    ports::{Application, LedgerError},
};

use crate::Result;

/// The application's database, for a ledger elsewhere. Empty where the ledger lives beside the
/// application's tables.
#[derive(Clone, Debug, Default)]
pub struct Apart(Option<Arc<dyn Application>>);

impl Apart {
    /// A ledger elsewhere.
    pub fn from(application: Arc<dyn Application>) -> Self {
        Apart(Some(application))
    }

    /// Where a table that no run knows yet is looked for; `None` means in the ledger's database.
    pub fn any(&self) -> Option<&dyn Application> {
        self.0.as_deref()
    }

    /// The database of a run's table; `None` means the ledger's.
    ///
    /// # Errors
    /// `WriteBackTarget` when this process knows no such database, or another one: nothing may be
    /// written there, whatever its tables are called.
    pub fn of(&self, target: &WriteBackTarget) -> Result<Option<&dyn Application>> {
        let Some(name) = &target.database else { return Ok(None) };
        match self.any() {
            Some(application) if application.name() == name => Ok(Some(application)),
            Some(other) => Err(LedgerError::WriteBackTarget(format!(
                "the table {} of this run is in {name}, and this process has {} for the application's database: \
                 set DATABASE_URL to {name}, with FERRY_LEDGER_URL as it is",
                target.shown(),
                other.name(),
            ))),
            None => Err(LedgerError::WriteBackTarget(format!(
                "the table {} of this run is in {name}, which this process does not know: set DATABASE_URL to \
                 {name}, and FERRY_LEDGER_URL to the ledger",
                target.shown(),
            ))),
        }
    }
}
