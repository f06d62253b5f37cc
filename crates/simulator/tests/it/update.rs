//! `PATCH /users/{id}`.

use std::time::Duration;

use ferry_simulator::PlantedUser;
use serde_json::json;

use crate::support::Client;

async fn with_user() -> (Client, String) {
    let client = Client::plain().await;
    let id = client.simulator.plant(PlantedUser {
        email_verified: true,
        app_metadata: Some(json!({ "a": { "x": 1, "y": 2 }, "b": 2 })),
        ..PlantedUser::new("a@example.com")
    });
    (client, id)
}

#[tokio::test]
async fn metadata_is_merged_one_level_deep() {
    let (client, id) = with_user().await;
    let patch = json!({ "app_metadata": { "a": { "z": 3 }, "b": null, "c": 4 } });
    let answer = client.patch(&id, patch).await;
    assert_eq!(answer.status, 200);
    let expected = json!({ "a": { "z": 3 }, "c": 4 });
    assert_eq!(answer.body["app_metadata"], expected);
    let answer = client.patch(&id, json!({ "app_metadata": {} })).await;
    assert_eq!(answer.body["app_metadata"], json!({}));
}

#[tokio::test]
async fn root_fields_are_replaced_and_the_whole_user_comes_back() {
    let (client, id) = with_user().await;
    client.simulator.advance(Duration::from_secs(2));
    let patch = json!({ "name": "Ada", "blocked": true, "given_name": "Ada", "email_verified": false });
    let body = client.patch(&id, patch).await.body;
    assert_eq!(body["name"], "Ada");
    assert_eq!(body["given_name"], "Ada");
    assert_eq!(body["blocked"], true);
    assert_eq!(body["email_verified"], false);
    assert_eq!(body["email"], "a@example.com");
    assert!(body["updated_at"].as_str() > body["created_at"].as_str());
}

#[tokio::test]
async fn a_new_address_is_unverified_and_findable() {
    let (client, id) = with_user().await;
    let body = client.patch(&id, json!({ "email": "B@example.com" })).await.body;
    assert_eq!(body["email"], "b@example.com");
    assert_eq!(body["email_verified"], false);
    let found = client.get("/users-by-email?email=b%40example.com").await;
    assert_eq!(found.body[0]["user_id"], json!(id));
    let found = client.get("/users-by-email?email=a%40example.com").await;
    assert_eq!(found.body, json!([]));
}

#[tokio::test]
async fn a_taken_address_is_400() {
    let (client, id) = with_user().await;
    client.simulator.plant(PlantedUser::new("b@example.com"));
    let answer = client.patch(&id, json!({ "email": "b@example.com" })).await;
    let text = "The specified new email already exists";
    answer.refuses(400, "Bad Request", Some("auth0_idp_error"), text);
    // One's own address is not taken.
    let answer = client.patch(&id, json!({ "email": "a@example.com" })).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["email_verified"], true);
}

#[tokio::test]
async fn some_fields_cannot_change_together() {
    let (client, id) = with_user().await;
    for (one, other) in [
        ("password", "email"),
        ("password", "email_verified"),
        ("username", "email"),
        ("username", "email_verified"),
        ("username", "password"),
    ] {
        let value = |field: &str| match field {
            "email_verified" => json!(true),
            "email" => json!("b@example.com"),
            _ => json!("Correct-Horse-7"),
        };
        let answer = client.patch(&id, json!({ one: value(one), other: value(other) })).await;
        let text = format!("Cannot update {one} and {other} simultaneously");
        answer.refuses(400, "Bad Request", Some("operation_not_supported"), &text);
    }
}

#[tokio::test]
async fn bodies_are_closed_and_connections_must_exist() {
    let (client, id) = with_user().await;
    client
        .patch(&id, json!({ "user_id": "x" }))
        .await
        .refuses_body("'Additional properties not allowed: user_id'");
    client.patch(&id, json!({ "blocked": true, "connection": "Nowhere" })).await.refuses(
        400,
        "Bad Request",
        Some("inexistent_connection"),
        "The connection does not exist.",
    );
    let answer = client.patch(&id, json!({ "name": null })).await;
    assert_eq!(answer.body["errorCode"], "operation_not_supported");
    assert_ne!(client.simulator.user(&id).unwrap().blocked, Some(true));
}
