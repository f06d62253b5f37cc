//! Faults: each one is seen by the client and counted by the simulator.

use ferry_simulator::{Config, Faults, Simulator, StartError};
use reqwest::Method;

use crate::support::{Client, credentials, user};

async fn with(faults: Faults) -> Client {
    Client::start(Config { faults, ..Config::default() }).await
}

#[tokio::test]
async fn a_lost_answer_leaves_its_user_behind() {
    let client = with(Faults { lost_answers: 1.0, ..Faults::default() }).await;
    let body = user("a@example.com");
    let lost = client.send(Method::POST, "/users", Some(body)).await;
    let error = lost.unwrap_err();
    assert!(error.is_request(), "{error:?}");
    assert_eq!(client.simulator.users()[0].email, "a@example.com");
    // The retry is told the truth, and a refusal is never lost.
    assert_eq!(client.create(user("a@example.com")).await.status, 409);
    let stats = client.simulator.stats();
    assert_eq!(stats.faults.lost_answers, 1);
    assert_eq!(stats.users_created, 0);
    assert_eq!(stats.users, 1);
}

#[tokio::test]
async fn a_share_of_answers_is_lost_and_the_same_ones_with_the_same_seed() {
    let mut lost = Vec::new();
    for _ in 0..2 {
        let client = with(Faults { lost_answers: 0.3, ..Faults::default() }).await;
        let mut answered = Vec::new();
        for number in 0..100 {
            let body = user(&format!("user{number}@example.com"));
            let answer = client.send(Method::POST, "/users", Some(body)).await;
            answered.push(answer.is_ok());
        }
        let stats = client.simulator.stats();
        assert_eq!(stats.users, 100);
        assert_eq!(stats.users_created + stats.faults.lost_answers, 100);
        assert!((15..45).contains(&stats.faults.lost_answers));
        lost.push(answered);
    }
    assert_eq!(lost[0], lost[1]);
}

#[tokio::test]
async fn server_errors_store_nothing() {
    let client = with(Faults { server_errors: 1.0, ..Faults::default() }).await;
    let first = client.create(user("a@example.com")).await;
    let text = "An internal server error occurred";
    first.refuses(500, "Internal Server Error", None, text);
    let second = client.create(user("a@example.com")).await;
    second.refuses(503, "Service Unavailable", None, "Service Unavailable");
    assert!(client.simulator.users().is_empty());
    assert_eq!(client.simulator.stats().faults.server_errors, 2);
}

#[tokio::test]
async fn a_storm_answers_429_without_a_limit() {
    let client = with(Faults { storm_429: 1.0, ..Faults::default() }).await;
    let answer = client.create(user("a@example.com")).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.number("x-ratelimit-remaining"), 0);
    let stats = client.simulator.stats();
    assert_eq!(stats.faults.storm_429, 1);
    assert_eq!(stats.rate_limited, 1);
    assert_eq!(stats.users, 0);
}

#[tokio::test]
async fn tokens_wear_out_and_a_new_one_works() {
    let mut client = with(Faults { expire_tokens_after: Some(3), ..Faults::default() }).await;
    for _ in 0..2 {
        for _ in 0..3 {
            assert_eq!(client.get("/connections").await.status, 200);
        }
        let answer = client.get("/connections").await;
        assert_eq!(answer.status, 401);
        let text = "Expired token received for JSON Web Token validation";
        assert_eq!(answer.body["message"], text);
        client.token = client.new_token(&credentials(&Config::default())).await;
    }
    assert_eq!(client.simulator.stats().faults.expired_tokens, 2);
}

#[tokio::test]
async fn latency_delays_but_changes_nothing() {
    let client = with(Faults { latency_ms: 2, jitter_ms: 2, ..Faults::default() }).await;
    assert_eq!(client.create(user("a@example.com")).await.status, 201);
}

#[tokio::test]
async fn a_share_above_one_is_refused_at_the_start() {
    let started = Simulator::start(Config {
        faults: Faults { lost_answers: 1.5, ..Faults::default() },
        ..Config::default()
    })
    .await;
    assert!(matches!(started, Err(StartError::Share(name)) if name == "lost_answers"));
}

#[tokio::test]
async fn faults_change_while_it_runs_and_a_wrong_share_changes_nothing() {
    let client = with(Faults::default()).await;
    client.simulator.set_faults(Faults { server_errors: 1.0, ..Faults::default() }).unwrap();
    assert!(client.create(user("a@example.com")).await.status.is_server_error());
    let wrong = client.simulator.set_faults(Faults { storm_429: -0.1, ..Faults::default() });
    assert!(matches!(wrong, Err(StartError::Share(name)) if name == "storm_429"));
    assert!(client.create(user("a@example.com")).await.status.is_server_error(), "still ill");
    client.simulator.set_faults(Faults::default()).unwrap();
    assert_eq!(client.create(user("a@example.com")).await.status, 201);
    assert_eq!(client.simulator.stats().faults.server_errors, 2, "the count goes on");
}

#[tokio::test]
async fn limits_can_be_kept_secret() {
    let config = |mute_limits| Config {
        limits: "custom:1:1".parse().unwrap(),
        faults: Faults { mute_limits, ..Faults::default() },
        ..Config::default()
    };
    for mute_limits in [false, true] {
        let client = Client::start(config(mute_limits)).await;
        let first = client.create(user("a@example.com")).await;
        assert_eq!(first.status, 201);
        assert_eq!(first.header("x-ratelimit-limit").is_some(), !mute_limits);
        let second = client.create(user("b@example.com")).await;
        assert_eq!(second.status, 429);
        assert_eq!(second.header("x-ratelimit-limit").is_some(), !mute_limits);
    }
}
