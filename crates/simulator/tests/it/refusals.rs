//! The rows of the error table that these endpoints can produce, and z-schema's texts.

use ferry_simulator::Config;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{CONNECTION, Client, read, user, user_with};

#[tokio::test]
async fn bodies_are_refused_in_the_words_of_z_schema() {
    let client = Client::plain().await;
    let email = "a@example.com";
    let long = |length: usize| Value::String("x".repeat(length));
    let cases = [
        (json!({ "email": email }), "'Missing required property: connection'"),
        (user_with(email, "roles", json!([])), "'Additional properties not allowed: roles'"),
        (
            user("none"),
            "'Object didn't pass validation for format email: none' on property email (The user's \
             email)",
        ),
        (
            user_with(email, "name", json!("")),
            "'String is too short (0 chars), minimum 1' on property name (The user's full name)",
        ),
        (
            user_with(email, "given_name", long(151)),
            "'String is too long (151 chars), maximum 150' on property given_name (The user's \
             given name(s))",
        ),
        (
            user_with(email, "user_id", long(256)),
            "'String is too long (256 chars), maximum 255' on property user_id (The external \
             user's id provided by the identity provider)",
        ),
        (
            user_with(email, "user_id", json!("a b")),
            r"'String does not match pattern ^\S*$' on property user_id (The external user's id provided by the identity provider)",
        ),
        (
            user_with(email, "phone_number", json!("0171")),
            r"'String does not match pattern ^\+[0-9]{1,15}$' on property phone_number (The user's phone number (following the E.164 recommendation))",
        ),
        (
            user_with(email, "picture", json!("nowhere")),
            "'Object didn't pass validation for format strict-uri: nowhere' on property picture (A \
             URI pointing to the user's picture)",
        ),
        (
            user_with(email, "blocked", json!("yes")),
            "'Expected type boolean but found type string' on property blocked (Whether this user \
             was blocked by an administrator (true) or not (false))",
        ),
        (
            user_with(email, "nickname", Value::Null),
            "'Expected type string but found type null' on property nickname (The user's nickname)",
        ),
        (json!([1]), "'Expected type object but found type array'"),
        (json!({ "connection": CONNECTION, "email": email }), "'Missing required property: password'"),
    ];
    for (body, text) in cases {
        client.create(body).await.refuses_body(text);
    }
    assert_eq!(client.simulator.stats().users, 0);
}

#[tokio::test]
async fn metadata_keys_are_checked() {
    let client = Client::plain().await;
    for (field, metadata) in [
        ("user_metadata", json!({ "a.b": 1 })),
        ("app_metadata", json!({ "$a": 1 })),
        ("app_metadata", json!({ "email": "x" })),
        ("app_metadata", json!({ "user_id": "x" })),
    ] {
        let answer = client.create(user_with("a@example.com", field, metadata)).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.body["errorCode"], "invalid_body");
    }
    // What is reserved in app_metadata is free in user_metadata.
    let body = user_with("a@example.com", "user_metadata", json!({ "email": "x" }));
    assert_eq!(client.create(body).await.status, 201);
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused() {
    let client = Client::plain().await;
    let request = client
        .http
        .post(client.url("/api/v2/users"))
        .bearer_auth(&client.token)
        .header("content-type", "application/json")
        .body("{");
    let answer = read(request.send().await.unwrap()).await;
    let text = "Invalid request payload JSON format";
    answer.refuses(400, "Bad Request", Some("invalid_body"), text);
}

#[tokio::test]
async fn query_strings_are_refused() {
    let client = Client::plain().await;
    for (path, text) in [
        ("/users-by-email", "Query validation error: 'Missing required property: email'."),
        (
            "/users-by-email?email=a&include_fields=maybe",
            "Query validation error: 'Expected type boolean but found type string' on property \
             include_fields (Whether specified fields are to be included (true) or excluded \
             (false)).",
        ),
        (
            "/connections?per_page=101",
            "Query validation error: 'Value 101 is greater than maximum 100' on property per_page \
             (Number of results per page).",
        ),
        (
            "/connections?take=0",
            "Query validation error: 'Value 0 is less than minimum 1' on property take (Number of \
             results per page).",
        ),
        ("/connections?color=red", "Query validation error: 'Additional properties not allowed: color'."),
    ] {
        let answer = client.get(path).await;
        answer.refuses(400, "Bad Request", Some("invalid_query_string"), text);
    }
}

#[tokio::test]
async fn an_id_without_a_provider_is_refused() {
    let client = Client::plain().await;
    for method in [Method::GET, Method::DELETE] {
        client.ask(method, "/users/6560cd0f", None).await.refuses(
            400,
            "Bad Request",
            Some("invalid_uri"),
            "Object didn't pass validation for format user-id: 6560cd0f",
        );
    }
}

#[tokio::test]
async fn who_and_what_does_not_exist_is_404() {
    let client = Client::plain().await;
    let nobody = "/users/auth0%7Cnobody";
    let text = "The user does not exist.";
    let code = Some("inexistent_user");
    let read_answer = client.get(nobody).await;
    let patch_answer = client.patch("auth0|nobody", json!({ "blocked": true })).await;
    for answer in [read_answer, patch_answer] {
        answer.refuses(404, "Not Found", code, text);
    }
    client.get("/connections/con_0000000000000000").await.refuses(
        404,
        "Not Found",
        Some("inexistent_connection"),
        "The connection does not exist",
    );
    // An unknown route and an unknown method of a known one.
    for (method, path) in [(Method::GET, "/nothing"), (Method::PUT, "/users")] {
        let answer = client.ask(method, path, None).await;
        answer.refuses(404, "Not Found", None, "Not Found");
    }
}

#[tokio::test]
async fn missing_scopes_are_403_and_named() {
    let client = Client::start(Config { scopes: vec!["read:stats".to_owned()], ..Config::default() }).await;
    let path = "/users/auth0%7C1";
    for (method, path, scopes) in [
        (Method::POST, "/users", "create:users"),
        (Method::GET, path, "read:users,read:current_user,read:user_idp_tokens"),
        (Method::PATCH, path, "update:users,update:users_app_metadata,update:current_user_metadata"),
        (Method::DELETE, path, "delete:users,delete:current_user"),
        (Method::GET, "/users-by-email?email=a", "read:users"),
        (Method::GET, "/connections", "read:connections"),
    ] {
        let answer = client.ask(method, path, None).await;
        let text = format!("Insufficient scope, expected any of: {scopes}");
        answer.refuses(403, "Forbidden", Some("insufficient_scope"), &text);
    }
}
