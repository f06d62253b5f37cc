use ferry_domain::{
    Code, RunState,
    ports::{
        Controls, DeadFilter, DeadKind, DeadLetters, DeadState, Duty, Items, Leases, Planning, Processes,
        Runs,
    },
};

use ferry_ledger_postgres::{Options, PostgresLedger};

use sqlx::AssertSqlSafe;

use crate::world::{LEASE, created, id, in_database, keys, lease_all, running, worker};

#[tokio::test(flavor = "multi_thread")]
async fn nine_processes_migrate_at_once_and_leave_the_applications_table_alone() {
    in_database(|database| async move {
        database
            .execute(
                "CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, mark text);
                 INSERT INTO _sqlx_migrations VALUES (1, 'the application''s own')",
            )
            .await;
        let nine: Vec<_> = (0..9)
            .map(|_| {
                let database = database.clone();
                tokio::spawn(async move { database.ledger().await.migrate().await })
            })
            .collect();
        for one in nine {
            one.await.unwrap().unwrap();
        }
        assert_eq!(database.ask("SELECT count(*) FROM ferry._migrations WHERE success").await, "6");
        assert_eq!(database.ask("SELECT mark FROM _sqlx_migrations").await, "the application's own");
        let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' \
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        assert_eq!(database.ask(locks).await, "0", "nobody keeps the lock");
    })
    .await;
}

#[tokio::test]
async fn a_ledger_of_a_newer_version_is_refused_with_what_to_do() {
    in_database(|database| async move {
        let ledger = database.migrated().await;
        database
            .execute(
                "INSERT INTO ferry._migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'later', true, '', 0)",
            )
            .await;
        let error = ledger.migrate().await.unwrap_err().to_string();
        assert!(error.contains("9999") && error.contains("newer version"), "{error}");
    })
    .await;
}

const TABLES: &str = "SELECT string_agg(format('ferry.%I', relname), ', ') FROM pg_class \
     WHERE relnamespace = 'ferry'::regnamespace AND relkind = 'r'";

/// Schema tools remove tables that their model does not know, and leave functions.
#[tokio::test]
async fn a_ledger_whose_tables_were_removed_is_made_anew() {
    in_database(|database| async move {
        let ledger = database.migrated().await;
        let tables = database.ask(TABLES).await;
        database.execute(&format!("DROP TABLE {tables} CASCADE")).await;
        ledger.migrate().await.unwrap();
        assert_eq!(ledger.runs(1).await.unwrap().len(), 0);

        let but_the_list = database.ask(TABLES).await.replace("ferry._migrations, ", "");
        let but_the_list = but_the_list.replace(", ferry._migrations", "");
        database.execute(&format!("DROP TABLE {but_the_list} CASCADE")).await;
        ledger.migrate().await.unwrap();
        assert_eq!(ledger.runs(1).await.unwrap().len(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_ledger_of_which_some_tables_are_left_is_told_and_left_alone() {
    in_database(|database| async move {
        let ledger = database.migrated().await;
        for gone in ["ferry.controls", "ferry._migrations"] {
            database.execute(&format!("DROP TABLE {gone}")).await;
            let error = ledger.migrate().await.unwrap_err().to_string();
            assert!(error.contains("controls") && error.contains("DROP SCHEMA ferry"), "{error}");
        }
        assert_eq!(database.ask("SELECT count(*) FROM ferry.runs").await, "0", "what is left stays");
    })
    .await;
}

/// `CREATE SCHEMA IF NOT EXISTS` asks for the privilege although the schema is there.
#[tokio::test]
async fn who_has_the_schema_need_not_own_the_database_and_else_the_privilege_is_named() {
    in_database(|database| async move {
        let user = format!("{}_user", database.name);
        database.execute(&format!("CREATE ROLE {user} LOGIN")).await;
        let url = database.url.replace("//ferry@", &format!("//{user}@"));
        let ledger = PostgresLedger::connect(&url, Options::default()).await.unwrap();
        let error = ledger.migrate().await.unwrap_err().to_string();
        assert!(error.contains("CREATE on database"), "{error}");
        database.execute("CREATE SCHEMA ferry").await;
        let error = ledger.migrate().await.unwrap_err().to_string();
        assert!(error.contains("CREATE and USAGE on schema ferry"), "{error}");
        database.execute(&format!("ALTER SCHEMA ferry OWNER TO {user}")).await;
        ledger.migrate().await.unwrap();
        ledger.close().await;
        database.execute(&format!("DROP OWNED BY {user} CASCADE; DROP ROLE {user}")).await;
    })
    .await;
}

#[tokio::test]
async fn what_a_database_can_not_hold_is_said_beforehand() {
    in_database(|database| async move {
        let with_path = |path: &str| format!("ALTER DATABASE {} SET search_path = {path}", database.name);
        database.migrated().await;
        database.execute(&with_path("public")).await;
        assert_eq!(database.ledger().await.remarks().await.unwrap(), []);
        database.execute(&with_path("ferry, public")).await;
        let remarks = database.ledger().await.remarks().await.unwrap();
        assert!(remarks[0].to_string().contains("search path"), "{remarks:?}");
        let narrow = format!("{}_latin1", database.name);
        database
            .execute(&format!(
                "CREATE DATABASE {narrow} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
            ))
            .await;
        let url = database.url.replace(&database.name, &narrow);
        let ledger = PostgresLedger::connect(&url, Options::default()).await.unwrap();
        let remarks = ledger.remarks().await.unwrap();
        ledger.close().await;
        database.execute(&format!("DROP DATABASE {narrow}")).await;
        assert!(remarks[0].to_string().contains("LATIN1"), "{remarks:?}");
    })
    .await;
}

/// Rows as the version before wrote them; some after the new tables are there, since
/// both versions run side by side for a while.
const OLD_ROWS: &str = "
    INSERT INTO ferry.runs (id, migration, source_kind, source_location, spec, state, settled_batch, requested_by)
    VALUES ('00000000-0000-0000-0000-00000000000@', 'm', 'csv', '/@.csv',
            '{\"tenant\":\"t\",\"connection\":\"c\",\"on_existing\":\"adopt\",\"batch_size\":100,\"max_attempts\":5,\"limits\":\"off\"}',
            'running', gen_random_uuid(), 'ann');
    INSERT INTO ferry.batches (id, run_id, ordinal, round, state, source, pending)
    VALUES ('00000000-0000-0000-0000-0000000000@1', '00000000-0000-0000-0000-00000000000@', 1, 1, 'open', 1, 1);
    INSERT INTO ferry.items (run_id, seq, batch_id, key, place, line, record, digest, state)
    VALUES ('00000000-0000-0000-0000-00000000000@', 1, '00000000-0000-0000-0000-0000000000@1', '1', '@.csv', 2,
            '{}', '', 'pending');
    INSERT INTO ferry.jobs (run_id, batch_id, kind, state, priority, holder, token, expires_at)
    VALUES ('00000000-0000-0000-0000-00000000000@', '00000000-0000-0000-0000-0000000000@1', 'provision', 'leased',
            10, '00000000-0000-0000-0000-0000000000@a', 1, clock_timestamp() + interval '10 s');
    INSERT INTO ferry.workers (id, host, pid, slots) VALUES ('00000000-0000-0000-0000-0000000000@a', 'old', 1, 2);
    INSERT INTO ferry.roles (role, holder, expires_at)
    VALUES ('relay-@', '00000000-0000-0000-0000-0000000000@a', clock_timestamp() + interval '10 s');
    INSERT INTO ferry.dead_letters (queue, payload, reason) VALUES ('ferry:provision', 'x', 'no JSON');
    INSERT INTO ferry.audit (actor, action, detail) VALUES ('ann', 'open_run', '{}')";

/// As a process of the version before becomes the relay, and stays it.
const OLD_LEADER: &str = "
    INSERT INTO ferry.roles AS mine (role, holder, expires_at, registered)
    VALUES ('relay', '00000000-0000-0000-0000-00000000001a', clock_timestamp() + interval '10 s', false)
    ON CONFLICT (role) DO UPDATE SET expires_at = excluded.expires_at WHERE mine.holder = excluded.holder;
    INSERT INTO ferry.roles AS mine (role, holder, expires_at, registered)
    VALUES ('relay', '00000000-0000-0000-0000-00000000001a', clock_timestamp() + interval '20 s', false)
    ON CONFLICT (role) DO UPDATE SET expires_at = excluded.expires_at WHERE mine.holder = excluded.holder";

#[tokio::test]
async fn rows_of_the_version_before_are_read_also_when_they_come_late() {
    in_database(|database| async move {
        database.execute("CREATE SCHEMA ferry").await;
        database.execute(include_str!("../../../../migrations/postgres/0001_ledger.sql")).await;
        database.execute(&OLD_ROWS.replace('@', "1")).await;
        database.execute(include_str!("../../../../migrations/postgres/0002_controls.sql")).await;
        database.execute(&OLD_ROWS.replace('@', "2")).await;
        database.execute(include_str!("../../../../migrations/postgres/0003_rescued.sql")).await;
        database.execute(include_str!("../../../../migrations/postgres/0004_leaders.sql")).await;
        database.execute(OLD_LEADER).await;

        let ledger = database.ledger().await;
        let runs = ledger.runs(10).await.unwrap();
        assert_eq!(
            runs.iter().map(|run| (run.state, run.tally.pending)).collect::<Vec<_>>(),
            [(RunState::Running, 1), (RunState::Running, 1)]
        );
        assert!(runs.iter().all(|run| run.rate.is_none() && run.why.is_none()));
        let controls = ledger.orders().await.unwrap();
        assert_eq!((controls.stop_all(), controls.runs.len(), controls.rate), (false, 2, None));
        let workers = ledger.workers().await.unwrap();
        assert_eq!(
            workers.iter().map(|view| (view.watched, view.leases)).collect::<Vec<_>>(),
            [(false, 1); 2]
        );
        assert!(ledger.rescue(worker(1), true).await.unwrap().is_empty(), "an old process is not watched");
        assert!(!ledger.lead(Duty::Relay, worker(1), LEASE).await.unwrap(), "an old process leads");
        assert!(ledger.lead(Duty::Exporter, worker(1), LEASE).await.unwrap());
        let seen = "SELECT count(*) FROM ferry.roles WHERE role = 'exporter'";
        assert_eq!(database.ask(seen).await, "1", "an old process sees who leads");
        let letters = ledger.dead(&DeadFilter::default(), 10).await.unwrap();
        for letter in &letters {
            let told = (letter.kind, letter.state, letter.code, letter.given_up_by.as_str());
            assert_eq!(told, (DeadKind::Payload, DeadState::Kept, Code::Undecodable, ""));
            assert_eq!(ledger.dead_payload(letter.id).await.unwrap(), Some(b"x".to_vec()));
        }
        assert_eq!(letters.len(), 2);
        assert!(ledger.watched_runs().await.unwrap().is_empty());
    })
    .await;
}

/// The statements are those of the version before `outcomes`, which may run beside this one.
#[tokio::test]
async fn what_an_older_process_writes_to_items_lands_where_it_belongs() {
    in_database(|database| async move {
        let ledger = database.migrated().await;
        running(&ledger, 1, None, &[keys(1..=4)]).await;
        let lease = lease_all(&ledger, worker(1), LEASE).await.remove(0);
        let results = created(&ledger, &lease).await;
        ledger.write_back(&lease, &results[..2], 2).await.unwrap();

        let batch = id(1001);
        let write = format!(
            "UPDATE ferry.items AS item
             SET state = result.state, code = NULL, field = NULL, other = NULL,
                 auth0_user_id = coalesce(result.id, item.auth0_user_id),
                 made_by_ferry = item.made_by_ferry OR result.state = 'created'
             FROM unnest(ARRAY[2, 3]::bigint[], ARRAY['created', 'created'], ARRAY['auth0|x', 'auth0|3']) AS result (seq, state, id)
             WHERE item.batch_id = '{batch}' AND item.seq = result.seq AND item.state = 'pending'
             RETURNING item.seq"
        );
        let mut old = database.connect().await;
        let taken: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(write)).fetch_all(&mut old).await.unwrap();
        assert_eq!(taken, [3], "the second is settled already");
        let now = "SELECT string_agg(seq || ' ' || state || ' ' || coalesce(auth0_user_id, ''), ', ' ORDER BY seq) FROM ferry.items";
        assert_eq!(database.ask(now).await, "1 created auth0|1, 2 created auth0|2, 3 created auth0|3, 4 pending ");
        assert_eq!(ledger.pending_items(&lease).await.unwrap().len(), 1, "and this version knows it");

        database.execute("UPDATE ferry.items SET state = 'pending', code = NULL WHERE seq = 1").await;
        assert_eq!(ledger.pending_items(&lease).await.unwrap().len(), 2, "a retry takes an outcome back");

        let mut copy = old
            .copy_in_raw("COPY ferry.items (run_id, seq, batch_id, key, place, line, digest, state, code) FROM STDIN")
            .await
            .unwrap();
        let row = format!("{}\t5\t{batch}\t5\tusers.csv\t6\td\tfailed\tEMAIL_MISSING\n", id(1));
        copy.send(row.as_bytes()).await.unwrap();
        assert_eq!(copy.finish().await.unwrap(), 1);
        assert_eq!(database.ask("SELECT code FROM ferry.planned_items WHERE seq = 5").await, "EMAIL_MISSING");
        database.execute("DELETE FROM ferry.items WHERE seq IN (2, 5)").await;
        let left = "SELECT (SELECT count(*) FROM ferry.planned_items) || ' ' || (SELECT count(*) FROM ferry.outcomes)";
        assert_eq!(database.ask(left).await, "3 0");
    })
    .await;
}
