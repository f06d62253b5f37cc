//! Random histories: whatever happens in whatever order, each ledger answers and
//! looks as the mirror says, and the run can be brought to its end.
//!
//! `PROPTEST_CASES` says how many histories for each ledger. A failing one is made
//! shorter, printed, and kept in `proptest-regressions`, to be played first next time.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use proptest::{
    prelude::*,
    test_runner::{Config, FileFailurePersistence, TestRunner},
};

use ferry_domain::run::RunMove;

use crate::{
    player::{Player, Step},
    stores::Store,
};

const HISTORIES: u32 = 64;
const STEPS: usize = 80;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1..4i64).prop_map(Step::Send),
        1 => any::<usize>().prop_map(Step::Lose),
        12 => (any::<usize>(), 0..3usize, prop::bool::weighted(0.2))
            .prop_map(|(delivery, worker, again)| Step::Claim { delivery, worker, again }),
        3 => any::<usize>().prop_map(Step::Unsend),
        14 => (any::<usize>(), prop_oneof![Just(255), Just(1), any::<u8>()], 0..5usize)
            .prop_map(|(lease, users, outcome)| Step::Work { lease, users, outcome }),
        3 => (any::<usize>(), 0..14usize, any::<bool>())
            .prop_map(|(lease, verdict, timed)| Step::Conclude { lease, verdict, timed }),
        1 => (0..3usize).prop_map(Step::Crash),
        1 => (0..3usize).prop_map(Step::Heartbeat),
        1 => (0..3usize).prop_map(Step::Retire),
        7 => any::<usize>().prop_map(Step::Expire),
        7 => Just(Step::Rescue),
        4 => Just(Step::Wait),
        1 => Just(Step::Sweep),
        1 => Just(Step::Retry),
        4 => (1..4i64).prop_map(Step::SendRescued),
        2 => prop_oneof![4 => Just(RunMove::Pause), 11 => Just(RunMove::Resume), 3 => Just(RunMove::Cancel)]
            .prop_map(Step::Move),
        2 => any::<usize>().prop_map(Step::Halve),
    ]
}

fn play_histories(name: &str, store: impl AsyncFn() -> Store) {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/histories.txt");
    let config = Config {
        cases: cases.unwrap_or(HISTORIES),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(kept))),
        max_shrink_iters: 400,
        ..Config::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cases = config.cases;
    // A history ends with nothing left, so the next may use the same store; one that
    // failed takes its store along.
    let kept: RefCell<Option<Store>> = RefCell::new(None);
    let number = Cell::new(0);
    let seen: RefCell<BTreeMap<&str, u32>> = RefCell::default();
    let played = TestRunner::new(config).run(&prop::collection::vec(step(), STEPS / 2..=STEPS), |history| {
        let before = kept.take();
        number.set(number.get() + 1);
        let store = runtime.block_on(async {
            let store = match before {
                Some(store) => store,
                None => store().await,
            };
            let mut player = Player::new(&store, number.get()).await;
            for step in &history {
                player.step(step).await;
            }
            for (what, times) in player.finish().await {
                *seen.borrow_mut().entry(what).or_default() += times;
            }
            store
        });
        kept.replace(Some(store));
        Ok(())
    });
    {
        let _inside = runtime.enter();
        drop(kept.take());
    }
    if let Err(failure) = played {
        panic!("{name}: {failure}");
    }
    let seen = seen.into_inner();
    println!("{name}: {cases} histories of up to {STEPS} steps, with {seen:?}");
    // Histories in which nothing goes wrong would prove nothing. Seals are not asked for:
    // few histories reach one by themselves, and all are brought to one.
    for what in [
        "claims",
        "stale deliveries",
        "writes",
        "late writes",
        "verdicts",
        "late verdicts",
        "rescues",
        "retries",
        "rescued sends",
        "halvings",
        "pauses and resumes",
        "cancels",
    ] {
        let times = seen.get(what).copied().unwrap_or(0);
        assert!(times > 0 || cases < HISTORIES, "{name}: no {what} in {cases} histories");
    }
}

#[test]
fn sqlite_answers_as_the_model_says() {
    play_histories("SQLite", Store::sqlite);
}

#[test]
fn postgres_answers_as_the_model_says() {
    if std::env::var("TEST_DATABASE_URL").is_ok_and(|url| !url.is_empty()) {
        play_histories("PostgreSQL", async || Store::postgres().await.unwrap());
    } else {
        eprintln!("skipped: TEST_DATABASE_URL is not set");
    }
}
