//! One request with its permit, its headers for the limiter, and the tries after 429 and 401.

use std::{sync::atomic::Ordering, time::Duration};

use ferry_domain::{
    figures::{Answered, Operation, Timed},
    ports::{DirectoryError, Group, Observed},
    telemetry::traces::{TARGET, TARGET_USER},
};
use reqwest::{
    Method, Request,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use tokio::time::Instant;
use tracing::{Instrument, Span, field::Empty};
use url::Url;

use crate::{
    client::Auth0,
    errors::Broken,
    response::{body, seconds},
    token::Token,
};

/// Shortest wait after a 429, in case the limiter does not wait at all.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// What is to be sent.
pub(crate) struct Call {
    pub(crate) group: Group,
    pub(crate) operation: Operation,
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// The path without a user's data, for traces.
    pub(crate) template: &'static str,
    /// The body as JSON.
    pub(crate) body: Option<Vec<u8>>,
}

/// The answer: any but 429 and a first 401.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Empty when an error's body could not be read: the status is enough.
    pub(crate) body: Vec<u8>,
    retry_after: Option<Duration>,
}

impl Auth0 {
    /// Sends the call until the answer is no 429, and once more with a new token after a 401.
    pub(crate) async fn send(&self, call: Call) -> Result<Answer, DirectoryError> {
        let mut patience_ends = None;
        let mut refused = None;
        let mut sent = 0;
        // Before the permit, so that callers that wait for a first token don't all send together after it.
        self.tokens.current().await?;
        loop {
            let asked = Instant::now();
            self.limiter.acquire(call.group).await;
            self.figures.took(Timed::LimitWait(call.group), asked.elapsed());
            let token = self.tokens.current().await?;
            let span = self.span(&call, sent);
            sent += 1;
            let answer = self.send_timed(&call, &token).instrument(span).await?;
            match answer.status {
                429 => {
                    self.limiter.throttled(call.group, answer.retry_after);
                    let ends = *patience_ends.get_or_insert_with(|| Instant::now() + self.patience);
                    let wait = answer.retry_after.unwrap_or(SHORTEST_WAIT).max(SHORTEST_WAIT);
                    if Instant::now() + wait > ends {
                        return Err(DirectoryError::Throttled { retry_after: answer.retry_after });
                    }
                    tokio::time::sleep(wait).await;
                }
                401 if refused.is_none() => {
                    self.tokens.after(&token).await?;
                    refused = Some(token);
                }
                _ => return Ok(answer),
            }
        }
    }

    /// Also tells how long the answer took.
    async fn send_timed(&self, call: &Call, token: &Token) -> Result<Answer, DirectoryError> {
        let sent = Instant::now();
        let answer = self.send_once(call, token).await;
        let answered = Answered::of(answer.as_ref().ok().map(|answer| answer.status));
        self.figures.took(Timed::Request(call.operation, answered), sent.elapsed());
        note(&Span::current(), &answer);
        answer
    }

    async fn send_once(&self, call: &Call, token: &Token) -> Result<Answer, DirectoryError> {
        let request = request(call, token);
        self.requests.fetch_add(1, Ordering::Relaxed);
        let _out = self.unanswered.sent();
        let response = self.http.execute(request).await.map_err(|error| Broken::sending(&error))?;
        self.unanswered.answered();
        let status = response.status().as_u16();
        let retry_after = seconds(response.headers().get(RETRY_AFTER));
        if let Some(observed) = observed(response.headers()) {
            self.limiter.observe(call.group, observed);
        }
        match body(response).await {
            Ok(body) => Ok(Answer { status, body, retry_after }),
            Err(_) if status >= 300 => Ok(Answer { status, body: Vec::new(), retry_after }),
            Err(broken) => Err(broken.into()),
        }
    }

    /// Around one request, if the user that it is for has a span. Named by the path's template:
    /// the path holds an id, and a query may hold an address.
    fn span(&self, call: &Call, resent: u32) -> Span {
        if Span::current().metadata().is_none_or(|metadata| metadata.target() != TARGET_USER) {
            return Span::none();
        }
        tracing::info_span!(
            target: TARGET,
            "request",
            otel.name = format!("{} {}", call.method, call.template),
            otel.kind = "client",
            otel.status_code = Empty,
            http.request.method = call.method.as_str(),
            http.request.resend_count = (resent > 0).then_some(resent),
            http.response.status_code = Empty,
            url.template = call.template,
            server.address = self.urls.host,
            server.port = self.urls.users.port_or_known_default(),
            "error.type" = Empty,
        )
    }
}

/// Takes note of the answer in the span around its request.
fn note(span: &Span, answer: &Result<Answer, DirectoryError>) {
    if span.is_none() || span.metadata().is_none_or(|metadata| metadata.name() != "request") {
        return;
    }
    match answer {
        Ok(answer) => {
            span.record("http.response.status_code", answer.status);
            if answer.status >= 400 {
                span.record("otel.status_code", "error");
                span.record("error.type", answer.status.to_string());
            }
        }
        Err(error) => {
            span.record("otel.status_code", "error");
            span.record("error.type", error.code().as_str());
        }
    }
}

fn request(call: &Call, token: &Token) -> Request {
    let mut request = Request::new(call.method.clone(), call.url.clone());
    request.headers_mut().insert(AUTHORIZATION, token.header.clone());
    if let Some(body) = &call.body {
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(body.clone().into());
    }
    request
}

fn observed(headers: &HeaderMap) -> Option<Observed> {
    let figure = |name| headers.get(name)?.to_str().ok()?.trim().parse().ok();
    Some(Observed { limit: figure("x-ratelimit-limit")?, remaining: figure("x-ratelimit-remaining")? })
}
