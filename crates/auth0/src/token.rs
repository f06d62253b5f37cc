//! One token for the whole process (FACTS §12.5).
//!
//! It is renewed before it expires by the first caller that finds it due, while the others
//! use the old one. After a 401 all callers wait for one renewal: the first that gets the
//! lock makes it, the others find a newer token than the one that was refused. The error of
//! a failed renewal is returned to all callers that waited for it; else a dead endpoint
//! would be asked once per caller, each after the other's time-out.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ferry_domain::{
    Code, Figures,
    figures::{Answered, Operation, Timed},
};
use reqwest::header::{DATE, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::Mutex, time::Instant};
use url::Url;

use crate::{
    errors::{Broken, TokenError},
    response,
    settings::Auth0Settings,
    unanswered::Unanswered,
    wire,
};

/// A token is renewed this long before it expires, or at 90 % of its life if that is later.
const AHEAD: Duration = Duration::from_secs(60);
/// After a renewal ahead of time failed, the old token serves this long before the next try.
const AGAIN: Duration = Duration::from_secs(5);
/// First wait after a 429 of the token endpoint; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// What Auth0 said when it gave a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// What the token allows, with spaces between; `None` where the answer did not say it.
    pub scope: Option<String>,
    /// Time of day there, as its header `date` has it.
    pub date: Option<String>,
}

/// A token ready to be sent.
pub(crate) struct Token {
    /// `Bearer …`, marked sensitive.
    pub(crate) header: HeaderValue,
    /// What came with it.
    pub(crate) granted: Granted,
    /// The number of the renewal that made it.
    generation: u64,
    expires: Instant,
}

pub(crate) struct Tokens {
    http: reqwest::Client,
    url: Url,
    audience: String,
    client_id: String,
    client_secret: SecretString,
    patience: Duration,
    unanswered: Unanswered,
    figures: Arc<Figures>,
    held: RwLock<Held>,
    renewal: Mutex<()>,
    /// Number of renewals that ended, successful or not.
    ended: AtomicU64,
}

#[derive(Default)]
struct Held {
    token: Option<Arc<Token>>,
    renew_at: Option<Instant>,
    /// Why the last renewal failed.
    error: Option<TokenError>,
}

impl Tokens {
    pub(crate) fn new(
        http: reqwest::Client,
        settings: &Auth0Settings,
        unanswered: Unanswered,
        figures: Arc<Figures>,
    ) -> Tokens {
        Tokens {
            http,
            url: settings.url("/oauth/token"),
            audience: settings.audience(),
            client_id: settings.client_id.clone(),
            client_secret: settings.client_secret.clone(),
            patience: settings.throttle_patience,
            unanswered,
            figures,
            held: RwLock::default(),
            renewal: Mutex::new(()),
            ended: AtomicU64::new(0),
        }
    }

    /// The token, asked for if there is none.
    pub(crate) async fn current(&self) -> Result<Arc<Token>, TokenError> {
        let now = Instant::now();
        let (token, due) = {
            let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
            (held.token.clone().filter(|token| now < token.expires), held.renew_at.is_none_or(|at| now >= at))
        };
        let Some(token) = token else { return self.renewed(None).await };
        if due && let Ok(_first) = self.renewal.try_lock() {
            return Ok(self.renew_ahead(token).await);
        }
        Ok(token)
    }

    /// A newer token than the one that was refused.
    pub(crate) async fn after(&self, refused: &Token) -> Result<Arc<Token>, TokenError> {
        self.renewed(Some(refused.generation)).await
    }

    async fn renewed(&self, refused: Option<u64>) -> Result<Arc<Token>, TokenError> {
        let before = self.ended.load(Ordering::Acquire);
        let _one = self.renewal.lock().await;
        {
            let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(token) = &held.token
                && Some(token.generation) != refused
                && Instant::now() < token.expires
            {
                return Ok(token.clone());
            }
            if let Some(error) = &held.error
                && self.ended.load(Ordering::Acquire) != before
            {
                return Err(error.clone());
            }
        }
        self.renew().await
    }

    /// The old token is still valid, so a failed renewal is only logged.
    async fn renew_ahead(&self, old: Arc<Token>) -> Arc<Token> {
        match self.renew().await {
            Ok(new) => new,
            Err(error) => {
                tracing::warn!(%error, "the token could not be renewed ahead of time: trying again in 5 s");
                let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
                held.renew_at = Some(Instant::now() + AGAIN);
                old
            }
        }
    }

    /// Asks for a token and keeps it. The caller holds the lock `renewal`.
    async fn renew(&self) -> Result<Arc<Token>, TokenError> {
        let asked = Instant::now();
        let result = self.ask().await;
        let generation = self.ended.fetch_add(1, Ordering::AcqRel) + 1;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        match result.and_then(|answer| Ok((header(&answer)?, answer))) {
            Ok((header, answer)) => {
                let life = response::time(answer.expires_in);
                let granted = Granted { scope: answer.scope, date: answer.date };
                let token = Arc::new(Token { header, granted, generation, expires: asked + life });
                let renew_at = asked + life - AHEAD.min(life / 10);
                *held = Held { token: Some(token.clone()), renew_at: Some(renew_at), error: None };
                tracing::debug!(life_s = life.as_secs(), "got a token");
                Ok(token)
            }
            Err(error) => {
                held.error = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Asks until the endpoint answers something other than 429, or patience ends.
    async fn ask(&self) -> Result<wire::TokenAnswer, TokenError> {
        let until = Instant::now() + self.patience;
        let mut wait = FIRST_WAIT;
        loop {
            match self.ask_timed().await {
                Err(TokenError::Throttled { retry_after }) => {
                    let pause = retry_after.unwrap_or(wait);
                    if Instant::now() + pause > until {
                        return Err(TokenError::Throttled { retry_after });
                    }
                    tracing::warn!(pause_ms = pause.as_millis() as u64, "the token endpoint answered 429");
                    tokio::time::sleep(pause).await;
                    wait = (wait * 2).min(Duration::from_secs(8));
                }
                other => return other,
            }
        }
    }

    /// Also tells how long the answer took.
    async fn ask_timed(&self) -> Result<wire::TokenAnswer, TokenError> {
        let asked = Instant::now();
        let answer = self.ask_once().await;
        self.figures.took(Timed::Request(Operation::Token, answered(&answer)), asked.elapsed());
        answer
    }

    async fn ask_once(&self) -> Result<wire::TokenAnswer, TokenError> {
        let question = wire::TokenQuestion {
            grant_type: "client_credentials",
            client_id: &self.client_id,
            client_secret: self.client_secret.expose_secret(),
            audience: &self.audience,
        };
        let _out = self.unanswered.sent();
        let sent = self.http.post(self.url.clone()).json(&question).send().await;
        let answer = sent.map_err(|error| TokenError::Unavailable(Broken::sending(&error).code()))?;
        self.unanswered.answered();
        let status = answer.status().as_u16();
        let retry_after = response::seconds(answer.headers().get(RETRY_AFTER));
        let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        let body = response::body(answer).await.map_err(|broken| TokenError::Unavailable(broken.code()))?;
        match status {
            200..=299 => {
                let answer: wire::TokenAnswer = serde_json::from_slice(&body)
                    .map_err(|_| TokenError::Unavailable(Code::AnswerUnreadable))?;
                Ok(wire::TokenAnswer { date, ..answer })
            }
            429 => Err(TokenError::Throttled { retry_after }),
            401 => Err(TokenError::CredentialsWrong),
            // The wrong secret is 401 at Auth0; only a missing grant is 403.
            403 => Err(TokenError::GrantMissing),
            408 => Err(TokenError::Unavailable(Code::TimedOut)),
            500.. => Err(TokenError::Unavailable(Code::ServerError)),
            _ => Err(TokenError::Refused { status }),
        }
    }
}

fn answered(answer: &Result<wire::TokenAnswer, TokenError>) -> Answered {
    match answer {
        Ok(_) => Answered::Success,
        Err(TokenError::Throttled { .. }) => Answered::Throttled,
        Err(TokenError::CredentialsWrong | TokenError::GrantMissing) => Answered::Refused,
        Err(TokenError::Refused { status }) => Answered::of(Some(*status)),
        Err(TokenError::Unavailable(Code::ServerError)) => Answered::ServerError,
        Err(TokenError::Unavailable(_)) => Answered::Nothing,
    }
}

fn header(answer: &wire::TokenAnswer) -> Result<HeaderValue, TokenError> {
    let mut header = HeaderValue::try_from(format!("Bearer {}", answer.access_token))
        .map_err(|_| TokenError::Unavailable(Code::AnswerUnreadable))?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests;
