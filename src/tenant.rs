//! The Auth0 tenant as the environment names it, and how to sign in there.

use std::time::Duration;

use ferry_auth0::Auth0Settings;
use ferry_domain::RunId;
use secrecy::SecretString;
use url::Url;

use crate::{
    exit::usage,
    servers::Servers,
    settings::{self, Settings},
};

/// The tenant as it goes into chosen ids: the bare domain, or host and port of the base URL.
pub fn named(servers: &Servers) -> anyhow::Result<Option<String>> {
    if let Some(domain) = servers.domain.get() {
        // Only the form of the domain is looked at.
        Auth0Settings::for_domain(domain, "-", "-".to_owned().into()).map_err(usage)?;
        return Ok(Some(domain.to_owned()));
    }
    let Some(base) = servers.base_url.get() else { return Ok(None) };
    let url = base_url(base)?;
    let host = url.host_str().unwrap_or_default();
    Ok(Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))))
}

/// The tenant, for what can't do without.
pub fn required(servers: &Servers) -> anyhow::Result<String> {
    named(servers)?.ok_or_else(missing)
}

/// Says that a run is of another tenant than the environment names, and by which variable it does.
pub fn differs(servers: &Servers, run: RunId, of: &str, named: &str) -> String {
    let variable = if servers.domain.get().is_some() { &servers.domain } else { &servers.base_url };
    format!("run {run} is of the tenant {of}, and {} names {named}: set it to {of}", variable.name)
}

fn missing() -> anyhow::Error {
    usage("no tenant: set AUTH0_DOMAIN to its bare host, for example acme.eu.auth0.com")
}

fn base_url(text: &str) -> anyhow::Result<Url> {
    let wrong = || usage("AUTH0_BASE_URL is no http or https URL, for example http://127.0.0.1:4000");
    let url = Url::parse(text).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong());
    }
    Ok(url)
}

/// Everything that is missing or wrong for signing in.
pub fn problems(servers: &Servers) -> Vec<anyhow::Error> {
    let target = match named(servers) {
        Ok(None) => Err(missing()),
        named => named.map(drop),
    };
    let parts = [target, client_id(servers).map(drop), client_secret(servers).map(drop)];
    parts.into_iter().filter_map(Result::err).collect()
}

fn client_id(servers: &Servers) -> anyhow::Result<&str> {
    servers.client_id.get().ok_or_else(|| {
        usage("AUTH0_CLIENT_ID is not set: it names the application that may use the Management API")
    })
}

/// How to sign in and how long requests may take.
pub fn sign_in(servers: &Servers, settings: &Settings) -> anyhow::Result<Auth0Settings> {
    let id = client_id(servers)?;
    let secret = client_secret(servers)?;
    let mut auth0 = match (servers.base_url.get(), servers.domain.get()) {
        (Some(base), _) => Auth0Settings::for_base_url(base_url(base)?, id, secret).map_err(usage)?,
        (None, Some(domain)) => Auth0Settings::for_domain(domain, id, secret).map_err(usage)?,
        (None, None) => return Err(missing()),
    };
    let settings::Auth0 { request_timeout_seconds, connect_timeout_seconds, .. } = settings.auth0;
    auth0.request_timeout = Duration::from_secs(request_timeout_seconds);
    auth0.connect_timeout = Duration::from_secs(connect_timeout_seconds);
    Ok(auth0)
}

fn client_secret(servers: &Servers) -> anyhow::Result<SecretString> {
    let secret = servers.client_secret()?.ok_or_else(|| {
        usage("no secret: set AUTH0_CLIENT_SECRET, or AUTH0_CLIENT_SECRET_FILE to a file that holds it")
    })?;
    Ok(secret.text().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_missing_for_signing_in_is_told_at_once() {
        let told = |variables: &[(&'static str, &str)]| {
            let problems = problems(&Servers::for_test(variables));
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let all = told(&[]);
        for name in ["AUTH0_DOMAIN", "AUTH0_CLIENT_ID", "AUTH0_CLIENT_SECRET"] {
            assert!(all.contains(name), "{name}: {all}");
        }
        let twice = told(&[
            ("AUTH0_DOMAIN", "acme.eu.auth0.com"),
            ("AUTH0_CLIENT_ID", "ferry"),
            ("AUTH0_CLIENT_SECRET", "x"),
            ("AUTH0_CLIENT_SECRET_FILE", "/nosuch"),
        ]);
        assert!(twice.contains("both set"), "{twice}");
    }

    #[test]
    fn a_tenant_is_named_by_its_domain_or_by_host_and_port() {
        let of = |variables: &[(&'static str, &str)]| named(&Servers::for_test(variables)).unwrap();
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("AUTH0_BASE_URL", "http://127.0.0.1:4000/")]).as_deref(), Some("127.0.0.1:4000"));
        let both = [("AUTH0_BASE_URL", "http://127.0.0.1:4000"), ("AUTH0_DOMAIN", "acme.eu.auth0.com")];
        assert_eq!(of(&both).as_deref(), Some("acme.eu.auth0.com"));
        let told =
            |variables| differs(&Servers::for_test(variables), RunId(Default::default()), "mine", "other");
        assert!(told(&both).contains("AUTH0_DOMAIN names other: set it to mine"), "{}", told(&both));
        assert!(told(&both[..1]).contains("AUTH0_BASE_URL names other"), "{}", told(&both[..1]));
        let wrong = Servers::for_test(&[("AUTH0_BASE_URL", "ftp://host")]);
        assert!(named(&wrong).unwrap_err().to_string().contains("AUTH0_BASE_URL"));
        assert!(required(&Servers::for_test(&[])).unwrap_err().to_string().contains("AUTH0_DOMAIN"));
    }
}
