//! A run whose ids were lost after they were written does not end as if all were well.

use ferry_simulator::{Config, Faults};
use ferry_testbed::{Place, until};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::{beside::Embedded, world::World};

const IDS: &str = "SELECT count(auth0_user_id) FROM users";

/// Who gave the table its column is in the audit, once for each time.
fn is_audited(place: &Place, times: usize) {
    let audit = place.json(&["audit", "--output", "json"]);
    let lines = audit.as_array().unwrap().iter().filter(|line| line["action"] == "migrate");
    let columns: Vec<_> = lines.map(|line| line["detail"]["column"].as_str().unwrap()).collect();
    assert_eq!(columns, vec!["auth0_user_id"; times], "{audit}");
}

/// `run` is sealed, and a schema tool dropped the column in its middle.
fn is_said(place: &Place, run: &str) {
    let shown = place.json(&["run", "show", run, "--output", "json"]);
    let n = |key: &str| shown["table"][key].as_i64().unwrap_or_else(|| panic!("no {key}: {shown}"));
    assert!(n("lacking") > 0 && n("carried") > 0, "{shown}");
    assert_eq!(n("lacking") + n("carried"), shown["created"].as_i64().unwrap(), "{shown}");
    let (command, lack) =
        (format!("ferry run restore-ids {run}"), format!("{} rows lack their id", n("lacking")));
    let one = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for args in [&["run", "show", run][..], &["run", "report", run]] {
        let said = place.must(args);
        assert!(one(&said.out).contains(&command) && one(&said.out).contains(&lack), "{}", said.all());
        assert!(one(&said.out).contains("when the run ended"), "{}", said.all());
    }
    let watched = place.run(&["run", "watch", run]);
    assert_eq!(watched.code, 3, "{}", watched.all());
    assert!(one(&watched.out).contains(&command), "{}", watched.all());
    let checked = place.run(&["check"]);
    let ids = one(&checked.out);
    assert!(
        ids.contains("warning ids")
            && ids.contains(&lack)
            && ids.contains(&command)
            && ids.contains("ended, 20"),
        "{}",
        checked.all()
    );

    let restored = place.run(&["run", "restore-ids", run, "--yes"]);
    assert_eq!(restored.code, 0, "{}", restored.all());
    let shown = place.json(&["run", "show", run, "--output", "json"]);
    assert_eq!(
        (&shown["table"]["lacking"], &shown["table"]["carried"]),
        (&0.into(), &shown["created"]),
        "{shown}"
    );
    let checked = place.run(&["check"]);
    assert!(checked.out.contains("each row carries"), "{}", checked.all());
    let again = format!("{} ids were written again at 20", n("lacking"));
    for args in [&["run", "show", run][..], &["run", "report", run]] {
        let said = one(&place.must(args).out);
        assert!(said.contains(&again) && !said.contains("restore-ids") && !said.contains("lack"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_were_lost_in_the_middle_of_a_run_are_counted_at_its_end() {
    let faults = Faults { latency_ms: 20, ..Faults::default() };
    let Some(mut world) = World::with("lost ids", Config { faults, ..Config::default() }).await else {
        return;
    };
    let run = world.started(300, &["--batch-size", "20"]);
    world.worker(&[]);
    until("some are across", async || world.number(IDS).await >= 20).await;
    world.execute("ALTER TABLE users DROP COLUMN auth0_user_id").await;
    world.place.must(&["migrate", "--app", "--yes"]);
    world.until_sealed(&run).await;
    is_said(&world.place, &run);
    world.place.must(&["migrate", "--app", "--yes"]);
    is_audited(&world.place, 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_were_lost_in_a_file_in_the_middle_of_a_run_are_counted_at_its_end() {
    let world = Embedded::new("300").await;
    world.place.must(&["migrate", "--app", "--yes"]);
    let run = world.place.start_run("app.db", &["--batch-size", "20"]);
    let _worker = world.worker("worker.log");
    until("some are across", async || world.number("app.db", IDS).await >= 20).await;
    let url = format!("sqlite://{}", world.place.path("app.db").display());
    let mut application = SqliteConnection::connect(&url).await.unwrap();
    for sql in ["DROP INDEX ferry_users_auth0_user_id", "ALTER TABLE users DROP COLUMN auth0_user_id"] {
        sqlx::query(AssertSqlSafe(sql)).execute(&mut application).await.unwrap();
    }
    world.place.must(&["migrate", "--app", "--yes"]);
    let sealed = async || world.place.json(&["run", "show", &run, "--output", "json"])["state"] == "sealed";
    until("the run is sealed", sealed).await;
    is_said(&world.place, &run);
    world.place.must(&["migrate", "--app", "--yes"]);
    is_audited(&world.place, 2);
}
