//! Dead letters as objects.

use ferry_domain::{
    BatchId, Code, JobId, RunId,
    ports::{DeadKind, DeadState, DeadTry, DeadView, ItemView},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::to_the_second;

/// A dead letter, without its payload.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "as `DeadView`, which has the words")]
pub struct Letter {
    pub id: i64,
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    #[schemars(with = "DeadKind")]
    pub kind: &'static str,
    #[schemars(with = "DeadState")]
    pub state: &'static str,
    pub queue: String,
    pub job: Option<JobId>,
    pub run: Option<RunId>,
    pub batch: Option<BatchId>,
    pub code: Code,
    pub reason: String,
    pub attempts: i32,
    pub rescues: i32,
    pub users: i64,
    pub given_up_by: String,
    pub resolved_by: Option<String>,
    #[schemars(extend("format" = "date-time"))]
    pub resolved_at: Option<String>,
}

impl From<&DeadView> for Letter {
    fn from(letter: &DeadView) -> Self {
        Letter {
            id: letter.id,
            at: to_the_second(letter.at),
            kind: letter.kind.as_str(),
            state: letter.state.as_str(),
            queue: letter.queue.clone(),
            job: letter.job,
            run: letter.run,
            batch: letter.batch,
            code: letter.code,
            reason: letter.reason.clone(),
            attempts: letter.attempts,
            rescues: letter.rescues,
            users: letter.users,
            given_up_by: letter.given_up_by.clone(),
            resolved_by: letter.resolved_by.clone(),
            resolved_at: letter.resolved_at.map(to_the_second),
        }
    }
}

/// A dead letter with what to do about it, and what came.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct LetterInFull {
    /// The letter.
    #[serde(flatten)]
    pub letter: Letter,
    /// What to do about it.
    pub remedy: &'static str,
    /// The tries of its job that counted, in order.
    pub tries: Vec<Try>,
    /// The first of its users; none once they were sent again.
    pub named: Vec<LostUser>,
    /// What came over the queue, if it was no job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
}

/// A try of a job that counted.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "as `DeadTry`, which has the words")]
pub struct Try {
    pub number: i32,
    pub code: Code,
    pub took_seconds: f64,
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
}

impl From<&DeadTry> for Try {
    fn from(tried: &DeadTry) -> Self {
        Try {
            number: tried.number,
            code: tried.code,
            took_seconds: tried.took.as_secs_f64(),
            at: to_the_second(tried.at),
        }
    }
}

/// A user of a job that was given up.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct LostUser {
    /// Its key in the source; an address as a short digest.
    pub key: String,
    /// File or table, and line or row.
    pub place: String,
}

impl From<&ItemView> for LostUser {
    fn from(item: &ItemView) -> Self {
        LostUser { key: item.key.shown(), place: item.origin.to_string() }
    }
}

/// Something that came over the queue.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Payload {
    /// Its length.
    pub bytes: usize,
    /// How it begins, escaped; null unless it was asked for.
    pub first: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn a_payload_stands_in_a_letter_only_where_one_came() {
        let letter = DeadView {
            id: 7,
            at: OffsetDateTime::UNIX_EPOCH,
            kind: ferry_domain::ports::DeadKind::Payload,
            state: ferry_domain::ports::DeadState::Kept,
            queue: "provision".into(),
            job: None,
            job_kind: None,
            run: None,
            batch: None,
            code: Code::Undecodable,
            reason: "no envelope".into(),
            attempts: 0,
            rescues: 0,
            users: 0,
            given_up_by: "host/7".into(),
            resolved_by: None,
            resolved_at: None,
        };
        let payload = Some(Payload { bytes: 3, first: None });
        let full = LetterInFull {
            letter: Letter::from(&letter),
            remedy: letter.code.remedy(),
            tries: Vec::new(),
            named: Vec::new(),
            payload,
        };
        let object = serde_json::to_value(&full).unwrap();
        assert_eq!(object["payload"], json!({"bytes": 3, "first": null}));
        assert_eq!((&object["id"], &object["at"]), (&json!(7), &json!("1970-01-01T00:00:00Z")));
        let without = serde_json::to_value(LetterInFull { payload: None, ..full }).unwrap();
        let names: Vec<&str> = without.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            names.iter().copied().collect::<std::collections::BTreeSet<_>>(),
            [
                "id",
                "at",
                "kind",
                "state",
                "queue",
                "job",
                "run",
                "batch",
                "code",
                "reason",
                "attempts",
                "rescues",
                "users",
                "given_up_by",
                "resolved_by",
                "resolved_at",
                "remedy",
                "tries",
                "named"
            ]
            .into()
        );
    }
}
