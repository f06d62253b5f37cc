//! `ferry user`: what became of users, of one or of many.

pub mod list;
pub mod show;

use clap::Subcommand;

use crate::{exit::Exit, setup::Setup};

const LIST: &str = "Keys of a filter; all terms must hold, and A,B means one of them:
  state=   pending, created, adopted, skipped, conflict, failed, cancelled
  code=    as reports name it
  key=     the user's key in the source
  place=   the file or table, as reports show it
  line=    200, 200..300, 200.. or ..300
  batch=   the batch's id, or how it begins
  NAME=    what the application knows of a user (app_metadata), such as hospital; app.NAME is the same.
           Of a record that a rule refused, such as EMAIL_INVALID, it is not kept
A value with a space or a comma in it is put in quotes: --where 'hospital=\"St. Mary\"'";

#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// List users of a run, page by page, in the order of the source. Keys and ids, no addresses or names
    #[command(after_help = LIST)]
    List(list::Options),
    /// Show all that is known of one user: its outcome in each run and why, its jobs, its account as it is now
    Show(show::Options),
}

pub async fn run(setup: &Setup, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::List(options) => list::run(setup, options).await,
        Command::Show(options) => show::run(setup, options).await,
    }
}
