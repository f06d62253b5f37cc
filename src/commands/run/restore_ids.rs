//! `ferry run restore-ids`: writes ids back again into the application's table.

use std::{collections::BTreeMap, sync::Arc};

use ferry_domain::ports::{Ended, Restored};
use ferry_operations::{
    restore::{self, NotRestored, Outcome, Question, Servers, Why},
    units::counted,
};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    consent::Concerned,
    exit::{Exit, refused, usage},
    lifecycle,
    options::{Order, Output},
    output,
    place::Place,
    printed,
    setup::Setup,
    tenant, wiring,
};

/// What came of writing ids again.
#[derive(Serialize, JsonSchema)]
pub struct Told<'a> {
    #[serde(flatten)]
    restored: Restored,
    /// Users that were not come to, where something ended it before.
    left: i64,
    /// Users whose row has no id still, and what to do.
    not_restored: &'a [NotRestored],
}

pub async fn run(setup: &Setup, options: Order) -> anyhow::Result<Exit> {
    let stop = lifecycle::stop_on_signal()?;
    let auth0 = tenant::sign_in(&setup.servers, &setup.settings)?;
    let ledger = wiring::ledger_place(&setup.servers).await?;
    let access = wiring::access(setup).await?;
    let place = Place::of_application(&setup.servers)?.unwrap_or_else(|| ledger.clone());
    let application = wiring::application_in(&place, &ledger, setup)
        .await?
        .ok_or_else(|| usage(format!("{}: there is no such file", place.shown())))?;
    let id = access.named(&options.run).await?;
    let asking = restore::ask(&access, &*application, id, place.name() == ledger.name());
    let Some(question) = stop.run_until_cancelled(asking).await else { return Ok(interrupted()) };
    let question = question?;
    let tenant = tenant::required(&setup.servers)?;
    if question.run.spec.tenant != tenant {
        return Err(refused(tenant::differs(&setup.servers, id, &question.run.spec.tenant, &tenant)));
    }
    if question.rows.lacking > 0 {
        match options.consent.agreed_until(&stop, &question, &Concerned::holds([tenant])).await? {
            Some(true) => {}
            Some(false) => return Ok(output::nothing_changed()),
            None => return Ok(interrupted()),
        }
    }
    let target = wiring::target(auth0, &ledger, setup, &Arc::default())?;
    let servers = Servers { application: &*application, directory: &*target.directory };
    let done = with_progress(&access, servers, &question, &options, &stop).await?;
    match options.output {
        Output::Json | Output::Ndjson => {
            let (restored, left) = (done.restored, left(&question, &done));
            printed::object(&Told { restored, left, not_restored: &done.not_restored })?;
        }
        Output::Table => tell(&question, &done),
    }
    ended(&question, done)
}

async fn with_progress(
    access: &ferry_operations::Access,
    servers: Servers<'_>,
    question: &Question,
    options: &Order,
    stop: &CancellationToken,
) -> anyhow::Result<Outcome> {
    let mut progress = output::Progress::new("restoring", question.rows.lacking.unsigned_abs());
    let reason = options.consent.reason.as_deref();
    let stopped = || stop.is_cancelled();
    let at = &mut |rows: i64| progress.at(rows.unsigned_abs(), "");
    let done = restore::act(access, servers, question, reason, &stopped, at).await;
    progress.done();
    Ok(done?)
}

fn interrupted() -> Exit {
    output::say("Interrupted: nothing was changed.");
    Exit::Interrupted
}

/// None where all were looked at: a row that was lost meanwhile was not in the question.
fn left(question: &Question, done: &Outcome) -> i64 {
    if done.restored.ended == Ended::Whole { 0 } else { done.left(question) }
}

/// The same command goes on, for rows with their id are left as they are.
fn ended(question: &Question, done: Outcome) -> anyhow::Result<Exit> {
    let left = match left(question, &done) {
        1 => "1 user is left.".to_owned(),
        n => format!("{n} users are left."),
    };
    let go_on = format!("{left} Go on: ferry run restore-ids {}", question.run.id);
    match (done.restored.ended, done.failed) {
        (_, Some(error)) => {
            output::say(&go_on);
            Err(error.into())
        }
        (Ended::Interrupted, None) => {
            output::say(&format!("Interrupted before all rows were looked at. {go_on}"));
            Ok(Exit::Interrupted)
        }
        _ if done.not_restored.is_empty() => Ok(Exit::Done),
        _ => Ok(Exit::NeedsPerson),
    }
}

/// Those that are left, by what is to be done about them; then the sums.
fn tell(question: &Question, Outcome { restored, not_restored, .. }: &Outcome) {
    let mut groups: BTreeMap<&Why, Vec<String>> = BTreeMap::new();
    for NotRestored { key, why } in not_restored {
        groups.entry(why).or_default().push(key.shown());
    }
    for (Why { code, why, remedy }, keys) in groups {
        output::data(
            &output::folded(&format!("{}: {why} ({code})", counted(count(&keys), "user")), 0).join("\n"),
        );
        output::data(&output::field("  keys", 8, &keys.join(", ")));
        output::data(&output::field("  do", 8, &format!("{remedy}.")));
    }
    let left = match count(not_restored) {
        0 => String::new(),
        1 => " 1 user is still without the id in its row.".to_owned(),
        n => format!(" {n} users are still without the id in their rows."),
    };
    output::say(&match question.rows.lacking {
        0 => format!(
            "No row waits for its id; {} of {} carry theirs.{left}",
            restored.rows.carried,
            counted(restored.rows.users(), "user"),
        ),
        _ => format!(
            "{} restored; {} gone at Auth0, {} did not take it.{left}",
            counted(restored.restored, "id"),
            counted(restored.gone, "account"),
            counted(restored.refused, "row"),
        ),
    });
}

fn count<T>(all: &[T]) -> i64 {
    i64::try_from(all.len()).unwrap_or(i64::MAX)
}
