//! Batches of a run: how many of their users are where, their jobs, and who holds those.

use ferry_domain::{
    BatchState, Code, JobKind, JobState, RunId,
    ports::{BatchFilter, BatchJob, BatchView},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    Access, Error, RunName,
    filter::{self, Wrong},
    user,
};

/// Keys of the filter.
pub const KEYS: [&str; 3] = ["state", "job", "code"];
/// Batches that are named where several begin alike.
const NAMED: i64 = 3;

/// Why a name names no batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is none.
    #[error("no batch has an id that begins with {0}; see ferry batch list")]
    None(String),
    /// Several begin so.
    #[error("more than one batch begins with {prefix}, for example {some}; type more of it")]
    Several {
        /// What was typed.
        prefix: String,
        /// Some of them.
        some: String,
    },
}

/// A page of the batches that a filter means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Listed {
    /// The run.
    pub run: RunId,
    /// Number of all that the filter means, on this page or not.
    pub matching: i64,
    /// The page, in order.
    pub batches: Vec<Batch>,
    /// Where the next page begins: its `after`; null on the last page.
    pub next_after: Option<i64>,
}

/// A batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the names say it; sums are users")]
pub struct Batch {
    /// Its place in the run; 0 for the users whom a rule settled.
    pub number: i64,
    pub batch: String,
    pub run: RunId,
    /// 1 for the first, more for those of a retry.
    pub round: i32,
    pub state: BatchState,
    pub users: i64,
    pub pending: i64,
    pub created: i64,
    pub adopted: i64,
    pub skipped: i64,
    pub conflict: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub verified: i64,
    pub discrepancies: i64,
    /// Requests sent for it.
    pub requests: i64,
    pub jobs: Vec<Job>,
}

/// A job of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Job {
    pub kind: JobKind,
    pub state: JobState,
    pub attempts: i32,
    pub rescues: i32,
    /// Why it was handed back or given up last.
    pub code: Option<Code>,
    /// The worker that holds it, `host/pid`.
    pub holder: Option<String>,
}

/// Reads a filter; without one all batches are meant.
///
/// # Errors
/// Says which term is wrong and what there is.
pub fn read(text: Option<&str>) -> Result<BatchFilter, Wrong> {
    let mut found = BatchFilter::default();
    let terms = text.map(|text| filter::parse(text, &KEYS)).transpose()?;
    for term in terms.unwrap_or_default() {
        let words = term.values.iter();
        match term.key {
            "state" => {
                let known = BatchState::ALL.map(BatchState::as_str);
                let read =
                    |word: &&str| BatchState::parse(word).ok_or_else(|| unknown("state", word, &known));
                found.states = words.map(read).collect::<Result<_, _>>()?;
            }
            "job" => {
                let known = JobState::ALL.map(JobState::as_str);
                let read = |word: &&str| JobState::parse(word).ok_or_else(|| unknown("job", word, &known));
                found.jobs = words.map(read).collect::<Result<_, _>>()?;
            }
            _ => found.codes = words.map(|word| user::code(word)).collect::<Result<_, _>>()?,
        }
    }
    Ok(found)
}

fn unknown(key: &str, word: &str, known: &[&str]) -> Wrong {
    let meant = filter::meant(word, known.iter().copied());
    Wrong(format!("{key}={}{meant}; there are: {}", filter::shown(word), known.join(", ")))
}

/// Up to `most` batches after a place in the run (all when `None`), and the number of all.
///
/// # Errors
/// When there is no such run, or the ledger fails.
pub async fn list(
    access: &Access,
    name: &RunName,
    filter: &BatchFilter,
    after: Option<i64>,
    most: i64,
) -> Result<Listed, Error> {
    let run = access.run(access.named(name).await?).await?.id;
    // One more tells whether there is another page.
    let mut page = access.batches.list_batches(run, filter, after.unwrap_or(-1), most + 1).await?;
    let more = page.len() as i64 > most;
    page.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    let next_after = page.last().filter(|_| more).map(|last| last.ordinal);
    let matching = access.batches.count_batches(run, filter).await?;
    Ok(Listed { run, matching, batches: page.into_iter().map(Batch::from).collect(), next_after })
}

/// One batch of any run, by its id or by how that begins.
///
/// # Errors
/// When no batch, or more than one, is named so, or the ledger fails.
pub async fn show(access: &Access, name: &str) -> Result<Batch, Error> {
    let mut found = access.batches.batches(user::batches(name)?, NAMED).await?;
    match (found.pop(), &found[..]) {
        (None, _) => Err(Refusal::None(name.to_owned()).into()),
        (Some(one), []) => Ok(one.into()),
        (Some(last), others) => {
            let some = others.iter().chain([&last]).map(|batch| batch.id.to_string()).collect::<Vec<_>>();
            Err(Refusal::Several { prefix: name.to_owned(), some: some.join(", ") }.into())
        }
    }
}

impl From<BatchView> for Batch {
    fn from(view: BatchView) -> Self {
        let BatchView { id, run, ordinal, round, state, tally, verified, discrepancies, requests, jobs } =
            view;
        Batch {
            number: ordinal,
            batch: id.to_string(),
            run,
            round,
            state,
            users: tally.source,
            pending: tally.pending,
            created: tally.created,
            adopted: tally.adopted,
            skipped: tally.skipped,
            conflict: tally.conflict,
            failed: tally.failed,
            cancelled: tally.cancelled,
            verified,
            discrepancies,
            requests,
            jobs: jobs.into_iter().map(Job::from).collect(),
        }
    }
}

impl From<BatchJob> for Job {
    fn from(BatchJob { job, holder }: BatchJob) -> Self {
        let (kind, state, attempts, rescues, code) =
            (job.kind, job.state, job.attempts, job.rescues, job.code);
        Job { kind, state, attempts, rescues, code, holder }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_of_batches_is_read_and_what_is_wrong_is_named() {
        let read = read(Some("state=open job=leased,ready code=TIMED_OUT")).unwrap();
        assert_eq!(read.states, [BatchState::Open]);
        assert_eq!(read.jobs, [JobState::Leased, JobState::Ready]);
        assert_eq!(read.codes.len(), 1);
        for (text, words) in [
            ("state=opn", "(did you mean open?); there are: open, provisioned, verified"),
            ("job=lost", "there are: ready"),
            ("key=7", "state, job, code"),
        ] {
            let error = super::read(Some(text)).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
