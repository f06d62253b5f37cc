//! Query strings: a closed list of parameters, read once into a small list.

use crate::errors::ApiError;

/// The parameters of one request.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a raw query string and refuses parameters that are not known.
    pub(crate) fn parse(raw: Option<&str>, known: &[&str]) -> Result<Self, ApiError> {
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(raw.unwrap_or("").as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        match pairs.iter().find(|(name, _)| !known.contains(&&**name)) {
            Some((name, _)) => Err(invalid(&format!("'Additional properties not allowed: {name}'"))),
            None => Ok(Self(pairs)),
        }
    }

    /// The value of a parameter, the last one if it is repeated.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    /// All values of a repeatable parameter.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| &**value)
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name).ok_or_else(|| invalid(&format!("'Missing required property: {name}'")))
    }

    pub(crate) fn boolean(&self, name: &str, description: &str) -> Result<Option<bool>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(invalid(&format!(
                "'Expected type boolean but found type string' on property {name} ({description})"
            ))),
        }
    }

    /// A whole number within bounds.
    pub(crate) fn number(
        &self,
        name: &str,
        description: &str,
        bounds: std::ops::RangeInclusive<usize>,
    ) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let problem = match text.parse::<i64>() {
            Err(_) => "Expected type integer but found type string".to_owned(),
            Ok(value) => match usize::try_from(value) {
                Ok(size) if bounds.contains(&size) => return Ok(Some(size)),
                Ok(size) if size > *bounds.end() => {
                    format!("Value {value} is greater than maximum {}", bounds.end())
                }
                _ => format!("Value {value} is less than minimum {}", bounds.start()),
            },
        };
        Err(invalid(&format!("'{problem}' on property {name} ({description})")))
    }

    /// The `fields` and `include_fields` pair, common to all reading endpoints.
    pub(crate) fn field_filter(&self) -> Result<Option<FieldFilter>, ApiError> {
        let include = self
            .boolean(
                "include_fields",
                "Whether specified fields are to be included (true) or excluded (false)",
            )?
            .unwrap_or(true);
        let fields = self.get("fields").filter(|fields| !fields.is_empty());
        Ok(fields.map(|fields| FieldFilter {
            fields: fields.split(',').map(|f| f.trim().to_owned()).collect(),
            include,
        }))
    }
}

/// Which top-level fields of an answer are wanted.
pub(crate) struct FieldFilter {
    fields: Vec<String>,
    include: bool,
}

impl FieldFilter {
    pub(crate) fn apply(&self, document: &mut serde_json::Value) {
        if let Some(document) = document.as_object_mut() {
            document.retain(|name, _| self.fields.iter().any(|f| f == name) == self.include);
        }
    }
}

fn invalid(text: &str) -> ApiError {
    ApiError::bad_request("invalid_query_string", format!("Query validation error: {text}."))
}
