//! Which dead letters a command means: options, and `--where`.

use std::time::Duration;

use clap::Args;
use ferry_domain::{Code, RunId};
use ferry_operations::{dead, units};

/// Which dead letters; what is given must all hold. Without any: all.
#[derive(Clone, Debug, Default, Args)]
pub struct Selection {
    /// Only the dead letters with these numbers
    pub ids: Vec<i64>,
    /// Only dead letters of this run
    #[arg(long, value_name = "RUN")]
    pub run: Option<RunId>,
    /// Only dead letters with this code; can be repeated
    #[arg(long = "code", value_name = "CODE")]
    pub codes: Vec<Code>,
    /// Only dead letters at least this old: a number and s, m, h or d, for example 7d
    #[arg(long, value_name = "AGE", value_parser = units::age)]
    pub older_than: Option<Duration>,
    /// The same choices in one text: 'run=ID code=A,B state=kept older=7d id=1,2'
    #[arg(long = "where", value_name = "FILTER")]
    pub filter: Option<String>,
}

impl From<Selection> for dead::Selection {
    fn from(options: Selection) -> Self {
        let Selection { ids, run, codes, older_than, filter } = options;
        dead::Selection { ids, run, codes, older_than, filter }
    }
}
