//! A migration rehearsed by hand: `seed`, `simulate` and `worker`, each a process of its own.

use ferry_testbed::{Worker, free_port, until};

use crate::world::new_place;

#[tokio::test(flavor = "multi_thread")]
async fn accounts_of_the_example_are_adopted_or_in_conflict_and_a_log_for_machines_is_json() {
    let mut place = new_place();
    place.set_embedded("http://127.0.0.1:1", "simulated");
    place.set("AUTH0_CLIENT_ID", "ferry");
    let address = format!("127.0.0.1:{}", free_port());
    let simulate = place.ferry(&["simulate", "--example", "400", "--listen", &address]);
    let tenant = Worker::start(simulate, &place.path("simulate.log"));
    let planted = "4 accounts of the example are there already.";
    until("its accounts are there", async || tenant.said().contains(planted)).await;
    place.set("AUTH0_BASE_URL", format!("http://{address}"));
    place.must(&["seed", "--target", "app.db", "--users", "400"]);
    place.must(&["migrate", "--app", "--yes"]);
    let run = place.start_run("app.db", &[]);
    let command = place.ferry(&["worker", "--log-format", "json", "--listen", "127.0.0.1:0"]);
    let mut worker = Worker::start(command, &place.path("worker.log"));
    let show = || place.json(&["run", "show", &run, "--output", "json"]);
    until("the run is sealed", async || show()["state"] == "sealed").await;
    assert_eq!((&show()["adopted"], &show()["conflict"]), (&2.into(), &2.into()), "{}", show());
    assert_eq!(worker.stop(), 0);
    let log = worker.said();
    for line in log.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "no JSON: {line}");
    }
    for words in ["metrics and health at http://127.0.0.1:", "ferry worker ", "ferry: stopping"] {
        assert!(log.contains(words), "{words}: {log}");
    }
    place.set("DATABASE_URL", "sqlite://nosuch.db");
    let ended = place.run(&["worker", "--log-format", "json"]);
    let last: serde_json::Value = serde_json::from_str(ended.err.lines().last().unwrap()).unwrap();
    assert!(ended.code != 0 && last["level"] == "ERROR", "{}", ended.all());
    let wrong = place.run(&["simulate", "--example", "3"]);
    assert!(wrong.code == 2 && wrong.err.contains("40"), "{}", wrong.all());
}
