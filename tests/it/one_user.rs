//! What became of one user, as an operator asks it on a Friday evening.

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn one_user_is_shown_with_its_outcome_and_its_account_as_it_is_now() {
    let Some(mut world) = World::new("user show").await else { return };
    let run = world.started(60, &[]);
    let waiting = world.place.must(&["user", "show", "1", "--offline"]);
    assert!(waiting.out.contains("pending") && waiting.out.contains(&run), "{}", waiting.out);
    world.worker(&[]);
    world.until_sealed(&run).await;

    let ids = world.place.must(&["run", "export", &run, "--output", "ndjson"]);
    let moved: serde_json::Value = ids
        .out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .find(|user| user["state"] == "created")
        .unwrap();
    let (key, account) = (moved["key"].as_str().unwrap(), moved["auth0_user_id"].as_str().unwrap());
    let shown = &world.place.json(&["user", "show", key, "--output", "json"])[0];
    assert_eq!((&shown["state"], &shown["auth0_user_id"]), (&"created".into(), &account.into()));
    assert_eq!((&shown["now"]["account"], &shown["now"]["blocked"]), (&"there".into(), &false.into()));
    assert_eq!(shown["now"]["differing"], serde_json::json!([]), "{shown}");
    assert_eq!(shown["jobs"][1]["kind"], "verify");

    assert!(world.simulator.change(account, |user| user.blocked = Some(true)));
    let blocked = world.place.must(&["user", "show", key, "--run", "last"]);
    assert!(
        blocked.out.contains("blocked, address") && blocked.out.contains("in blocked"),
        "{}",
        blocked.out
    );
    assert!(!blocked.all().contains('@'), "no address is shown: {}", blocked.all());

    let mut lost = world.place.ferry(&["user", "show", key]);
    let lost = lost.env_remove("AUTH0_CLIENT_SECRET").output().unwrap();
    assert_eq!(lost.status.code(), Some(0), "the ledger has the most of it");
    assert!(String::from_utf8_lossy(&lost.stderr).contains("Auth0 is not asked"));

    // The same server under another name is another tenant, whose accounts are not this run's.
    let elsewhere = world.simulator.base_url().replace("127.0.0.1", "localhost");
    let other = world.place.ferry(&["user", "show", key]).env("AUTH0_BASE_URL", elsewhere).output().unwrap();
    let other = String::from_utf8_lossy(&other.stdout).into_owned();
    assert!(other.contains("not asked: the run is of the tenant 127.0.0.1:"), "{other}");

    let nobody = world.place.run(&["user", "show", "no-such-key"]);
    assert_eq!(nobody.code, 2);
    assert!(nobody.err.contains("no user has the key no-such-key in any of 1 runs"), "{}", nobody.err);
    let nobody = world.place.run(&["user", "show", "no-such-key", "--run", "last"]);
    assert!(nobody.err.contains(&format!("in run {run}")), "{}", nobody.err);
    world.end().await;
}
