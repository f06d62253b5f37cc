//! Tables as applications have them, each with what becomes of its users. The real sources,
//! planner and ledgers move them; what a worker would ask Auth0 is made up here.
//!
//! Whatever the shape, **nobody may get another's id**: each row's id is made from its own address.

mod postgres;
mod sqlite;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ferry_contract::{ManualClock, SeededRandom};
use ferry_domain::{
    Auth0UserId, ItemResult, ItemSeq, ItemState, JobKind, Outcome, RunId, RunSpec, WorkerId,
    ports::{BatchVerification, ItemFilter, Ledger, SealedRun},
    run::OnExisting,
};
use ferry_operations::{
    Access,
    accept::Accept,
    planner::Subject,
    start::{self, Question},
};
use ferry_sources::{Columns, EmailVerified, Location, Mapping};

/// A table and what is to become of its users.
struct Shape {
    name: &'static str,
    /// Makes the table; `@` stands for its schema.
    sql: &'static str,
    expected: Expected,
}

#[derive(Clone, Copy)]
enum Expected {
    /// The number of users that get their ids. The others, if any, end with one of these codes.
    Moves(usize, &'static [&'static str]),
    /// No run begins; the refusal has these words.
    Refused(&'static str),
}
use Expected::{Moves, Refused};

/// What became of the users.
#[derive(Debug)]
enum Became {
    Moved(usize, BTreeMap<String, usize>),
    Refused(String),
}

impl Shape {
    fn check(&self, became: &Became) -> Result<(), String> {
        let good = match (self.expected, became) {
            (Moves(expected, codes), Became::Moved(moved, others)) => {
                *moved == expected
                    && others.keys().all(|code| codes.contains(&code.as_str()))
                    && others.is_empty() == codes.is_empty()
            }
            (Refused(words), Became::Refused(text)) => text.contains(words),
            _ => false,
        };
        if good { Ok(()) } else { Err(format!("{}: {became:?}", self.name)) }
    }
}

/// The table `users`, key `id`, address `email`.
fn mapping(schema: Option<&str>) -> Mapping {
    Mapping {
        table: Some("users".into()),
        schema: schema.map(str::to_owned),
        columns: Columns { key: Some("id".into()), email: Some("email".into()), ..Columns::default() },
        email_verified: EmailVerified::Never,
        ..Mapping::default()
    }
}

/// Moves all users of a table, from `migrate --app` to the report.
async fn moved(ledger: &Arc<dyn Ledger>, location: &Location, mapping: &Mapping, seed: u64) -> Became {
    match begun(ledger, location, mapping, seed).await {
        Ok(run) => {
            work(ledger, seed).await;
            let items = ledger.items(run, &ItemFilter::default(), ItemSeq(0), 1_000).await.unwrap();
            let (moved, others): (Vec<_>, Vec<_>) =
                items.into_iter().partition(|item| item.state == ItemState::Created);
            let mut codes = BTreeMap::new();
            for item in others {
                let code = item.code.map_or("none".to_owned(), |code| code.as_str().to_owned());
                *codes.entry(code).or_default() += 1;
            }
            Became::Moved(moved.len(), codes)
        }
        Err(refused) => Became::Refused(refused),
    }
}

/// Prepares the table, plans it and starts the run; the text of the first refusal.
async fn begun(
    ledger: &Arc<dyn Ledger>,
    location: &Location,
    mapping: &Mapping,
    seed: u64,
) -> Result<RunId, String> {
    let target = ferry_sources::write_back_target(location, mapping).unwrap();
    ledger.prepare_application(&target).await.map_err(|error| error.to_string())?;
    let source = ferry_sources::open(location, mapping, time::OffsetDateTime::UNIX_EPOCH)
        .await
        .map_err(|error| error.to_string())?;
    let migration = ferry_domain::migration::name_of(&source.identity());
    let mut subject = Subject {
        source,
        migration,
        mapping: "mapping".into(),
        mapping_digest: mapping.digest(),
        made_with: Default::default(),
        spec: RunSpec {
            tenant: "tenant".into(),
            connection: "db".into(),
            on_existing: OnExisting::Adopt,
            batch_size: 1_000,
            max_attempts: 3,
            limits: "off".into(),
            write_back: Some(target),
            source_digest: String::new(),
            stop_after: Default::default(),
        },
    };
    let clock = Arc::new(ManualClock::at(1_800_000_000));
    let access = Access::new(ledger.clone(), clock, Arc::new(SeededRandom::new(seed)), "ann".into());
    // The tables hold people of the same names, so they look like one application under many names.
    let wish = start::Wish { accepted: &[Accept::MigrationRenamed], ..start::Wish::default() };
    let asked = start::ask(&access, &mut subject, wish, &mut |_| {}, std::future::pending()).await;
    let question: Question = asked.map_err(|error| error.to_string())?;
    Ok(start::begin(&access, &question).await.map_err(|error| error.to_string())?.run)
}

/// Creates everybody who is pending, reads all back, writes the report.
async fn work(ledger: &Arc<dyn Ledger>, seed: u64) {
    let me = WorkerId::new(&ManualClock::at(1_800_000_000), &SeededRandom::new(seed));
    loop {
        let sends = ledger.take_ready(1_000).await.unwrap();
        if sends.is_empty() {
            return;
        }
        for send in sends {
            let lease =
                ledger.claim(send.job, send.send, me, Duration::from_secs(60)).await.unwrap().unwrap();
            match lease.of.kind {
                JobKind::Provision => {
                    let items = ledger.pending_items(&lease).await.unwrap();
                    let results: Vec<_> = items
                        .iter()
                        .map(|item| ItemResult {
                            seq: item.seq,
                            key: item.record.key.clone(),
                            email: item.record.email.clone(),
                            outcome: Outcome::created(Auth0UserId(format!(
                                "auth0|{}",
                                item.record.email.expose()
                            ))),
                        })
                        .collect();
                    assert!(ledger.write_back(&lease, &results, 0).await.unwrap().finished());
                }
                JobKind::Verify => {
                    ledger.record_verification(&lease, &BatchVerification::default()).await.unwrap();
                }
                JobKind::Report => {
                    ledger.seal(&lease, &SealedRun { report: serde_json::json!({}) }).await.unwrap();
                }
            }
        }
    }
}

/// Rows with an id that was made from another row's address.
const STRANGERS: &str = "SELECT count(*) FROM @users WHERE trim(auth0_user_id) <> '' AND auth0_user_id <> 'auth0|' || lower(email)";
