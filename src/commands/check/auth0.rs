//! Whether Auth0 knows us, lets us read, and has the connection. Two requests.
//!
//! That users may be created can't be asked without creating one, so a missing
//! create:users shows with the first user: the run stops, and no user fails for it.

use ferry_domain::{
    Auth0UserId, Code,
    ports::{Directory, DirectoryError},
};

use super::{Line, error, ok, warning};
use crate::{
    settings::Settings,
    system::{SystemClock, SystemRandom},
    wiring::{self, Place},
};

pub async fn check(settings: &Settings, lines: &mut Vec<Line>) {
    let directory = async {
        let auth0 = wiring::auth0_settings(settings)?;
        wiring::directory(auth0, &settings.limits()?, &Place::from_environment()?)
    };
    let directory = match directory.await {
        Ok((directory, _limiter)) => directory,
        Err(wrong) => {
            lines.push(error("auth0", wrong, "Set what is missing; .env.sample lists all of it."));
            return;
        }
    };
    let tenant = wiring::tenant().ok().flatten().unwrap_or_default();
    let may_read = reading(&*directory).await;
    lines.push(match &may_read {
        // 403 comes with a token that is accepted.
        Ok(()) | Err(DirectoryError::ScopeMissing { .. }) => {
            ok("auth0", format!("{tenant} accepts the token"))
        }
        Err(DirectoryError::TokenRefused) => {
            error("auth0", format!("{tenant} refuses the client or its token"), Code::TokenRefused.remedy())
        }
        Err(wrong) => error("auth0", format!("{tenant}: {wrong}"), wrong.code().remedy()),
    });
    match may_read {
        Ok(()) => lines.push(ok("scopes", "read:users is granted; create:users shows with the first user")),
        Err(wrong @ DirectoryError::ScopeMissing { .. }) => {
            lines.push(error("scopes", wrong, Code::ScopeMissing.remedy()));
        }
        Err(_) => return, // nothing more would be learnt
    }
    lines.push(connection(&*directory, &settings.auth0.connection).await);
}

/// Reads a user that nobody has.
async fn reading(directory: &dyn Directory) -> Result<(), DirectoryError> {
    let nobody =
        Auth0UserId(format!("auth0|ferry-check-{}", ferry_domain::RunId::new(&SystemClock, &SystemRandom)));
    directory.get(&nobody).await.map(drop)
}

async fn connection(directory: &dyn Directory, name: &str) -> Line {
    match directory.connection(name).await {
        Ok(Some(found)) if found.strategy == "auth0" => {
            ok("connection", format!("{name} is a database connection"))
        }
        Ok(Some(found)) => error(
            "connection",
            format!("{name} is of strategy {}, no database connection", found.strategy),
            Code::OperationNotSupported.remedy(),
        ),
        Ok(None) => error("connection", format!("there is no {name}"), Code::ConnectionUnknown.remedy()),
        Err(DirectoryError::ScopeMissing { .. }) => warning(
            "connection",
            format!("whether {name} exists can't be seen: the token lacks read:connections"),
            "Grant the application read:connections, or look yourself; Ferry works without that scope.",
        ),
        Err(wrong) => error("connection", format!("{name}: {wrong}"), wrong.code().remedy()),
    }
}
