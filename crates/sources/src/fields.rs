//! The flat list of wanted fields that every reader delivers values for.

use crate::{
    mapping::{EmailVerified, Mapping},
    presets,
};

/// The field of a user that a column is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Key,
    Email,
    EmailVerified,
    Name,
    GivenName,
    FamilyName,
    Nickname,
    Picture,
    Active,
    Blocked,
    DeletedAt,
    BlockedAt,
    BannedUntil,
    Provider,
    PasswordHash,
    Auth0UserId,
    UserMetadata(String),
    AppMetadata(String),
    /// A column that [`Mapping::only`] looks at.
    Only(String),
}

impl Target {
    /// Whether a user may go without it: nothing is decided by it, neither who it is nor what it may.
    pub(crate) fn may_lack(&self) -> bool {
        use Target::{AppMetadata, FamilyName, GivenName, Name, Nickname, Picture, UserMetadata};
        matches!(self, Name | GivenName | FamilyName | Nickname | Picture | UserMetadata(_) | AppMetadata(_))
    }

    /// The name that outcomes and errors carry.
    pub(crate) fn name(&self) -> String {
        let fixed = match self {
            Target::Key => "key",
            Target::Email => "email",
            Target::EmailVerified => "email_verified",
            Target::Name => "name",
            Target::GivenName => "given_name",
            Target::FamilyName => "family_name",
            Target::Nickname => "nickname",
            Target::Picture => "picture",
            Target::Active => "active",
            Target::Blocked => "blocked",
            Target::DeletedAt => "deleted_at",
            Target::BlockedAt => "blocked_at",
            Target::BannedUntil => "banned_until",
            Target::Provider => "provider",
            Target::PasswordHash => "password_hash",
            Target::Auth0UserId => "auth0_user_id",
            Target::UserMetadata(key) => return format!("user_metadata.{key}"),
            Target::AppMetadata(key) => return format!("app_metadata.{key}"),
            Target::Only(column) => return format!("only.{column}"),
        };
        fixed.to_owned()
    }
}

/// One wanted field: what for, and under which names the source may have it.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) target: Target,
    /// First the mapped name, then other spellings a preset knows.
    pub(crate) names: Vec<String>,
    /// Whether it may be missing in the source.
    pub(crate) optional: bool,
}

impl Mapping {
    /// The wanted fields in the order every reader delivers them.
    pub(crate) fn fields(&self) -> Vec<Field> {
        let columns = &self.columns;
        let verified =
            columns.email_verified.as_ref().filter(|_| self.email_verified == EmailVerified::Column);
        let hash = columns.password_hash.as_ref().filter(|_| !self.discard_hashes);
        let plain = [
            (Target::Key, columns.key.as_ref()),
            (Target::Email, columns.email.as_ref()),
            (Target::EmailVerified, verified),
            (Target::Name, columns.name.as_ref()),
            (Target::GivenName, columns.given_name.as_ref()),
            (Target::FamilyName, columns.family_name.as_ref()),
            (Target::Nickname, columns.nickname.as_ref()),
            (Target::Picture, columns.picture.as_ref()),
            (Target::Active, columns.active.as_ref()),
            (Target::Blocked, columns.blocked.as_ref()),
            (Target::DeletedAt, columns.deleted_at.as_ref()),
            (Target::BlockedAt, columns.blocked_at.as_ref()),
            (Target::BannedUntil, columns.banned_until.as_ref()),
            (Target::Provider, columns.provider.as_ref()),
            (Target::PasswordHash, hash),
            (Target::Auth0UserId, columns.auth0_user_id.as_ref()),
        ];
        let user = columns.user_metadata.iter().map(|(key, c)| (Target::UserMetadata(key.clone()), Some(c)));
        let app = columns.app_metadata.iter().map(|(key, c)| (Target::AppMetadata(key.clone()), Some(c)));
        let only = self.only.columns().map(|column| (Target::Only(column.clone()), Some(column)));
        plain
            .into_iter()
            .chain(user)
            .chain(app)
            .chain(only)
            .filter_map(|(target, c)| Some(self.field(target, c?)))
            .collect()
    }

    fn field(&self, target: Target, column: &str) -> Field {
        let preset = self.preset.as_deref();
        let mut names = vec![column.to_owned()];
        names.extend(presets::spellings(preset, column).iter().map(|&name| name.to_owned()));
        let optional = target == Target::Auth0UserId || presets::is_optional(preset, column);
        Field { target, names, optional }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discarded_hash_and_an_overruled_column_are_not_even_read() {
        let mut mapping = Mapping { email_verified: EmailVerified::Never, ..Mapping::default() };
        mapping.columns.password_hash = Some("hash".into());
        mapping.columns.email_verified = Some("verified".into());
        let wants = |m: &Mapping, t: Target| m.fields().iter().any(|f| f.target == t);
        assert!(wants(&mapping, Target::PasswordHash) && !wants(&mapping, Target::EmailVerified));
        mapping.discard_hashes = true;
        assert!(!wants(&mapping, Target::PasswordHash));
    }
}
