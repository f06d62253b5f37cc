//! What a source seems to hold that the mapping does not carry, told by the names of columns.
//!
//! Nobody should learn after the move that passwords, second factors or roles stayed behind. Only
//! names are looked at: what is not mapped is not read.

use ferry_domain::ports::SourceWarning;

use crate::{fields::Field, fields::Target, names};

const HASHES: &str = "password hashes";
const PROVIDERS: &str = "sign-in by another provider";

/// Words in names, what they mean, and what follows from it.
const KINDS: &[(&[&str], &str, &str)] = &[
    (
        &["password", "passwd", "pwd", "hash", "digest", "passwordhash"],
        HASHES,
        "Map one as password_hash to see who has one; without it all users must reset their password",
    ),
    (
        &["mfa", "totp", "otp", "twofactor", "authenticator", "factor"],
        "second factors",
        "They are not moved: these users enrol again",
    ),
    (
        &["identities", "provider", "providers", "oauth", "social", "federated", "idp"],
        PROVIDERS,
        "Map columns.provider, or such users become users with a password",
    ),
    (
        &["role", "roles", "permission", "permissions", "group", "groups"],
        "roles or groups",
        "Map them into app_metadata; roles of Auth0 are not assigned",
    ),
    (
        &["blocked", "banned", "disabled", "suspended", "locked", "deleted", "deactivated", "inactive"],
        "who is blocked or deleted",
        "Map blocked, active, deleted_at, blocked_at or banned_until; without it these users become live accounts",
    ),
];

/// One note for each kind of column that is there and not mapped. `there` are names only.
pub(crate) fn warnings<'a>(
    there: impl Iterator<Item = &'a str> + Clone,
    fields: &[&Field],
    hashes_discarded: bool,
) -> Vec<SourceWarning> {
    let is_mapped = |name: &str| {
        let begins =
            |own: &String| own == name || own.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        fields.iter().any(|field| field.names.iter().any(begins))
    };
    let mapped_kinds = |kind: &str| {
        fields.iter().any(|field| match kind {
            HASHES => field.target == Target::PasswordHash,
            PROVIDERS => field.target == Target::Provider,
            _ => false,
        }) || (hashes_discarded && kind == HASHES)
    };
    let mut warnings = Vec::new();
    for (words, kind, remedy) in KINDS {
        if mapped_kinds(kind) {
            continue;
        }
        let is_of_kind = |name: &&str| names::words(name).iter().any(|word| words.contains(&word.as_str()));
        let columns: Vec<&str> = there
            .clone()
            .filter(|name| !is_mapped(name) && names::is_plain(name))
            .filter(is_of_kind)
            .collect();
        if !columns.is_empty() {
            let what = format!("not mapped, and by their names {kind}: {}", names::listed(columns, true));
            warnings.push(SourceWarning { field: None, what, remedy: (*remedy).to_owned() });
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Mapping;

    #[test]
    fn what_stays_behind_is_said_by_kind() {
        let mut mapping = Mapping::default();
        mapping.columns.key = Some("id".into());
        mapping.columns.app_metadata.insert("role".into(), "user_roles.0".into());
        let fields = mapping.fields();
        let fields: Vec<&Field> = fields.iter().collect();
        let there =
            ["id", "passwordHash", "totp_secret", "user_roles", "is_banned", "mfa", "hashtag", "nickname"];
        let said: Vec<String> =
            warnings(there.into_iter(), &fields, false).iter().map(|warning| warning.what.clone()).collect();
        assert_eq!(
            said,
            [
                "not mapped, and by their names password hashes: passwordHash",
                "not mapped, and by their names second factors: totp_secret, mfa",
                "not mapped, and by their names who is blocked or deleted: is_banned",
            ]
        );
        assert_eq!(warnings(["passwordHash"].into_iter(), &fields, true), [], "the operator decided");
    }
}
