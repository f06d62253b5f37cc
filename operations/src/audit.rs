//! Who ordered what, when and why: the audit, as people read it.

use ferry_domain::{RunId, ports::AuditLine};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{Access, Error, views::to_the_second};

/// A line of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Line {
    /// When, to the second.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// Who, as `user@host`; `ferry` for a threshold.
    pub actor: String,
    /// The word of the command line.
    pub action: String,
    /// The run it was about; null where it was about all.
    pub run: Option<RunId>,
    /// Why, in their words.
    pub reason: Option<String>,
    /// What came of it.
    pub detail: serde_json::Value,
}

impl From<AuditLine> for Line {
    fn from(line: AuditLine) -> Self {
        let AuditLine { at, actor, action, run, detail, reason } = line;
        Line { at: to_the_second(at), actor, action, run, reason, detail }
    }
}

impl Line {
    /// What came of it in words: `before running, after paused`.
    pub fn came_of_it(&self) -> String {
        let Some(object) = self.detail.as_object() else { return String::new() };
        let told = |(name, value): (&String, &serde_json::Value)| {
            let value = match value {
                // Not how many: each letter has a number.
                serde_json::Value::Array(all) if name == "letters" => format!("number {}", joined(all, ", ")),
                serde_json::Value::String(text) => text.clone(),
                // As `run rate` takes it: the limits of the settings.
                serde_json::Value::Null if name == "plan" => "default".to_owned(),
                serde_json::Value::Null => "none".to_owned(),
                serde_json::Value::Array(all) => joined(all, " "),
                value => value.to_string(),
            };
            format!("{} {value}", name.replace('_', " "))
        };
        object.iter().map(told).collect::<Vec<_>>().join(", ")
    }
}

fn joined(all: &[serde_json::Value], between: &str) -> String {
    let words = all.iter().map(|one| one.as_str().map_or(one.to_string(), str::to_owned));
    words.collect::<Vec<_>>().join(between)
}

/// Lines of the audit, newest first: of one run, with those about all, or every one.
///
/// # Errors
/// When the ledger fails.
pub async fn list(access: &Access, run: Option<RunId>, most: i64) -> Result<Vec<Line>, Error> {
    Ok(access.reports.audit(run, most).await?.into_iter().map(Line::from).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_came_of_an_order_is_told_in_words() {
        let line = |detail| Line {
            at: String::new(),
            actor: "ann@host".into(),
            action: "pause".into(),
            run: None,
            reason: None,
            detail,
        };
        assert_eq!(
            line(json!({ "before": "running", "to_ask": 0 })).came_of_it(),
            "before running, to ask 0"
        );
        assert_eq!(line(json!({ "plan": null })).came_of_it(), "plan default");
        let accepted = json!({ "accepted": ["SOURCE_CHANGED", "ROW_SECURITY"] });
        assert_eq!(line(accepted).came_of_it(), "accepted SOURCE_CHANGED ROW_SECURITY");
        let redriven = json!({ "letters": [2, 7], "users": 20 });
        assert_eq!(line(redriven).came_of_it(), "letters number 2, 7, users 20");
        assert_eq!(line(json!({})).came_of_it(), "");
    }
}
