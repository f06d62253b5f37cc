//! Request validation with the texts of z-schema, the JavaScript validator behind Auth0's texts.
//!
//! A body is described by a list of [`Property`]; what is not listed is refused. Only the first
//! violation is reported. Rejected: a JSON Schema crate, whose texts would all have to be
//! rewritten.

mod formats;
mod query;
pub(crate) mod users;

pub(crate) use formats::is_user_id;
pub(crate) use query::Query;

use serde_json::{Map, Value};

use crate::errors::ApiError;

/// The format of a string beyond its length.
#[derive(Clone, Copy)]
pub(crate) enum Format {
    Free,
    Email,
    StrictUri,
    /// `^\S*$`
    NoSpace,
    /// `^\+[0-9]{1,15}$`
    Phone,
}

/// What a value must be.
#[derive(Clone, Copy)]
pub(crate) enum Rule {
    /// A string with a number of characters within these bounds (UTF-16 units, as JavaScript counts).
    Text {
        min: usize,
        max: usize,
        format: Format,
    },
    Boolean,
    Object,
}

/// One known property of a body.
pub(crate) struct Property {
    pub(crate) name: &'static str,
    /// As in the schema; it is part of the error text.
    pub(crate) description: &'static str,
    pub(crate) rule: Rule,
    pub(crate) nullable: bool,
}

/// A schema with a closed list of properties.
pub(crate) struct Schema {
    pub(crate) required: &'static [&'static str],
    pub(crate) properties: &'static [Property],
}

impl Schema {
    /// Checks a body and returns it as a map.
    pub(crate) fn check(&self, body: Value) -> Result<Map<String, Value>, ApiError> {
        let Value::Object(body) = body else {
            let found = type_of(&body);
            return Err(invalid(&format!("Expected type object but found type {found}")));
        };
        let unknown: Vec<&str> = body
            .keys()
            .map(String::as_str)
            .filter(|key| !self.properties.iter().any(|known| known.name == *key))
            .collect();
        if !unknown.is_empty() {
            let list = unknown.join(",");
            return Err(invalid(&format!("Additional properties not allowed: {list}")));
        }
        for name in self.required {
            if !body.contains_key(*name) {
                return Err(missing(name));
            }
        }
        for property in self.properties {
            if let Some(value) = body.get(property.name)
                && let Some(text) = violation(property, value)
            {
                return Err(invalid_property(property.name, property.description, &text));
            }
        }
        Ok(body)
    }
}

fn violation(property: &Property, value: &Value) -> Option<String> {
    if property.nullable && value.is_null() {
        return None;
    }
    match (property.rule, value) {
        (Rule::Text { min, max, format }, Value::String(text)) => {
            let length = text.encode_utf16().count();
            if length < min {
                return Some(format!("String is too short ({length} chars), minimum {min}"));
            }
            if length > max {
                return Some(format!("String is too long ({length} chars), maximum {max}"));
            }
            formats::violation(format, text)
        }
        (Rule::Boolean, Value::Bool(_)) | (Rule::Object, Value::Object(_)) => None,
        (rule, _) => {
            let expected = match rule {
                Rule::Text { .. } => "string",
                Rule::Boolean => "boolean",
                Rule::Object => "object",
            };
            let or_null = if property.nullable { ",null" } else { "" };
            let found = type_of(value);
            Some(format!("Expected type {expected}{or_null} but found type {found}"))
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A violation of the body as a whole.
pub(crate) fn invalid(text: &str) -> ApiError {
    ApiError::bad_request("invalid_body", format!("Payload validation error: '{text}'."))
}

/// A property that has to be there.
pub(crate) fn missing(name: &str) -> ApiError {
    invalid(&format!("Missing required property: {name}"))
}

/// A violation of one property.
pub(crate) fn invalid_property(path: &str, description: &str, text: &str) -> ApiError {
    ApiError::bad_request(
        "invalid_body",
        format!("Payload validation error: '{text}' on property {path} ({description})."),
    )
}

/// Reads a body, JSON or form. In a form, `true` and `false` are taken as booleans.
pub(crate) fn read_body(form: bool, bytes: &[u8]) -> Result<Value, ApiError> {
    if form {
        let fields = url::form_urlencoded::parse(bytes)
            .map(|(name, value)| {
                let value = match &*value {
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    _ => Value::String(value.into_owned()),
                };
                (name.into_owned(), value)
            })
            .collect();
        return Ok(Value::Object(fields));
    }
    serde_json::from_slice(bytes)
        .map_err(|_| ApiError::bad_request("invalid_body", "Invalid request payload JSON format"))
}
