//! `ferry dead redrive`: sends kept letters again.

use ferry_operations::{
    dead::{self, Act, RedriveDone},
    units::counted,
};

pub use super::decision::Options;
use super::decision::agreed;
use crate::{exit::Exit, options::Output, output, printed, setup::Setup};

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let Some((access, question)) = agreed(setup, Act::Redrive, &options).await? else {
        return Ok(output::nothing_changed());
    };
    let done = dead::redrive(&access, &question, options.consent.reason.as_deref()).await?;
    if question.count.letters > 0 {
        output::say(&told(&done));
    }
    if options.output != Output::Table {
        printed::object(&done)?;
    }
    Ok(Exit::Done)
}

fn told(done: &RedriveDone) -> String {
    let mut text = match done.users {
        0 => {
            format!(
                "{} redriven: users are read back, or the report is made, again.",
                counted(done.redriven, "letter")
            )
        }
        1 => format!("{} redriven, 1 user is pending again.", counted(done.redriven, "letter")),
        users => format!("{} redriven, {users} users are pending again.", counted(done.redriven, "letter")),
    };
    if done.left > 0 {
        text += &format!(
            "\n{} can't go again (no job, or a run that was cancelled): ferry dead discard settles them.",
            counted(done.left, "letter")
        );
    }
    if done.redriven > 0 {
        for run in &done.runs {
            text += &format!("\nFollow: ferry run watch {run}");
        }
    }
    text
}
