//! What Auth0 has of the users that a plan would send, asked user by user and changing nothing.
//!
//! The rules are those of the workers: who is under the chosen id, then who has the
//! address. Two readings for a user who is new, one for a user who is there. Searching would take
//! fewer, and is no ground for a prediction: it lags behind (FACTS §1 row 3).

use std::{collections::BTreeMap, time::Duration};

use ferry_domain::{
    Code, Item, ItemSeq, ItemState, Outcome, RunId,
    adoption::Claimant,
    ports::{Directory, DirectoryError, ItemFilter, ItemView, Random, RunNow},
    retry::{self, Class},
};
use futures_util::{StreamExt, stream};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;

use super::{Made, Settled};
use crate::{Access, Error};

/// Users read from the ledger in one statement.
const PAGE: i64 = 1_000;
/// Users asked for at the same time; the limit of the tenant is kept by the directory.
const AT_ONCE: usize = 64;
/// Times that a user is asked for while Auth0 fails, before the plan does.
const TRIES: i32 = 5;

/// What would become of the users, as Auth0 is now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Predicted {
    /// Users that would be created. Auth0 may still refuse one, by a rule of its own.
    pub create: i64,
    /// Users whose account would be adopted.
    pub adopt: i64,
    /// Users that would be left out.
    pub skip: i64,
    /// Of those left out, users whose account an earlier move made and whose id the source lacks: the run
    /// writes it.
    pub write_id: i64,
    /// Users that would need a person.
    pub conflict: i64,
    /// Users whom Auth0 did not answer for, though it was asked again: nothing is known of them.
    pub unknown: i64,
    /// Those that would not be created, by reason.
    pub by_code: Vec<Settled>,
    /// Requests that asking took.
    pub requests: u64,
    /// Milliseconds that it took.
    pub took_ms: u64,
}

impl Predicted {
    /// Users for whom the run has something to do: an account, or its id.
    pub fn to_move(&self) -> i64 {
        self.create + self.adopt + self.write_id + self.unknown
    }
}

/// Whether Auth0 can be asked at all, and has the connection; to be known before a source is read.
///
/// # Errors
/// When it refuses, does not answer, or has no such connection.
pub async fn check(access: &Access, directory: &dyn Directory, connection: &str) -> Result<(), Error> {
    match tried(&*access.random, || directory.connection(connection)).await {
        Ok(None) => Err(DirectoryError::NotSent(Code::ConnectionUnknown).into()),
        // Ferry works without this scope.
        Ok(Some(_)) | Err(DirectoryError::ScopeMissing { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Asks for each user that the plan would send. `see` gets each with what would become of it, in
/// source order; `asked` how many were asked for.
///
/// # Errors
/// When Auth0 refuses, or fails for many users one after the other, and when the scratch ledger fails.
/// Single users that it fails for are counted as unknown.
pub async fn predict(
    scratch: &Access,
    made: &Made,
    directory: &dyn Directory,
    see: &mut (dyn FnMut(&ItemView) + Send),
    asked: &mut (dyn FnMut(u64) + Send),
) -> Result<Predicted, Error> {
    let (began, before) = (Instant::now(), directory.requests());
    let run = scratch.runs.run_now(made.run).await?;
    let asking = Asking { directory, random: &*scratch.random, id: made.run, run: &run };
    let (mut predicted, mut count) = (Counted::default(), 0);
    let mut after = ItemSeq(0);
    loop {
        let items = scratch.items.to_send(made.run, after, PAGE).await?;
        let filter = ItemFilter { states: vec![ItemState::Pending], codes: Vec::new() };
        let views = scratch.items.items(made.run, &filter, after, PAGE).await?;
        let Some(last) = items.last() else { break };
        after = last.seq;
        let mut outcomes = stream::iter(&items).map(|item| asking.outcome(item)).buffered(AT_ONCE);
        let mut views = views.into_iter();
        while let Some(outcome) = outcomes.next().await {
            let view = views.next();
            count += 1;
            asked(count);
            match outcome {
                Ok((outcome, had_id)) => {
                    predicted.add(&outcome, had_id);
                    if let Some(view) = view {
                        see(&shown(view, outcome));
                    }
                }
                Err(error) => predicted.missed(error)?,
            }
        }
    }
    Ok(predicted.told(directory.requests() - before, began.elapsed()))
}

/// A planned user as what it would be.
fn shown(view: ItemView, outcome: Outcome) -> ItemView {
    let Outcome { state, code, field, other, auth0_user_id } = outcome;
    ItemView { state, code, field, other, auth0_user_id, ..view }
}

/// Asks again while Auth0 fails.
async fn tried<T, A>(random: &dyn Random, ask: impl Fn() -> A) -> Result<T, DirectoryError>
where
    A: Future<Output = Result<T, DirectoryError>>,
{
    let mut tries = 0;
    loop {
        match ask().await {
            Err(error) if retry::class(error.code()) == Class::Retries && tries + 1 < TRIES => {
                tokio::time::sleep(retry::wait(tries, random)).await;
                tries += 1;
            }
            answer => return answer,
        }
    }
}

struct Asking<'a> {
    directory: &'a dyn Directory,
    random: &'a dyn Random,
    id: RunId,
    run: &'a RunNow,
}

impl Asking<'_> {
    /// What would become of a user, and whether the source has an id of it.
    async fn outcome(&self, item: &Item) -> Result<(Outcome, bool), DirectoryError> {
        let outcome = tried(self.random, || self.once(item)).await?;
        Ok((outcome, item.auth0_user_id.is_some()))
    }

    async fn once(&self, item: &Item) -> Result<Outcome, DirectoryError> {
        let account_of = item.account_of.as_deref();
        let claimant = Claimant { record: &item.record, id: self.id, run: self.run, account_of };
        if let Some(id) = &item.auth0_user_id {
            return Ok(claimant.by_known_id(id, self.directory.get(id).await?.as_ref()));
        }
        let chosen = self.run.id_of(&item.record.key);
        if let Some(found) = self.directory.get(&chosen).await? {
            return Ok(claimant.by_id(&found));
        }
        let found = self.directory.by_email(item.record.email.expose()).await?;
        Ok(claimant.by_email(&found).unwrap_or_else(|| Outcome::created(chosen)))
    }
}

#[derive(Default)]
struct Counted {
    states: BTreeMap<&'static str, i64>,
    reasons: BTreeMap<(&'static str, Code), (ItemState, i64)>,
    write_id: i64,
    unknown: i64,
    /// Of the last users, one after the other.
    unknown_now: usize,
}

impl Counted {
    /// One that Auth0 did not answer for.
    fn missed(&mut self, error: DirectoryError) -> Result<(), DirectoryError> {
        self.unknown += 1;
        self.unknown_now += 1;
        let passes = retry::class(error.code()) == Class::Retries;
        if passes && self.unknown_now < AT_ONCE { Ok(()) } else { Err(error) }
    }

    fn add(&mut self, outcome: &Outcome, had_id: bool) {
        self.unknown_now = 0;
        let written = outcome.state == ItemState::Skipped && outcome.auth0_user_id.is_some() && !had_id;
        self.write_id += i64::from(written);
        *self.states.entry(outcome.state.as_str()).or_default() += 1;
        if let Some(code) = outcome.code {
            self.reasons.entry((outcome.state.as_str(), code)).or_insert((outcome.state, 0)).1 += 1;
        }
    }

    fn told(self, requests: u64, took: Duration) -> Predicted {
        let of = |state: ItemState| self.states.get(state.as_str()).copied().unwrap_or_default();
        let reasons = self.reasons.iter();
        let mut by_code: Vec<Settled> =
            reasons.map(|((_, code), (state, count))| Settled::new(*state, *code, None, *count)).collect();
        by_code.sort_by_key(|settled| settled.state == ItemState::Skipped);
        Predicted {
            create: of(ItemState::Created),
            adopt: of(ItemState::Adopted),
            skip: of(ItemState::Skipped),
            write_id: self.write_id,
            unknown: self.unknown,
            conflict: of(ItemState::Conflict) + of(ItemState::Failed),
            by_code,
            requests,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
