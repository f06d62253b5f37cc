//! Tenants of production are agreed to by their name, before anything is sent to them.

use serde_json::Value;

use crate::world::{Place, Ran, new_place};

/// The tenant that is set for these places.
const TENANT: &str = "127.0.0.1:1";
const START: &[&str] = &["run", "start", "app.db", "--preset", "medlogistics", "--email-verified", "assume"];

/// A SQLite application, whose tenant is one of production.
fn place() -> Place {
    let mut place = new_place();
    for (name, value) in [
        ("DATABASE_URL", "sqlite://app.db"),
        ("AUTH0_BASE_URL", "http://127.0.0.1:1"),
        ("AUTH0_PLAN", "off"),
        ("FERRY_AUTH0__PRODUCTION", "[\"live.eu.auth0.com\", \"127.0.0.1:1\"]"),
    ] {
        place.set(name, value);
    }
    for args in [&["seed", "--target", "app.db", "--users", "40"][..], &["migrate", "--app", "--yes"]] {
        place.must(args);
    }
    place
}

fn run(place: &Place, args: &[&str], more: &[&str]) -> Ran {
    place.run(&[args, more].concat())
}

fn running(place: &Place) -> usize {
    let listed = place.json(&["run", "list", "--output", "json"]);
    let lines = listed["runs"].as_array().or(listed.as_array()).unwrap();
    lines.iter().filter(|line| line["state"] == "running").count()
}

#[test]
fn a_run_starts_in_production_by_the_tenants_name_only() {
    let place = place();
    for (more, code, said) in [
        (&["--yes"][..], 2, "--confirm 127.0.0.1:1"),
        (&["--no-input"], 2, "--confirm 127.0.0.1:1"),
        (&["--yes", "--confirm", "live.eu.auth0.com"], 6, "concerns the tenant 127.0.0.1:1"),
    ] {
        let ran = run(&place, START, more);
        assert_eq!(ran.code, code, "{more:?}: {}", ran.all());
        assert!(ran.all().contains(said), "{more:?}: {}", ran.all());
        assert_eq!(running(&place), 0, "{more:?}");
    }
    let started = run(&place, START, &["--confirm", TENANT]);
    assert_eq!(started.code, 0, "{}", started.all());
    assert_eq!(running(&place), 1);
}

#[test]
fn brakes_need_no_name_and_going_on_does() {
    let place = place();
    assert_eq!(run(&place, START, &["--confirm", TENANT]).code, 0);
    for (brake, on, back) in [
        (&["run", "pause", "last"][..], &["run", "resume", "last"][..], "running"),
        (&["stop-all"], &["resume-all"], "running"),
    ] {
        assert_eq!(run(&place, brake, &["--yes"]).code, 0, "{brake:?}");
        let refused = run(&place, on, &["--yes"]);
        assert_eq!(refused.code, 2, "{}", refused.all());
        assert!(refused.all().contains("--confirm 127.0.0.1:1"), "{}", refused.all());
        let other = run(&place, on, &["--confirm", "acme"]);
        assert_eq!(other.code, 6, "{}", other.all());
        let agreed = run(&place, on, &["--confirm", TENANT]);
        assert_eq!(agreed.code, 0, "{}", agreed.all());
        let shown: Value = place.json(&["run", "show", "last", "--output", "json"]);
        assert_eq!(shown["state"], back);
    }
    let listed = place.json(&["queue", "list", "--output", "json"]);
    assert_eq!(listed["stop_all"], false);
}

#[test]
fn a_name_that_would_protect_nothing_is_refused() {
    let mut place = place();
    for wrong in ["https://live.eu.auth0.com/", "live.eu.auth0.com.", "*", " "] {
        place.set("FERRY_AUTH0__PRODUCTION", format!("[{wrong:?}]"));
        let refused = run(&place, START, &["--yes"]);
        assert_eq!(refused.code, 2, "{wrong}: {}", refused.all());
        assert!(refused.all().contains("auth0.production holds"), "{}", refused.all());
    }
}

#[test]
fn where_no_tenant_is_of_production_a_yes_is_enough() {
    let mut place = place();
    place.set("FERRY_AUTH0__PRODUCTION", "[\"live.eu.auth0.com\"]");
    let unasked = run(&place, START, &["--no-input"]);
    assert_eq!(unasked.code, 2, "{}", unasked.all());
    assert!(unasked.all().contains("pass --yes"), "{}", unasked.all());
    assert_eq!(run(&place, START, &["--yes"]).code, 0);
    let named = run(&place, &["run", "cancel", "last"], &["--confirm", TENANT]);
    assert_eq!(named.code, 0, "a name is a yes: {}", named.all());
}
