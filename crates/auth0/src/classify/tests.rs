//! One case per row of FACTS §2.2 and §4 that the calls of this crate can meet.

use serde_json::json;

use super::*;

fn body(status: u16, error_code: Option<&str>, message: &str) -> Vec<u8> {
    let mut body = json!({"statusCode": status, "error": "…", "message": message});
    if let Some(code) = error_code {
        body["errorCode"] = code.into();
    }
    body.to_string().into_bytes()
}

fn refused(code: Code, field: Option<&str>) -> DirectoryError {
    DirectoryError::Refused { code, field: field.map(str::to_owned) }
}

/// Status, `errorCode`, message; what it means; where that is written.
type Case = (u16, Option<&'static str>, &'static str, DirectoryError, &'static str);

fn cases() -> Vec<Case> {
    use Code::*;
    let scope = |scopes: &str| DirectoryError::ScopeMissing { scopes: scopes.to_owned() };
    let unknown = DirectoryError::Unknown;
    vec![
        (
            400,
            Some("invalid_body"),
            "Payload validation error: 'Object didn't pass validation for format email: none' on property email (The user's email).",
            refused(UserRefused, Some("email")),
            "§2.2 invalid_body, §2.3",
        ),
        (
            400,
            Some("invalid_body"),
            "Payload validation error: 'Missing required property: connection'.",
            refused(UserRefused, Some("connection")),
            "§2.3 root level",
        ),
        (
            400,
            Some("invalid_body"),
            "Payload validation error: 'Additional properties not allowed: verify_mail'.",
            refused(UserRefused, Some("verify_mail")),
            "§2.3",
        ),
        (
            400,
            Some("invalid_body"),
            "Payload validation error: 'String is too long (301 chars), maximum 300' on property name (The user's full name).",
            refused(UserRefused, Some("name")),
            "§2.3, §4.1",
        ),
        (
            400,
            Some("invalid_body"),
            "Payload validation error: 'Object didn't pass validation for format uri: already exists' on property picture.",
            refused(UserRefused, Some("picture")),
            "§2.3: a quoted value chooses no other row",
        ),
        (
            400,
            Some("invalid_body"),
            "Cannot set username for connection without requires_username.",
            refused(UserRefused, None),
            "§2.2 plain sentence, §4.1",
        ),
        (
            400,
            Some("invalid_query_string"),
            "Query validation error: 'Expected type string but found type array' on property email",
            refused(UserRefused, Some("email")),
            "§2.2 invalid_query_string",
        ),
        (
            400,
            Some("invalid_uri"),
            "Object didn't pass validation for format user-id: 6560cd0f",
            refused(UserRefused, Some("user_id")),
            "§2.2 invalid_uri",
        ),
        (
            400,
            Some("inexistent_connection"),
            "The connection does not exist.",
            refused(ConnectionUnknown, None),
            "§2.2 inexistent_connection",
        ),
        (400, None, "Connection does not exist.", refused(ConnectionUnknown, None), "§4.1 other texts"),
        (400, None, "Connection is disabled.", refused(ConnectionUnknown, None), "§4.1 other texts"),
        (
            400,
            Some("operation_not_supported"),
            "Connection must be a database connection",
            refused(OperationNotSupported, None),
            "§2.2 operation_not_supported",
        ),
        (
            400,
            Some("operation_not_supported"),
            "Cannot update password and email simultaneously",
            refused(OperationNotSupported, None),
            "§2.2 operation_not_supported",
        ),
        (
            400,
            None,
            "Connection does not support user creation through the API. It must either be a database or passwordless connection.",
            refused(OperationNotSupported, None),
            "§4.1 other texts",
        ),
        (400, None, "PasswordStrengthError: Password is too weak", refused(PasswordRefused, None), "§2.2"),
        (
            400,
            None,
            "PasswordDictionaryError: Password is too common",
            refused(PasswordRefused, None),
            "§2.2",
        ),
        (
            400,
            None,
            "PasswordNoUserInfoError: Password contains user information",
            refused(PasswordRefused, None),
            "§2.2",
        ),
        (
            400,
            None,
            "PasswordHistoryError: Password has previously been used",
            refused(PasswordRefused, None),
            "§2.2",
        ),
        (
            400,
            Some("auth0_idp_error"),
            "The specified new email already exists",
            DirectoryError::Exists,
            "§2.2: 400, not 409",
        ),
        (
            400,
            None,
            "A user with this email already exists.",
            DirectoryError::Exists,
            "other providers answer 400 to a taken address",
        ),
        (
            400,
            Some("auth0_idp_error"),
            "Something the database script says",
            refused(UserRefused, None),
            "§2.2 auth0_idp_error (?)",
        ),
        (401, None, "Missing authentication", DirectoryError::TokenRefused, "§2.2"),
        (401, None, "Invalid token", DirectoryError::TokenRefused, "§2.2"),
        (
            401,
            None,
            "Expired token received for JSON Web Token validation",
            DirectoryError::TokenRefused,
            "§2.2",
        ),
        (
            403,
            Some("insufficient_scope"),
            "Insufficient scope, expected any of: create:users",
            scope("create:users"),
            "§2.2 insufficient_scope",
        ),
        (
            403,
            Some("insufficient_scope"),
            "Insufficient scope, expected any of: read:users,read:current_user",
            scope("read:users,read:current_user"),
            "§2.2: joined by commas",
        ),
        (
            403,
            Some("insufficient_entitlement"),
            "Please upgrade your subscription to use bot detection",
            scope("none named, Auth0 says insufficient_entitlement"),
            "§2.2",
        ),
        (
            403,
            None,
            "You reached the limit of entities of this type for this tenant.",
            scope("none named"),
            "§2.2 entity limit",
        ),
        (
            404,
            Some("inexistent_user"),
            "The user does not exist.",
            refused(UserRefused, Some("user_id")),
            "§2.2, PATCH",
        ),
        (
            404,
            Some("inexistent_connection"),
            "The connection does not exist",
            refused(ConnectionUnknown, None),
            "§2.2, no full stop",
        ),
        (404, None, "Not Found", unknown(AnswerUnreadable), "§2.2 unknown route"),
        (408, None, "Request Timeout", unknown(TimedOut), "§15: SDKs retry 408"),
        (409, Some("auth0_idp_error"), "The user already exists.", DirectoryError::Exists, "§2.2"),
        (
            409,
            Some("custom_domain_conflict"),
            "The tenant has multiple verified custom domains.",
            refused(OperationNotSupported, Some("auth0-custom-domain")),
            "§2.2",
        ),
        (
            413,
            None,
            "Payload content length greater than maximum allowed: 512000",
            refused(UserRefused, None),
            "§2.2",
        ),
        (414, None, "Request-URI Too Large", refused(UserRefused, None), "§2.2"),
        (
            429,
            Some("too_many_requests"),
            "Global limit has been reached",
            DirectoryError::Throttled { retry_after: None },
            "§2.2, §12.4",
        ),
        (500, None, "Internal Server Error", unknown(ServerError), "§15: SDKs retry 5xx"),
        (503, None, "The query exceeded the timeout.", unknown(ServerError), "§2.2"),
        (504, None, "Gateway Timeout", unknown(TimedOut), "a gateway gave up waiting"),
    ]
}

#[test]
fn each_answer_in_the_facts_means_what_the_table_says() {
    for (status, error_code, message, meaning, source) in cases() {
        let got = classify(status, &body(status, error_code, message));
        assert_eq!(got, meaning, "{status} {error_code:?} {message:?}, FACTS {source}");
    }
}

#[test]
fn an_answer_that_is_not_auth0s_gives_no_user_up() {
    let page = b"<html>blocked</html>";
    let unreadable = DirectoryError::Unknown(Code::AnswerUnreadable);
    for status in [301, 400, 404, 405, 418, 451] {
        assert_eq!(classify(status, page), unreadable, "{status}");
        assert_eq!(classify(status, b""), unreadable, "{status}");
    }
    assert_eq!(classify(502, page), DirectoryError::Unknown(Code::ServerError));
    assert_eq!(
        classify(409, b""),
        DirectoryError::Exists,
        "the caller looks the user up before it believes it"
    );
}

#[test]
fn only_auth0_can_say_that_there_is_no_such_user() {
    assert!(is_no_user(404, &body(404, Some("inexistent_user"), "The user does not exist.")));
    assert!(is_no_user(404, &body(404, None, "The user does not exist.")));
    assert!(!is_no_user(404, &body(404, None, "Not Found")));
    assert!(!is_no_user(404, b"<html>"));
    assert!(!is_no_user(400, &body(400, Some("inexistent_user"), "The user does not exist.")));
}

#[test]
fn nothing_of_a_users_data_comes_through() {
    for message in [
        "Payload validation error: 'Object didn't pass validation for format email: ann@example.com' on property email.",
        "Payload validation error: 'x on property ann@example.com",
        "Insufficient scope, expected any of: ann@example.com <b>",
        "ann@example.com already exists",
    ] {
        for status in [400, 403, 404, 409, 500] {
            let text = format!("{0} {0:?}", classify(status, &body(status, None, message)));
            assert!(!text.contains('@') && !text.contains("ann") && !text.contains("example"), "{text}");
        }
    }
}
