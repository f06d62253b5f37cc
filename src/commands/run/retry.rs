//! `ferry run retry`: takes failed and conflicting users up again.

use clap::Args;
use ferry_domain::{Code, RunId};
use serde_json::json;

use super::show as run_show;
use crate::{
    exit::Exit,
    options::{Consent, Output},
    output, planner,
    setup::Setup,
    system::{SystemClock, SystemRandom},
};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The run's id
    pub run: RunId,
    /// Only users with this code; may be given several times
    #[arg(long = "code", value_name = "CODE")]
    pub codes: Vec<Code>,
    #[command(flatten)]
    pub consent: Consent,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let ledger = setup.ledger().await?;
    let run = run_show::find(&*ledger, options.run).await?;
    let (items, left) = ledger.count_retryable(run.id, &options.codes).await?;
    if items == 0 {
        output::say(&format!(
            "Nothing to retry: {left} failed or conflicting users are left, whose records a rule refused or whose code was not asked for. Mend the source and start a new run for those."
        ));
        if options.output == Output::Json {
            output::json(&json!({"run": run.id, "retried": 0, "left": left, "round": run.round}))?;
        }
        return Ok(Exit::Done);
    }
    let question = format!("Try {items} users of run {} again ({left} are left alone)?", run.id);
    if !output::confirmed(options.consent.yes, &question)? {
        output::say("Nothing was changed.");
        return Ok(Exit::Refused);
    }
    let batch_size = i64::from(run.spec.batch_size);
    let ids = planner::batch_ids((items + batch_size - 1) / batch_size, &SystemClock, &SystemRandom);
    let reason = options.consent.reason.as_deref();
    let retried = ledger.retry(run.id, &options.codes, &ids, &setup.servers.operator.clone(), reason).await?;
    match options.output {
        Output::Json => output::json(&json!({
            "run": run.id, "retried": retried.items, "left": retried.left, "batches": retried.batches, "round": retried.round,
        }))?,
        Output::Table => output::say(&format!(
            "{} users in {} batches go again as round {}. Follow: ferry run watch {}",
            retried.items, retried.batches, retried.round, run.id
        )),
    }
    Ok(Exit::Done)
}
