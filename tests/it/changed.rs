//! Users who were moved, whose rows have an id, and who changed since.

use crate::{
    identity::{Embedded, execute},
    world::World,
};

const STAFF: &str = "(1, 'ann@example.com', 'Ann', 1, 1), (2, 'bea@example.com', 'Bea', 1, 1),
                     (3, 'cyd@example.com', 'Cyd', 1, 1), (4, 'dan@example.com', 'Dan', 1, 1)";

/// Ann is renamed, Bea left, Cyd has another address, which a new colleague's row spells as well.
const CHANGE: &str = "UPDATE staff SET name = 'Anna' WHERE id = 1;
                      UPDATE staff SET active = 0 WHERE id = 2;
                      UPDATE staff SET email = 'cyd.new@example.com' WHERE id = 3;
                      INSERT INTO staff (id, email, name, verified, active)
                      VALUES (5, 'Cyd.New@example.com', 'Cy', 1, 1)";
const CHANGED: [&str; 3] = [
    "1,1,staff:1,conflict,CHANGED_SINCE_MOVED,name,auth0|",
    "2,2,staff:2,conflict,CHANGED_SINCE_MOVED,blocked,auth0|",
    "3,3,staff:3,conflict,CHANGED_SINCE_MOVED,email,auth0|",
];

/// The staff, in a table whose ids are mapped.
async fn with_ids() -> Embedded {
    let mut world = Embedded::new().await;
    world.application("app.db", "staff", STAFF).await;
    let settings = std::fs::read_to_string(world.place.path("ferry.toml")).unwrap();
    world.place.write("ferry.toml", &format!("{settings}auth0_user_id = \"auth0_user_id\"\n"));
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_user_who_changed_is_told_by_plan_start_and_report_until_somebody_acts() {
    let mut world = with_ids().await;
    assert_eq!(world.moves(&[]).0.code, 0);
    let nothing = world.place.run(&["plan", "--detailed-exitcode", "-o", "friday.plan"]);
    assert_eq!(nothing.code, 0, "{}", nothing.all());
    execute(&world.place, "app.db", CHANGE).await;

    let friday = world.place.run(&["run", "start", "--plan", "friday.plan", "--yes"]);
    assert_eq!(friday.code, 6, "{}", friday.all());
    assert!(friday.err.contains("3 users changed, 0 vanished"), "{}", friday.all());

    let plan = world.place.run(&["plan", "--detailed-exitcode", "--output", "csv"]);
    assert_eq!(plan.code, 3, "{}", plan.all());
    let told = |text: &str| {
        for line in CHANGED {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(text.contains("5,5,staff:5,failed,DUPLICATE_EMAIL,email,"), "{text}");
        assert!(!text.contains("example.com"), "{text}");
    };
    told(&plan.out);
    let table = world.place.run(&["plan"]).all();
    assert!(table.contains("CHANGED_SINCE_MOVED") && table.contains("then retry"), "{table}");

    let (watched, run) = world.moves(&[]);
    assert_eq!(watched.code, 3, "{}", watched.all());
    told(&world.report(&run));
    let shown = world.shown(&run);
    assert_eq!((&shown["conflict"], &shown["skipped"]), (&3.into(), &1.into()), "{shown}");
    names_each_field(&world, &run);
    assert_eq!(world.simulator.users().len(), 4, "nobody is made twice");
    settles_by_retry(&mut world, &run).await;
}

/// The report for people and that for scripts name the fields, each with its users.
fn names_each_field(world: &Embedded, run: &str) {
    let report = world.place.json(&["run", "report", run, "--output", "json"]);
    let groups = report["groups"].as_array().unwrap();
    let changed = groups.iter().find(|group| group["code"] == "CHANGED_SINCE_MOVED").unwrap();
    let each = ["blocked", "email", "name"].map(|field| serde_json::json!({ "field": field, "count": 1 }));
    assert_eq!(changed["fields"], serde_json::Value::from(each.to_vec()), "{report}");
    let text = world.place.must(&["run", "report", run]).out;
    assert!(text.contains("| conflict | CHANGED_SINCE_MOVED | blocked 1, email 1, name 1 | 3 |"), "{text}");
    assert!(!text.contains("example.com"), "{text}");
}

/// Auth0 is made to agree for two of them; a retry finds it, and later runs know it.
async fn settles_by_retry(world: &mut Embedded, run: &str) {
    for user in world.simulator.users() {
        world.simulator.change(&user.user_id, |user| match user.email.as_str() {
            "ann@example.com" => user.name = "Anna".into(),
            "cyd@example.com" => user.email = "cyd.new@example.com".into(),
            _ => {}
        });
    }
    let retried = world.place.json(&["run", "retry", run, "--yes", "--output", "json"]);
    assert_eq!(retried["retried"], 3, "{retried}");
    world.goes_on(run, 3);
    let report = world.report(run);
    assert!(!report.contains(CHANGED[0]) && !report.contains(CHANGED[2]), "{report}");
    assert!(report.contains(CHANGED[1]), "{report}");
    assert_eq!(world.simulator.users().len(), 4, "nobody is made twice");

    let (_, run) = world.moves(&[]);
    let report = world.report(&run);
    assert!(report.contains(CHANGED[1]) && !report.contains(CHANGED[0]), "{report}");
    let blocked = world.simulator.users().into_iter().find(|user| user.email == "bea@example.com").unwrap();
    assert!(world.simulator.change(&blocked.user_id, |user| user.blocked = Some(true)));
    world.place.must(&["run", "retry", &run, "--yes"]);
    world.goes_on(&run, 3);
    assert_eq!(world.shown(&run)["conflict"], 0, "only the address in two rows is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_user_of_postgres_who_changed_is_told_by_plan_start_and_report() {
    let Some(mut world) = World::new("changed since").await else { return };
    let run = world.started(40, &[]);
    world.worker(&[]);
    world.until_sealed(&run).await;
    let moved = "(SELECT min(id) FROM users WHERE auth0_user_id IS NOT NULL AND active AND NOT blocked)";
    let key = world.number(&format!("SELECT {moved}::bigint")).await;
    world
        .execute(&format!("UPDATE users SET name = 'Another Name', role = 'auditor' WHERE id = {key}"))
        .await;
    let plan = world.place.run(&[
        "plan",
        "--preset",
        "medlogistics",
        "--email-verified",
        "assume",
        "--output",
        "csv",
    ]);
    let expected = "conflict,CHANGED_SINCE_MOVED,\"name, app_metadata.role\",auth0|";
    assert!(plan.out.contains(expected), "{}", plan.all());
    let again = world.start(&[]);
    world.until_sealed(&again).await;
    let report = world.place.must(&["run", "report", &again, "--output", "csv"]).out;
    assert_eq!(report.matches(expected).count(), 1, "{report}");
    assert!(
        report.lines().any(|line| line.contains(&format!(",{key},")) && line.contains(expected)),
        "{report}"
    );
    world.assert_ids_match().await;
    world.end().await;
}

/// Disabled users are left out of a move, but an account that was made can still sign in.
#[tokio::test(flavor = "multi_thread")]
async fn a_moved_user_who_is_disabled_since_is_settled_once_the_account_is_blocked() {
    let mut world = with_ids().await;
    let settings = std::fs::read_to_string(world.place.path("ferry.toml")).unwrap();
    world.place.write("ferry.toml", &settings.replace("inactive = \"block\"\n", ""));
    assert_eq!(world.moves(&[]).0.code, 0);
    let change = "UPDATE staff SET active = 0 WHERE id = 2; UPDATE staff SET email = 'none' WHERE id = 3";
    execute(&world.place, "app.db", change).await;
    let (watched, run) = world.moves(&[]);
    assert_eq!(watched.code, 3, "{}", watched.all());
    let report = world.report(&run);
    assert!(report.contains(CHANGED[1]), "{report}");
    assert!(report.contains("3,3,staff:3,conflict,CHANGED_SINCE_MOVED,email,"), "{report}");

    let blocked = world.simulator.users().into_iter().find(|user| user.email == "bea@example.com").unwrap();
    world.simulator.change(&blocked.user_id, |user| user.blocked = Some(true));
    world.place.must(&["run", "retry", &run, "--yes"]);
    world.goes_on(&run, 3);
    assert!(!world.report(&run).contains(CHANGED[1]), "{}", world.report(&run));
    // The address that a rule refuses now is told as what it is, and not as one to try again.
    let nothing = world.place.run(&["run", "retry", &run, "--yes"]);
    assert!(
        nothing.all().contains("a rule refused these records (1 CHANGED_SINCE_MOVED)"),
        "{}",
        nothing.all()
    );
    assert!(!nothing.all().contains("can be tried again"), "{}", nothing.all());
}

/// The account was made as the plan says; whether that still holds is asked by the next plan.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_disabled_while_a_run_waits_is_told_by_a_plan_after_it() {
    let mut world = with_ids().await;
    let started = world.place.json(&["run", "start", "--yes", "--output", "json"]);
    execute(&world.place, "app.db", "UPDATE staff SET active = 0 WHERE id = 2").await;
    world.goes_on(started["run"].as_str().unwrap(), 0);
    let plan = world.place.run(&["plan", "--detailed-exitcode", "--output", "csv"]);
    assert_eq!(plan.code, 3, "{}", plan.all());
    assert!(plan.out.contains(CHANGED[1]), "{}", plan.all());
}

/// Whoever's row is gone has an account that nobody asks for any more.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_moved_and_is_not_in_the_table_any_more_is_told() {
    let mut world = with_ids().await;
    assert_eq!(world.moves(&[]).0.code, 0);
    assert!(!world.place.must(&["plan"]).all().contains("any more"));
    execute(
        &world.place,
        "app.db",
        "DELETE FROM staff WHERE id = 3; UPDATE staff SET active = 0 WHERE id = 2",
    )
    .await;
    for command in [&["plan"][..], &["run", "start"]] {
        let said = world.place.run(command).all().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("1 users that were moved are not in this table any more"), "{said}");
        assert!(said.contains("(keys 3)"), "{said}");
    }
}

/// Whose the accounts are is known from the run that made them.
#[tokio::test(flavor = "multi_thread")]
async fn the_id_of_another_person_in_a_row_is_told() {
    let mut world = with_ids().await;
    assert_eq!(world.moves(&[]).0.code, 0);
    let swap = "CREATE TEMP TABLE was AS SELECT id, auth0_user_id AS account FROM staff;
                UPDATE staff SET auth0_user_id = NULL WHERE id IN (1, 2);
                UPDATE staff SET auth0_user_id = (SELECT account FROM was WHERE was.id = 3 - staff.id)
                WHERE id IN (1, 2)";
    execute(&world.place, "app.db", swap).await;
    let plan = world.place.run(&["plan", "--detailed-exitcode", "--output", "csv"]);
    assert_eq!(plan.code, 3, "{}", plan.all());
    let (watched, run) = world.moves(&[]);
    assert_eq!(watched.code, 3, "{}", watched.all());
    for text in [plan.out, world.report(&run)] {
        assert_eq!(text.matches("conflict,CHANGED_SINCE_MOVED,auth0_user_id,").count(), 2, "{text}");
    }
    world.place.must(&["run", "retry", &run, "--yes"]);
    world.goes_on(&run, 3);
    let report = world.report(&run);
    assert_eq!(report.matches("conflict,ACCOUNT_OF_ANOTHER_USER,email,").count(), 2, "{report}");
}
