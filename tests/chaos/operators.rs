//! Fault 39: people who press twice, and in the middle of other things.

use crate::{results::Told, scene::play, setup::Setup};

#[tokio::test(flavor = "multi_thread")]
async fn s39_operators_may_press_twice() {
    play(Setup::new(39, "pause, kill, resume; retry twice; cancel while running"), async |scene| {
        scene.start(&[]);
        // A few users fail for a reason that a retry can mend.
        let spoil = "UPDATE ferry.items SET record = jsonb_set(record, '{name}', to_jsonb(repeat('x', 400)))
            WHERE state = 'pending' AND seq IN (SELECT seq FROM ferry.items WHERE state = 'pending' ORDER BY seq LIMIT 3)";
        scene.execute(spoil).await;
        scene.workers(2);
        scene.until_done(20).await;
        let run = scene.run.clone();
        let reason = ["--yes", "--reason", "chaos"];
        let press = |action: &'static str| [&["run", action, run.as_str()][..], &reason[..]].concat();
        for _ in 0..2 {
            scene.place.must(&press("pause"));
        }
        assert_eq!(scene.state().await, "paused");
        let killed = scene.kill(0).await;
        for _ in 0..2 {
            scene.place.must(&press("resume"));
        }
        scene.until_sealed().await;

        // The reason for the failures is mended; retry is pressed twice.
        let mend = "UPDATE ferry.items SET record = jsonb_set(record, '{name}', '\"Mended\"')
            WHERE state = 'failed' AND code = 'USER_REFUSED'";
        scene.execute(mend).await;
        let retry = [press("retry"), vec!["--output", "json"]].concat();
        let retried = scene.place.json(&retry)["retried"].clone();
        // Pressed again, it finds nothing, or that this run is active already.
        let again = scene.place.run(&retry);
        assert!(again.code == 0 || again.code == 6, "{}", again.all());
        assert_eq!(retried, 3, "the three refused users");
        scene.until("the retry is sealed", async || {
            let sealed = "SELECT count(*) FROM ferry.runs WHERE state = 'sealed' AND revision = 2";
            scene.number(sealed).await == 1
        })
        .await;

        for (action, times) in [("pause", 1), ("resume", 1), ("retry", 1)] {
            let sql = format!("SELECT count(*) FROM ferry.audit WHERE action LIKE '%{action}%' AND reason = 'chaos'");
            let told = scene.number(&sql).await;
            assert!(told >= times, "{action} is in the audit {told} times");
        }
        Told::note(format!("{} batches held at the kill, {retried} retried", killed.1.len()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s39_a_run_is_cancelled_while_it_is_running() {
    play(Setup::new(39, "pause, kill, resume; retry twice; cancel while running"), async |scene| {
        scene.start(&[]);
        scene.workers(2);
        scene.until_done(50).await;
        let run = scene.run.clone();
        for _ in 0..2 {
            scene.place.must(&["run", "cancel", &run, "--yes", "--reason", "chaos"]);
        }
        scene.kill(0).await;
        scene.until_state("cancelled").await;
        let told = "SELECT count(*) FROM ferry.audit WHERE action LIKE '%cancel%' AND reason = 'chaos'";
        assert!(scene.number(told).await >= 1, "the cancel is in the audit");
        let cancelled = scene.number("SELECT count(*) FROM ferry.items WHERE state = 'cancelled'").await;
        Told::note(format!("{cancelled} cancelled, one worker killed meanwhile"))
    })
    .await;
}
