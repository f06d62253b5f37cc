//! Tables as applications really have them.

use ferry_contract::ledger::{
    LedgerWorld,
    scene::{ANN, Scene, id, user},
};
use ferry_domain::{
    Email, ItemResult, ItemSeq, JobKind, Outcome, RunId, SourceKey, WriteBackTarget,
    ports::{LedgerError, UserFilter},
};

use sqlx::AssertSqlSafe;

use crate::world::{SqliteWorld, world};

fn target(table: &str, key: &str, id: &str) -> WriteBackTarget {
    WriteBackTarget::new(None, table, key, id)
}

/// Plans one batch of users with these keys, and writes an id for each.
async fn move_all(world: &SqliteWorld, target: &WriteBackTarget, keys: &[&str]) -> (RunId, Vec<i64>) {
    let scene = Scene::new(world).await;
    scene.ledger.prepare_application(target).await.unwrap();
    let mut new = scene.new_run("people");
    new.spec.write_back = Some(target.clone());
    scene.ledger.open_run(&new).await.unwrap();
    let batch = scene.batch();
    let items: Vec<_> = (1..)
        .zip(keys)
        .map(|(seq, key)| user(seq, batch, key, &format!("person-{seq}@example.com")))
        .collect();
    scene.ledger.add_items(new.id, &items).await.unwrap();
    scene.ledger.finish_planning(new.id, &[]).await.unwrap();
    scene.ledger.start(new.id, &ANN).await.unwrap();
    let lease = scene.take_one(JobKind::Provision).await;
    let results: Vec<_> = (1..)
        .zip(keys)
        .map(|(seq, &key)| ItemResult {
            seq: ItemSeq(seq),
            key: SourceKey(key.into()),
            email: Email::normalised(key),
            outcome: Outcome::created(id(seq)),
        })
        .collect();
    let written = scene.ledger.write_back(&lease, &results, 0).await.unwrap();
    (new.id, written.refused_rows.iter().map(|row| row.seq.0).collect())
}

#[tokio::test]
async fn names_with_quotes_and_keywords_are_names_only() {
    let world = world().await.unwrap();
    world.run(r#"CREATE TABLE "my ""people"" (old)" ("order" INTEGER PRIMARY KEY, "select" TEXT)"#).await;
    world.run(r#"INSERT INTO "my ""people"" (old)" ("order") VALUES (1), (2)"#).await;
    let target = target(r#"my "people" (old)"#, "order", r#"auth0 "id"; DROP TABLE ferry_runs; --"#);
    let (_, refused) = move_all(&world, &target, &["1", "2"]).await;
    assert_eq!(refused, [0; 0]);
    let written = world.text(
        r#"SELECT "auth0 ""id""; DROP TABLE ferry_runs; --" FROM "my ""people"" (old)" WHERE "order" = 2"#,
    );
    assert_eq!(written.await, Some(id(2).0));
    assert_eq!(world.count("runs").await, 1);
}

#[tokio::test]
async fn names_that_the_statement_uses_itself_are_no_trouble() {
    let world = world().await.unwrap();
    world.run("CREATE TABLE new (source INTEGER PRIMARY KEY, value TEXT)").await;
    world.run("INSERT INTO new (source) VALUES (1), (2)").await;
    let (_, refused) = move_all(&world, &target("New", "SOURCE", "auth0"), &["1", "2"]).await;
    assert_eq!(refused, [0; 0]);
    assert_eq!(world.text("SELECT auth0 FROM new WHERE source = 1").await, Some(id(1).0));
}

#[tokio::test]
async fn keys_match_by_the_columns_type() {
    for (declared, values, keys) in [
        ("INTEGER", "(1), (20)", ["1", "20"]),
        ("TEXT", "('1'), ('a b')", ["1", "a b"]),
        ("", "(1), ('x-2')", ["1", "x-2"]),
        ("VARCHAR(36) COLLATE NOCASE", "('AB'), ('cd')", ["ab", "CD"]),
        ("NUMERIC", "(7), (8)", ["7", "8"]),
    ] {
        let world = world().await.unwrap();
        world.run(format!("CREATE TABLE people (id {declared} UNIQUE)")).await;
        world.run(format!("INSERT INTO people (id) VALUES {values}")).await;
        let (_, refused) = move_all(&world, &target("people", "id", "auth0_user_id"), &keys).await;
        assert_eq!(refused, [0; 0], "{declared}");
        let count = world.text("SELECT CAST(count(auth0_user_id) AS TEXT) FROM people").await;
        assert_eq!(count.as_deref(), Some("2"), "{declared}");
    }
}

#[tokio::test]
async fn rows_are_found_by_the_keys_index() {
    let world = world().await.unwrap();
    world.create_people(1_000).await;
    world.ledger().migrate().await.unwrap();
    world.ledger().prepare_application(&world.write_back_target()).await.unwrap();
    // The statements of write-back, as `application/write.rs` makes them.
    let given = "(SELECT value ->> 0 AS number, CASE WHEN value ->> 2 THEN unhex(value ->> 1) ELSE value ->> 1 END \
                 AS source, value ->> 3 AS auth0 FROM json_each(?1)) AS new";
    for statement in [
        format!(
            "SELECT new.number, count(*) FROM {given} CROSS JOIN main.\"people\" AS app ON app.\"id\" = new.source \
             GROUP BY new.number"
        ),
        format!(
            "UPDATE main.\"people\" AS app SET \"auth0_user_id\" = new.auth0 FROM {given} \
             WHERE app.\"id\" = new.source AND (app.\"auth0_user_id\" IS NULL OR trim(app.\"auth0_user_id\") = '' \
             OR app.\"auth0_user_id\" = new.auth0) RETURNING \"auth0_user_id\""
        ),
    ] {
        let plan = sqlx::query_as::<_, (i64, i64, i64, String)>(AssertSqlSafe(format!(
            "EXPLAIN QUERY PLAN {statement}"
        )))
        .bind("[]")
        .fetch_all(&world.application)
        .await
        .unwrap();
        let plan: Vec<_> = plan.into_iter().map(|(_, _, _, step)| step).collect();
        assert!(plan.iter().any(|step| step.contains("SEARCH app USING INTEGER PRIMARY KEY")), "{plan:?}");
    }
}

#[tokio::test]
async fn an_index_the_application_has_is_enough_and_doubles_are_said() {
    let world = world().await.unwrap();
    let scene = Scene::new(&world).await;
    world.run("CREATE TABLE a (id INTEGER PRIMARY KEY, auth0 TEXT UNIQUE)").await;
    assert!(!scene.ledger.prepare_application(&target("a", "id", "auth0")).await.unwrap());
    world.run("CREATE TABLE b (id INTEGER PRIMARY KEY, auth0 TEXT)").await;
    world.run("INSERT INTO b (auth0) VALUES ('auth0|x'), ('auth0|x')").await;
    match scene.ledger.prepare_application(&target("b", "id", "auth0")).await {
        Err(LedgerError::WriteBackTarget(text)) => assert!(text.contains("the same auth0"), "{text}"),
        other => panic!("{other:?}"),
    }
    world.run("CREATE VIEW c AS SELECT * FROM a").await;
    let view = scene.ledger.check_application(&target("c", "id", "auth0")).await;
    assert!(matches!(view, Err(LedgerError::WriteBackTarget(_))), "a view can't be written: {view:?}");
}

#[tokio::test]
async fn a_table_where_every_row_ends_the_transaction_still_comes_to_an_end() {
    let world = world().await.unwrap();
    let scene = Scene::new(&world).await;
    let run = scene.running_over_people(9, 9).await;
    world
        .run("CREATE TRIGGER harsh BEFORE UPDATE ON people BEGIN SELECT RAISE(ROLLBACK, 'harsh'); END")
        .await;
    let lease = scene.take_one(JobKind::Provision).await;
    scene.provision(&lease, |seq| Outcome::created(id(seq))).await;
    let tally = scene.view(run).await.tally;
    assert_eq!((tally.conflict, tally.pending), (9, 0));
    assert_eq!(world.people_with_ids().await, 0);
}

#[tokio::test]
async fn keys_that_are_bytes_are_found_by_their_digits() {
    let world = world().await.unwrap();
    world.run("CREATE TABLE people (id BLOB PRIMARY KEY, email TEXT)").await;
    world.run("INSERT INTO people (id) VALUES (x'00ff10'), (x'abcd')").await;
    let (_, refused) = move_all(&world, &target("people", "id", "auth0_user_id"), &["00ff10", "ABCD"]).await;
    assert_eq!(refused, [0; 0]);
    assert_eq!(world.people_with_ids().await, 2);
}

#[tokio::test]
async fn who_made_a_user_is_kept_when_the_row_refuses_it() {
    let world = world().await.unwrap();
    let scene = Scene::new(&world).await;
    let run = scene.running_over_people(3, 3).await;
    for key in ["1", "2"] {
        world.set_auth0_user_id(key, &format!("auth0|other-{key}")).await;
    }
    let lease = scene.take_one(JobKind::Provision).await;
    let decide = |seq| if seq == 1 { Outcome::created(id(seq)) } else { Outcome::adopted(id(seq)) };
    scene.provision(&lease, decide).await;
    let made = "SELECT group_concat(seq || state || made_by_ferry, ' ' ORDER BY seq) FROM ferry_items";
    assert_eq!(world.text(made).await.as_deref(), Some("1conflict1 2conflict0 3adopted0"));

    // In the next round it is there already.
    world.run("UPDATE people SET auth0_user_id = NULL").await;
    assert_eq!(
        scene.ledger.retry(run, &UserFilter::default(), &scene.batches(1), &ANN).await.unwrap().items,
        2
    );
    scene.finish(|seq| Outcome::adopted(id(seq))).await;
    assert_eq!(world.text(made).await.as_deref(), Some("1adopted1 2adopted0 3adopted0"));
}
