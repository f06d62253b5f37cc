//! Against the simulator, which shares no type with the client.

use std::{sync::Arc, time::Duration};

use ferry_auth0::TokenError;
use ferry_domain::{
    Code,
    ports::{Connection, Directory, DirectoryError},
};
use ferry_simulator::{Config, Faults, PlantedUser, Simulator};
use serde_json::{Map, json};

use crate::world::{CONNECTION, client, client_with, settings, user};

async fn simulator(config: Config) -> Simulator {
    Simulator::start(config).await.unwrap()
}

#[tokio::test]
async fn a_user_is_created_read_found_changed_and_deleted() {
    let simulator = simulator(Config::default()).await;
    let auth0 = client(&simulator.base_url());
    let new = user(1);
    assert_eq!(auth0.create(&new).await.unwrap(), new.id);
    let made = auth0.get(&new.id).await.unwrap().unwrap();
    assert_eq!(made.id, new.id);
    assert_eq!(made.email.as_deref(), Some("user1@example.com"));
    assert_eq!(made.connection, CONNECTION);
    assert_eq!(made.app_metadata["ferry"], json!({"source_key": "1", "run": "r", "digest": "d"}));
    assert_eq!(made.app_metadata["role"], "nurse");
    assert!(made.email_verified && !made.blocked);

    assert_eq!(auth0.by_email("USER1@example.com").await.unwrap(), [made]);
    assert_eq!(auth0.by_email("nobody@example.com").await.unwrap(), []);

    let fields: Map<_, _> =
        serde_json::from_value(json!({"blocked": true, "app_metadata": {"role": null, "ward": "3"}}))
            .unwrap();
    let changed = auth0.update(&new.id, fields).await.unwrap();
    assert!(changed.blocked);
    assert_eq!(changed.app_metadata.get("role"), None);
    assert_eq!(changed.app_metadata["ward"], "3");

    assert_eq!(auth0.create(&new).await, Err(DirectoryError::Exists));
    auth0.delete(&new.id).await.unwrap();
    auth0.delete(&new.id).await.unwrap();
    assert_eq!(auth0.get(&new.id).await, Ok(None));
    assert_eq!(auth0.requests(), simulator.stats().management_requests());
}

#[tokio::test]
async fn connections_are_found_by_name_or_not_at_all() {
    let simulator = simulator(Config::default()).await;
    let id = simulator.add_connection("sms", "sms");
    let auth0 = client(&simulator.base_url());
    let found = auth0.connection("sms").await.unwrap();
    assert_eq!(found, Some(Connection { id, name: "sms".into(), strategy: "sms".into() }));
    assert_eq!(auth0.connection(CONNECTION).await.unwrap().unwrap().strategy, "auth0");
    assert_eq!(auth0.connection("nowhere").await, Ok(None));
}

#[tokio::test]
async fn refusals_name_their_reason() {
    let simulator = simulator(Config::default()).await;
    simulator.add_connection("google", "google-oauth2");
    let auth0 = client(&simulator.base_url());
    let code = |error: DirectoryError| error.code();

    let mut elsewhere = user(1);
    elsewhere.connection = "nowhere".into();
    assert_eq!(auth0.create(&elsewhere).await.map_err(code).unwrap_err(), Code::ConnectionUnknown);
    elsewhere.connection = "google".into();
    assert_eq!(auth0.create(&elsewhere).await.map_err(code).unwrap_err(), Code::OperationNotSupported);

    let mut weak = user(2);
    weak.password = "short".into();
    assert_eq!(auth0.create(&weak).await.map_err(code).unwrap_err(), Code::PasswordRefused);

    let mut long = user(3);
    long.record.name = Some("x".repeat(301));
    let refused = DirectoryError::Refused { code: Code::UserRefused, field: Some("name".into()) };
    assert_eq!(auth0.create(&long).await, Err(refused));
    assert_eq!(simulator.stats().users, 0);
}

#[tokio::test]
async fn a_ghost_is_taken_and_not_to_be_found() {
    let simulator = simulator(Config::default()).await;
    simulator.plant_ghost("user1@example.com");
    let auth0 = client(&simulator.base_url());
    let new = user(1);
    assert_eq!(auth0.create(&new).await, Err(DirectoryError::Exists));
    assert_eq!(auth0.get(&new.id).await, Ok(None));
    assert_eq!(auth0.by_email("user1@example.com").await, Ok(vec![]));
}

#[tokio::test]
async fn someone_elses_account_is_found_by_its_address() {
    let simulator = simulator(Config::default()).await;
    let id = simulator.plant(PlantedUser::new("user1@example.com"));
    let auth0 = client(&simulator.base_url());
    assert_eq!(auth0.create(&user(1)).await, Err(DirectoryError::Exists));
    assert_eq!(auth0.by_email("user1@example.com").await.unwrap()[0].id.0, id);
}

#[tokio::test]
async fn wrong_credentials_and_missing_scopes_are_told_apart() {
    let simulator = simulator(Config { scopes: vec!["read:users".into()], ..Config::default() }).await;
    let error = client(&simulator.base_url()).create(&user(1)).await.unwrap_err();
    assert_eq!(error, DirectoryError::ScopeMissing { scopes: "create:users".into() });

    let mut wrong = settings(&simulator.base_url());
    wrong.client_secret = "wrong".into();
    assert_eq!(client_with(wrong).0.authenticate().await, Err(TokenError::CredentialsWrong));

    let mut elsewhere = settings(&simulator.base_url());
    elsewhere.audience = Some("https://api.example.com/".into());
    assert_eq!(client_with(elsewhere).0.authenticate().await, Err(TokenError::GrantMissing));
}

#[tokio::test]
async fn a_lost_answer_is_an_unknown_outcome_and_the_user_is_there() {
    let faults = Faults { lost_answers: 1.0, ..Faults::default() };
    let simulator = simulator(Config { faults, ..Config::default() }).await;
    let auth0 = client(&simulator.base_url());
    let new = user(1);
    assert_eq!(auth0.create(&new).await, Err(DirectoryError::Unknown(Code::ConnectionLost)));
    assert_eq!(auth0.get(&new.id).await.unwrap().unwrap().id, new.id);
    assert_eq!(simulator.stats().faults.lost_answers, 1);
}

/// Creates users 1 to `count`, `abreast` at a time.
async fn create_all(auth0: &Arc<ferry_auth0::Auth0>, count: u32, abreast: u32) {
    let lanes: Vec<_> = (0..abreast)
        .map(|lane| {
            let auth0 = auth0.clone();
            tokio::spawn(async move {
                for number in (1..=count).filter(|number| number % abreast == lane) {
                    auth0.create(&user(number)).await.unwrap();
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.await.unwrap();
    }
}

#[tokio::test]
async fn tokens_that_expire_in_the_middle_cost_no_user() {
    let faults = Faults { expire_tokens_after: Some(60), ..Faults::default() };
    let simulator = simulator(Config { faults, ..Config::default() }).await;
    let auth0 = Arc::new(client(&simulator.base_url()));
    create_all(&auth0, 300, 8).await;
    let stats = simulator.stats();
    assert_eq!(stats.users_created, 300);
    assert!(stats.faults.expired_tokens >= 4, "{stats:?}");
    // One renewal each time, not one for each of the eight.
    assert!(stats.tokens_issued <= 7, "{stats:?}");
    assert_eq!(auth0.requests(), stats.management_requests());
}

#[tokio::test]
async fn a_limit_that_is_used_up_costs_no_user() {
    let limits = "custom:10:50".parse().unwrap();
    let simulator = simulator(Config { limits, ..Config::default() }).await;
    let (auth0, limiter) = client_with(settings(&simulator.base_url()));
    let auth0 = Arc::new(auth0);
    create_all(&auth0, 60, 16).await;
    let stats = simulator.stats();
    assert_eq!(stats.users_created, 60);
    assert!(stats.rate_limited > 0);
    assert_eq!(limiter.throttled.lock().unwrap().len() as u64, stats.rate_limited);
    assert_eq!(limiter.observed.lock().unwrap().len() as u64, auth0.requests());
    assert!(limiter.observed.lock().unwrap().iter().all(|(_, seen)| seen.limit == 10));
}

#[tokio::test]
async fn a_storm_of_429s_ends_in_throttled_and_server_errors_in_unknown() {
    let faults = Faults { storm_429: 1.0, ..Faults::default() };
    let stormy = simulator(Config { faults, ..Config::default() }).await;
    let mut settings = settings(&stormy.base_url());
    settings.throttle_patience = Duration::from_millis(250);
    let error = client_with(settings).0.create(&user(1)).await.unwrap_err();
    assert!(matches!(error, DirectoryError::Throttled { .. }));

    let faults = Faults { server_errors: 1.0, ..Faults::default() };
    let failing = simulator(Config { faults, ..Config::default() }).await;
    let error = client(&failing.base_url()).create(&user(1)).await.unwrap_err();
    assert_eq!(error, DirectoryError::Unknown(Code::ServerError));
}
