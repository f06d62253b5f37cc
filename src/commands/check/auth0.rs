//! Whether Auth0 knows us, lets us read, and has the connection. Two requests and one for a token.
//!
//! That users may be created is read from the scope of the token. Where it is not said, a missing
//! create:users shows with the first user: the run stops, and no user fails for it.

use std::{sync::Arc, time::Duration};

use ferry_auth0::Auth0;
use ferry_domain::{
    Auth0UserId, Code,
    ports::{Clock, Directory, DirectoryError, Limiter},
};
use ferry_limiter::{LocalLimiter, TenantLimiter};
use ferry_operations::{consent, units};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use super::{Line, error, ok, warning};
use crate::{
    exit::usage,
    setup::Setup,
    system::{SystemClock, SystemRandom},
    tenant,
};

/// Clocks that differ by less are the same, for people.
const CLOCK: Duration = Duration::from_secs(30);

pub async fn check(setup: &Setup, lines: &mut Vec<Line>) {
    let (auth0, limiter) = match client(setup) {
        Ok(client) => client,
        Err(wrong) => {
            lines.push(error("auth0", wrong, "Set what is missing; .env.sample lists all of it."));
            return;
        }
    };
    let name = tenant::named(&setup.servers).ok().flatten().unwrap_or_default();
    let granted = match auth0.authenticate().await {
        Ok(granted) => granted,
        Err(wrong) => {
            // Its text says what to correct.
            lines.push(error(
                "auth0",
                format!("{name}: {wrong}"),
                "Until then no user is created, and none fails.",
            ));
            return;
        }
    };
    lines.push(ok("auth0", format!("{name} gives a token")));
    if consent::is_production(&name, &setup.settings.auth0.production) {
        lines.push(ok("auth0", format!("{name} is a tenant of production: what sends takes its name")));
    }
    lines.extend(clock(granted.date.as_deref(), SystemClock.now()));
    match reading(&auth0).await {
        Ok(()) => lines.push(creating(granted.scope.as_deref())),
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

/// Whether users may be created, as far as the token says it.
fn creating(scope: Option<&str>) -> Line {
    let names = |scope: &str| scope.split(' ').any(|one| one == "create:users");
    match scope {
        Some(scope) if names(scope) => ok("scopes", "read:users and create:users are granted"),
        Some(_) => {
            error("scopes", "read:users is granted, and create:users is not", Code::ScopeMissing.remedy())
        }
        None => ok("scopes", "read:users is granted; create:users shows with the first user"),
    }
}

/// How far our clock is from Auth0's; nothing where it did not say its time.
fn clock(date: Option<&str>, now: OffsetDateTime) -> Option<Line> {
    let there = OffsetDateTime::parse(date?, &Rfc2822).ok()?;
    let apart = now - there;
    let word = if apart.is_negative() { "behind" } else { "ahead of" };
    let by = units::shown(apart.unsigned_abs());
    Some(match apart.unsigned_abs() <= CLOCK {
        true => ok("clock", "this machine's time is Auth0's"),
        false => warning(
            "clock",
            format!("this machine is {by} {word} Auth0"),
            "Set its clock (NTP): times in reports and logs are wrong, and certificates may be refused.",
        ),
    })
}

/// A client with limits of its own: two requests need not be shared out over all workers.
fn client(setup: &Setup) -> anyhow::Result<(Auth0, Arc<TenantLimiter>)> {
    let limits = setup.settings.limits()?;
    let limiter = Arc::new(TenantLimiter::new(Arc::new(LocalLimiter::new(&limits)), &limits));
    let sign_in = tenant::sign_in(&setup.servers, &setup.settings)?;
    Ok((Auth0::new(sign_in, limiter.clone(), Arc::default()).map_err(usage)?, limiter))
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

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_token_that_may_not_create_users_is_an_error() {
        let level = |scope| creating(scope).level;
        assert_eq!(level(Some("read:users create:users")), Level::Ok);
        assert_eq!(level(Some("read:users create:users_app_metadata")), Level::Error);
        assert_eq!(level(None), Level::Ok, "it shows with the first user");
    }

    #[test]
    fn a_clock_that_is_wrong_is_said_with_its_distance() {
        let at = |seconds: i64| {
            let now = OffsetDateTime::from_unix_timestamp(1_800_000_000 + seconds).unwrap();
            clock(Some("Fri, 15 Jan 2027 08:00:00 GMT"), now).unwrap()
        };
        assert_eq!((at(20).level, at(-20).level), (Level::Ok, Level::Ok));
        assert_eq!(at(300).found, "this machine is 5 min ahead of Auth0");
        assert_eq!(at(-300).found, "this machine is 5 min behind Auth0");
        assert_eq!(clock(None, SystemClock.now()).map(|line| line.level), None);
        assert_eq!(clock(Some("yesterday"), SystemClock.now()).map(|line| line.level), None);
    }
}
