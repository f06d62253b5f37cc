//! Errors of the client. None carries a URL, a body or an address.

use std::time::Duration;

use ferry_domain::{Code, ports::DirectoryError};

/// The settings can't work.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The domain is not a bare host.
    #[error("{0:?} is no Auth0 domain: give the host alone, like tenant.eu.auth0.com")]
    Domain(String),
    /// The base URL is not one that Auth0 can have.
    #[error("the base URL can't be used: {0}")]
    BaseUrl(&'static str),
    /// The client id is empty.
    #[error("the client id is empty: set AUTH0_CLIENT_ID")]
    ClientId,
    /// A time limit of zero.
    #[error("request and connect timeouts must be more than zero")]
    Timeout,
    /// TLS could not be set up.
    #[error("the HTTP client can't be made: {0}")]
    Client(String),
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// 401 at the token endpoint.
    #[error(
        "Auth0 does not know this client id and secret: check AUTH0_CLIENT_ID and AUTH0_CLIENT_SECRET, and that the domain is this application's tenant"
    )]
    CredentialsWrong,
    /// 403: the application may not use the Management API.
    #[error(
        "the application has no grant for the Management API: authorise it under Applications > APIs > Auth0 Management API, with create:users and read:users"
    )]
    GrantMissing,
    /// 429 for longer than the client waits by itself.
    #[error("the token endpoint's rate limit is used up: try again later")]
    Throttled {
        /// The wait that the server asked for.
        retry_after: Option<Duration>,
    },
    /// Another 4xx: the audience, say.
    #[error(
        "the token endpoint refuses the request with status {status}: check the audience and the application's grant types (client credentials)"
    )]
    Refused {
        /// Its HTTP status.
        status: u16,
    },
    /// The endpoint failed in a way that may pass.
    #[error("no token could be had ({0}): {remedy}", remedy = .0.remedy())]
    Unavailable(Code),
}

impl From<TokenError> for DirectoryError {
    /// Without a token nothing was sent.
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::CredentialsWrong | TokenError::Refused { .. } => DirectoryError::TokenRefused,
            TokenError::GrantMissing => {
                DirectoryError::ScopeMissing { scopes: "a client grant for the Management API".to_owned() }
            }
            TokenError::Throttled { retry_after } => DirectoryError::Throttled { retry_after },
            TokenError::Unavailable(code) => DirectoryError::NotSent(code),
        }
    }
}

/// What went wrong with the connection, without the URL that reqwest's own text contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// No connection: nothing was sent.
    NotConnected,
    /// No answer in time.
    TimedOut,
    /// The connection broke.
    Lost,
    /// The body could not be read or understood.
    Unreadable,
}

impl Broken {
    pub(crate) fn sending(error: &reqwest::Error) -> Broken {
        if error.is_connect() || error.is_builder() {
            Broken::NotConnected
        } else if error.is_timeout() {
            Broken::TimedOut
        } else {
            Broken::Lost
        }
    }

    pub(crate) fn reading(error: &reqwest::Error) -> Broken {
        if error.is_timeout() { Broken::TimedOut } else { Broken::Unreadable }
    }

    pub(crate) fn code(self) -> Code {
        match self {
            Broken::NotConnected | Broken::Lost => Code::ConnectionLost,
            Broken::TimedOut => Code::TimedOut,
            Broken::Unreadable => Code::AnswerUnreadable,
        }
    }
}

impl From<Broken> for DirectoryError {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::NotConnected => DirectoryError::NotSent(broken.code()),
            _ => DirectoryError::Unknown(broken.code()),
        }
    }
}
