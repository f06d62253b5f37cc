//! Whether a person has agreed to what is sent to a tenant.
//!
//! A tenant that the settings name as one of production is agreed to by its name: a script, or a hand,
//! that says yes to everything may be in the wrong environment. What stops sending needs no name.

use std::collections::BTreeSet;

/// What was said with a command.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said<'a> {
    /// `--yes`.
    pub yes: bool,
    /// `--confirm`, each.
    pub names: &'a [String],
}

/// What is still to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Nothing: it was agreed.
    Nothing,
    /// Yes or no.
    YesOrNo,
    /// The names of these tenants.
    Names(Vec<String>),
}

/// A tenant was named that the command does not concern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this concerns the tenant {}, and --confirm names {named}: nothing was done", .concerned.join(" and "))]
pub struct OtherTenant {
    /// What was given.
    pub named: String,
    /// What it concerns.
    pub concerned: Vec<String>,
}

/// What is still to be asked before something is sent to these tenants.
///
/// # Errors
/// When a tenant was named that is none of them.
pub fn to_ask(
    said: Said<'_>,
    concerned: &BTreeSet<String>,
    production: &[String],
) -> Result<Ask, OtherTenant> {
    let is_named = |tenant: &String| said.names.iter().any(|name| same(name, tenant));
    if let Some(named) = said.names.iter().find(|name| !concerned.iter().any(|tenant| same(name, tenant))) {
        let concerned = concerned.iter().cloned().collect();
        return Err(OtherTenant { named: named.clone(), concerned });
    }
    let missing: Vec<String> = concerned
        .iter()
        .filter(|tenant| is_production(tenant, production))
        .filter(|tenant| !is_named(tenant))
        .cloned()
        .collect();
    Ok(match missing.is_empty() {
        false => Ask::Names(missing),
        true if said.yes || !said.names.is_empty() => Ask::Nothing,
        true => Ask::YesOrNo,
    })
}

/// Whether the settings name this tenant as one of production.
pub fn is_production(tenant: &str, production: &[String]) -> bool {
    // A name without a port means the host with any.
    let host = tenant.split(':').next().unwrap_or(tenant);
    production.iter().any(|name| same(name, tenant) || same(name, host))
}

/// As names of hosts are compared.
fn same(one: &str, other: &str) -> bool {
    one.trim().eq_ignore_ascii_case(other.trim())
}

/// Whether a setting can be the name of a tenant: a bare host, with a port at most. One that can't would
/// protect nothing, and nobody would see it.
pub fn is_name(text: &str) -> bool {
    let (host, port) = text.trim().split_once(':').unwrap_or((text.trim(), "443"));
    let part = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    host.split('.').all(part) && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(yes: bool, names: &[&str], concerned: &[&str], production: &[&str]) -> Result<Ask, OtherTenant> {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let names = owned(names);
        to_ask(Said { yes, names: &names }, &owned(concerned).into_iter().collect(), &owned(production))
    }

    #[test]
    fn a_tenant_of_production_is_agreed_to_by_its_name_only() {
        let names = |names: &[&str]| Ok(Ask::Names(names.iter().map(|&name| name.to_owned()).collect()));
        assert_eq!(asked(true, &[], &["live"], &["live"]), names(&["live"]), "--yes is no name");
        assert_eq!(asked(false, &[], &["live"], &["live"]), names(&["live"]));
        assert_eq!(asked(false, &["Live "], &["live"], &["LIVE"]), Ok(Ask::Nothing), "as hosts are compared");
        assert_eq!(asked(true, &["live"], &["live", "other"], &["live", "other"]), names(&["other"]));
        assert_eq!(asked(false, &["live", "other"], &["live", "other"], &["live"]), Ok(Ask::Nothing));
    }

    #[test]
    fn only_a_bare_host_names_a_tenant() {
        for name in ["acme.eu.auth0.com", "127.0.0.1:4000", "localhost", " acme.eu.auth0.com "] {
            assert!(is_name(name), "{name}");
        }
        for wrong in [
            "",
            " ",
            "https://acme.eu.auth0.com",
            "acme.eu.auth0.com/",
            "acme.eu.auth0.com.",
            "*",
            "a b",
            "a:x",
        ] {
            assert!(!is_name(wrong), "{wrong}");
        }
        let production = ["127.0.0.1".to_owned()];
        assert!(is_production("127.0.0.1:4000", &production), "whatever its port");
        assert!(!is_production("127.0.0.2:4000", &production));
    }

    #[test]
    fn elsewhere_a_yes_is_enough_and_a_name_is_one() {
        assert_eq!(asked(false, &[], &["test"], &["live"]), Ok(Ask::YesOrNo));
        assert_eq!(asked(true, &[], &["test"], &["live"]), Ok(Ask::Nothing));
        assert_eq!(asked(false, &["test"], &["test"], &[]), Ok(Ask::Nothing));
        assert_eq!(asked(true, &[], &[], &["live"]), Ok(Ask::Nothing), "nobody is concerned");
    }

    #[test]
    fn a_name_of_another_tenant_is_refused_whatever_else_was_said() {
        let error = asked(true, &["live"], &["test"], &["live"]).unwrap_err().to_string();
        assert!(error.contains("tenant test") && error.contains("names live"), "{error}");
    }
}
