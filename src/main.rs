//! `ferry`: moves an application's users into Auth0.
//!
//! The command is the only place that names concrete adapters (`wiring`) and the
//! only one with `anyhow`: an error's chain is printed once, here.

mod cli;
mod commands;
mod consent;
#[cfg(feature = "crash-points")]
mod crash;
mod examples;
mod exit;
mod figure;
mod files;
mod lifecycle;
mod made_with;
mod metrics;
mod options;
mod output;
mod place;
mod planted;
mod printed;
mod reading;
mod schemas;
mod screen;
mod servers;
mod settings;
mod setup;
mod shown;
mod system;
mod table;
mod tenant;
mod traces;
mod wiring;

use std::process::ExitCode;

use exit::Exit;
use tikv_jemallocator::Jemalloc;

/// A fifth less CPU for each user than with glibc's, and less memory: ADR 0024.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    #[cfg(feature = "crash-points")]
    if let Some(exit) = crash::prepare() {
        return exit.into();
    }
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(help) => {
            let _ = help.print(); // a closed pipe is no reason to fail
            return if help.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("ferry: threads could not be started: {error}");
            return Exit::Internal.into();
        }
    };
    match runtime.block_on(commands::run(cli)) {
        Ok(exit) => match output::lost() {
            None => exit.into(),
            Some(error) => {
                eprintln!("ferry: the output could not be written ({error}): what is there is not all of it");
                Exit::Internal.into()
            }
        },
        Err(error) => {
            output::last_word(&format!("ferry: {}", told(&error)));
            exit::of(&error).into()
        }
    }
}

/// The chain of an error in one line, without what a cause repeats.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
