//! What became of one user, or of some, as an operator asks it on a Friday evening.

use serde_json::Value;
use sqlx::Row;

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

#[tokio::test(flavor = "multi_thread")]
async fn users_are_listed_by_a_filter_page_by_page() {
    let Some(mut world) = World::new("user list").await else { return };
    let run = world.started(200, &[]);
    world.worker(&[]);
    world.until_sealed(&run).await;
    let json = |more: &[&str]| -> Value {
        world.place.json(&[&["user", "list", "last", "--output", "json"], more].concat())
    };

    let whole = json(&["--limit", "10000"]);
    let users = whole["users"].as_array().unwrap();
    assert_eq!(
        (users.len() as i64, whole["next_after"].as_i64()),
        (whole["matching"].as_i64().unwrap(), None)
    );
    let page = world.place.must(&["user", "list", "--limit", "3"]);
    assert_eq!(page.out.lines().count(), 4, "{}", page.out);
    let next = format!("3 of {} users; next page: ferry user list {run} --limit 3 --after 3", users.len());
    assert_eq!(page.err.lines().last(), Some(&*next));
    let next = json(&["--limit", "3", "--after", "3"]);
    assert_eq!((&next["users"][0], next["next_after"].as_i64()), (&users[3], Some(6)));

    let failed = |user: &&Value| user["state"] == "failed";
    let code = users.iter().find(failed).unwrap()["code"].as_str().unwrap();
    let filter = format!("state=failed code={code}");
    let some: Vec<&Value> = users.iter().filter(failed).filter(|user| user["code"] == code).collect();
    let found = json(&["--where", &filter]);
    assert_eq!(found["users"].as_array().unwrap().iter().collect::<Vec<_>>(), some);
    assert_eq!(found["matching"], some.len());

    let hospital = sqlx::query(
        "SELECT hospitals.code FROM users JOIN hospitals ON hospitals.id = users.hospital_id WHERE users.id::text = $1",
    )
    .bind(users[4]["key"].as_str().unwrap())
    .fetch_one(&mut world.connect().await)
    .await
    .unwrap()
    .get::<String, _>(0);
    let of_it = json(&["--where", &format!("hospital={hospital} line=1..100"), "--limit", "10000"]);
    let lines = of_it["users"].as_array().unwrap();
    assert!(lines.contains(&users[4]) && lines.len() < 100, "{of_it}");
    let csv = world.place.must(&[
        "user",
        "list",
        "--where",
        &format!("app.hospital={hospital}"),
        "--output",
        "csv",
    ]);
    assert!(csv.out.starts_with("key,place,state,code,auth0_user_id,batch\n"), "{}", csv.out);
    assert!(!csv.all().contains('@') && !page.all().contains('@'), "no address is shown");

    let refused = world.place.must(&["user", "list", "--where", "code=EMAIL_INVALID app.hospital=H-01"]);
    assert!(refused.err.contains("nothing is kept but"), "{}", refused.all());

    for (filter, words) in [
        ("sate=failed", "did you mean state?"),
        ("hospitl=H-12", "did you mean hospital?"),
        ("state=faild", "did you mean failed?"),
        ("line=many", "line=200..300"),
    ] {
        let wrong = world.place.run(&["user", "list", "--where", filter]);
        assert_eq!(wrong.code, 2, "{}", wrong.all());
        assert!(wrong.err.contains(words), "{}", wrong.err);
    }
    let unknown = world.place.run(&["user", "list", "01890000-0000-7000-8000-000000000001"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("ferry run list"), "{}", unknown.err);
    world.end().await;
}
