//! Refusals in the two forms that Auth0 uses: the envelope of the Management API and the OAuth
//! error of the token endpoint. The texts are Auth0's, letter by letter; clients match on them.

use std::borrow::Cow;

use axum::http::StatusCode;
use serde_json::{Value, json};

/// A refusal by the Management API.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) message: Cow<'static, str>,
    pub(crate) code: Option<&'static str>,
    /// Value of `www-authenticate`, for 401 only.
    pub(crate) challenge: Option<&'static str>,
}

impl ApiError {
    fn new(status: StatusCode, code: Option<&'static str>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into(), code, challenge: None }
    }

    /// 400 with an error code.
    pub(crate) fn bad_request(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Some(code), message)
    }

    /// 400 for a password that the connection's policy refuses; carries no code.
    pub(crate) fn weak_password() -> Self {
        Self::new(StatusCode::BAD_REQUEST, None, "PasswordStrengthError: Password is too weak")
    }

    pub(crate) fn unknown_connection_name() -> Self {
        Self::bad_request("inexistent_connection", "The connection does not exist.")
    }

    /// The sub-resources of connections write this text without a full stop.
    pub(crate) fn unknown_connection_id() -> Self {
        Self::new(StatusCode::NOT_FOUND, Some("inexistent_connection"), "The connection does not exist")
    }

    pub(crate) fn unknown_user() -> Self {
        Self::new(StatusCode::NOT_FOUND, Some("inexistent_user"), "The user does not exist.")
    }

    pub(crate) fn unknown_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, None, "Not Found")
    }

    pub(crate) fn user_exists() -> Self {
        Self::new(StatusCode::CONFLICT, Some("auth0_idp_error"), "The user already exists.")
    }

    pub(crate) fn missing_authentication() -> Self {
        Self {
            challenge: Some("Bearer"),
            ..Self::new(StatusCode::UNAUTHORIZED, None, "Missing authentication")
        }
    }

    pub(crate) fn invalid_token() -> Self {
        Self {
            challenge: Some("Bearer error=\"Invalid token\""),
            ..Self::new(StatusCode::UNAUTHORIZED, None, "Invalid token")
        }
    }

    pub(crate) fn invalid_signature() -> Self {
        Self {
            challenge: Some("Bearer error=\"Invalid signature received for JSON Web Token validation\""),
            ..Self::new(
                StatusCode::UNAUTHORIZED,
                None,
                "Invalid signature received for JSON Web Token validation",
            )
        }
    }

    pub(crate) fn expired_token() -> Self {
        Self {
            challenge: Some("Bearer error=\"Expired token received for JSON Web Token validation\""),
            ..Self::new(
                StatusCode::UNAUTHORIZED,
                None,
                "Expired token received for JSON Web Token validation",
            )
        }
    }

    pub(crate) fn insufficient_scope(any_of: &[&str]) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            Some("insufficient_scope"),
            format!("Insufficient scope, expected any of: {}", any_of.join(",")),
        )
    }

    pub(crate) fn too_many_requests() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, Some("too_many_requests"), "Global limit has been reached")
    }

    /// The injected fault: 500 and 503 alternately.
    pub(crate) fn broken(number: u64) -> Self {
        if number % 2 == 1 {
            let text = "An internal server error occurred";
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, None, text)
        } else {
            Self::new(StatusCode::SERVICE_UNAVAILABLE, None, "Service Unavailable")
        }
    }

    /// The refusal as the envelope of the Management API.
    pub(crate) fn body(&self) -> Value {
        let mut body = json!({
            "statusCode": self.status.as_u16(),
            "error": self.status.canonical_reason().unwrap_or_default(),
            "message": self.message,
        });
        if let Some(code) = self.code {
            body["errorCode"] = json!(code);
        }
        // For a bearer that was checked and refused the reason is repeated here.
        if self.status == StatusCode::UNAUTHORIZED && self.challenge != Some("Bearer") {
            body["attributes"] = json!({ "error": self.message });
        }
        body
    }
}

/// A refusal by the token endpoint.
#[derive(Debug)]
pub(crate) struct OAuthError {
    pub(crate) status: StatusCode,
    error: &'static str,
    description: String,
}

impl OAuthError {
    pub(crate) fn new(status: StatusCode, error: &'static str, description: impl Into<String>) -> Self {
        Self { status, error, description: description.into() }
    }

    pub(crate) fn body(&self) -> Value {
        json!({ "error": self.error, "error_description": self.description })
    }
}
