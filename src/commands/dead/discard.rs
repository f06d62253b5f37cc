//! `ferry dead discard`: marks kept letters as settled.

use ferry_operations::{
    dead::{self, Act},
    units::counted,
};

pub use super::decision::Options;
use super::decision::agreed;
use crate::{exit::Exit, options::Output, output, printed, setup::Setup};

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let Some((access, question)) = agreed(setup, Act::Discard, &options).await? else {
        return Ok(output::nothing_changed());
    };
    let done = dead::discard(&access, &question, options.consent.reason.as_deref()).await?;
    if question.count.letters > 0 {
        output::say(&format!("{} discarded.", counted(done.discarded, "letter")));
    }
    if options.output != Output::Table {
        printed::object(&done)?;
    }
    Ok(Exit::Done)
}
