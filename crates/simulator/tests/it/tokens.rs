//! The token endpoint, the key set, and what a bearer is refused for.

use std::time::Duration;

use ferry_simulator::{Config, Plan};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use crate::support::{Client, credentials, read};

#[tokio::test]
async fn a_token_carries_the_claims_of_a_machine() {
    let client = Client::plain().await;
    let config = Config::default();
    let answer = client.ask_token(&credentials(&config)).await;
    assert_eq!(answer.body["expires_in"], 86_400);
    assert_eq!(answer.body["token_type"], "Bearer");
    assert!(answer.body.get("refresh_token").is_none());

    let response = client.http.get(client.url("/.well-known/jwks.json"));
    let jwks = read(response.send().await.unwrap()).await.body;
    for field in ["alg", "kty", "use", "n", "e", "kid", "x5t", "x5c"] {
        assert!(jwks["keys"][0].get(field).is_some(), "{field} is missing");
    }
    let keys: JwkSet = serde_json::from_value(jwks).unwrap();
    let token = answer.body["access_token"].as_str().unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!(header.alg, Algorithm::RS256);
    assert_eq!(header.typ.as_deref(), Some("JWT"));

    let key = keys.find(&header.kid.unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["https://tenant.example.auth0.com/api/v2/"]);
    validation.set_issuer(&[client.url("/")]);
    let key = DecodingKey::from_jwk(key).unwrap();
    let claims = jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap().claims;
    assert_eq!(claims["sub"], "simulator-client@clients");
    assert_eq!(claims["azp"], "simulator-client");
    assert_eq!(claims["gty"], "client-credentials");
    assert_eq!(claims["scope"], answer.body["scope"]);
    let life = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(life, 86_400);
    assert_eq!(claims.as_object().unwrap().len(), 8);
}

#[tokio::test]
async fn the_configuration_names_the_issuer_and_the_keys() {
    let client = Client::plain().await;
    let request = client.http.get(client.url("/.well-known/openid-configuration"));
    let body = read(request.send().await.unwrap()).await.body;
    assert_eq!(body["issuer"], client.url("/"));
    assert_eq!(body["jwks_uri"], client.url("/.well-known/jwks.json"));
    assert_eq!(body["token_endpoint"], client.url("/oauth/token"));
}

#[tokio::test]
async fn a_form_is_as_good_as_json() {
    let client = Client::plain().await;
    let form = "grant_type=client_credentials&client_id=simulator-client\
                &client_secret=simulator-secret&audience=http%3A%2F%2F127.0.0.1%3A1%2Fapi%2Fv2%2F";
    let request = client
        .http
        .post(client.url("/oauth/token"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let answer = read(request.send().await.unwrap()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body["access_token"].is_string());
}

#[tokio::test]
async fn wrong_credentials_are_401_and_a_wrong_audience_403() {
    let client = Client::plain().await;
    let good = credentials(&Config::default());
    for field in ["client_id", "client_secret"] {
        let mut wrong = good.clone();
        wrong[field] = json!("other");
        let answer = client.ask_token(&wrong).await;
        assert_eq!(answer.status, 401);
        let expected = json!({ "error": "access_denied", "error_description": "Unauthorized" });
        assert_eq!(answer.body, expected);
    }
    // Without the slash at the end it is another audience.
    let mut wrong = good.clone();
    wrong["audience"] = json!("https://tenant.example.auth0.com/api/v2");
    let answer = client.ask_token(&wrong).await;
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.body,
        json!({
            "error": "access_denied",
            "error_description": "Client \"simulator-client\" is not authorized to access resource \
                server \"https://tenant.example.auth0.com/api/v2\". You need to create a \
                \"client-grant\" associated to this API.",
        })
    );
    assert_eq!(client.simulator.stats().tokens_issued, 1);
}

#[tokio::test]
async fn other_grants_are_refused() {
    let client = Client::plain().await;
    let mut body = credentials(&Config::default());
    body["grant_type"] = json!("password");
    let answer = client.ask_token(&body).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.body["error"], "unsupported_grant_type");
}

#[tokio::test]
async fn the_token_endpoint_has_a_limit_of_its_own() {
    let limits: Plan = "free".parse().unwrap();
    let client = Client::start(Config { limits, ..Config::default() }).await;
    // Wrong credentials count as well, and cost no signature: 30 a second is soon reached.
    let mut wrong = credentials(&Config::default());
    wrong["client_secret"] = json!("other");
    let mut refused = None;
    for _ in 0..10_000 {
        let answer = client.ask_token(&wrong).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.unwrap();
    assert_eq!(refused.body["error"], "too_many_requests");
    assert_eq!(refused.number("x-ratelimit-limit"), 30);
    assert_eq!(refused.number("x-ratelimit-remaining"), 0);
}

#[tokio::test]
async fn bearers_are_refused_in_the_words_of_auth0() {
    let mut client = Client::plain().await;
    let path = "/users-by-email?email=a%40example.com";

    let url = client.url(&format!("/api/v2{path}"));
    let answer = read(client.http.get(url).send().await.unwrap()).await;
    answer.refuses(401, "Unauthorized", None, "Missing authentication");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));

    let good = client.token.clone();
    let unauthorized = |message: &str| {
        json!({
            "statusCode": 401,
            "error": "Unauthorized",
            "message": message,
            "attributes": { "error": message },
        })
    };
    client.token = "nonsense".to_owned();
    let answer = client.get(path).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.body, unauthorized("Invalid token"));

    // Another first character of the signature.
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    client.token = format!("{signed}.{other}{}", &signature[1..]);
    let answer = client.get(path).await;
    let text = "Invalid signature received for JSON Web Token validation";
    assert_eq!(answer.body, unauthorized(text));

    client.token = good;
    assert_eq!(client.get(path).await.status, 200);
    client.simulator.advance(Duration::from_secs(86_401));
    let answer = client.get(path).await;
    let text = "Expired token received for JSON Web Token validation";
    assert_eq!(answer.body, unauthorized(text));
}

#[tokio::test]
async fn a_token_of_an_earlier_simulator_at_the_same_address_is_good() {
    let first = Client::plain().await;
    let token = first.token.clone();
    let listen = first.url("").trim_start_matches("http://").parse().unwrap();
    first.simulator.shutdown().await;
    let mut second = Client::start(Config { listen, ..Config::default() }).await;
    second.token = token;
    let answer = second.get("/users-by-email?email=a%40example.com").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn after_a_rotation_the_old_secret_gets_no_token_and_old_tokens_go_on() {
    let client = Client::plain().await;
    let old = credentials(&Config::default());
    client.simulator.rotate_secret("rotated");
    assert_eq!(client.ask_token(&old).await.status, 401);
    let list = client
        .http
        .get(client.url("/api/v2/users-by-email?email=nobody%40example.com"))
        .bearer_auth(&client.token);
    assert_eq!(read(list.send().await.unwrap()).await.status, 200);
    let mut new = old.clone();
    new["client_secret"] = json!("rotated");
    assert_eq!(client.ask_token(&new).await.status, 200);
}
