//! Everything that a case makes a ledger do, told as text and compared with a file.
//!
//! A case asserts what it is about. The text holds the rest: each answer, refusals word by
//! word, and after each move the whole view of all runs: states, sums, jobs, dead letters and
//! new lines of the audit. All ledgers have to tell the same, so two of them can't differ
//! where no case looks. Ids appear as `#1`, `#2`, … in the order in which they are met.
//!
//! `INSTA_UPDATE=always tests/run -- -E 'binary(it)'` writes the files anew; the change is
//! for a person to read. Cases in which two processes act at the same time tell nothing:
//! their order is chance.

mod ledger;

use std::{
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use ferry_domain::{
    ids::WorkerId,
    item::ItemState,
    ports::{DeadFilter, Ledger},
    run::WriteBackTarget,
};

use super::LedgerWorld;

/// A world whose ledger tells what it does.
#[derive(Clone)]
pub struct Told(Arc<Inner>);

struct Inner {
    world: Box<dyn LedgerWorld>,
    ledger: Arc<dyn Ledger>,
    text: Mutex<String>,
    /// The last view, and the number of audit lines told.
    seen: tokio::sync::Mutex<(String, usize)>,
    /// Two processes act: nothing is told any more.
    silent: AtomicBool,
}

impl Told {
    /// Begins to tell.
    pub fn of(world: impl LedgerWorld + 'static) -> Self {
        let ledger = world.ledger();
        Told(Arc::new(Inner {
            world: Box::new(world),
            ledger,
            text: Mutex::default(),
            seen: tokio::sync::Mutex::default(),
            silent: AtomicBool::new(false),
        }))
    }

    /// Compares what was told with the file of this case.
    pub fn check(&self, part: &str, case: &str) {
        if self.0.silent.load(Ordering::Relaxed) {
            return;
        }
        let text = self.0.text.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut settings = insta::Settings::new();
        settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/src/ledger/told/cases"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(format!("{part}-{case}"), with_short_ids(&text)));
    }
}

impl Inner {
    /// Tells a move, its answer, and all that it changed.
    async fn tell(&self, what: String, answer: String) {
        if self.silent.load(Ordering::Relaxed) {
            return;
        }
        let mut seen = self.seen.lock().await;
        let mut told = format!("{what}\n    = {answer}\n");
        let view = self.view().await;
        for line in view.lines().filter(|line| !seen.0.lines().any(|before| before == *line)) {
            let _ = writeln!(told, "    {line}"); // can't fail: it is a String
        }
        for line in seen.0.lines().filter(|before| !view.lines().any(|line| subject(line) == subject(before)))
        {
            let _ = writeln!(told, "    gone: {line}");
        }
        let audit = self.world.audit().await;
        for line in audit.iter().skip(seen.1) {
            let _ = writeln!(told, "    audit: {line}");
        }
        *seen = (view, audit.len());
        self.text.lock().unwrap_or_else(PoisonError::into_inner).push_str(&told);
    }

    /// Runs with their jobs, failures and discrepancies; dead letters; orders.
    async fn view(&self) -> String {
        let mut text = String::new();
        for run in self.ledger.runs(100).await.unwrap() {
            let jobs = self.ledger.job_counts(run.id).await.unwrap();
            let jobs: Vec<_> =
                jobs.iter().map(|j| format!("{} {} {}", j.jobs, j.kind, j.state.as_str())).collect();
            let failures = self.ledger.failures(run.id).await.unwrap();
            let failures: Vec<_> = failures
                .iter()
                .map(|group| format!("{} {} {}", group.count, group.state.as_str(), group.code))
                .collect();
            let differ = self.ledger.discrepancies(run.id, ferry_domain::ItemSeq(0), 100).await.unwrap();
            let differ: Vec<_> = differ.iter().map(|d| format!("{} {:?}", d.seq.0, d.fields)).collect();
            let tally = ItemState::ALL.map(|state| (run.tally.count(state), state.as_str()));
            let tally: Vec<_> = tally.into_iter().filter(|(count, _)| *count != 0).collect();
            let _ = writeln!(
                text,
                "{}: {}, round {}, revision {}, rate {:?}, why {:?}, started {}, sealed {}; source {} {tally:?}; verified {}, \
                 discrepancies {}, requests {}, open batches {}; jobs {jobs:?}; failures {failures:?}; differ {differ:?}",
                run.id,
                run.state,
                run.round,
                run.revision,
                run.rate,
                run.why,
                run.started_at.is_some(),
                run.sealed_at.is_some(),
                run.tally.source,
                run.verified,
                run.discrepancies,
                run.requests,
                run.open_batches,
            );
        }
        for letter in self.ledger.dead(&DeadFilter::default(), 100).await.unwrap() {
            let _ = writeln!(
                text,
                "letter {}: {} of {:?} {:?}, {}, {}, attempts {}, rescues {}, users {}, by {}, resolved by {:?}",
                letter.id,
                letter.kind.as_str(),
                letter.job_kind.map(|kind| kind.as_str()),
                letter.run.map(|run| run.to_string()),
                letter.state.as_str(),
                letter.code,
                letter.attempts,
                letter.rescues,
                letter.users,
                letter.given_up_by,
                letter.resolved_by,
            );
        }
        let orders = self.ledger.orders().await.unwrap();
        let _ = writeln!(text, "orders: stop all {}, rate {:?}", orders.stop_all(), orders.rate);
        text
    }
}

/// What a line is about: its words before the first colon.
fn subject(line: &str) -> &str {
    line.split_once(": ").map_or(line, |(subject, _)| subject)
}

/// Names each UUID by the order in which it is met.
fn with_short_ids(text: &str) -> String {
    let mut known: Vec<&str> = Vec::new();
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.char_indices().map(|(at, _)| at).find(|&at| is_uuid(rest.get(at..at + 36))) {
        let (before, id) = (&rest[..at], &rest[at..at + 36]);
        let number = known.iter().position(|seen| *seen == id).unwrap_or_else(|| {
            known.push(id);
            known.len() - 1
        });
        let _ = write!(out, "{before}#{}", number + 1);
        rest = &rest[at + 36..];
    }
    out + rest
}

fn is_uuid(word: Option<&str>) -> bool {
    word.is_some_and(|word| {
        word.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    })
}

#[async_trait]
impl LedgerWorld for Told {
    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(self.clone())
    }

    fn other(&self) -> Arc<dyn Ledger> {
        self.0.silent.store(true, Ordering::Relaxed);
        self.0.world.other()
    }

    async fn advance(&self, time: Duration) {
        self.0.world.advance(time).await;
    }

    async fn process_dies(&self, worker: WorkerId) {
        self.0.world.process_dies(worker).await;
    }

    async fn sleep(&self, time: Duration) {
        self.0.world.sleep(time).await;
    }

    async fn count(&self, table: &str) -> i64 {
        self.0.world.count(table).await
    }

    async fn audit(&self) -> Vec<String> {
        self.0.world.audit().await
    }

    async fn create_people(&self, count: i64) {
        self.0.world.create_people(count).await;
    }

    fn write_back_target(&self) -> WriteBackTarget {
        self.0.world.write_back_target()
    }

    async fn auth0_user_id(&self, key: &str) -> Option<String> {
        self.0.world.auth0_user_id(key).await
    }

    async fn set_auth0_user_id(&self, key: &str, id: &str) {
        self.0.world.set_auth0_user_id(key, id).await;
    }

    async fn set_email(&self, key: &str, email: &str) {
        self.0.world.set_email(key, email).await;
    }

    async fn remove_person(&self, key: &str) {
        self.0.world.remove_person(key).await;
    }

    async fn make_unwritable(&self, key: &str) {
        self.0.world.make_unwritable(key).await;
    }

    async fn make_harsh(&self, key: &str) {
        self.0.world.make_harsh(key).await;
    }

    async fn double_person(&self, key: &str) {
        self.0.world.double_person(key).await;
    }

    async fn people_with_ids(&self) -> i64 {
        self.0.world.people_with_ids().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbered_as_they_are_met() {
        let (a, b) = ("00000000-0000-7000-8000-00000000000a", "00000000-0000-7000-8000-00000000000b");
        assert_eq!(with_short_ids(&format!("x {b}, {a} ü {b}.")), "x #1, #2 ü #1.");
        assert_eq!(with_short_ids("no id"), "no id");
    }
}
