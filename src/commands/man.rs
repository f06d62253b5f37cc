//! `ferry man`: pages for `man`, one for each command.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::{exit::Exit, output};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The folder that they are written to; made if it is not there
    pub folder: PathBuf,
}

/// Writes the pages of `command`.
pub fn run(command: clap::Command, options: &Options) -> anyhow::Result<Exit> {
    let folder = &options.folder;
    let failed = || format!("the pages could not be written to {}", folder.display());
    std::fs::create_dir_all(folder).with_context(failed)?;
    clap_mangen::generate_to(command, folder).with_context(failed)?;
    output::say(&format!(
        "Read them with man {}/ferry.1, or install them in a folder of MANPATH.",
        folder.display()
    ));
    Ok(Exit::Done)
}
