//! Whether Auth0 knows us, lets us read, and has the connection. Two requests and one for a token.
//!
//! That users may be created can't be asked without creating one, so a missing
//! create:users shows with the first user: the run stops, and no user fails for it.

use std::sync::Arc;

use ferry_auth0::Auth0;
use ferry_domain::{
    Auth0UserId, Code,
    ports::{Directory, DirectoryError, Limiter},
};
use ferry_limiter::{LocalLimiter, TenantLimiter};

use super::{Line, error, ok, warning};
use crate::{
    exit::usage,
    setup::Setup,
    system::{SystemClock, SystemRandom},
    tenant,
};

pub async fn check(setup: &Setup, lines: &mut Vec<Line>) {
    let (auth0, limiter) = match client(setup) {
        Ok(client) => client,
        Err(wrong) => {
            lines.push(error("auth0", wrong, "Set what is missing; .env.sample lists all of it."));
            return;
        }
    };
    let name = tenant::named(&setup.servers).ok().flatten().unwrap_or_default();
    if let Err(wrong) = auth0.authenticate().await {
        // Its text says what to correct.
        lines.push(error(
            "auth0",
            format!("{name}: {wrong}"),
            "Until then no user is created, and none fails.",
        ));
        return;
    }
    lines.push(ok("auth0", format!("{name} gives a token")));
    match reading(&auth0).await {
        Ok(()) => lines.push(ok("scopes", "read:users is granted; create:users shows with the first user")),
        Err(wrong @ DirectoryError::ScopeMissing { .. }) => {
            lines.push(error("scopes", wrong, Code::ScopeMissing.remedy()));
        }
        Err(wrong) => {
            lines.push(error("scopes", format!("reading a user: {wrong}"), wrong.code().remedy()));
            return; // nothing more would be learnt
        }
    }
    lines.push(connection(&auth0, &setup.settings.auth0.connection).await);
    if let Some(named) = limiter.figures().named {
        lines.push(warning(
            "limits",
            format!(
                "the tenant's headers name the limits of {named}, and the plan is {}",
                setup.settings.auth0.limits
            ),
            "Workers keep to the tenant's; set AUTH0_PLAN to its plan.",
        ));
    }
}

/// A client with limits of its own: two requests need not be shared out over all workers.
fn client(setup: &Setup) -> anyhow::Result<(Auth0, Arc<TenantLimiter>)> {
    let limits = setup.settings.limits()?;
    let limiter = Arc::new(TenantLimiter::new(Arc::new(LocalLimiter::new(&limits)), &limits));
    let sign_in = tenant::sign_in(&setup.servers, &setup.settings)?;
    Ok((Auth0::new(sign_in, limiter.clone()).map_err(usage)?, limiter))
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
