//! Reading, finding and deleting users, and the headers of every answer.

use serde_json::json;

use ferry_simulator::PlantedUser;

use crate::support::{Client, user, user_path};

#[tokio::test]
async fn what_was_created_is_read_back_at_once() {
    let client = Client::plain().await;
    let created = client.create(user("a@example.com")).await.body;
    let id = created["user_id"].as_str().unwrap();
    assert_eq!(client.get(&user_path(id)).await.body, created);
    let found = client.get("/users-by-email?email=a%40example.com").await;
    assert_eq!(found.body, json!([created]));
}

#[tokio::test]
async fn ids_with_special_characters_are_found_percent_encoded() {
    let client = Client::plain().await;
    let id = client
        .simulator
        .plant(PlantedUser { user_id: Some("a/b c?d%e|f".to_owned()), ..PlantedUser::new("a@example.com") });
    assert_eq!(id, "auth0|a/b c?d%e|f");
    let answer = client.get("/users/auth0%7Ca%2Fb%20c%3Fd%25e%7Cf").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["user_id"], id);
}

#[tokio::test]
async fn fields_can_be_picked_or_left_out() {
    let client = Client::plain().await;
    let id = client.simulator.plant(PlantedUser::new("a@example.com"));
    let path = user_path(&id);
    let picked = client.get(&format!("{path}?fields=email,user_id")).await;
    let expected = json!({ "email": "a@example.com", "user_id": id });
    assert_eq!(picked.body, expected);
    let left_out = client.get(&format!("{path}?fields=email,name&include_fields=false")).await;
    assert!(left_out.body.get("email").is_none());
    assert!(left_out.body.get("identities").is_some());
    let found = client.get("/users-by-email?email=a%40example.com&fields=user_id").await;
    assert_eq!(found.body, json!([{ "user_id": id }]));
}

#[tokio::test]
async fn an_address_is_found_in_lower_case_only() {
    let client = Client::plain().await;
    client.simulator.plant(PlantedUser::new("Ada@Example.com"));
    let lower = client.get("/users-by-email?email=ada%40example.com").await;
    assert_eq!(lower.body.as_array().unwrap().len(), 1);
    let upper = client.get("/users-by-email?email=Ada%40Example.com").await;
    assert_eq!(upper.body, json!([]));
}

#[tokio::test]
async fn deleting_twice_is_204_twice_and_frees_the_address() {
    let client = Client::plain().await;
    let id = client.simulator.plant(PlantedUser::new("a@example.com"));
    for _ in 0..2 {
        let answer = client.delete(&user_path(&id)).await;
        assert_eq!(answer.status, 204);
        assert!(answer.body.is_null());
    }
    assert_eq!(client.get(&user_path(&id)).await.status, 404);
    assert_eq!(client.create(user("a@example.com")).await.status, 201);
}

#[tokio::test]
async fn answers_carry_the_recorded_headers() {
    let client = Client::plain().await;
    let answer = client.get("/connections").await;
    for (name, value) in [
        ("content-type", "application/json; charset=utf-8"),
        ("cache-control", "no-cache"),
        ("vary", "origin,accept-encoding"),
        ("strict-transport-security", "max-age=31536000"),
        ("server", "cloudflare"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert_eq!(answer.header("ot-baggage-auth0-request-id").unwrap().len(), 16);
    // No plan, no limit headers.
    assert_eq!(answer.header("x-ratelimit-limit"), None);
}
