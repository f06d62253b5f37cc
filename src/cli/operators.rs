//! Arguments of what operators say while work goes on: brakes, queue, dead letters, checks.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use ferry_domain::{Code, RunId};

use super::{Consent, Output, units};

#[derive(Clone, Debug, Args)]
pub struct RunMove {
    /// The run's id
    pub run: RunId,
    #[command(flatten)]
    pub consent: Consent,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Clone, Debug, Args)]
pub struct RunRate {
    /// The run's id
    pub run: RunId,
    /// Limits in requests per second as a plan: off, free, enterprise, private-500,
    /// custom:BURST:PER_SECOND, …; "default" goes back to the settings
    pub plan: String,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Clone, Debug, Args)]
pub struct StopAll {
    #[command(flatten)]
    pub consent: Consent,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Debug, Subcommand)]
pub enum Queue {
    /// Jobs of all runs by kind and state, what Redis holds, and the workers
    List {
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// After a lost or emptied Redis: send at once what it no longer holds
    Rebuild(QueueRebuild),
}

#[derive(Clone, Debug, Args)]
pub struct QueueRebuild {
    #[command(flatten)]
    pub consent: Consent,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Debug, Subcommand)]
pub enum Dead {
    /// List dead letters, newest first
    List(DeadList),
    /// Show one: why it was given up, by whom, and what to do
    Show(DeadShow),
    /// Send kept letters again: their users become pending in a new round
    Redrive(DeadAct),
    /// Mark kept letters as settled; they stay on record, their users stay failed
    Discard(DeadAct),
}

/// Which dead letters; what is given must all hold. Without any: all.
#[derive(Clone, Debug, Default, Args)]
pub struct DeadSelection {
    /// Numbers of letters
    pub ids: Vec<i64>,
    /// Only of this run
    #[arg(long, value_name = "RUN")]
    pub run: Option<RunId>,
    /// Only with this code; may be given several times
    #[arg(long = "code", value_name = "CODE")]
    pub codes: Vec<Code>,
    /// Only letters at least so old: a number and s, m, h or d, for example 7d
    #[arg(long, value_name = "AGE", value_parser = units::age)]
    pub older_than: Option<Duration>,
    /// The same in one text: 'run=ID code=A,B state=kept older=7d id=1,2'
    #[arg(long = "where", value_name = "FILTER")]
    pub filter: Option<String>,
}

/// A state of dead letters, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeadStates {
    /// Waits for a person
    Kept,
    /// Was sent again
    Redriven,
    /// Was marked as settled
    Discarded,
    /// Whatever the state
    All,
}

#[derive(Clone, Debug, Args)]
pub struct DeadList {
    #[command(flatten)]
    pub which: DeadSelection,
    /// Only in this state; default: kept
    #[arg(long, value_enum)]
    pub state: Option<DeadStates>,
    /// At most so many letters
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    pub limit: i64,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Clone, Debug, Args)]
pub struct DeadShow {
    /// The letter's number
    pub id: i64,
    /// Also show the first 64 bytes of what came, escaped; it may hold anything
    #[arg(long)]
    pub payload: bool,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Clone, Debug, Args)]
pub struct DeadAct {
    #[command(flatten)]
    pub which: DeadSelection,
    #[command(flatten)]
    pub consent: Consent,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Clone, Debug, Args)]
pub struct Check {
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}
