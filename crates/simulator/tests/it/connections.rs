//! `GET /connections` in its three forms.

use serde_json::{Value, json};

use crate::support::{CONNECTION, Client};

async fn with_three() -> Client {
    let client = Client::plain().await;
    client.simulator.add_connection("Second", "auth0");
    client.simulator.add_connection("google", "google-oauth2");
    client
}

fn names(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap();
    list.iter().map(|c| c["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_plain_list_is_an_array_and_can_be_filtered() {
    let client = with_three().await;
    let all = client.get("/connections").await.body;
    assert_eq!(names(&all), [CONNECTION, "Second", "google"]);
    let databases = client.get("/connections?strategy=auth0").await.body;
    assert_eq!(names(&databases), [CONNECTION, "Second"]);
    let path = "/connections?strategy=auth0&strategy=google-oauth2&name=google";
    assert_eq!(names(&client.get(path).await.body), ["google"]);
    let none = client.get("/connections?name=none").await.body;
    assert_eq!(none, json!([]));
}

#[tokio::test]
async fn totals_and_checkpoints() {
    let client = with_three().await;
    let path = "/connections?include_totals=true&per_page=2&page=1";
    let body = client.get(path).await.body;
    assert_eq!(names(&body["connections"]), ["google"]);
    assert_eq!((&body["total"], &body["start"]), (&json!(3), &json!(2)));
    assert_eq!(body["limit"], 2);

    // `take` wins over `include_totals`.
    let body = client.get("/connections?include_totals=true&take=2").await.body;
    assert_eq!(names(&body["connections"]), [CONNECTION, "Second"]);
    assert!(body.get("total").is_none());
    let next = body["next"].as_str().unwrap();
    let body = client.get(&format!("/connections?take=2&from={next}")).await.body;
    assert_eq!(names(&body["connections"]), ["google"]);
    assert!(body.get("next").is_none());
}

#[tokio::test]
async fn one_connection_shows_its_shape() {
    let client = Client::plain().await;
    let id = client.simulator.add_connection("Second", "auth0");
    assert_eq!(id.len(), "con_".len() + 16);
    assert!(id[4..].chars().all(|c| c.is_ascii_alphanumeric()));
    let body = client.get(&format!("/connections/{id}")).await.body;
    assert_eq!(body["id"], json!(id));
    assert_eq!(body["strategy"], "auth0");
    assert_eq!(body["realms"], json!(["Second"]));
    assert_eq!(body["enabled_clients"], json!(["simulator-client"]));
    assert_eq!(body["options"]["passwordPolicy"], "good");
    let picked = client.get(&format!("/connections/{id}?fields=name")).await;
    assert_eq!(picked.body, json!({ "name": "Second" }));
}
