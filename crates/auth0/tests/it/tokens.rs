//! One token for all, renewed once for all.

use std::{sync::Arc, time::Duration};

use ferry_auth0::{Auth0, TokenError};
use ferry_domain::{
    Auth0UserId, Code,
    ports::{Directory, DirectoryError},
};
use serde_json::json;

use crate::{
    stand_in::{Reply, StandIn},
    world::{client, client_with, settings},
};

fn id() -> Auth0UserId {
    Auth0UserId("auth0|1".into())
}

/// This many callers at the same time; returns what each of them got.
async fn all_at_once(auth0: &Arc<Auth0>, callers: usize) -> Vec<Result<(), DirectoryError>> {
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let auth0 = auth0.clone();
            tokio::spawn(async move { auth0.get(&id()).await.map(drop) })
        })
        .collect();
    let mut results = Vec::new();
    for caller in callers {
        results.push(caller.await.unwrap());
    }
    results
}

#[tokio::test]
async fn many_callers_share_one_token() {
    let server = StandIn::answering(|_| Reply::user(200)).await;
    let auth0 = Arc::new(client(&server.url));
    assert!(all_at_once(&auth0, 50).await.iter().all(Result::is_ok));
    assert_eq!(server.token_requests(), 1);
    assert_eq!(auth0.requests(), 50, "those for tokens are not counted");
}

#[tokio::test]
async fn a_401_renews_the_token_once_for_all_and_the_calls_go_again() {
    let server = StandIn::answering(|seen| match seen.authorization.as_deref() {
        Some("Bearer token-1") => Reply::failure(401, "", "Invalid token"),
        _ => Reply::user(200),
    })
    .await;
    let auth0 = Arc::new(client(&server.url));
    assert!(all_at_once(&auth0, 50).await.iter().all(Result::is_ok));
    assert_eq!(server.token_requests(), 2);
    assert_eq!(server.calls() as u64, auth0.requests());
}

#[tokio::test]
async fn a_401_with_a_new_token_is_the_end() {
    let server = StandIn::answering(|_| Reply::failure(401, "", "Invalid token")).await;
    let auth0 = client(&server.url);
    assert_eq!(auth0.get(&id()).await, Err(DirectoryError::TokenRefused));
    assert_eq!((server.token_requests(), server.calls()), (2, 2));
}

#[tokio::test]
async fn wrong_credentials_are_told_with_a_remedy_and_without_the_secret() {
    let server = StandIn::start(|_| {
        Reply::Json(401, json!({"error": "access_denied", "error_description": "Unauthorized"}))
    })
    .await;
    let auth0 = Arc::new(client(&server.url));
    let error = auth0.authenticate().await.unwrap_err();
    assert_eq!(error, TokenError::CredentialsWrong);
    assert!(error.to_string().contains("AUTH0_CLIENT_SECRET") && !error.to_string().contains("simulator"));
    let before = server.token_requests();
    for result in all_at_once(&auth0, 20).await {
        assert_eq!(result, Err(DirectoryError::TokenRefused));
    }
    assert_eq!(server.token_requests(), before + 1, "who waited together is refused together");
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn each_failure_of_the_token_endpoint_has_its_meaning() {
    for (reply, error, meaning) in [
        (
            Reply::Json(
                403,
                json!({"error": "access_denied", "error_description": "Client is not authorized"}),
            ),
            TokenError::GrantMissing,
            "scope",
        ),
        (
            Reply::Json(400, json!({"error": "invalid_request"})),
            TokenError::Refused { status: 400 },
            "refused",
        ),
        (Reply::Page(502, "x"), TokenError::Unavailable(Code::ServerError), "not sent"),
        (Reply::Page(200, "x"), TokenError::Unavailable(Code::AnswerUnreadable), "not sent"),
        (Reply::Hangup, TokenError::Unavailable(Code::ConnectionLost), "not sent"),
        (Reply::Json(429, json!({})), TokenError::Throttled { retry_after: None }, "rate limit"),
    ] {
        let server = StandIn::start(move |_| reply.clone()).await;
        let mut settings = settings(&server.url);
        settings.throttle_patience = Duration::ZERO;
        let (auth0, _) = client_with(settings);
        assert_eq!(auth0.authenticate().await, Err(error.clone()));
        let text = auth0.get(&id()).await.unwrap_err().to_string();
        assert!(text.contains(meaning), "{error:?}: {text}");
        assert_eq!(auth0.requests(), 0);
    }
}

#[tokio::test]
async fn a_short_429_of_the_token_endpoint_is_waited_out() {
    let mut asked = 0;
    let server = StandIn::start(move |seen| {
        asked += u32::from(seen.is_token());
        match (seen.is_token(), asked) {
            (true, 1) => Reply::With(429, "retry-after: 0\r\n", json!({"error": "too_many_requests"})),
            (true, _) => Reply::token("t", 86_400),
            _ => Reply::user(200),
        }
    })
    .await;
    assert!(client(&server.url).get(&id()).await.is_ok());
    assert_eq!(server.token_requests(), 2);
}
