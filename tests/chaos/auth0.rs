//! Faults 30 to 36: Auth0 limits, fails, or answers in pieces.

use std::time::Duration;

use ferry_simulator::{Faults, Plan};
use tokio::time::{Instant, sleep};

use crate::{
    results::Told,
    scene::{Scene, play},
    setup::Setup,
};

/// Other faults from now on.
fn faults(scene: &Scene, faults: Faults) {
    scene.simulator.set_faults(faults).unwrap();
}

fn plan(text: &str) -> Plan {
    text.parse().unwrap()
}

async fn attempts(scene: &Scene) -> i64 {
    scene.number("SELECT count(*) FROM ferry.attempts").await
}

/// Requests per second that were let through, over this time.
async fn pace(scene: &Scene, over: Duration) -> f64 {
    let let_through = || {
        let stats = scene.simulator.stats();
        stats.management_requests() - stats.rate_limited
    };
    let (before, began) = (let_through(), Instant::now());
    sleep(over).await;
    (let_through() - before) as f64 / began.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s30_the_limit_is_lower_than_agreed() {
    // Buckets of the planned size, so that no header tells of the slower refill.
    let setup = Setup::new(30, "API 429 with reset headers").set("AUTH0_PLAN", "custom:20:40");
    let setup = setup.users(1_000, 50).latency(5).simulated(|config| config.limits = plan("custom:20:20"));
    play(setup, async |scene| {
        scene.start(&[]);
        scene.workers(2);
        scene.until_done(200).await;
        let pace = pace(scene, Duration::from_secs(8)).await;
        scene.until_sealed().await;
        let stats = scene.simulator.stats();
        assert!(stats.rate_limited > 0, "the limit was met");
        assert_eq!(attempts(scene).await, 0, "a wait costs no attempt");
        let share = 100.0 * stats.rate_limited as f64 / stats.management_requests() as f64;
        Told::note(format!("{pace:.1} of 20 requests/s used; {share:.1} % answered 429"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s31_the_limit_halves_silently() {
    let setup = Setup::new(31, "the limit halves, 429 without headers").set("AUTH0_PLAN", "custom:40:80");
    let setup = setup.users(1_500, 50).latency(5).simulated(|config| {
        config.limits = plan("custom:40:80");
        config.faults.mute_limits = true;
    });
    play(setup, async |scene| {
        scene.start(&[]);
        scene.workers(2);
        scene.until_done(300).await;
        scene.simulator.set_limits(&plan("custom:20:40"));
        sleep(Duration::from_secs(4)).await;
        let mut paces = Vec::new();
        for _ in 0..5 {
            if scene.state().await == "running" {
                paces.push(format!("{:.0}", pace(scene, Duration::from_secs(2)).await));
            }
        }
        scene.until_sealed().await;
        assert_eq!(attempts(scene).await, 0, "a wait costs no attempt");
        Told::note(format!("requests/s under a limit of 40: {}", paces.join(", ")))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/chaos/run --all"]
async fn s32_auth0_is_ill_and_recovers() {
    play(Setup::new(32, "API 500 and 503 for 12 s").latency(20), async |scene| {
        scene.start(&[]);
        scene.workers(2);
        scene.until_done(20).await;
        let well = Faults { latency_ms: 20, ..Faults::default() };
        faults(scene, Faults { server_errors: 1.0, ..well.clone() });
        sleep(Duration::from_secs(3)).await;
        let opened = scene.simulator.stats().management_requests();
        sleep(Duration::from_secs(9)).await;
        let probes = scene.simulator.stats().management_requests() - opened;
        assert!(probes < 200, "{probes} requests in 9 s are no probes");
        faults(scene, well);
        let (at, across) = (Instant::now(), scene.across().await);
        scene.until_done(across + 1).await;
        let after = at.elapsed();
        scene.until_sealed().await;
        let given_up = scene.number("SELECT count(*) FROM ferry.items WHERE code = 'SERVER_ERROR'").await;
        assert_eq!(given_up, 0, "nobody fails for an outage");
        Told::recovered(after, format!("{probes} probes in the last 9 s, {} attempts", attempts(scene).await))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s33_the_answer_comes_after_the_time_out() {
    let setup =
        Setup::new(33, "API answers after the time-out").set("FERRY_AUTH0__REQUEST_TIMEOUT_SECONDS", "1");
    play(setup.users(200, 25), async |scene| {
        scene.start(&[]);
        scene.worker();
        scene.until_done(5).await;
        // Half of the latency passes before the user is stored, half after.
        faults(scene, Faults { latency_ms: 1_600, ..Faults::default() });
        sleep(Duration::from_secs(3)).await;
        faults(scene, Faults { latency_ms: 20, ..Faults::default() });
        let ghosts = i64::try_from(scene.simulator.users().len()).unwrap() - scene.across().await;
        scene.until_sealed().await;
        Told::note(format!("{ghosts} users stored whose answer nobody had yet"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s34_tokens_are_refused_and_the_secret_is_rotated() {
    let setup = Setup::new(34, "API 401: tokens end after 60 requests, secret rotated").latency(20);
    let setup = setup.simulated(|config| config.faults.expire_tokens_after = Some(60));
    play(setup, async |scene| {
        scene.start(&[]);
        scene.workers(2);
        scene.until_done(100).await;
        let stats = scene.simulator.stats();
        assert!(stats.faults.expired_tokens > 0, "tokens were refused");
        let (tokens, refused) = (stats.tokens_issued, stats.faults.expired_tokens);

        scene.simulator.rotate_secret("another-secret");
        // Tokens of the old secret are good for some requests more.
        let refused_now = "SELECT count(*) FROM ferry.workers WHERE waits LIKE '%refuses the token%'";
        let used_up = async || {
            let before = scene.simulator.users().len();
            // Longer than the 5 s that a job waits for a token: each has asked again.
            sleep(Duration::from_secs(8)).await;
            scene.number(refused_now).await == 2 && scene.simulator.users().len() == before
        };
        scene.until("both wait for a token", used_up).await;
        let created = scene.simulator.users().len();
        sleep(Duration::from_secs(6)).await;
        assert_eq!(scene.simulator.users().len(), created, "nothing is created with the old secret");
        assert_eq!(scene.state().await, "running", "the run waits");
        let failed = "SELECT count(*) FROM ferry.items WHERE state = 'failed' AND code = 'TOKEN_REFUSED'";
        assert_eq!(scene.number(failed).await, 0, "no user fails for the operator's secret");

        // The operator rolls the workers over to the new one.
        scene.place.set("AUTH0_CLIENT_SECRET", "another-secret");
        for old in 0..2 {
            scene.workers[old].signal("TERM");
            let ended = scene.workers[old].ended(Duration::from_secs(40)).await;
            assert_eq!(ended.code(), Some(0), "a worker that waits for a token stops well");
        }
        scene.workers(2);
        scene.until_sealed().await;
        assert_eq!(attempts(scene).await, 0, "a refused token costs no attempt");
        Told::note(format!(
            "{refused} requests refused, {tokens} tokens for two processes before the rotation"
        ))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s36_answers_break_in_the_middle() {
    play(Setup::new(36, "answers broken off in the middle").latency(10), async |scene| {
        let line = scene.auth0_behind_a_proxy().await;
        scene.start(&[]);
        line.change(|weather| weather.break_answer = Some((23, 40)));
        scene.workers(2);
        scene.until_done(200).await;
        line.change(|weather| weather.break_answer = None);
        let broken = line.broken.load(std::sync::atomic::Ordering::Relaxed);
        assert!(broken > 0, "answers were broken off");
        scene.until_sealed().await;
        Told::note(format!("{broken} answers broken off, {} attempts", attempts(scene).await))
    })
    .await;
}
