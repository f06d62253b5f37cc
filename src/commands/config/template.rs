//! `ferry config template`.

use crate::{exit::Exit, output, settings::DEFAULTS};

pub fn run() -> anyhow::Result<Exit> {
    output::data(DEFAULTS.trim_end());
    Ok(Exit::Done)
}
