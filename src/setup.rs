//! What each command is given: settings and servers, each read once.

use crate::{
    place::Place,
    servers::Servers,
    settings::{Origins, Settings},
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
}
