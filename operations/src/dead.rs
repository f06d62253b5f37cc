//! Dead letters: what was given up and waits for a person to decide.

mod selection;

use std::{collections::BTreeSet, fmt};

use ferry_domain::{
    RunId,
    ports::{DeadCount, DeadFilter, DeadKind, DeadView, Redriven},
};
use schemars::JsonSchema;
use serde::Serialize;

pub use selection::{KEYS, Selected, Selection};

use crate::{
    Access, Error,
    units::counted,
    views::{Letter, LetterInFull, LostUser, Payload, Try},
};

/// Ids for letters that come in between counting and acting.
const SPARE: i64 = 100;
/// Runs whose tenants are looked at, newest first.
const RUNS: i64 = 1_000;
/// Bytes of a payload that are shown.
const FIRST: usize = 64;
/// Users of a letter that are named; the report of its run has all.
pub const NAMED: i64 = 20;

/// Why there is nothing to show or to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such letter.
    #[error("there is no dead letter {0}; see ferry dead list --state all")]
    NoSuchLetter(i64),
    /// Only kept letters can be acted on.
    #[error("only letters with state=kept can be acted on; the others are settled already")]
    Settled,
}

/// Some of the letters that a filter means, and how many it means.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The newest.
    pub letters: Vec<DeadView>,
    /// All of them, and their users.
    pub all: DeadCount,
}

/// Lists letters, newest first.
///
/// # Errors
/// When the ledger fails.
pub async fn list(access: &Access, filter: &DeadFilter, most: i64) -> Result<Listed, Error> {
    let letters = access.dead.dead(filter, most).await?;
    Ok(Listed { letters, all: access.dead.count_dead(filter).await? })
}

/// The tenants whose runs these letters may be of: without a choice of a run, of any run.
///
/// # Errors
/// When the ledger fails.
pub async fn tenants(access: &Access, filter: &DeadFilter) -> Result<BTreeSet<String>, Error> {
    let runs = match filter.run {
        Some(id) => access.runs.run(id).await?.into_iter().collect(),
        None => access.runs.runs(RUNS).await?,
    };
    Ok(runs.into_iter().map(|run| run.spec.tenant).collect())
}

/// One letter in full. What came over the queue may hold anything, so its content is
/// shown only when `with_payload` asks for it, and escaped.
///
/// # Errors
/// When there is no such letter.
pub async fn show(access: &Access, id: i64, with_payload: bool) -> Result<(DeadView, LetterInFull), Error> {
    let filter = DeadFilter { ids: vec![id], ..DeadFilter::default() };
    let letter = access.dead.dead(&filter, 1).await?.pop().ok_or(Refusal::NoSuchLetter(id))?;
    let payload = match letter.kind {
        DeadKind::Payload => access.dead.dead_payload(id).await?,
        DeadKind::Job => None,
    };
    let payload =
        payload.map(|bytes| Payload { bytes: bytes.len(), first: with_payload.then(|| escaped(&bytes)) });
    let tries = access.dead.dead_tries(id).await?.iter().map(Try::from).collect();
    let named = access.dead.dead_users(id, NAMED).await?.iter().map(LostUser::from).collect();
    let shown =
        LetterInFull { letter: Letter::from(&letter), remedy: letter.code.remedy(), tries, named, payload };
    Ok((letter, shown))
}

/// The first bytes; nothing in them can move a cursor or look like a line of ours.
fn escaped(payload: &[u8]) -> String {
    payload[..payload.len().min(FIRST)].escape_ascii().to_string()
}

/// What to do with kept letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Send them again.
    Redrive,
    /// Mark them as settled.
    Discard,
}

impl Act {
    /// The word of the command.
    pub const fn as_str(self) -> &'static str {
        match self {
            Act::Redrive => "redrive",
            Act::Discard => "discard",
        }
    }
}

/// How many letters would be acted on.
#[derive(Clone, Debug)]
pub struct Question {
    /// What would be done.
    pub act: Act,
    /// Which letters.
    pub filter: DeadFilter,
    /// Number of records.
    pub count: DeadCount,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (letters, users) = (counted(self.count.letters, "letter"), counted(self.count.users, "user"));
        // An act on many things without any choice says so.
        let all = if selection::chooses(&self.filter) { "" } else { ", all that are kept" };
        match self.act {
            Act::Redrive => write!(f, "Send {letters} with {users} again{all}?"),
            Act::Discard => {
                write!(f, "Discard {letters}{all}? They stay on record; {users} stay as they are.")
            }
        }
    }
}

/// Counts the letters that would be acted on.
///
/// # Errors
/// When a letter is named that does not exist, and when the ledger fails.
pub async fn ask(access: &Access, act: Act, filter: DeadFilter) -> Result<Question, Error> {
    if !filter.ids.is_empty() {
        let named = DeadFilter { ids: filter.ids.clone(), ..DeadFilter::default() };
        let most = i64::try_from(filter.ids.len()).unwrap_or(i64::MAX);
        let there: BTreeSet<i64> =
            access.dead.dead(&named, most).await?.into_iter().map(|letter| letter.id).collect();
        if let Some(unknown) = filter.ids.iter().find(|id| !there.contains(id)) {
            return Err(Refusal::NoSuchLetter(*unknown).into());
        }
    }
    let count = access.dead.count_dead(&filter).await?;
    Ok(Question { act, filter, count })
}

/// What a redrive did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RedriveDone {
    /// Letters sent again.
    pub redriven: i64,
    /// Users pending again.
    pub users: i64,
    /// Letters that can't go again: without a job, or of a cancelled run.
    pub left: i64,
    /// Runs of the letters.
    pub runs: Vec<RunId>,
}

/// Sends kept letters again. With none it does nothing.
///
/// # Errors
/// When the ledger refuses or fails.
pub async fn redrive(
    access: &Access,
    question: &Question,
    reason: Option<&str>,
) -> Result<RedriveDone, Error> {
    let Question { filter, count: DeadCount { letters, .. }, .. } = question;
    if *letters == 0 {
        return Ok(RedriveDone::default());
    }
    let mut runs: Vec<RunId> =
        access.dead.dead(filter, *letters).await?.into_iter().filter_map(|letter| letter.run).collect();
    runs.sort_unstable();
    runs.dedup();
    let ids = access.batches(letters + SPARE);
    let Redriven { letters, users, left } =
        access.dead.redrive(filter, &ids, &access.command(reason)).await?;
    Ok(RedriveDone { redriven: letters, users, left, runs })
}

/// What a discard did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DiscardDone {
    /// Letters marked as settled.
    pub discarded: i64,
}

/// Marks kept letters as settled. With none it does nothing.
///
/// # Errors
/// When the ledger fails.
pub async fn discard(
    access: &Access,
    question: &Question,
    reason: Option<&str>,
) -> Result<DiscardDone, Error> {
    let Question { filter, count: DeadCount { letters, .. }, .. } = question;
    if *letters == 0 {
        return Ok(DiscardDone::default());
    }
    Ok(DiscardDone { discarded: access.dead.discard(filter, &access.command(reason)).await? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_without_any_choice_says_all() {
        let of = |act, filter, letters| {
            Question { act, filter, count: DeadCount { letters, users: 20 } }.to_string()
        };
        let one = DeadFilter { ids: vec![7], ..DeadFilter::default() };
        assert_eq!(of(Act::Redrive, one.clone(), 1), "Send 1 letter with 20 users again?");
        assert_eq!(
            of(Act::Redrive, DeadFilter::default(), 2),
            "Send 2 letters with 20 users again, all that are kept?"
        );
        let text = of(Act::Discard, one, 2);
        assert!(text.starts_with("Discard 2 letters?") && text.contains("20 users stay"), "{text}");
    }

    #[test]
    fn a_payload_can_t_move_the_cursor() {
        assert_eq!(escaped(b"a\x1b[2J\n"), r"a\x1b[2J\n");
        assert_eq!(escaped(&[b'x'; 100]).len(), FIRST);
    }
}
