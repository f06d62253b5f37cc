//! A run that is given up while no worker is there.

use crate::operators::stage::{Stage, on_both_ledgers};

on_both_ledgers!(
    a_run_given_up_without_a_worker_ends_at_once_and_makes_room,
    a_run_given_up_before_ends_when_it_is_given_up_again,
);

async fn a_run_given_up_without_a_worker_ends_at_once_and_makes_room(stage: &mut Stage) {
    let told =
        stage.says("run cancel RUN --yes --reason enough", 0, &["is cancelled", "users were not sent"]);
    assert!(told.err.contains(&format!("ferry run report {}", stage.run)), "{}", told.all());
    let shown = stage.show();
    assert_eq!(
        (&shown["state"], &shown["pending"], &shown["revision"]),
        (&"cancelled".into(), &0.into(), &1.into())
    );
    let report = stage.json("run report RUN");
    assert_eq!(report["cancelled"], shown["cancelled"], "{report}");
    let watched = stage.says("run watch RUN", 5, &[]);
    assert!(watched.out.contains("is cancelled"), "{}", watched.all());
    let list = stage.ferry("run list");
    assert!(list.out.contains("cancelled"), "{}", list.all());
    let retried = stage.ferry("run retry RUN");
    assert_eq!(retried.code, 6, "{}", retried.all());
    assert!(retried.err.contains("cancelled for good") && !retried.all().contains("?"), "{}", retried.all());
    let url = stage.source();
    let again = stage.place().start_run(&url, &[]);
    assert_ne!(again, stage.run, "the source is free again");
}

/// As runs were left by an earlier version: being cancelled, with nobody there to end them.
async fn a_run_given_up_before_ends_when_it_is_given_up_again(stage: &mut Stage) {
    use ferry_domain::{ports::Command, run::RunMove};
    let command = Command { by: "ann@host", reason: None };
    stage.ledger.move_run(stage.id(), RunMove::Cancel, &command).await.unwrap();
    assert_eq!(stage.show()["state"], "cancelling");
    let ended = stage.json("run cancel RUN");
    assert_eq!((&ended["before"], &ended["after"]), (&"cancelling".into(), &"cancelled".into()), "{ended}");
    assert_eq!(stage.show()["state"], "cancelled");
}

/// Users whom a worker had begun may be at Auth0: only a worker can ask.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_with_users_in_a_worker_s_hands_says_what_it_waits_for() {
    let stage = Stage::embedded().await;
    stage.take_one_job().await;
    let told = stage.says("run cancel RUN --yes", 0, &["being given up", "20 users"]);
    assert!(told.err.contains("no worker runs: ferry worker"), "{}", told.all());
    assert_eq!(stage.show()["state"], "cancelling");
}
