//! What the statements read that workers do all the time: as many rows as their batch has, whatever
//! the server knows of the tables and whatever the size of the run.
//!
//! The server itself explains each statement as it ran (`auto_explain`), so a new one is held to the
//! rule without being listed here.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use ferry_domain::{
    JobKind, RunId,
    ports::{BatchVerification, Items, Jobs, Leases, Planning, Processes, Reports, Runs, WorkerRecord},
};
use ferry_ledger_postgres::{Options, PostgresLedger};
use serde_json::Value;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
};

use crate::world::{
    Database, LEASE, created, id, in_database, keys, lease, new_run, running, users_table, worker,
};

/// Users of a batch.
const BATCH: i64 = 250;
/// Rows that one scan may read for each user of a batch; besides a few of its own.
const FACTOR: i64 = 4;
const A_FEW: i64 = 50;

/// What the server knows when the statements run.
#[derive(Clone, Copy, Debug)]
struct World {
    users: i64,
    statistics: bool,
}

#[tokio::test]
async fn a_batch_costs_its_own_rows_before_anybody_made_statistics() {
    hold_to_the_rule(World { users: 100_000, statistics: false }).await;
}

#[tokio::test]
async fn a_batch_costs_its_own_rows_with_statistics() {
    hold_to_the_rule(World { users: 100_000, statistics: true }).await;
}

/// Half a minute: a million items have to be made.
#[tokio::test]
#[ignore = "takes half a minute"]
async fn a_batch_of_a_million_users_costs_its_own_rows() {
    for statistics in [false, true] {
        hold_to_the_rule(World { users: 1_000_000, statistics }).await;
    }
}

/// Without this the rule could hold because nothing is seen.
#[tokio::test]
async fn a_statement_that_reads_the_whole_run_is_found() {
    in_database(|database| async move {
        planned(&database, World { users: 5_000, statistics: false }).await;
        explain_all(&database).await;
        let seen = Seen::default();
        let _listening = seen.listen();
        let run = id(1);
        database.execute(&format!("SELECT count(*) FROM ferry.planned_items WHERE run_id = '{run}'")).await;
        let found = seen.too_much();
        assert!(found.iter().any(|scan| scan.contains("read 5000 rows")), "{found:?} of {seen:?}");
    })
    .await;
}

async fn hold_to_the_rule(world: World) {
    in_database(|database| async move {
        planned(&database, world).await;
        explain_all(&database).await;
        for mode in ["force_generic_plan", "force_custom_plan"] {
            database
                .execute(&format!("DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET plan_cache_mode = {mode}', current_database()); END$$"))
                .await;
            let seen = Seen::default();
            let _listening = seen.listen();
            move_a_batch(&database).await;
            let statements = seen.statements();
            assert!(statements > 20, "{world:?} {mode}: only {statements} statements were explained");
            let found = seen.too_much();
            assert!(found.is_empty(), "{world:?} {mode}:\n{}", found.join("\n"));
        }
    })
    .await;
}

/// All that is done for one batch, and what each process does all the time.
async fn move_a_batch(database: &Database) {
    let ledger = database.ledger().await;
    let (me, run) = (worker(1), RunId(id(1)));
    let record = WorkerRecord { id: me, host: "host".into(), pid: 1, slots: 4, waiting_for: None };
    ledger.register(&record).await.unwrap();
    ledger.take_rescued(12).await.unwrap();
    ledger.queued().await.unwrap();
    ledger.queued_longer_than(Duration::from_secs(4), 1000).await.unwrap();
    let sent = ledger.take_ready(1).await.unwrap().remove(0);
    let held = lease(&ledger, &sent, me, LEASE).await;
    ledger.run_now(run).await.unwrap();
    let results = created(&ledger, &held).await;
    assert_eq!(results.len() as i64, BATCH);
    ledger.write_back(&held, &results[..50], 50).await.unwrap();
    ledger.write_back(&held, &results[..50], 50).await.unwrap(); // its answer was lost
    ledger.heartbeat(&record, LEASE, &[held.of.id]).await.unwrap();
    assert_eq!(ledger.pending_items(&held).await.unwrap().len() as i64, BATCH - 50);
    assert!(ledger.write_back(&held, &results[50..], 200).await.unwrap().finished());
    ledger.rescue(me, false).await.unwrap();
    ledger.live_slots(LEASE).await.unwrap();
    ledger.watched_runs().await.unwrap();
    let batch = held.of.batch.unwrap();
    let first = format!("UPDATE ferry.jobs SET priority = -1 WHERE kind = 'verify' AND batch_id = '{batch}'");
    database.execute(&first).await;
    let sent = ledger.take_ready(1).await.unwrap().remove(0);
    assert_eq!(sent.kind, JobKind::Verify);
    let held = lease(&ledger, &sent, me, LEASE).await;
    assert_eq!(ledger.items_at_target(&held).await.unwrap().len() as i64, BATCH);
    ledger.unread(&held).await.unwrap();
    let found = BatchVerification { matched: BATCH, requests: BATCH, ..Default::default() };
    ledger.record_verification(&held, &found).await.unwrap();
    ledger.retire(me).await.unwrap();
    ledger.close().await;
}

/// A started run as planning leaves it, on tables that nobody looked at.
async fn planned(database: &Database, World { users, statistics }: World) {
    let ledger = database.migrated().await;
    ledger.open_run(&new_run(1, Some(users_table()))).await.unwrap();
    ledger.close().await;
    let run = id(1);
    database
        .execute(&format!(
            r#"
            ALTER TABLE ferry.planned_items SET (autovacuum_enabled = false);
            ALTER TABLE ferry.outcomes SET (autovacuum_enabled = false);
            ALTER TABLE ferry.batches SET (autovacuum_enabled = false);
            ALTER TABLE ferry.jobs SET (autovacuum_enabled = false);
            CREATE TABLE users (id bigint PRIMARY KEY, email text, auth0_user_id text) WITH (autovacuum_enabled = false);
            INSERT INTO users SELECT n, 'u' || n || '@example.com' FROM generate_series(1, {users}) AS n;
            CREATE UNIQUE INDEX users_auth0 ON users (auth0_user_id) WHERE auth0_user_id IS NOT NULL;
            CREATE TEMP TABLE made AS SELECT n, gen_random_uuid() AS batch FROM generate_series(0, {users} / {BATCH} - 1) AS n;
            INSERT INTO ferry.planned_items (run_id, seq, batch_id, key, place, line, email, record, digest, state)
            SELECT '{run}', made.n * {BATCH} + i, made.batch, (made.n * {BATCH} + i)::text, 'users', i,
                   'u' || (made.n * {BATCH} + i) || '@example.com',
                   jsonb_build_object('key', (made.n * {BATCH} + i)::text, 'email', 'u' || (made.n * {BATCH} + i) || '@example.com',
                                      'email_verified', true, 'blocked', false),
                   '', 'pending'
            FROM made, generate_series(1, {BATCH}) AS i;
            INSERT INTO ferry.batches (id, run_id, ordinal, round, state, source, pending)
            SELECT batch, '{run}', n + 1, 1, 'open', {BATCH}, {BATCH} FROM made;
            INSERT INTO ferry.jobs (run_id, batch_id, kind, priority, created_at)
            SELECT '{run}', batch, 'provision', {priority}, now() + n * interval '1 microsecond' FROM made;
            UPDATE ferry.runs SET state = 'running', started_at = now();
            "#,
            priority = JobKind::Provision.priority(),
        ))
        .await;
    if statistics {
        database.execute("ANALYZE").await;
    }
}

/// All sessions from now on explain what they did, to themselves. With settings that have made plans
/// worse elsewhere.
async fn explain_all(database: &Database) {
    database
        .execute(
            r#"
            DO $$
            DECLARE setting text;
            BEGIN
                FOREACH setting IN ARRAY ARRAY[
                    'session_preload_libraries = auto_explain', 'auto_explain.log_min_duration = 0',
                    'auto_explain.log_analyze = on', 'auto_explain.log_timing = off',
                    'auto_explain.log_format = json', 'auto_explain.log_level = notice',
                    'work_mem = ''64kB''', 'jit = on'
                ] LOOP
                    EXECUTE format('ALTER DATABASE %I SET ', current_database()) || setting;
                END LOOP;
            END $$
            "#,
        )
        .await;
}

/// What the server explained.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Value>>>);

impl Seen {
    /// Hears what this thread's sessions are told.
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        tracing::subscriber::set_default(tracing_subscriber::registry().with(self.clone()))
    }

    fn statements(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Scans that read more rows than the rule allows, with their statements.
    fn too_much(&self) -> Vec<String> {
        let mut found = Vec::new();
        for explained in self.0.lock().unwrap().iter() {
            let statement = explained["Query Text"].as_str().unwrap_or_default();
            for_each_node(&explained["Plan"], &mut |node| {
                let read = rows_read(node);
                if read > FACTOR * BATCH + A_FEW {
                    let (kind, on, index) = (&node["Node Type"], &node["Relation Name"], &node["Index Name"]);
                    found.push(format!("{kind} {on} {index} read {read} rows: {statement}"));
                }
            });
        }
        found
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let explained = self.0.lock().unwrap();
        f.debug_list().entries(explained.iter().map(|one| &one["Query Text"])).finish()
    }
}

fn for_each_node(node: &Value, look: &mut impl FnMut(&Value)) {
    look(node);
    for below in node["Plans"].as_array().into_iter().flatten() {
        for_each_node(below, look);
    }
}

/// Rows that a scan read; of any other step none. A bitmap that is made counts as read: it is how a
/// whole run was looked through for one batch.
fn rows_read(node: &Value) -> i64 {
    const SCANS: [&str; 6] =
        ["Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan", "Bitmap Index Scan", "Tid Scan"];
    if !node["Node Type"].as_str().is_some_and(|kind| SCANS.contains(&kind)) {
        return 0;
    }
    let figure = |name: &str| node[name].as_f64().unwrap_or(0.0);
    let rows =
        figure("Actual Rows") + figure("Rows Removed by Filter") + figure("Rows Removed by Index Recheck");
    (rows * figure("Actual Loops")) as i64
}

impl<S: Subscriber> Layer<S> for Seen {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Hearing(self));
    }
}

/// Keeps what a notice of the server explains.
struct Hearing<'s>(&'s Seen);

impl Visit for Hearing<'_> {
    fn record_str(&mut self, field: &Field, text: &str) {
        if field.name() == "message"
            && let Some((_, plan)) = text.split_once("plan:\n")
        {
            self.0.0.lock().unwrap().push(serde_json::from_str(plan).unwrap());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

#[tokio::test]
async fn the_server_knows_the_items_after_planning() {
    in_database(|database| async move {
        let ledger = database.migrated().await;
        database.execute("ALTER TABLE ferry.planned_items SET (autovacuum_enabled = false)").await;
        running(&ledger, 1, None, &[keys(1..=200)]).await;
        let known = "SELECT reltuples::bigint FROM pg_class WHERE oid = 'ferry.planned_items'::regclass";
        assert_eq!(database.ask(known).await, "200");
    })
    .await;
}

/// A database user with the rights to use the tables, and no more.
#[tokio::test]
async fn who_may_not_make_statistics_plans_all_the_same() {
    in_database(|database| async move {
        database.migrated().await.close().await;
        let role = format!("{}_user", database.ask("SELECT current_database()").await);
        let give = format!(
            "CREATE ROLE {role} LOGIN PASSWORD '{role}'; GRANT USAGE ON SCHEMA ferry TO {role};
             GRANT ALL ON ALL TABLES IN SCHEMA ferry TO {role};
             GRANT ALL ON ALL SEQUENCES IN SCHEMA ferry TO {role}"
        );
        database.execute(&give).await;
        let place = database.url.trim_start_matches("postgres://");
        let host = place.split_once('@').map_or(place, |(_, host)| host);
        let url = format!("postgres://{role}:{role}@{host}");
        let ledger = PostgresLedger::connect(&url, Options::default()).await.unwrap();
        assert_eq!(running(&ledger, 1, None, &[keys(1..=200)]).await.tally.pending, 200);
        ledger.close().await;
        database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    })
    .await;
}
