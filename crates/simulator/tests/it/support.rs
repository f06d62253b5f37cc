//! A bare client: it does nothing on its own, so that a test sees each request and each answer.

use ferry_simulator::{Config, Simulator};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

pub const CONNECTION: &str = "Username-Password-Authentication";

/// A simulator and a token for it.
pub struct Client {
    pub simulator: Simulator,
    pub http: reqwest::Client,
    pub token: String,
}

/// Status, headers and JSON body of an answer (null if there is no body).
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn number(&self, name: &str) -> u64 {
        self.header(name).unwrap().parse().unwrap()
    }

    /// Demands the envelope of §2.2 with exactly this content.
    #[track_caller]
    pub fn refuses(&self, status: u16, error: &str, code: Option<&str>, message: &str) {
        let mut expected = json!({ "statusCode": status, "error": error, "message": message });
        if let Some(code) = code {
            expected["errorCode"] = json!(code);
        }
        assert_eq!(self.body, expected);
        assert_eq!(self.status.as_u16(), status);
        assert_eq!(self.header("content-type"), Some("application/json; charset=utf-8"));
    }

    /// Demands a 400 `invalid_body` with this text.
    #[track_caller]
    pub fn refuses_body(&self, text: &str) {
        let message = format!("Payload validation error: {text}.");
        self.refuses(400, "Bad Request", Some("invalid_body"), &message);
    }
}

impl Client {
    pub async fn start(config: Config) -> Self {
        let credentials = credentials(&config);
        let simulator = Simulator::start(config).await.unwrap();
        let mut client = Self { simulator, http: reqwest::Client::new(), token: String::new() };
        client.token = client.new_token(&credentials).await;
        client
    }

    pub async fn plain() -> Self {
        Self::start(Config::default()).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.simulator.base_url())
    }

    pub async fn new_token(&self, credentials: &Value) -> String {
        let answer = self.ask_token(credentials).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["access_token"].as_str().unwrap().to_owned()
    }

    pub async fn ask_token(&self, body: &Value) -> Answer {
        let request = self.http.post(self.url("/oauth/token")).json(body);
        read(request.send().await.unwrap()).await
    }

    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        read(self.send(method, path, body).await.unwrap()).await
    }

    /// The request as it is, for those whose answer never comes.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<reqwest::Response> {
        let url = self.url(&format!("/api/v2{path}"));
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    pub async fn create(&self, body: Value) -> Answer {
        self.ask(Method::POST, "/users", Some(body)).await
    }

    pub async fn patch(&self, id: &str, body: Value) -> Answer {
        self.ask(Method::PATCH, &user_path(id), Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.ask(Method::DELETE, path, None).await
    }
}

pub async fn read(response: reqwest::Response) -> Answer {
    let status = response.status();
    let headers = response.headers().clone();
    let bytes = response.bytes().await.unwrap();
    let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
    Answer { status, headers, body }
}

pub fn credentials(config: &Config) -> Value {
    json!({
        "grant_type": "client_credentials",
        "client_id": config.client_id,
        "client_secret": config.client_secret,
        "audience": "https://tenant.example.auth0.com/api/v2/",
        "organization": null,
    })
}

pub fn user_path(id: &str) -> String {
    format!("/users/{}", id.replace('|', "%7C"))
}

/// A body that is accepted.
pub fn user(email: &str) -> Value {
    json!({ "connection": CONNECTION, "email": email, "password": "Correct-Horse-7" })
}

/// The same with one more field.
pub fn user_with(email: &str, field: &str, value: Value) -> Value {
    let mut body = user(email);
    body[field] = value;
    body
}
