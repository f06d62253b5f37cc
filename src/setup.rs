//! What each command is given: settings and servers, each read once.

use crate::{
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
