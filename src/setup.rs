//! What each command is given: settings and servers, each read once.

use std::sync::Arc;

use ferry_domain::ports::Ledger;

use crate::{
    place::Place,
    servers::Servers,
    settings::{Origins, Settings},
    wiring,
};

/// Settings and servers.
#[derive(Clone)]
pub struct Setup {
    /// All settings.
    pub settings: Settings,
    /// Where each came from.
    pub origins: Origins,
    /// What the environment says.
    pub servers: Servers,
}

impl Setup {
    /// Where the ledger is.
    pub fn place(&self) -> anyhow::Result<Place> {
        Place::of(&self.servers)
    }

    /// The ledger, which must exist.
    pub async fn ledger(&self) -> anyhow::Result<Arc<dyn Ledger>> {
        wiring::ledger(&self.place()?, self).await
    }
}
