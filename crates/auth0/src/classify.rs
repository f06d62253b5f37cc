//! The table of what an answer that is no success means for the caller.
//!
//! Status first, then `errorCode`, then words of the message; the first row that fits
//! decides. Messages only choose a row. They may quote a user's data, so only
//! a property's name and names of scopes are taken from them, both checked against an alphabet.
//!
//! An answer that fits no row is an unknown outcome, not a refusal: a proxy in between answers
//! 400 and 404 too, and a user must not be given up for that.

use ferry_domain::{Code, ports::DirectoryError};

use crate::wire::Failure;

/// What a row means.
enum Meaning {
    Exists,
    /// Refused for good, at the property the message names.
    Refused(Code),
    TokenRefused,
    ScopeMissing,
    Throttled,
    Unknown(Code),
}

struct Row {
    status: std::ops::RangeInclusive<u16>,
    error_code: Option<&'static str>,
    /// Part of the message, in lower case; `""` fits also where there is no envelope.
    says: &'static str,
    meaning: Meaning,
}

const fn row(
    status: std::ops::RangeInclusive<u16>,
    error_code: Option<&'static str>,
    says: &'static str,
    meaning: Meaning,
) -> Row {
    Row { status, error_code, says, meaning }
}

use Meaning::{Exists, Refused, ScopeMissing, Throttled, TokenRefused, Unknown};

#[rustfmt::skip]
const TABLE: &[Row] = &[
    // Validation first: its texts quote values, which may contain the words of rows below.
    row(400..=400, None, "payload validation error", Refused(Code::UserRefused)),
    row(400..=400, Some("inexistent_connection"), "", Refused(Code::ConnectionUnknown)),
    row(400..=400, None, "connection does not exist", Refused(Code::ConnectionUnknown)),
    row(400..=400, None, "connection is disabled", Refused(Code::ConnectionUnknown)),
    row(400..=400, Some("operation_not_supported"), "", Refused(Code::OperationNotSupported)),
    row(400..=400, None, "connection does not support user creation", Refused(Code::OperationNotSupported)),
    row(400..=400, None, "must be a database connection", Refused(Code::OperationNotSupported)),
    row(400..=400, None, "passwordstrengtherror", Refused(Code::PasswordRefused)),
    row(400..=400, None, "passworddictionaryerror", Refused(Code::PasswordRefused)),
    row(400..=400, None, "passwordnouserinfoerror", Refused(Code::PasswordRefused)),
    row(400..=400, None, "passwordhistoryerror", Refused(Code::PasswordRefused)),
    // A 400 may say "taken" too: PATCH of an address does, and other providers' creates do.
    row(400..=400, None, "already exist", Exists),
    row(400..=400, Some("invalid_body"), "", Refused(Code::UserRefused)),
    row(400..=400, Some("invalid_uri"), "", Refused(Code::UserRefused)),
    row(400..=400, Some("invalid_query_string"), "", Refused(Code::UserRefused)),
    row(400..=400, Some("auth0_idp_error"), "", Refused(Code::UserRefused)),
    row(400..=400, None, "", Unknown(Code::AnswerUnreadable)),
    row(401..=401, None, "", TokenRefused),
    // Every 403 concerns the application or the tenant, never a single user.
    row(403..=403, None, "", ScopeMissing),
    row(404..=404, Some("inexistent_user"), "", Refused(Code::UserRefused)),
    row(404..=404, None, "the user does not exist", Refused(Code::UserRefused)),
    row(404..=404, Some("inexistent_connection"), "", Refused(Code::ConnectionUnknown)),
    row(404..=404, None, "connection does not exist", Refused(Code::ConnectionUnknown)),
    row(408..=408, None, "", Unknown(Code::TimedOut)),
    row(409..=409, Some("custom_domain_conflict"), "", Refused(Code::OperationNotSupported)),
    row(409..=409, None, "", Exists),
    row(413..=414, None, "", Refused(Code::UserRefused)),
    row(429..=429, None, "", Throttled),
    row(504..=504, None, "", Unknown(Code::TimedOut)),
    row(500..=599, None, "", Unknown(Code::ServerError)),
    // 404 of an unknown route, redirects, a proxy's own answers.
    row(100..=999, None, "", Unknown(Code::AnswerUnreadable)),
];

/// What an answer outside 200..=299 means.
pub(crate) fn classify(status: u16, body: &[u8]) -> DirectoryError {
    let failure = serde_json::from_slice::<Failure>(body).ok();
    let message = failure.as_ref().map(|failure| failure.message.as_str()).unwrap_or_default();
    let error_code = failure.as_ref().and_then(|failure| failure.error_code.as_deref());
    let lower = message.to_lowercase();
    let fits = |row: &&Row| {
        row.status.contains(&status)
            && (row.error_code.is_none() || row.error_code == error_code)
            && lower.contains(row.says)
    };
    match TABLE.iter().find(fits).map(|row| &row.meaning) {
        Some(Exists) => DirectoryError::Exists,
        Some(Refused(code)) => DirectoryError::Refused { code: *code, field: field(message, error_code) },
        Some(TokenRefused) => DirectoryError::TokenRefused,
        Some(ScopeMissing) => DirectoryError::ScopeMissing { scopes: scopes(message, error_code) },
        Some(Throttled) => DirectoryError::Throttled { retry_after: None },
        Some(Unknown(code)) => DirectoryError::Unknown(*code),
        None => DirectoryError::Unknown(Code::AnswerUnreadable),
    }
}

/// Whether the answer says that there is no such user. A 404 alone does not: it may be
/// the route that is missing.
pub(crate) fn is_no_user(status: u16, body: &[u8]) -> bool {
    status == 404
        && serde_json::from_slice::<Failure>(body).is_ok_and(|failure| {
            failure.error_code.as_deref() == Some("inexistent_user")
                || failure.message.to_lowercase().contains("the user does not exist")
        })
}

/// The property a message complains about (FACTS §2.3): `… on property app_metadata.x (…)`,
/// `Missing required property: x`, or the id in the path.
fn field(message: &str, error_code: Option<&str>) -> Option<String> {
    if error_code == Some("invalid_uri") || error_code == Some("inexistent_user") {
        return Some("user_id".to_owned());
    }
    if error_code == Some("custom_domain_conflict") {
        return Some("auth0-custom-domain".to_owned());
    }
    // The last one: the text before it is a quoted value.
    let after = message
        .rsplit_once("on property ")
        .or_else(|| message.rsplit_once("Missing required property: "))
        .or_else(|| message.rsplit_once("Additional properties not allowed: "))?
        .1;
    let name = after.split_whitespace().next()?.trim_end_matches(['\'', '.', ',', '"']);
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-[]".contains(c));
    (plain && (1..=100).contains(&name.len())).then(|| name.to_owned())
}

/// `create:users,read:users` of `Insufficient scope, expected any of: …`.
fn scopes(message: &str, error_code: Option<&str>) -> String {
    let word = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let is_scope = |text: &&str| text.split_once(':').is_some_and(|(verb, noun)| word(verb) && word(noun));
    let named = message.split_once("expected any of: ").map_or("", |(_, scopes)| scopes);
    let scopes: Vec<&str> = named.split(',').map(str::trim).filter(is_scope).take(20).collect();
    match error_code.filter(|code| word(code)) {
        _ if !scopes.is_empty() => scopes.join(","),
        Some(code) => format!("none named, Auth0 says {code}"),
        None => "none named".to_owned(),
    }
}

#[cfg(test)]
mod tests;
