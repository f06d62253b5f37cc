//! A file of the first release, brought up to date.

use ferry_contract::ledger::{LedgerWorld, scene::Scene};
use ferry_domain::{
    Code, RunState,
    ports::{
        Command, DeadFilter, DeadKind, DeadLetters, DeadState, LedgerError, Moves, Planning, Reports, Runs,
    },
    run::RunMove,
};
use ferry_ledger_sqlite::SqliteLedger;

use crate::world::world;

const ANN: Command<'static> = Command { by: "ann@host", reason: None };

/// A running run with a batch, a job, a try and a report, an ended one, a letter and a line in the audit.
const OLD_ROWS: &[&str] = &[
    "INSERT INTO ferry_runs (id, migration, source_kind, source_location, spec, state, settled_batch, round, \
     revision, requested_by, reason, created_at, touched_at, started_at, sealed_at) VALUES \
     (randomblob(16), 'old', 'csv', 'a.csv', '{\"tenant\":\"t\",\"connection\":\"c\",\"on_existing\":\"adopt\",\
     \"batch_size\":10,\"max_attempts\":5,\"limits\":\"off\"}', 'running', randomblob(16), 3, 2, 'ann', 'why not', \
     1, 2, 3, 4)",
    "INSERT INTO ferry_runs (id, migration, source_kind, source_location, spec, state, settled_batch, requested_by, \
     created_at, touched_at) SELECT randomblob(16), migration, source_kind, source_location, spec, 'sealed', \
     randomblob(16), 'bob', 0, 0 FROM ferry_runs",
    "INSERT INTO ferry_batches (id, run_id, ordinal, round, state, source, pending) \
     SELECT randomblob(16), id, 1, 1, 'open', 1, 1 FROM ferry_runs WHERE state = 'running'",
    "INSERT INTO ferry_items (run_id, seq, batch_id, key, place, line, digest, state) \
     SELECT run_id, 1, id, '1', 'a.csv', 2, '', 'pending' FROM ferry_batches",
    "INSERT INTO ferry_jobs (id, run_id, batch_id, kind, state, priority, not_before, created_at) \
     SELECT randomblob(16), run_id, id, 'provision', 'ready', 10, 0, 0 FROM ferry_batches",
    "INSERT INTO ferry_attempts (job_id, number, code, took_ms, holder, at) \
     SELECT id, 1, 'TIMED_OUT', 5, randomblob(16), 0 FROM ferry_jobs",
    "INSERT INTO ferry_reports (run_id, revision, sealed_at, report) SELECT id, 2, 4, '{}' FROM ferry_runs \
     WHERE state = 'running'",
    "INSERT INTO ferry_dead_letters (queue, payload, reason, received_at) VALUES ('ferry:verify', x'00ff', 'no JSON', 5)",
    "INSERT INTO ferry_audit (at, actor, action, run_id, detail, reason) \
     SELECT 1, 'ann', 'open_run', id, '{}', 'why not' FROM ferry_runs WHERE state = 'running'",
];

/// The application's file holds what the application left in it; not all of that works.
const BROKEN_VIEW: &str = "CREATE VIEW broken AS SELECT one FROM gone";

#[tokio::test]
async fn a_file_of_the_first_release_keeps_its_rows_and_references() {
    let world = world().await.unwrap();
    let mut first = sqlx::migrate!("../../migrations/sqlite");
    let only: Vec<_> = first.iter().filter(|migration| migration.version == 1).cloned().collect();
    first.migrations = only.into();
    first.run(&world.application).await.unwrap();
    for row in OLD_ROWS {
        world.run(*row).await;
    }
    world.run(BROKEN_VIEW).await;

    let ledger = SqliteLedger::open_existing(&world.path()).await.unwrap();
    ledger.migrate().await.unwrap();
    ledger.migrate().await.unwrap();
    assert_eq!(world.count("migrations").await, 6);

    let runs = ledger.runs(10).await.unwrap();
    let facts: Vec<_> =
        runs.iter().map(|run| (run.state, run.round, run.revision, run.tally.pending)).collect();
    assert_eq!(facts, [(RunState::Running, 3, 2, 1), (RunState::Sealed, 1, 0, 0)]);
    let run = runs[0].id;
    assert_eq!((runs[0].rate.as_deref(), runs[0].why.as_deref()), (None, None));
    assert!(runs[0].started_at.is_some() && runs[0].sealed_at.is_some());
    assert!(ledger.report(run, Some(2)).await.unwrap().is_some());
    let letter = ledger.dead(&DeadFilter::default(), 10).await.unwrap().remove(0);
    assert_eq!(
        (letter.kind, letter.state, letter.code),
        (DeadKind::Payload, DeadState::Kept, Code::Undecodable)
    );
    assert_eq!(ledger.dead_payload(letter.id).await.unwrap(), Some(vec![0, 255]));
    assert_eq!((world.count("audit").await, world.count("attempts").await), (1, 1));

    let broken = world.text("SELECT group_concat(\"table\") FROM pragma_foreign_key_check").await;
    assert_eq!(broken, None, "each reference still finds its row");
    let sound = world.text("SELECT group_concat(integrity_check) FROM pragma_integrity_check").await;
    assert_eq!(sound.as_deref(), Some("ok"));
    let orphan = "INSERT INTO ferry_batches (id, run_id, ordinal, round, state) \
                  VALUES (randomblob(16), randomblob(16), 1, 1, 'open')";
    assert!(sqlx::query(orphan).execute(&world.application).await.is_err(), "and is still checked");

    let second = Scene::new(&world).await.new_run("a.csv");
    assert!(matches!(ledger.open_run(&second).await, Err(LedgerError::AnotherRunActive { .. })));
    let twice = "UPDATE ferry_runs SET state = 'running'";
    assert!(sqlx::query(twice).execute(&world.application).await.is_err(), "one active run of a source");
    let moved = ledger.move_run(run, RunMove::Cancel, &ANN).await.unwrap();
    assert_eq!((moved.after, moved.cancelled), (RunState::Cancelling, 1));
}

/// Schema tools remove tables that their model does not know, and leave the view.
#[tokio::test]
async fn a_ledger_whose_tables_were_removed_is_made_anew() {
    let world = world().await.unwrap();
    for list_too in [true, false] {
        world.ledger().migrate().await.unwrap();
        let tables: Vec<String> =
            sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'ferry_*'")
                .fetch_all(&world.application)
                .await
                .unwrap();
        let mut connection = world.application.acquire().await.unwrap();
        sqlx::query("PRAGMA foreign_keys = OFF").execute(&mut *connection).await.unwrap();
        for table in tables.iter().filter(|name| list_too || *name != "ferry_migrations") {
            let drop_it = sqlx::AssertSqlSafe(format!("DROP TABLE {table}"));
            sqlx::query(drop_it).execute(&mut *connection).await.unwrap();
        }
        drop(connection);
        let ledger = SqliteLedger::open_existing(&world.path()).await.unwrap();
        ledger.migrate().await.unwrap();
        assert_eq!(ledger.runs(1).await.unwrap().len(), 0);
        ledger.close().await;
    }
}

#[tokio::test]
async fn a_ledger_of_which_some_tables_are_left_is_told_and_left_alone() {
    let world = world().await.unwrap();
    world.ledger().migrate().await.unwrap();
    world.run("DROP TABLE ferry_controls").await;
    let error = world.ledger().migrate().await.unwrap_err().to_string();
    assert!(error.contains("ferry_controls") && error.contains("restore the file"), "{error}");
    assert_eq!(world.count("runs").await, 0, "what is left stays");
}
