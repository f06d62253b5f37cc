//! Every operation the simulator knows: its name in the request log, its rate-limit group, the
//! scopes that allow it. One table, so that a new route is one line here and one handler.

use crate::limits::Group;

/// One method of one route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Token,
    Jwks,
    OpenIdConfiguration,
    CreateUser,
    ReadUser,
    UpdateUser,
    DeleteUser,
    UsersByEmail,
    ListConnections,
    ReadConnection,
    DeleteConnectionUser,
    Unknown,
}

impl Operation {
    pub(crate) const ALL: [Self; 12] = [
        Self::Token,
        Self::Jwks,
        Self::OpenIdConfiguration,
        Self::CreateUser,
        Self::ReadUser,
        Self::UpdateUser,
        Self::DeleteUser,
        Self::UsersByEmail,
        Self::ListConnections,
        Self::ReadConnection,
        Self::DeleteConnectionUser,
        Self::Unknown,
    ];

    /// Method and route template.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Token => "POST /oauth/token",
            Self::Jwks => "GET /.well-known/jwks.json",
            Self::OpenIdConfiguration => "GET /.well-known/openid-configuration",
            Self::CreateUser => "POST /api/v2/users",
            Self::ReadUser => "GET /api/v2/users/{id}",
            Self::UpdateUser => "PATCH /api/v2/users/{id}",
            Self::DeleteUser => "DELETE /api/v2/users/{id}",
            Self::UsersByEmail => "GET /api/v2/users-by-email",
            Self::ListConnections => "GET /api/v2/connections",
            Self::ReadConnection => "GET /api/v2/connections/{id}",
            Self::DeleteConnectionUser => "DELETE /api/v2/connections/{id}/users",
            Self::Unknown => "unknown",
        }
    }

    pub(crate) fn group(self) -> Group {
        match self {
            Self::CreateUser | Self::UpdateUser => Group::UserWrites,
            Self::DeleteUser => Group::UserDeletes,
            Self::ReadUser | Self::UsersByEmail => Group::UserReads,
            Self::ListConnections | Self::ReadConnection => Group::ConnectionReads,
            Self::Token => Group::Token,
            Self::DeleteConnectionUser | Self::Jwks | Self::OpenIdConfiguration | Self::Unknown => {
                Group::Rest
            }
        }
    }

    /// Any one of these allows the operation.
    ///
    /// The `…:current_user` scopes of the real API are for users' own tokens, which do not exist
    /// here; they are listed because the refusal names them.
    pub(crate) fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::CreateUser => &["create:users"],
            Self::ReadUser => &["read:users", "read:current_user", "read:user_idp_tokens"],
            Self::UpdateUser => {
                &["update:users", "update:users_app_metadata", "update:current_user_metadata"]
            }
            Self::DeleteUser => &["delete:users", "delete:current_user"],
            Self::UsersByEmail => &["read:users"],
            Self::ListConnections | Self::ReadConnection => &["read:connections"],
            Self::DeleteConnectionUser => &["delete:users"],
            Self::Token | Self::Jwks | Self::OpenIdConfiguration | Self::Unknown => &[],
        }
    }
}
