//! What each command is given: settings and servers, each read once.

use std::sync::Arc;

use ferry_domain::ports::Ledger;
use ferry_operations::Access;

use crate::{
    place::Place,
    servers::Servers,
    settings::{Origins, Settings},
    system::{SystemClock, SystemRandom},
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

    /// What operations may use, with the ledger, which must exist.
    pub async fn access(&self) -> anyhow::Result<Access> {
        Ok(self.access_to(wiring::ledger(&self.place()?, self).await?))
    }

    /// What operations may use, with this ledger.
    pub fn access_to(&self, ledger: Arc<dyn Ledger>) -> Access {
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        Access::new(ledger, clock, random, self.servers.operator.clone())
    }
}
