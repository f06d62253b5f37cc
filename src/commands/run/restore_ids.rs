//! `ferry run restore-ids`: writes ids back again into the application's table.

use clap::Args;
use ferry_domain::ports::Restored;
use ferry_operations::{
    RunName,
    restore::{self, NotRestored},
};
use serde::Serialize;

use crate::{
    exit::{Exit, refused, usage},
    options::{Consent, Output},
    output,
    place::Place,
    setup::Setup,
    tenant, wiring,
};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The run's id, how it begins, or last
    pub run: RunName,
    #[command(flatten)]
    pub consent: Consent,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    restored: Restored,
    not_restored: Vec<NotRestored>,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let auth0 = tenant::sign_in(&setup.servers, &setup.settings)?;
    let ledger = wiring::ledger_place(&setup.servers).await?;
    let access = wiring::access(setup).await?;
    let place = Place::of_application(&setup.servers)?.unwrap_or_else(|| ledger.clone());
    let application = wiring::application_in(&place, &ledger, setup)
        .await?
        .ok_or_else(|| usage(format!("{}: there is no such file", place.shown())))?;
    let id = access.named(&options.run).await?;
    let question = restore::ask(&access, &*application, id, place.name() == ledger.name()).await?;
    let tenant = tenant::required(&setup.servers)?;
    if question.run.spec.tenant != tenant {
        let of = &question.run.spec.tenant;
        return Err(refused(format!("run {id} is of the tenant {of}, and AUTH0_DOMAIN names {tenant}")));
    }
    if question.lacking > 0 && !output::confirmed(options.consent.yes, &question)? {
        return Ok(output::nothing_changed());
    }
    let target = wiring::target(auth0, &ledger, setup)?;
    let mut told = Vec::new();
    let mut progress = output::Progress::new("restoring", question.lacking.unsigned_abs());
    let restored = match question.lacking {
        0 => Restored::default(),
        _ => {
            let servers = (&*application, &*target.directory);
            let (each, at) =
                (&mut |row| told.push(row), &mut |rows: i64| progress.at(rows.unsigned_abs(), ""));
            restore::act(&access, servers, &question, options.consent.reason.as_deref(), each, at).await?
        }
    };
    progress.done();
    let left = restored.gone + restored.refused;
    match options.output {
        Output::Json => output::json(&Told { restored, not_restored: told })?,
        Output::Table => tell(&question, &restored, &told),
    }
    Ok(if left == 0 { Exit::Done } else { Exit::NeedsPerson })
}

fn tell(question: &restore::Question, restored: &Restored, told: &[NotRestored]) {
    for NotRestored { key, why } in told {
        output::data(&output::folded(&format!("{}: {why}", key.shown()), 0).join("\n"));
    }
    output::say(&match restored.lacking {
        0 => format!(
            "Nothing to restore: no row of the {} users with an account lacks an id. Rows that are gone, share a key or \
             carry another id are left alone.",
            question.users
        ),
        _ => format!(
            "{} ids restored; {} accounts are gone at Auth0, {} rows did not take their id.",
            restored.restored, restored.gone, restored.refused
        ),
    });
}
