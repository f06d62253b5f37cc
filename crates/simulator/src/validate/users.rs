//! The schemas of creating and changing users.

use serde_json::{Map, Value};

use super::{Format, Property, Rule, Schema, invalid_property};
use crate::errors::ApiError;

const ANY: usize = usize::MAX;

/// Keys that Auth0 keeps for itself in `app_metadata`.
const RESERVED: [&str; 18] = [
    "__tenant",
    "_id",
    "blocked",
    "clientID",
    "created_at",
    "email_verified",
    "email",
    "globalClientID",
    "global_client_id",
    "identities",
    "lastIP",
    "lastLogin",
    "loginsCount",
    "metadata",
    "multifactor_last_modified",
    "multifactor",
    "updated_at",
    "user_id",
];

const USER_METADATA: &str = "User metadata to which this user has read/write access";
const APP_METADATA: &str = "User metadata to which this user has read-only access";

const fn text(
    name: &'static str,
    description: &'static str,
    (min, max): (usize, usize),
    format: Format,
) -> Property {
    Property { name, description, rule: Rule::Text { min, max, format }, nullable: false }
}

const fn boolean(name: &'static str, description: &'static str) -> Property {
    Property { name, description, rule: Rule::Boolean, nullable: false }
}

const fn object(name: &'static str, description: &'static str) -> Property {
    Property { name, description, rule: Rule::Object, nullable: false }
}

/// The same property where `null` means "remove it".
const fn or_null(property: Property) -> Property {
    Property { nullable: true, ..property }
}

const EMAIL: Property = text("email", "The user's email", (0, ANY), Format::Email);
const PHONE: Property = text(
    "phone_number",
    "The user's phone number (following the E.164 recommendation)",
    (0, ANY),
    Format::Phone,
);
const BLOCKED: Property =
    boolean("blocked", "Whether this user was blocked by an administrator (true) or not (false)");
const EMAIL_VERIFIED: Property =
    boolean("email_verified", "Whether this email address is verified (true) or unverified (false)");
const PHONE_VERIFIED: Property =
    boolean("phone_verified", "Whether this phone number has been verified (true) or not (false)");
const GIVEN_NAME: Property = text("given_name", "The user's given name(s)", (1, 150), Format::Free);
const FAMILY_NAME: Property = text("family_name", "The user's family name(s)", (1, 150), Format::Free);
const NAME: Property = text("name", "The user's full name", (1, 300), Format::Free);
const NICKNAME: Property = text("nickname", "The user's nickname", (1, 300), Format::Free);
const PICTURE: Property =
    text("picture", "A URI pointing to the user's picture", (0, ANY), Format::StrictUri);
const VERIFY_EMAIL: Property = boolean(
    "verify_email",
    "Whether the user will receive a verification email after creation (true) or no email (false)",
);
const USERNAME: Property = text("username", "The user's username", (1, 128), Format::Free);
const CONNECTION: Property =
    text("connection", "Name of the connection this user should be created in", (1, ANY), Format::Free);
const PASSWORD: Property = text("password", "Initial password for this user", (1, ANY), Format::Free);

/// Body of `POST /users`.
pub(crate) const CREATE: Schema = Schema {
    required: &["connection"],
    properties: &[
        EMAIL,
        PHONE,
        object("user_metadata", USER_METADATA),
        BLOCKED,
        EMAIL_VERIFIED,
        PHONE_VERIFIED,
        object("app_metadata", APP_METADATA),
        GIVEN_NAME,
        FAMILY_NAME,
        NAME,
        NICKNAME,
        PICTURE,
        text(
            "user_id",
            "The external user's id provided by the identity provider",
            (0, 255),
            Format::NoSpace,
        ),
        CONNECTION,
        PASSWORD,
        VERIFY_EMAIL,
        USERNAME,
    ],
};

/// Body of `PATCH /users/{id}`.
///
/// The OpenAPI document leaves this body open, real tenants answer "Additional properties not
/// allowed" all the same.
pub(crate) const UPDATE: Schema = Schema {
    required: &[],
    properties: &[
        BLOCKED,
        EMAIL_VERIFIED,
        or_null(EMAIL),
        or_null(PHONE),
        PHONE_VERIFIED,
        object("user_metadata", USER_METADATA),
        object("app_metadata", APP_METADATA),
        or_null(GIVEN_NAME),
        or_null(FAMILY_NAME),
        or_null(NAME),
        or_null(NICKNAME),
        or_null(PICTURE),
        VERIFY_EMAIL,
        boolean(
            "verify_phone_number",
            "Whether the user will receive a text after changing the phone number",
        ),
        or_null(PASSWORD),
        CONNECTION,
        text("client_id", "Auth0 client ID", (1, ANY), Format::Free),
        or_null(USERNAME),
    ],
};

/// Checks the keys of both metadata objects of a body.
///
/// That these keys are refused is documented; the texts are not and follow z-schema's.
pub(crate) fn check_metadata(body: &Map<String, Value>) -> Result<(), ApiError> {
    for (name, description) in [("user_metadata", USER_METADATA), ("app_metadata", APP_METADATA)] {
        let Some(Value::Object(metadata)) = body.get(name) else {
            continue;
        };
        if metadata.keys().any(|key| key.contains(['.', '$'])) {
            let problem = "String does not match pattern ^[^.$]*$";
            return Err(invalid_property(name, description, problem));
        }
        let reserved = metadata.keys().find(|key| RESERVED.contains(&&***key));
        if let Some(key) = reserved.filter(|_| name == "app_metadata") {
            let problem = format!("Additional properties not allowed: {key}");
            return Err(invalid_property(name, description, &problem));
        }
    }
    Ok(())
}
