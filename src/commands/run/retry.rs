//! `ferry run retry`: takes failed and conflicting users up again.

use anyhow::Context;
use clap::Args;
use ferry_domain::Code;
use ferry_operations::{
    Error, RunName,
    retry::{self, Retried},
    user::Selection,
};

use crate::{
    consent::{Concerned, Consent},
    exit::Exit,
    options::Output,
    output, printed,
    setup::Setup,
    wiring,
};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The run's id, how it begins, or last
    pub run: RunName,
    /// Only users with this code, as the report names it; can be repeated
    #[arg(long = "code", value_name = "CODE")]
    pub codes: Vec<Code>,
    /// Only users that this filter means, as in ferry user list: 'state=failed hospital=H-12 line=200..300'
    #[arg(long = "where", value_name = "FILTER")]
    pub filter: Option<String>,
    #[command(flatten)]
    pub consent: Consent,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let selection = Selection::read(options.filter.as_deref())
        .and_then(|selection| selection.with_codes(options.codes))
        .map_err(Error::from)
        .context("--where")?;
    let access = wiring::access(setup).await?;
    let id = access.named(&options.run).await?;
    let question = retry::ask(&access, id, selection).await?;
    if question.users == 0 {
        output::say(&output::folded(&question.nothing(), 0).join("\n"));
    } else {
        let concerned = Concerned::sends([question.run.spec.tenant.clone()], setup);
        if !options.consent.agreed(true, &question, &concerned)? {
            return Ok(output::nothing_changed());
        }
    }
    let retried = retry::act(&access, &question, options.consent.reason.as_deref()).await?;
    match options.output {
        Output::Json | Output::Ndjson => printed::object(&retried)?,
        Output::Table if question.users > 0 => output::say(&told(&retried)),
        Output::Table => {}
    }
    Ok(Exit::Done)
}

fn told(retried: &Retried) -> String {
    format!(
        "{} users in {} batches go again as round {}. Follow: ferry run watch {}",
        retried.retried,
        retried.batches.unwrap_or_default(),
        retried.round,
        retried.run
    )
}
