//! 429s and the headers about limits.

use std::{sync::atomic::Ordering, time::Duration};

use ferry_domain::{
    Auth0UserId,
    ports::{Directory, DirectoryError, Group, Observed},
};
use serde_json::json;

use crate::{
    stand_in::{Reply, StandIn},
    world::{client_with, settings, user},
};

#[tokio::test]
async fn a_short_429_is_waited_out_and_told_to_the_limiter() {
    let mut calls = 0;
    let server = StandIn::answering(move |_| {
        calls += 1;
        match calls {
            1 => Reply::With(
                429,
                "retry-after: 0\r\nx-ratelimit-limit: 50\r\nx-ratelimit-remaining: 0\r\n",
                json!({"statusCode": 429, "message": "Global limit has been reached"}),
            ),
            2 => Reply::Page(429, "not even JSON"),
            _ => Reply::user(201),
        }
    })
    .await;
    let (auth0, limiter) = client_with(settings(&server.url));
    auth0.create(&user(1)).await.unwrap();
    assert_eq!(auth0.requests(), 3, "refused ones count");
    assert_eq!(limiter.permits.load(Ordering::SeqCst), 3, "each send has a permit");
    let throttled = limiter.throttled.lock().unwrap().clone();
    assert_eq!(throttled, [(Group::UserWrites, Some(Duration::ZERO)), (Group::UserWrites, None)]);
    let observed = limiter.observed.lock().unwrap().clone();
    assert_eq!(observed, [(Group::UserWrites, Observed { limit: 50, remaining: 0 })]);
}

#[tokio::test]
async fn patience_ends() {
    let server = StandIn::answering(|_| Reply::Page(429, "")).await;
    let mut settings = settings(&server.url);
    settings.throttle_patience = Duration::from_millis(350);
    let (auth0, _) = client_with(settings);
    let error = auth0.get(&Auth0UserId("auth0|1".into())).await.unwrap_err();
    assert_eq!(error, DirectoryError::Throttled { retry_after: None });
    assert!(server.calls() >= 2);
}

#[tokio::test]
async fn a_longer_wait_than_patience_is_handed_up_at_once() {
    let server = StandIn::answering(|_| Reply::With(429, "retry-after: 3600\r\n", json!({}))).await;
    let (auth0, _) = client_with(settings(&server.url));
    let error = auth0.by_email("a@b.c").await.unwrap_err();
    assert_eq!(error, DirectoryError::Throttled { retry_after: Some(Duration::from_secs(3600)) });
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn headers_reach_the_group_of_their_call() {
    let server = StandIn::answering(|seen| {
        let headers = "x-ratelimit-limit: 40\r\nx-ratelimit-remaining: 39\r\nx-ratelimit-reset: 1\r\n";
        let array = seen.path.contains("connections");
        Reply::With(200, headers, if array { json!([]) } else { json!({"user_id": "auth0|1"}) })
    })
    .await;
    let (auth0, limiter) = client_with(settings(&server.url));
    auth0.get(&Auth0UserId("auth0|1".into())).await.unwrap();
    auth0.connection("x").await.unwrap();
    let seen = Observed { limit: 40, remaining: 39 };
    assert_eq!(*limiter.observed.lock().unwrap(), [(Group::UserReads, seen), (Group::Rest, seen)]);
}

#[tokio::test]
async fn the_longest_wait_that_a_header_can_name_ends_no_task() {
    let server =
        StandIn::answering(|_| Reply::With(429, "retry-after: 18446744073709551615\r\n", json!({}))).await;
    let (auth0, _) = client_with(settings(&server.url));
    let error = auth0.by_email("a@b.c").await.unwrap_err();
    assert!(matches!(error, DirectoryError::Throttled { retry_after: Some(_) }), "{error:?}");
}
