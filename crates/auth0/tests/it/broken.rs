//! Answers that are late, cut off or nonsense: what was sent and whether it worked is kept apart.

use std::time::Duration;

use ferry_domain::{
    Auth0UserId, Code,
    ports::{Directory, DirectoryError},
};
use serde_json::{Map, json};

use crate::{
    stand_in::{Reply, StandIn},
    world::{client, client_with, settings, user},
};

#[tokio::test]
async fn a_create_whose_outcome_is_not_known_says_so_and_is_sent_once() {
    let mut short = settings("http://127.0.0.1:1");
    short.request_timeout = Duration::from_millis(300);
    for (reply, code) in [
        (Reply::Hangup, Code::ConnectionLost),
        (Reply::Half(201), Code::AnswerUnreadable),
        (Reply::Page(201, "<html>"), Code::AnswerUnreadable),
        (Reply::Json(201, json!({"no": "user"})), Code::AnswerUnreadable),
        (Reply::Page(500, "oops"), Code::ServerError),
        (Reply::Half(503), Code::ServerError),
        (Reply::Page(504, "oops"), Code::TimedOut),
        (Reply::Json(408, json!({})), Code::TimedOut),
        (Reply::Page(302, ""), Code::AnswerUnreadable),
        (Reply::Silence, Code::TimedOut),
    ] {
        let what = format!("{reply:?}");
        // A connection that was used before breaks in other ways than a new one.
        let mut first = true;
        let server =
            StandIn::answering(
                move |_| {
                    if std::mem::take(&mut first) { Reply::user(200) } else { reply.clone() }
                },
            )
            .await;
        let (auth0, _) = client_with(ferry_auth0::Auth0Settings {
            base_url: server.url.parse().unwrap(),
            ..short.clone()
        });
        auth0.get(&Auth0UserId("auth0|1".into())).await.unwrap();
        assert_eq!(auth0.create(&user(1)).await.unwrap_err(), DirectoryError::Unknown(code), "{what}");
        assert_eq!(server.calls(), 2, "{what}: nothing is sent twice by itself");
        assert_eq!(auth0.requests(), 2, "{what}");
    }
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    // Bound and closed again: a port where nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = client(&format!("http://{port}")).create(&user(1)).await.unwrap_err();
    assert_eq!(error, DirectoryError::NotSent(Code::ConnectionLost));
}

#[tokio::test]
async fn only_auth0s_own_404_means_that_there_is_no_user() {
    let id = Auth0UserId("auth0|1".into());
    let server =
        StandIn::answering(|_| Reply::failure(404, "inexistent_user", "The user does not exist.")).await;
    let auth0 = client(&server.url);
    assert_eq!(auth0.get(&id).await, Ok(None));
    assert_eq!(auth0.delete(&id).await, Ok(()), "deleting twice is no error");
    assert!(matches!(auth0.update(&id, Map::new()).await, Err(DirectoryError::Refused { .. })));

    let server = StandIn::answering(|_| Reply::Page(404, "<html>no such page")).await;
    let auth0 = client(&server.url);
    let unreadable = DirectoryError::Unknown(Code::AnswerUnreadable);
    assert_eq!(auth0.get(&id).await, Err(unreadable.clone()));
    assert_eq!(auth0.delete(&id).await, Err(unreadable));
}

#[tokio::test]
async fn what_is_sent_is_what_the_facts_say() {
    let server = StandIn::answering(|seen| match seen.method.as_str() {
        "POST" => Reply::user(201),
        "DELETE" => Reply::Json(204, json!(null)),
        _ if seen.path.starts_with("/api/v2/users-by-email") => Reply::Json(200, json!([])),
        _ if seen.path.starts_with("/api/v2/connections") => Reply::Json(200, json!([])),
        _ => Reply::user(200),
    })
    .await;
    let auth0 = client(&server.url);
    let mut new = user(7);
    new.record.app_metadata.insert("ferry".into(), "an application's own".into());
    assert_eq!(auth0.create(&new).await.unwrap().0, "auth0|1");
    let read = auth0.get(&Auth0UserId("auth0|a b".into())).await.unwrap().unwrap();
    assert_eq!((read.id.0.as_str(), read.connection.as_str()), ("auth0|1", "db"));
    auth0.by_email(" Ann+x@Example.com").await.unwrap();
    auth0.update(&new.id, Map::from_iter([("blocked".into(), true.into())])).await.unwrap();
    auth0.delete(&new.id).await.unwrap();
    assert_eq!(auth0.connection("a&b").await, Ok(None));

    let seen = server.seen();
    let token = seen[0].json();
    assert_eq!(token["grant_type"], "client_credentials");
    assert_eq!(token["audience"], format!("{}/api/v2/", server.url));
    let id = new.id.without_provider();
    assert_eq!(
        seen[1].json(),
        json!({
            "user_id": id, "connection": new.connection, "email": "user7@example.com",
            "email_verified": true, "verify_email": false, "password": crate::world::PASSWORD,
            "blocked": false, "name": "User Number 7",
            "app_metadata": {"role": "nurse", "ferry": {"source_key": "7", "run": "r", "digest": "d"}},
        })
    );
    let lines: Vec<_> = seen[1..].iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect();
    assert_eq!(
        lines,
        [
            "POST /api/v2/users".to_owned(),
            "GET /api/v2/users/auth0%7Ca%20b".to_owned(),
            "GET /api/v2/users-by-email?email=ann%2Bx%40example.com".to_owned(),
            format!("PATCH /api/v2/users/auth0%7C{id}"),
            format!("DELETE /api/v2/users/auth0%7C{id}"),
            "GET /api/v2/connections?name=a%26b&fields=id%2Cname%2Cstrategy".to_owned(),
        ]
    );
    assert!(seen[1..].iter().all(|seen| seen.authorization.as_deref() == Some("Bearer token-1")));
}

#[tokio::test]
async fn an_id_without_provider_is_not_sent() {
    let server = StandIn::answering(|_| Reply::user(200)).await;
    let auth0 = client(&server.url);
    for id in ["", "1", ".."] {
        assert!(matches!(auth0.get(&Auth0UserId(id.into())).await, Err(DirectoryError::Refused { .. })));
    }
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn what_identity_providers_send_in_odd_types_is_understood() {
    let server = StandIn::answering(|_| {
        Reply::Json(
            200,
            json!([
                {"user_id": "waad|1", "email": "Ann@Example.com", "email_verified": "true", "name": null},
                {"user_id": "sms|2", "phone_number": "+1", "identities": [{"provider": "sms"}], "user_metadata": null},
            ]),
        )
    })
    .await;
    let users = client(&server.url).by_email("ann@example.com").await.unwrap();
    assert_eq!(users[0].email.as_deref(), Some("ann@example.com"));
    assert!(users[0].email_verified && !users[1].email_verified);
    assert_eq!((users[1].email.as_deref(), users[1].connection.as_str()), (None, ""));
}
