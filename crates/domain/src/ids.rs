//! Identities as types of their own, so that a batch can't be taken for a job.
//!
//! What Ferry makes is a UUIDv7: unique without a server, and ordered by time.
//! The Auth0 id of a user is derived from the source key instead (design §5.1):
//! every ledger, and every retry after a crash, chooses the same one.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::{Clock, Random};

macro_rules! made_by_ferry {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, ordered by the clock's time.
            pub fn new(clock: &dyn Clock, random: &dyn Random) -> Self {
                $name(uuid_v7(clock, random))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map($name)
            }
        }
    )+};
}

made_by_ferry! {
    /// One execution over one source.
    RunId,
    /// A slice of a run.
    BatchId,
    /// One piece of work on the queue.
    JobId,
    /// One start of one worker process: never reused, so a successor is never taken for its predecessor.
    WorkerId,
}

fn uuid_v7(clock: &dyn Clock, random: &dyn Random) -> Uuid {
    let millis = clock.now().unix_timestamp_nanos() / 1_000_000;
    let mut chance = [0; 10];
    random.fill(&mut chance);
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(millis).unwrap_or(0), &chance).into_uuid()
}

/// Position of an item in its source, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ItemSeq(pub i64);

/// What identifies a user in the source: the value of the mapped key column.
///
/// It may be an address where an application has nothing better, so `Debug` and
/// [`SourceKey::shown`] hide what looks like one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(description = "The user's key in the source.")]
pub struct SourceKey(pub String);

impl SourceKey {
    /// The key as reports and logs may show it: an address becomes a short digest, and so does what a
    /// terminal would obey. A source's own keys are checked for that;
    /// one that Auth0 has in an account may hold anything.
    pub fn shown(&self) -> String {
        let odd = |c: char| {
            c.is_control()
                || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        if self.0.contains('@') || self.0.contains(odd) {
            format!("key-{}", &crate::hex::hex_digest(self.0.as_bytes())[..12])
        } else {
            self.0.clone()
        }
    }
}

impl fmt::Debug for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceKey({})", self.shown())
    }
}

/// A user id at Auth0 with its provider, `auth0|…` (FACTS §1 row 1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Auth0UserId(pub String);

impl Auth0UserId {
    /// The id chosen in advance for a user: UUIDv5 of the source key in a
    /// namespace of tenant, connection and migration.
    pub fn chosen(tenant: &str, connection: &str, migration: &str, key: &SourceKey) -> Self {
        let migration_space =
            Uuid::new_v5(&FERRY_NAMESPACE, format!("{tenant}\n{connection}\n{migration}").as_bytes());
        Auth0UserId(format!("auth0|{}", Uuid::new_v5(&migration_space, key.0.as_bytes())))
    }

    /// The part after the provider, as `POST /users` wants it.
    pub fn without_provider(&self) -> &str {
        self.0.split_once('|').map_or(&self.0, |(_, id)| id)
    }
}

impl fmt::Display for Auth0UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Namespace of all ids that Ferry chooses. Changing it would choose other ids
/// for users that were moved already.
const FERRY_NAMESPACE: Uuid = Uuid::from_u128(0x3f6b_1d0c_94a7_5e21_8c55_fe22_7a0d_1e01);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_id_depends_on_all_that_names_a_user_and_on_nothing_else() {
        let key = SourceKey("42".into());
        let id = Auth0UserId::chosen("t", "c", "m", &key);
        assert_eq!(id, Auth0UserId::chosen("t", "c", "m", &key), "the same user gets the same id");
        for other in [
            Auth0UserId::chosen("t2", "c", "m", &key),
            Auth0UserId::chosen("t", "c2", "m", &key),
            Auth0UserId::chosen("t", "c", "m2", &key),
            Auth0UserId::chosen("t", "c", "m", &SourceKey("43".into())),
        ] {
            assert_ne!(id, other);
        }
        assert_eq!(id.0, format!("auth0|{}", id.without_provider()));
    }

    #[test]
    fn the_chosen_id_never_changes_between_versions() {
        let id = Auth0UserId::chosen(
            "demo",
            "Username-Password-Authentication",
            "medlogistics",
            &SourceKey("1".into()),
        );
        assert_eq!(id.0, PINNED);
    }

    // Computed once; users in tenants carry ids made by this rule.
    const PINNED: &str = "auth0|007d8648-e0b3-5289-8ba9-33183ea34e92";

    #[test]
    fn a_key_that_is_an_address_is_not_shown() {
        let shown = SourceKey("ann@example.com".into()).shown();
        assert!(!shown.contains("example"), "{shown}");
        assert_eq!(SourceKey("42".into()).shown(), "42");
    }
}
