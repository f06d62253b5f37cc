//! Rows that the application holds locked while a run goes on.

use std::time::Duration;

use ferry_testbed::comes_true;
use sqlx::Executor;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn everybody_else_arrives_while_the_application_holds_a_row_of_each_batch() {
    let Some(mut world) = World::new("locked rows").await else { return };
    let run = world.started(600, &["--batch-size", "20"]);
    let mut application = world.connect().await;
    let lock =
        "BEGIN; UPDATE users SET email = email WHERE id IN (SELECT min(id) FROM users GROUP BY id / 20)";
    application.execute(lock).await.unwrap();
    world.worker(&[]);
    let locked = "SELECT count(*) FROM ferry.items WHERE state = 'pending' AND key IN \
                  (SELECT min(id)::text FROM users GROUP BY id / 20)";
    let waiting = world.number(locked).await;
    assert!(waiting > 20, "more batches wait than a worker holds at once: {waiting}");
    world.until(&run, "waiting for locked rows alone", |shown| shown["pending"] == waiting).await;
    assert_eq!(world.number(locked).await, waiting, "those that wait are those that are locked");
    let mut said = String::new();
    let told = async || {
        let shown = world.place.must(&["run", "show", &run]).all();
        said = shown.split_whitespace().collect::<Vec<_>>().join(" "); // lines are wrapped
        said.contains("it holds rows that are to get an id locked")
    };
    assert!(comes_true(Duration::from_millis(100), told).await, "why they wait is said: {said}");

    application.execute("COMMIT").await.unwrap();
    let shown = world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    let ids = world.number("SELECT count(auth0_user_id) FROM users").await;
    assert_eq!(Some(ids), shown["created"].as_i64(), "{shown}");
    assert_eq!(world.simulator.users().len() as i64, ids, "nobody is at Auth0 twice");
    assert_eq!(world.number("SELECT count(*) FROM ferry.attempts").await, 0, "a lock is no attempt");
    assert_eq!(shown["discrepancies"], 0, "{shown}");
    world.end().await;
}
