//! A server that answers what a test tells it to, broken answers included.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// With the query.
    pub path: String,
    pub authorization: Option<String>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn is_token(&self) -> bool {
        self.path == "/oauth/token"
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What to answer.
#[derive(Clone, Debug)]
pub enum Reply {
    Json(u16, Value),
    /// With further header lines.
    With(u16, &'static str, Value),
    /// Sent unchanged, as text/html.
    Page(u16, &'static str),
    /// A good head, then half the body and the end.
    Half(u16),
    /// The connection ends without a word.
    Hangup,
    /// Nothing comes for a long time.
    Silence,
}

impl Reply {
    pub fn token(name: &str, expires_in: u64) -> Reply {
        Reply::Json(
            200,
            json!({"access_token": name, "expires_in": expires_in, "token_type": "Bearer", "scope": "x"}),
        )
    }

    pub fn failure(status: u16, error_code: &str, message: &str) -> Reply {
        Reply::Json(
            status,
            json!({"statusCode": status, "error": "…", "message": message, "errorCode": error_code}),
        )
    }

    pub fn user(status: u16) -> Reply {
        Reply::Json(
            status,
            json!({
                "user_id": "auth0|1", "email": "ann@example.com", "email_verified": true,
                "identities": [{"connection": "db", "user_id": "1", "provider": "auth0", "isSocial": false}],
            }),
        )
    }
}

pub struct StandIn {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    server: JoinHandle<()>,
}

impl StandIn {
    /// Tokens are given out by themselves (`token-1`, …); `answer` is asked for all else.
    pub async fn answering(answer: impl FnMut(&Seen) -> Reply + Send + 'static) -> StandIn {
        let mut answer = answer;
        let mut given = 0;
        StandIn::start(move |seen| {
            if !seen.is_token() {
                return answer(seen);
            }
            given += 1;
            Reply::token(&format!("token-{given}"), 86_400)
        })
        .await
    }

    /// `answer` is asked for every request, one after the other.
    pub async fn start(answer: impl FnMut(&Seen) -> Reply + Send + 'static) -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(Mutex::new(answer));
        let noted = seen.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (noted, answer) = (noted.clone(), answer.clone());
                tokio::spawn(serve(stream, move |request: Seen| {
                    noted.lock().unwrap().push(request.clone());
                    (*answer.lock().unwrap())(&request)
                }));
            }
        });
        StandIn { url, seen, server }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn token_requests(&self) -> usize {
        self.seen().iter().filter(|seen| seen.is_token()).count()
    }

    pub fn calls(&self) -> usize {
        self.seen().iter().filter(|seen| !seen.is_token()).count()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(mut stream: TcpStream, answer: impl Fn(Seen) -> Reply) {
    while let Some(request) = read_request(&mut stream).await {
        let text = match answer(request) {
            Reply::Json(status, body) => {
                http(status, "", "application/json; charset=utf-8", &body.to_string())
            }
            Reply::With(status, headers, body) => {
                http(status, headers, "application/json", &body.to_string())
            }
            Reply::Page(status, page) => http(status, "", "text/html", page),
            Reply::Half(status) => {
                let whole = http(status, "", "application/json", r#"{"user_id":"auth0|1","identities":[]}"#);
                let _ = stream.write_all(&whole.as_bytes()[..whole.len() - 10]).await;
                return;
            }
            Reply::Hangup => return,
            Reply::Silence => return tokio::time::sleep(Duration::from_secs(3600)).await,
        };
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn http(status: u16, headers: &str, kind: &str, body: &str) -> String {
    let length = if status == 204 { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let body = if status == 204 { "" } else { body };
    format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n{length}{headers}\r\n{body}")
}

async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).ok()?;
    let header = |name: &str| {
        text.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
    };
    let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while bytes.len() < head + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let mut first = text.lines().next()?.split(' ');
    Some(Seen {
        method: first.next()?.to_owned(),
        path: first.next()?.to_owned(),
        authorization: header("authorization"),
        body: bytes[head + 4..].to_vec(),
    })
}
