//! `ferry batch`: batches of a run, and their jobs.

pub mod list;
pub mod show;

use clap::Subcommand;
use ferry_domain::JobState;
use ferry_operations::batch::Job;

use crate::{exit::Exit, setup::Setup};

const LIST: &str = "Keys of a filter; all terms must hold, and A,B means one of them:
  state=   open (some users are pending), provisioned (none is), verified (they were read back)
  job=     ready, queued, leased, done, dead: a job of the batch is so
  code=    why a job was handed back or given up last";

#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// List batches of a run, page by page: their users in numbers, and their jobs
    #[command(after_help = LIST)]
    List(list::Options),
    /// Show one batch: users of each state, tries of its jobs, and the worker that holds it
    Show(show::Options),
}

pub async fn run(setup: &Setup, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::List(options) => list::run(setup, options).await,
        Command::Show(options) => show::run(setup, options).await,
    }
}

/// What became of a job so far.
fn tries(job: &Job) -> String {
    let mut text = job.state.as_str().to_owned();
    if job.attempts > 0 {
        text += &format!(", {} failed tries", job.attempts);
    }
    if job.rescues > 0 {
        text += &format!(", {} rescues", job.rescues);
    }
    // Why a job that is done was handed back once is no matter any more.
    if let Some(code) = job.code.filter(|_| job.state != JobState::Done) {
        text += &format!(", last {code}");
    }
    if let Some(holder) = &job.holder {
        text += &format!(", held by {holder}");
    }
    text
}

#[cfg(test)]
mod tests {
    use ferry_domain::{Code, JobKind};

    use super::*;

    #[test]
    fn why_a_job_was_handed_back_is_told_while_it_is_not_done() {
        let (kind, code) = (JobKind::Provision, Some(Code::Interrupted));
        let of = |state| tries(&Job { kind, state, attempts: 0, rescues: 1, code, holder: None });
        assert_eq!(of(JobState::Ready), "ready, 1 rescues, last INTERRUPTED");
        assert_eq!(of(JobState::Done), "done, 1 rescues");
    }
}
