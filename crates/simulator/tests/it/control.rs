//! The handle and the control routes.

use ferry_simulator::{Config, PlantedUser, Simulator, Stats, UserView};
use serde_json::{Value, json};

use crate::support::{CONNECTION, Client, read, user};

#[tokio::test]
async fn planted_users_are_listed_changed_and_removed() {
    let client = Client::plain().await;
    let simulator = &client.simulator;
    simulator.add_connection("google", "google-oauth2");
    let ada = simulator.plant(PlantedUser {
        user_id: Some("2".to_owned()),
        blocked: Some(true),
        app_metadata: Some(json!({ "k": 1 })),
        ..PlantedUser::new("ada@example.com")
    });
    let bob = simulator.plant(PlantedUser {
        connection: Some("google".to_owned()),
        user_id: Some("1".to_owned()),
        ..PlantedUser::new("bob@example.com")
    });
    assert_eq!((&*ada, &*bob), ("auth0|2", "google-oauth2|1"));
    let ids: Vec<String> = simulator.users().into_iter().map(|u| u.user_id).collect();
    assert_eq!(ids, [ada.clone(), bob.clone()]);
    let view = simulator.user(&ada).unwrap();
    assert_eq!(view.connection, CONNECTION);
    assert_eq!(view.blocked, Some(true));
    assert_eq!(view.app_metadata, Some(json!({ "k": 1 })));

    assert!(simulator.change(&ada, |user| {
        user.email = "new@example.com".to_owned();
        user.email_verified = true;
    }));
    let found = client.get("/users-by-email?email=new%40example.com").await;
    assert_eq!(found.body[0]["email_verified"], true);
    assert!(simulator.remove(&ada));
    assert!(!simulator.remove(&ada));
    assert!(!simulator.change(&ada, |user: &mut UserView| user.name.clear()));
    assert_eq!(simulator.users().len(), 1);
}

#[tokio::test]
async fn the_list_streams_every_user_in_order() {
    let client = Client::plain().await;
    for number in 0..1_234 {
        let email = format!("user{number}@example.com");
        client.simulator.plant(PlantedUser::new(email));
    }
    let response = client.http.get(client.url("/simulator/users"));
    let response = response.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let text = response.text().await.unwrap();
    let listed: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let own: Vec<Value> =
        client.simulator.users().into_iter().map(|user| serde_json::to_value(user).unwrap()).collect();
    assert_eq!(listed.len(), 1_234);
    assert_eq!(listed, own);
}

#[tokio::test]
async fn requests_are_counted_by_route() {
    let client = Client::plain().await;
    client.create(user("a@example.com")).await;
    client.create(user("a@example.com")).await;
    client.get("/users/auth0%7Cnobody").await;
    client.get("/nothing").await;
    let stats: Stats = client.simulator.stats();
    assert_eq!(stats.requests_to("POST /api/v2/users"), 2);
    assert_eq!(stats.requests_to("GET /api/v2/users/{id}"), 1);
    assert_eq!(stats.requests_to("POST /oauth/token"), 1);
    assert_eq!(stats.requests_to("unknown"), 1);
    assert_eq!(stats.requests_to("PATCH /api/v2/users/{id}"), 0);
    assert_eq!(stats.management_requests(), 3);
    assert_eq!(stats.users_created, 1);
    assert!((1..=3).contains(&stats.max_per_second));

    let request = client.http.get(client.url("/simulator/stats"));
    let shown = read(request.send().await.unwrap()).await.body;
    assert_eq!(shown, serde_json::to_value(&stats).unwrap());
}

#[tokio::test]
async fn shutdown_frees_the_port() {
    let first = Simulator::start(Config::default()).await.unwrap();
    let listen = first.base_url().trim_start_matches("http://").parse().unwrap();
    let again = || Config { listen, ..Config::default() };
    assert!(Simulator::start(again()).await.is_err());
    first.shutdown().await;
    let second = Simulator::start(again()).await.unwrap();
    second.shutdown().await;
}

#[tokio::test]
async fn nothing_personal_or_secret_is_shown_by_debug() {
    let client = Client::plain().await;
    let planted = PlantedUser::new("ada@example.com");
    let shown = format!("{planted:?} {:?}", Config::default());
    client.simulator.plant(planted);
    let shown = format!("{shown} {:?}", client.simulator.users());
    assert!(!shown.contains("ada@"), "{shown}");
    assert!(!shown.contains("simulator-secret"), "{shown}");
}
