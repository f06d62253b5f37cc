//! Settings of the client.

use std::time::Duration;

use secrecy::SecretString;
use url::{Host, Url};

use crate::errors::SettingsError;

/// Settings of [`Auth0`](crate::Auth0). `Debug` hides the secret.
#[derive(Clone, Debug)]
pub struct Auth0Settings {
    /// Address of Auth0, without `/api/v2`; a path is kept.
    pub base_url: Url,
    /// Audience of the token; `<base_url>/api/v2/` when absent.
    pub audience: Option<String>,
    /// Client id of the machine-to-machine application.
    pub client_id: String,
    /// Client secret of that application.
    pub client_secret: SecretString,
    /// Time limit of one request, from its first byte to the last of the answer; more than zero.
    pub request_timeout: Duration,
    /// Time limit for making a connection; more than zero.
    pub connect_timeout: Duration,
    /// How long a call waits out 429s by itself before it gives up as throttled.
    pub throttle_patience: Duration,
}

impl Auth0Settings {
    /// For a tenant's domain, a bare host such as `tenant.eu.auth0.com`.
    pub fn for_domain(
        domain: &str,
        client_id: impl Into<String>,
        client_secret: SecretString,
    ) -> Result<Self, SettingsError> {
        let wrong = || SettingsError::Domain(shown(domain));
        if domain.is_empty() || domain.contains(['/', ':', '?', '#', '@', '\\', ' ', '%', '[']) {
            return Err(wrong());
        }
        let base_url = Url::parse(&format!("https://{domain}")).map_err(|_| wrong())?;
        Self::for_base_url(base_url, client_id, client_secret)
    }

    /// For any address, such as a simulator's.
    pub fn for_base_url(
        base_url: Url,
        client_id: impl Into<String>,
        client_secret: SecretString,
    ) -> Result<Self, SettingsError> {
        let settings = Auth0Settings {
            base_url,
            audience: None,
            client_id: client_id.into(),
            client_secret,
            request_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(2),
            throttle_patience: Duration::from_secs(60),
        };
        settings.check()?;
        Ok(settings)
    }

    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let url = &self.base_url;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(SettingsError::BaseUrl("it must begin with https:// or http:// and name a host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(SettingsError::BaseUrl("it must carry no user name or password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(SettingsError::BaseUrl("it must have neither ? nor #"));
        }
        if self.client_id.trim().is_empty() {
            return Err(SettingsError::ClientId);
        }
        if self.request_timeout.is_zero() || self.connect_timeout.is_zero() {
            return Err(SettingsError::Timeout);
        }
        Ok(())
    }

    /// The base URL with a path appended.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.base_url.clone();
        url.set_path(&format!("{}{path}", self.base_url.path().trim_end_matches('/')));
        url
    }

    pub(crate) fn audience(&self) -> String {
        self.audience.clone().unwrap_or_else(|| self.url("/api/v2/").into())
    }

    /// Whether Auth0 is on this machine: then no proxy is asked.
    pub(crate) fn is_local(&self) -> bool {
        match self.base_url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        }
    }
}

/// What was given instead of a domain, unless it may hold a secret.
fn shown(domain: &str) -> String {
    if domain.contains('@') { "(not shown)".to_owned() } else { domain.chars().take(80).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(domain: &str) -> Result<Auth0Settings, SettingsError> {
        Auth0Settings::for_domain(domain, "id", "secret".into())
    }

    #[test]
    fn a_domain_is_a_bare_host() {
        let settings = domain("tenant.eu.auth0.com").unwrap();
        assert_eq!(settings.audience(), "https://tenant.eu.auth0.com/api/v2/");
        assert_eq!(settings.url("/api/v2/users").as_str(), "https://tenant.eu.auth0.com/api/v2/users");
        for wrong in ["", "https://a.auth0.com", "a.auth0.com/", "a.auth0.com:443", "a b", "u@a.com", "a?b"] {
            let error = domain(wrong).unwrap_err().to_string();
            assert!(error.contains("tenant.eu.auth0.com"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_base_url_keeps_its_path_and_carries_no_credentials() {
        let at = |url: &str| Auth0Settings::for_base_url(url.parse().unwrap(), "id", "s".into());
        let settings = at("http://127.0.0.1:8080/auth0/").unwrap();
        assert_eq!(settings.audience(), "http://127.0.0.1:8080/auth0/api/v2/");
        assert!(settings.is_local());
        for wrong in ["ftp://a/", "https://u:p@a/", "https://a/?x=1", "mailto:a@b"] {
            assert!(matches!(at(wrong), Err(SettingsError::BaseUrl(_))), "{wrong}");
        }
    }

    #[test]
    fn debug_hides_the_secret() {
        let settings = Auth0Settings::for_domain("a.auth0.com", "id", "hush-hush".into()).unwrap();
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
