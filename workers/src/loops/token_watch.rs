//! Makes sure that this process may ask Auth0, before its first job and after a refused token.

use std::time::Duration;

use ferry_domain::{
    Auth0UserId,
    ports::{Directory, DirectoryError},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::pause;
use crate::environment::Environment;

/// Before a refused token is asked for again: the token endpoint has a limit of its own.
const REFUSED: Duration = Duration::from_secs(5);
/// Before an endpoint that did not answer is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// Nobody has this id: an answer says that the token is taken, whatever else it says.
const NOBODY: &str = "auth0|ferry-asks-whether-its-token-is-taken";

pub(crate) async fn token_watch(env: &Environment, end: &CancellationToken) {
    let mut told: Option<String> = None;
    loop {
        let lacks = tokio::select! {
            lacks = lacking(env) => lacks,
            () = end.cancelled() => return,
        };
        let text = lacks.as_ref().map(ToString::to_string);
        if told != text {
            match &text {
                Some(reason) => warn!(reason, "this worker takes no jobs"),
                None => info!("Auth0 takes the token again"),
            }
        }
        env.figures.set_token_lacks(text.clone());
        told = text;
        env.take_gate.set_token_there(lacks.is_none());
        let wait = match lacks {
            None => {
                tokio::select! {
                    () = env.directory.token_refused() => {}
                    () = end.cancelled() => return,
                }
                env.figures.set_token_lacks(Some(Lacks::Refused.to_string()));
                env.take_gate.set_token_there(false);
                REFUSED
            }
            Some(Lacks::NoAnswer(_)) => AGAIN,
            Some(_) => REFUSED,
        };
        if !pause(wait, end).await {
            return;
        }
    }
}

/// Why Auth0 may not be asked for anything.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Lacks {
    #[error(
        "Auth0 refuses the token: check AUTH0_CLIENT_ID and AUTH0_CLIENT_SECRET of this worker; it goes on by itself"
    )]
    Refused,
    #[error(
        "Auth0 gives no token: authorise the application for the Management API, with create:users and read:users"
    )]
    NoGrant,
    #[error("Auth0 gives no token ({0}): check the network and AUTH0_DOMAIN; it goes on by itself")]
    NoAnswer(ferry_domain::Code),
}

async fn lacking(env: &Environment) -> Option<Lacks> {
    if let Err(error) = env.directory.sign_in().await {
        return Some(match error {
            DirectoryError::TokenRefused => Lacks::Refused,
            DirectoryError::ScopeMissing { .. } => Lacks::NoGrant,
            other => Lacks::NoAnswer(other.code()),
        });
    }
    if !env.directory.token_is_refused() {
        return None;
    }
    match env.directory.get(&Auth0UserId(NOBODY.to_owned())).await {
        Err(DirectoryError::TokenRefused) => Some(Lacks::Refused),
        Err(DirectoryError::NotSent(code) | DirectoryError::Unknown(code)) => Some(Lacks::NoAnswer(code)),
        Ok(_) => None,
        // Another refusal comes after the token was taken, and the first user finds it too.
        Err(_) => {
            env.directory.token_is_taken();
            None
        }
    }
}
