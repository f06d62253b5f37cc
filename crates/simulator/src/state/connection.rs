//! A connection: which users it accepts, and its indexes.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Ghosts, NewUser};
use crate::errors::ApiError;
use crate::password::PasswordPolicy;
use crate::validate;

/// Strategies whose users belong to an enterprise directory rather than to a social network.
const ENTERPRISE: [&str; 12] = [
    "ad",
    "adfs",
    "auth0-adldap",
    "auth0-oidc",
    "google-apps",
    "office365",
    "oidc",
    "okta",
    "pingfederate",
    "samlp",
    "sharepoint",
    "waad",
];

/// One connection of the tenant.
pub(crate) struct Connection {
    pub(crate) id: String,
    pub(crate) name: Arc<str>,
    pub(crate) strategy: String,
    pub(crate) policy: PasswordPolicy,
    requires_username: bool,
    /// User id by address, in lower case.
    pub(super) by_email: HashMap<String, String>,
    pub(super) by_username: HashMap<String, String>,
    pub(super) ghosts: Ghosts,
}

impl Connection {
    pub(super) fn new(
        id: String,
        name: &str,
        strategy: &str,
        policy: PasswordPolicy,
        requires_username: bool,
    ) -> Self {
        Self {
            id,
            name: name.into(),
            strategy: strategy.to_owned(),
            policy,
            requires_username,
            by_email: HashMap::new(),
            by_username: HashMap::new(),
            ghosts: Ghosts::new(),
        }
    }

    pub(crate) fn is_database(&self) -> bool {
        self.strategy == "auth0"
    }

    pub(super) fn is_social(&self) -> bool {
        let own = ["auth0", "email", "sms"].contains(&self.strategy.as_str());
        !own && !ENTERPRISE.contains(&self.strategy.as_str())
    }

    /// Whether an address is taken here, by a user or by a ghost.
    pub(super) fn knows_email(&self, email: &str) -> bool {
        self.by_email.contains_key(email) || self.ghosts.contains(email)
    }

    /// Whether a user of this kind may be created here.
    ///
    /// That a database user needs an address and a password is certain, the texts for their
    /// absence follow the validator's.
    pub(super) fn accepts(&self, new: &NewUser) -> Result<(), ApiError> {
        let passwordless = self.strategy == "email";
        if !self.is_database() && !passwordless {
            return Err(ApiError::bad_request(
                "operation_not_supported",
                "Connection does not support user creation through the API. It must either be a \
                 database or passwordless connection.",
            ));
        }
        if new.email.is_none() {
            return Err(validate::missing("email"));
        }
        match &new.username {
            Some(_) if !self.requires_username || passwordless => {
                return Err(ApiError::bad_request(
                    "operation_not_supported",
                    "Cannot set username for connection without requires_username.",
                ));
            }
            None if self.requires_username && !passwordless => {
                return Err(validate::missing("username"));
            }
            _ => {}
        }
        match &new.password {
            None if self.is_database() => Err(validate::missing("password")),
            Some(password) if self.is_database() && !self.policy.allows(password) => {
                Err(ApiError::weak_password())
            }
            _ => Ok(()),
        }
    }

    /// The connection as the Management API shows it.
    pub(crate) fn document(&self, client_id: &str) -> Value {
        let options = if self.is_database() {
            json!({
                "mfa": { "active": true, "return_enroll_settings": true },
                "import_mode": false,
                "passwordPolicy": self.policy.name(),
                "password_history": { "enable": false, "size": 5 },
                "password_dictionary": { "enable": false, "dictionary": [] },
                "password_no_personal_info": { "enable": false },
                "password_complexity_options": { "min_length": 8 },
                "strategy_version": 2,
                "requires_username": self.requires_username,
                "brute_force_protection": true,
                "enabledDatabaseCustomization": false,
            })
        } else {
            json!({})
        };
        json!({
            "id": self.id,
            "options": options,
            "strategy": self.strategy,
            "name": &*self.name,
            "is_domain_connection": false,
            "authentication": { "active": true },
            "connected_accounts": { "active": false },
            "realms": [&*self.name],
            "enabled_clients": [client_id],
        })
    }
}
