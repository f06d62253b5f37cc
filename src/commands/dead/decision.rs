//! What redrive and discard have in common: which letters, and whether a person agrees.

use clap::Args;
use ferry_operations::{
    Access,
    dead::{self, Act, Question},
};

use super::selection::Selection;
use crate::{
    consent::{Concerned, Consent},
    options::Output,
    output,
    setup::Setup,
    wiring,
};

#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(flatten)]
    pub which: Selection,
    #[command(flatten)]
    pub consent: Consent,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// What was agreed to: a question about no letter needs no answer. `None` when a person refused.
pub async fn agreed(
    setup: &Setup,
    act: Act,
    options: &Options,
) -> anyhow::Result<Option<(Access, Question)>> {
    let selected = options.which.clone().kept()?;
    let access = wiring::access(setup).await?;
    let filter = selected.filter(&access).await?;
    let question = dead::ask(&access, act, filter).await?;
    if question.count.letters == 0 {
        output::say(&format!(
            "Nothing to {}: no kept dead letter matches. See ferry dead list --state all",
            act.as_str()
        ));
    } else {
        let tenants = dead::tenants(&access, &question.filter).await?;
        let concerned = match act {
            Act::Redrive => Concerned::sends(tenants, setup),
            Act::Discard => Concerned::holds(tenants),
        };
        if !options.consent.agreed(true, &question, &concerned)? {
            return Ok(None);
        }
    }
    Ok(Some((access, question)))
}
