//! What happens near a token's end; the end is set by hand, not waited for.

#[allow(dead_code, missing_docs, reason = "shared with the integration tests, which use all of it")]
#[path = "../../tests/it/stand_in.rs"]
mod stand_in;

use stand_in::{Reply, StandIn};

use super::*;

fn tokens(server: &StandIn) -> Tokens {
    let mut settings =
        Auth0Settings::for_base_url(server.url.parse().unwrap(), "id", "secret".into()).unwrap();
    settings.throttle_patience = Duration::ZERO;
    Tokens::new(
        reqwest::Client::builder().no_proxy().build().unwrap(),
        &settings,
        Default::default(),
        Default::default(),
    )
}

/// A server that gives one good token, and then this.
async fn one_token_then(reply: Reply) -> StandIn {
    let mut first = true;
    StandIn::start(
        move |_| {
            if std::mem::take(&mut first) { Reply::token("first", 86_400) } else { reply.clone() }
        },
    )
    .await
}

fn make_due(tokens: &Tokens) {
    tokens.held.write().unwrap().renew_at = Some(Instant::now());
}

#[tokio::test]
async fn a_due_token_is_renewed_by_one_while_the_others_use_it() {
    let server = one_token_then(Reply::Silence).await;
    let tokens = Arc::new(tokens(&server));
    tokens.current().await.unwrap();
    make_due(&tokens);
    let renewing = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.current().await }
    });
    while server.token_requests() < 2 {
        tokio::task::yield_now().await;
    }
    // The renewal never ends; waiting for it would never end either.
    for _ in 0..50 {
        assert_eq!(tokens.current().await.unwrap().header, "Bearer first");
    }
    assert_eq!(server.token_requests(), 2);
    renewing.abort();
}

#[tokio::test]
async fn a_due_token_is_replaced_by_the_new_one() {
    let server = one_token_then(Reply::token("second", 100)).await;
    let tokens = tokens(&server);
    tokens.current().await.unwrap();
    make_due(&tokens);
    assert_eq!(tokens.current().await.unwrap().header, "Bearer second");
    let renew_in = tokens.held.read().unwrap().renew_at.unwrap() - Instant::now();
    assert!(renew_in <= Duration::from_secs(90), "a tenth of its life before the end: {renew_in:?}");
}

#[tokio::test]
async fn a_failed_renewal_ahead_of_time_is_no_failure_and_not_repeated_immediately() {
    let server = one_token_then(Reply::Page(503, "x")).await;
    let tokens = tokens(&server);
    tokens.current().await.unwrap();
    make_due(&tokens);
    for _ in 0..5 {
        assert_eq!(tokens.current().await.unwrap().header, "Bearer first");
    }
    assert_eq!(server.token_requests(), 2);
}

#[tokio::test]
async fn an_expired_token_is_not_used() {
    let server = one_token_then(Reply::Page(503, "x")).await;
    let tokens = tokens(&server);
    let first = tokens.current().await.unwrap();
    let expired = Token {
        header: first.header.clone(),
        granted: Granted::default(),
        generation: 1,
        expires: Instant::now(),
    };
    tokens.held.write().unwrap().token = Some(Arc::new(expired));
    assert_eq!(tokens.current().await.err(), Some(TokenError::Unavailable(Code::ServerError)));
}
