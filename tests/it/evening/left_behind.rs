//! A `run start` that was killed at its question.

use std::{process::Stdio, time::Duration};

use crate::{
    operators::stage::{Stage, on_both_ledgers},
    world::{Place, Ran},
};

on_both_ledgers!(a_start_killed_at_its_question_is_shown_as_abandoned_with_the_next_command);

/// Starts a run on a terminal and kills it while it asks; the id of what it leaves.
async fn killed_at_its_question(stage: &Stage) -> String {
    let source = stage.source();
    let line = format!(
        "exec {} run start {source} --preset medlogistics --email-verified assume",
        env!("CARGO_BIN_EXE_ferry")
    );
    // `script` gives it a terminal to ask on.
    let mut command = stage.place().command("script".as_ref(), &["-qec", &line, "/dev/null"]);
    let mut script =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut found = None;
    for _ in 0..300 {
        let runs = stage.json("run list");
        found = runs.as_array().unwrap().iter().find(|run| run["state"] == "planned").cloned();
        if found.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let run = found.expect("the run is planned")["run"].as_str().unwrap().to_owned();
    kill_children(script.id());
    let _ = script.kill();
    let _ = script.wait();
    run
}

/// Ends the processes that `script` started, as `kill -9` does.
fn kill_children(parent: u32) {
    let listed =
        std::process::Command::new("ps").args(["-o", "pid=", "--ppid", &parent.to_string()]).output();
    for pid in String::from_utf8_lossy(&listed.unwrap().stdout).split_whitespace() {
        assert!(std::process::Command::new("kill").args(["-9", pid]).status().unwrap().success());
    }
}

async fn a_start_killed_at_its_question_is_shown_as_abandoned_with_the_next_command(stage: &mut Stage) {
    stage.json("run cancel RUN --yes");
    let run = killed_at_its_question(stage).await;
    let now = stage.place().run(&["run", "show", &run]);
    assert!(now.out.contains("asks whether to begin"), "it may still be there: {}", now.all());

    // Watching ends by itself, once the 20 s are over in which it might come back.
    let watched = watch(stage.place(), &run).await;
    assert_eq!(watched.code, 5, "{}", watched.all());
    let said = watched.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("abandoned: its ferry run start is gone"), "{}", watched.all());
    assert!(said.contains(&format!("ferry run cancel {run} removes it")), "{}", watched.all());

    let list = stage.ferry("run list");
    assert!(list.out.contains("abandoned"), "{}", list.all());
    let shown = stage.place().json(&["run", "show", &run, "--output", "json"]);
    assert_eq!((&shown["state"], &shown["abandoned"]), (&"planned".into(), &true.into()), "{shown}");
    let table = stage.place().run(&["run", "show", &run]);
    assert!(table.out.contains("abandoned"), "{}", table.all());

    let source = stage.source();
    let next = stage.place().start_run(&source, &[]);
    assert_ne!(next, run);
    assert_eq!(stage.place().run(&["run", "show", &run]).code, 2, "the next start removed it");
}

async fn watch(place: &Place, run: &str) -> Ran {
    let args: Vec<String> = ["run", "watch", run].map(str::to_owned).to_vec();
    let began = std::time::Instant::now();
    let refs: Vec<&str> = args.iter().map(String::as_str).collect();
    let ran = place.run(&refs);
    assert!(began.elapsed() < Duration::from_secs(60), "watching ends by itself");
    ran
}
