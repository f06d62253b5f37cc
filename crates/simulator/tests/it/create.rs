//! `POST /users`: the answer field by field, and who is refused.

use ferry_simulator::{Config, PasswordPolicy};
use serde_json::json;

use crate::support::{CONNECTION, Client, read, user, user_with};

#[tokio::test]
async fn the_answer_has_the_recorded_fields() {
    let client = Client::plain().await;
    let answer = client.create(user("Test@Example.com")).await;
    assert_eq!(answer.status, 201);
    let body = answer.body;
    let id = body["user_id"].as_str().unwrap().to_owned();
    let own = id.strip_prefix("auth0|").unwrap();
    assert_eq!(own.len(), 24);
    assert!(own.chars().all(|c| c.is_ascii_hexdigit()));
    let created = body["created_at"].as_str().unwrap();
    assert_eq!(created.len(), "2026-08-13T13:25:20.790Z".len());
    assert!(created.ends_with('Z'));
    assert_eq!(
        body,
        json!({
            "created_at": created,
            "email": "test@example.com",
            "email_verified": false,
            "identities": [{
                "connection": CONNECTION,
                "user_id": own,
                "provider": "auth0",
                "isSocial": false,
            }],
            "name": "test@example.com",
            "nickname": "test",
            "picture": "https://s.gravatar.com/avatar/55502f40dc8b7c769880b10874abc9d0?s=480&r=pg\
                &d=https%3A%2F%2Fcdn.auth0.com%2Favatars%2Fte.png",
            "updated_at": created,
            "user_id": id,
        })
    );
}

#[tokio::test]
async fn what_was_sent_comes_back_except_the_password() {
    let client = Client::start(Config { requires_username: true, ..Config::default() }).await;
    let sent = json!({
        "connection": CONNECTION,
        "email": "chuck@example.com",
        "password": "Passwords hide their chuck",
        "username": "test-user538",
        "user_id": "legacy-42",
        "given_name": "Chuck",
        "family_name": "Sanchez",
        "nickname": "Chucky",
        "picture": "https://example-picture-url.jpg",
        "blocked": false,
        "email_verified": true,
        "verify_email": false,
        "user_metadata": { "favourite_attack": "roundhouse_kick" },
        "app_metadata": { "facts": ["count_to_infinity_twice"] },
    });
    let body = client.create(sent.clone()).await.body;
    for field in [
        "username",
        "given_name",
        "family_name",
        "nickname",
        "picture",
        "blocked",
        "email_verified",
        "user_metadata",
        "app_metadata",
    ] {
        assert_eq!(body[field], sent[field], "{field}");
    }
    assert_eq!(body["user_id"], "auth0|legacy-42");
    assert_eq!(body["identities"][0]["user_id"], "legacy-42");
    // The name is the address even when given and family name are sent.
    assert_eq!(body["name"], "chuck@example.com");
    for field in ["password", "verify_email", "connection"] {
        assert!(body.get(field).is_none(), "{field}");
    }
}

#[tokio::test]
async fn a_form_creates_a_user_too() {
    let client = Client::plain().await;
    let form =
        format!("connection={CONNECTION}&email=form%40example.com&password=Correct-Horse-7&blocked=true");
    let request = client
        .http
        .post(client.url("/api/v2/users"))
        .bearer_auth(&client.token)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let answer = read(request.send().await.unwrap()).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.body["blocked"], true);
}

#[tokio::test]
async fn a_taken_address_or_id_is_a_conflict() {
    let client = Client::plain().await;
    client.simulator.add_connection("Second", "auth0");
    let first = user_with("a@example.com", "user_id", json!("1"));
    assert_eq!(client.create(first).await.status, 201);

    let same_address = client.create(user("A@example.com")).await;
    let same_id = client.create(user_with("b@example.com", "user_id", json!("1"))).await;
    // The id has to be unique over the whole tenant, the address only within its connection.
    let mut elsewhere = user_with("c@example.com", "user_id", json!("1"));
    elsewhere["connection"] = json!("Second");
    let same_id_elsewhere = client.create(elsewhere).await;
    for answer in [same_address, same_id, same_id_elsewhere] {
        let text = "The user already exists.";
        answer.refuses(409, "Conflict", Some("auth0_idp_error"), text);
    }
    let address_elsewhere = user_with("a@example.com", "connection", json!("Second"));
    assert_eq!(client.create(address_elsewhere).await.status, 201);
    let found = client.get("/users-by-email?email=a%40example.com").await;
    assert_eq!(found.body.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_ghost_answers_409_and_is_found_nowhere_until_it_is_cleared() {
    let client = Client::plain().await;
    client.simulator.plant_ghost("Ghost@example.com");
    assert_eq!(client.create(user("ghost@example.com")).await.status, 409);
    let found = client.get("/users-by-email?email=ghost%40example.com").await;
    assert_eq!(found.body, json!([]));
    assert!(client.simulator.users().is_empty());

    let connections = client.get("/connections").await.body;
    let id = connections[0]["id"].as_str().unwrap();
    let path = format!("/connections/{id}/users?email=ghost%40example.com");
    assert_eq!(client.delete(&path).await.status, 204);
    assert_eq!(client.create(user("ghost@example.com")).await.status, 201);
}

#[tokio::test]
async fn connections_refuse_what_they_cannot_take() {
    let client = Client::plain().await;
    client.simulator.add_connection("google", "google-oauth2");
    let unknown = user_with("a@example.com", "connection", json!("Nowhere"));
    client.create(unknown).await.refuses(
        400,
        "Bad Request",
        Some("inexistent_connection"),
        "The connection does not exist.",
    );
    let social = user_with("a@example.com", "connection", json!("google"));
    client.create(social).await.refuses(
        400,
        "Bad Request",
        Some("operation_not_supported"),
        "Connection does not support user creation through the API. It must either be a database \
         or passwordless connection.",
    );
    let named = user_with("a@example.com", "username", json!("ada"));
    client.create(named).await.refuses(
        400,
        "Bad Request",
        Some("operation_not_supported"),
        "Cannot set username for connection without requires_username.",
    );
}

#[tokio::test]
async fn weak_passwords_are_refused_on_create_and_on_change() {
    let client = Client::plain().await;
    let weak = user_with("a@example.com", "password", json!("password"));
    let text = "PasswordStrengthError: Password is too weak";
    client.create(weak).await.refuses(400, "Bad Request", None, text);
    let body = client.create(user("a@example.com")).await.body;
    let id = body["user_id"].as_str().unwrap();
    client.patch(id, json!({ "password": "weak" })).await.refuses(400, "Bad Request", None, text);
}

#[test]
fn the_policy_levels() {
    use PasswordPolicy::{Excellent, Fair, Good, Low, None};
    for (policy, weak, strong) in [
        (None, "", "a"),
        (Low, "abcde", "abcdef"),
        (Fair, "abcdefg1", "Abcdefg1"),
        (Good, "abcdefg1", "abcdef1!"),
        (Excellent, "Abcdefg1", "Abcdefgh12"),
        (Excellent, "Abcdefff12", "Abcdeffg12"),
    ] {
        assert!(!policy.allows(weak), "{} takes {weak}", policy.name());
        assert!(policy.allows(strong), "{} refuses {strong}", policy.name());
    }
    let error = "strong".parse::<PasswordPolicy>().unwrap_err();
    assert!(error.to_string().contains("excellent"));
}
