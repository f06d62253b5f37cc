//! Which dead letters a command means: options, and `--where`.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use ferry_domain::Code;
use ferry_operations::{
    Error, RunName,
    dead::{self, Selected},
    units,
};

/// Which dead letters; what is given must all hold. Without any: all.
#[derive(Clone, Debug, Default, Args)]
pub struct Selection {
    /// Only the dead letters with these numbers
    #[arg(value_parser = number)]
    pub ids: Vec<i64>,
    /// Only dead letters of this run: its id, how it begins, or last
    #[arg(long, value_name = "RUN")]
    pub run: Option<RunName>,
    /// Only dead letters with this code; can be repeated
    #[arg(long = "code", value_name = "CODE")]
    pub codes: Vec<Code>,
    /// Only dead letters at least this old: a number and s, m, h or d, for example 7d
    #[arg(long, value_name = "AGE", value_parser = units::age)]
    pub older_than: Option<Duration>,
    /// These filters in one text: 'run=last code=A,B state=kept older=7d id=1,2'
    #[arg(long = "where", value_name = "FILTER")]
    pub filter: Option<String>,
}

/// The number of a dead letter.
pub fn number(text: &str) -> Result<i64, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "letters have numbers, such as 7; ferry dead list shows them".to_owned())
}

impl Selection {
    /// Options and filter together.
    pub fn read(self) -> anyhow::Result<Selected> {
        dead::Selection::from(self).read().map_err(Error::from).context("--where")
    }

    /// The same, for what acts on letters that wait for a person.
    pub fn kept(self) -> anyhow::Result<Selected> {
        dead::Selection::from(self).kept().context("--where")
    }
}

impl From<Selection> for dead::Selection {
    fn from(options: Selection) -> Self {
        let Selection { ids, run, codes, older_than, filter } = options;
        dead::Selection { ids, run, codes, older_than, filter }
    }
}
