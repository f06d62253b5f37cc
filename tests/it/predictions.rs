//! What `plan --target` says of each user, beside what becomes of it.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
    time::Duration,
};

use ferry_seed::population;
use ferry_simulator::{Config, Faults, PlantedUser};
use serde_json::Value;

use crate::world::World;

const PLAN: [&str; 6] = ["plan", "--preset", "medlogistics", "--email-verified", "assume", "--target"];

/// The same people as `ferry seed` writes, with the accounts that some of them have.
fn plant(world: &World, users: u64) {
    for user in population(users, 7).unwrap().existing() {
        world.simulator.plant(PlantedUser {
            email_verified: user.email_verified,
            name: Some(user.name),
            ..PlantedUser::new(&user.email)
        });
    }
}

/// State and code of each user, by key.
fn by_key<'a>(users: impl Iterator<Item = &'a Value>) -> BTreeMap<String, (String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    users.map(|user| (text(&user["key"]), (text(&user["state"]), text(&user["code"])))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_user_comes_out_as_predicted_and_asking_changes_nothing() {
    // Some requests fail: a plan that knows of some users only would not be told.
    let faults = Faults { server_errors: 0.05, ..Faults::default() };
    let Some(mut world) = World::with("plan --target", Config { faults, ..Config::default() }).await else {
        return;
    };
    let users = 400;
    plant(&world, users);
    world.place.must(&["seed", "--target", &world.database.url, "--users", "400"]);
    world.place.must(&["migrate", "--app", "--yes"]);
    let before = world.simulator.stats();
    let plan = world.place.json(&[&PLAN[..], &["--list", "--output", "json"]].concat());
    let after = world.simulator.stats();
    assert_eq!(before.users, after.users, "nobody was created");
    let target = &plan["target"];
    assert!(target["create"].as_i64() > Some(300) && target["adopt"].as_i64() > Some(0), "{target}");
    let predicted = by_key(plan["list"].as_array().unwrap().iter());
    assert_eq!(predicted.len() as i64, plan["records"].as_i64().unwrap());

    let shown = world.place.must(&PLAN);
    for word in ["create", "adopt", "ADOPT_UNVERIFIED", "nothing was changed"] {
        assert!(shown.all().contains(word), "{word}: {}", shown.all());
    }
    assert!(!shown.all().contains("@example"), "no address is shown");
    assert_eq!(world.place.run(&[&PLAN[..], &["--detailed-exitcode"]].concat()).code, 7);

    let run = world.start(&[]);
    world.worker(&[]);
    world.until_sealed(&run).await;
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("SELECT key, state, coalesce(code, '') FROM ferry.items")
            .fetch_all(&mut world.connect().await)
            .await
            .unwrap();
    let actual: BTreeMap<String, (String, String)> =
        rows.into_iter().map(|(key, state, code)| (key, (state, code))).collect();
    let differing: Vec<_> = actual
        .iter()
        .filter(|(key, outcome)| predicted.get(*key) != Some(outcome))
        .map(|(key, outcome)| format!("{key}: predicted {:?}, came out {outcome:?}", predicted.get(key)))
        .collect();
    assert_eq!(differing, [""; 0]);

    // An application that lost its ids: the accounts are there, and the run has ids to write.
    world.execute("UPDATE users SET auth0_user_id = NULL WHERE id IN (SELECT id FROM users WHERE auth0_user_id IS NOT NULL LIMIT 3)").await;
    let lost = world
        .place
        .ferry(&[&PLAN[..], &["--output", "json", "--detailed-exitcode"]].concat())
        .output()
        .unwrap();
    let target: Value = serde_json::from_slice(&lost.stdout).unwrap();
    assert_eq!((lost.status.code(), &target["target"]["write_id"]), (Some(7), &3.into()), "{target}");

    // Moved by now: nothing is left to create, and the plan says so.
    let again = world.place.json(&[&PLAN[..], &["--output", "json"]].concat());
    assert_eq!(again["target"]["create"], 0, "{again}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_can_not_be_asked_is_no_plan() {
    let Some(world) = World::new("plan --target refused").await else { return };
    world.place.must(&["seed", "--target", &world.database.url, "--users", "60"]);
    let wrong = world.place.ferry(&PLAN).env("AUTH0_CONNECTION", "nobody-made-this").output().unwrap();
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(1), "{said}");
    assert!(said.contains("CONNECTION_UNKNOWN") || said.contains("connection"), "{said}");
    assert!(
        !String::from_utf8_lossy(&wrong.stdout).contains("to send"),
        "nothing is told that looks like a plan"
    );
    let nowhere = world.place.ferry(&PLAN).env_remove("AUTH0_BASE_URL").output().unwrap();
    assert_eq!(nowhere.status.code(), Some(2));
    world.end().await;
}

#[test]
fn the_end_of_the_terminal_leaves_no_records_behind_and_what_a_kill_left_is_removed() {
    let mut place = crate::world::new_place();
    let folder = place.dir.path().to_str().unwrap().to_owned();
    place.set("TMPDIR", folder);
    let mut text = String::from("id,email\n");
    (1..=200_000).for_each(|id| text += &format!("{id},person-{id}@example.com\n"));
    place.write("users.csv", &text);
    place.write(
        "ferry.toml",
        "[source]\nemail_verified = \"assume\"\n[source.columns]\nkey = \"id\"\nemail = \"email\"\n",
    );
    let left = || {
        let names = std::fs::read_dir(place.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().starts_with("ferry-plan-")).count()
    };
    let begun = |signal: &str| {
        let mut plan = place.ferry(&["plan", "users.csv"]).stderr(Stdio::null()).spawn().unwrap();
        while left() == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let sent = Command::new("kill").args([&format!("-{signal}"), &plan.id().to_string()]).status();
        assert!(sent.unwrap().success());
        plan.wait().unwrap().code()
    };
    assert_eq!(begun("HUP"), Some(130));
    assert_eq!(left(), 0, "after the end of the terminal");
    assert_eq!(begun("KILL"), None);
    assert_eq!(left(), 1, "nobody can clean up after that");
    place.must(&["plan", "users.csv"]);
    assert_eq!(left(), 0, "the next plan does");
}
