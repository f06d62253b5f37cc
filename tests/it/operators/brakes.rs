//! Pause, resume, cancel, rate, stop-all, and the limits on failures.

use super::stage::{Stage, on_both_ledgers};
use crate::world::assert_adds_up;

on_both_ledgers!(
    a_run_is_paused_and_goes_on_and_asking_twice_changes_nothing,
    a_run_is_given_up_after_its_count_was_shown,
    other_limits_hold_until_they_are_lifted,
    everything_is_stopped_at_once,
    a_run_shows_when_it_stops_by_itself,
);

async fn a_run_is_paused_and_goes_on_and_asking_twice_changes_nothing(stage: &mut Stage) {
    let paused = stage.json("run pause RUN --reason lunch");
    assert_eq!(paused["run"], stage.run.as_str(), "{paused}");
    assert_eq!((&paused["before"], &paused["after"]), (&"running".into(), &"paused".into()), "{paused}");
    assert_eq!((&paused["changed"], &paused["cancelled"]), (&true.into(), &0.into()), "{paused}");
    let shown = stage.show();
    assert_eq!((&shown["state"], &shown["why"]), (&"paused".into(), &"lunch".into()), "{shown}");
    let table = stage.ferry("run show RUN");
    assert!(table.out.contains("lunch") && table.out.contains("ferry run resume"), "{}", table.all());

    stage.says("run pause RUN --reason again", 0, &["already paused"]);
    assert_eq!(stage.json("run pause RUN")["changed"], false);
    assert_eq!(stage.audited("again").await, Vec::<String>::new(), "what changes nothing is no action");

    stage.says("run resume RUN --reason fed", 0, &["goes on", "ferry run watch"]);
    let shown = stage.show();
    assert_eq!((&shown["state"], &shown["why"]), (&"running".into(), &serde_json::Value::Null), "{shown}");
    stage.says("run resume RUN", 0, &["already running"]);
    stage.assert_audited("lunch").await;
    stage.assert_audited("fed").await;
    let nobody = "01890000-0000-7000-8000-000000000001";
    stage.says(&format!("run pause {nobody}"), 2, &[nobody, "ferry run list"]);
}

async fn a_run_is_given_up_after_its_count_was_shown(stage: &mut Stage) {
    let pending = stage.show()["pending"].as_i64().unwrap();
    assert!(pending > 20, "{pending}");
    let unanswered = stage.says("run cancel RUN", 2, &["--yes", "for good"]);
    assert!(
        unanswered.err.contains(&format!("{pending} users are cancelled immediately")),
        "{}",
        unanswered.all()
    );
    assert_eq!(stage.show()["state"], "running", "without an answer nothing changes");

    let cancelled = stage.json("run cancel RUN --yes --reason enough");
    assert_eq!(
        (&cancelled["changed"], &cancelled["cancelled"]),
        (&true.into(), &pending.into()),
        "{cancelled}"
    );
    assert_eq!(cancelled["to_ask"], 0, "nobody was in a worker's hands: {cancelled}");
    let shown = stage.show();
    assert_adds_up(&shown);
    assert_eq!((&shown["pending"], &shown["cancelled"]), (&0.into(), &pending.into()), "{shown}");
    assert_eq!(shown["state"], cancelled["after"], "{shown}");

    let again = stage.json("run cancel RUN");
    assert_eq!(again["changed"], false, "it does not ask again: {again}");
    stage.says("run cancel RUN", 0, &["already"]);
    stage.says("run resume RUN", 6, &["cancelled for good", "ferry run start"]);
    stage.says("run pause RUN", 6, &["cancelled for good"]);
    stage.assert_audited("enough").await;
}

async fn other_limits_hold_until_they_are_lifted(stage: &mut Stage) {
    let set = stage.json("run rate RUN custom:5:4 --reason monday");
    assert_eq!((&set["before"], &set["after"]), (&serde_json::Value::Null, &"custom:5:4".into()), "{set}");
    assert_eq!(stage.show()["rate"], "custom:5:4");
    stage.says("run rate RUN custom:5:4", 0, &["already", "4 new users per second"]);
    stage.says("run rate RUN 0", 2, &["0 is no rate", "1 to 100000"]);
    stage.says("run rate RUN gold", 2, &["gold", "private-500", "default"]);
    assert_eq!(stage.show()["rate"], "custom:5:4", "a wrong plan changes nothing");
    let lifted = stage.json("run rate RUN default --reason tuesday");
    assert_eq!((&lifted["after"], &lifted["changed"]), (&serde_json::Value::Null, &true.into()), "{lifted}");
    assert_eq!(stage.show()["rate"], serde_json::Value::Null);
    stage.assert_audited("monday").await;
    stage.assert_audited("tuesday").await;
}

async fn everything_is_stopped_at_once(stage: &mut Stage) {
    let unanswered = stage.says("stop-all", 2, &["--yes"]);
    assert!(unanswered.err.contains("1 run: 1 running; no worker"), "{}", unanswered.all());
    let stopped = stage.json("stop-all --yes --reason fire");
    assert_eq!((&stopped["stop_all"], &stopped["changed"]), (&true.into(), &true.into()), "{stopped}");
    assert_eq!((&stopped["runs"], &stopped["workers"]), (&1.into(), &0.into()), "{stopped}");
    stage.says("stop-all", 0, &["already stopped"]);
    let table = stage.ferry("run show RUN");
    assert!(table.out.contains("ferry resume-all"), "{}", table.all());
    let shown = stage.show();
    assert_eq!(shown["state"], "running", "the run itself stays as it is");
    assert!(shown["all_stopped_since"].is_string() && shown["eta_seconds"].is_null(), "{shown}");
    assert_eq!(stage.json("queue list")["stop_all"], true);

    stage.says("resume-all --yes --reason water", 0, &["allowed again"]);
    assert_eq!(stage.json("resume-all --yes")["changed"], false);
    assert!(stage.show()["all_stopped_since"].is_null());
    stage.assert_audited("fire").await;
    stage.assert_audited("water").await;
}

/// The run of the stage has none; another source starts with limits.
async fn a_run_shows_when_it_stops_by_itself(stage: &mut Stage) {
    let shown = stage.show();
    assert_eq!(
        (&shown["max_failures"], &shown["max_failure_rate"]),
        (&serde_json::Value::Null, &serde_json::Value::Null),
        "off by default: {shown}"
    );
    stage.place().write("users.csv", "id,email\n1,ann@example.com\n2,bob@example.com\n");
    stage.place().write(
        "ferry.toml",
        "[run]\nmax_failures = 7\n[source]\nemail_verified = \"never\"\n[source.columns]\nkey = \"id\"\nemail = \"email\"\n",
    );
    stage.says("run start users.csv --yes --max-failure-rate 101", 2, &["max-failure-rate", "0 to 100"]);
    stage.says("run start users.csv --yes --max-failures -1", 2, &[]);
    stage.says("run start users.csv --yes --max-failures few", 2, &["max-failures", "few"]);
    let started = stage.json("run start users.csv --yes --max-failure-rate 2.5%");
    let run = started["run"].as_str().unwrap();
    let shown = stage.json(&format!("run show {run}"));
    assert_eq!((&shown["max_failures"], &shown["max_failure_rate"]), (&7.into(), &2.5.into()), "{shown}");
    let table = stage.ferry(&format!("run show {run}"));
    assert!(table.out.contains("more than 7 users failed, or more than 2.5 % failed"), "{}", table.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_run_sends_nothing_and_a_resumed_one_is_sealed() {
    let Some(mut stage) = Stage::production("pause with a worker").await else { return };
    stage.json("run pause RUN");
    let run = stage.run.clone();
    let world = stage.world().unwrap();
    world.worker(&[]);
    // Long enough for a relay that would send it all the same: it looks twenty times a second.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(world.simulator.users().len(), 0, "nobody may be created while the run is paused");
    stage.json("run resume RUN");
    let world = stage.world().unwrap();
    let shown = world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    assert_eq!(shown["why"], serde_json::Value::Null, "{shown}");
    for step in ["pause", "resume", "cancel"] {
        stage.says(&format!("run {step} RUN --yes"), 6, &["sealed", "ferry run retry"]);
    }
    stage.says("run rate RUN free", 6, &["sealed", "AUTH0_PLAN"]);
    stage.end().await;
}

#[test]
fn help_names_units_and_what_is_asked() {
    let place = crate::world::new_place();
    for (line, words) in [
        ("run start", &["in percent", "number of users", "once 50 have ended"][..]),
        ("run rate", &["requests per second", "custom:BURST:PER_SECOND", "default"]),
        ("run cancel", &["for good", "--yes", "--reason"]),
        ("run pause", &["within a second", "--reason"]),
        ("stop-all", &["until resume-all", "--yes"]),
        ("dead list", &["7d", "s, m, h or d", "Show at most this many dead letters", "--where"]),
        ("dead show", &["64 bytes"]),
        ("queue rebuild", &["emptied Redis", "--yes"]),
        ("check", &["Leaves nothing behind"]),
    ] {
        let args: Vec<&str> = line.split(' ').chain(["--help"]).collect();
        let ran = place.run(&args);
        assert_eq!(ran.code, 0, "{}", ran.all());
        let text = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(text.contains(word), "ferry {line} --help lacks {word:?}:\n{}", ran.out);
        }
    }
}
