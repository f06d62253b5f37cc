//! The content of a report, as one serialisable value.

use crate::{course::Course, fields::FieldCount, table::Table};
use ferry_domain::{
    Code, ItemState, RunView, Tally,
    estimate::Estimate,
    limits::LimitPlan,
    ports::{AuditLine, Discrepancy, FailureGroup},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Layout of the report.
const LAYOUT: u32 = 1;

/// The content of a report. Field names are part of the command's output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Layout version.
    pub ferry_report: u32,
    /// Id of the run.
    pub run: String,
    /// Name of the migration.
    pub migration: String,
    /// Source of the users.
    pub origin: String,
    /// Tenant and connection they went to.
    pub target: String,
    /// Digest of the source as it was planned; that of the plan's records, where a plan was given.
    #[serde(default)]
    pub source_digest: String,
    /// Pass of the run: 1, and one more for each retry.
    pub round: i32,
    /// Sums by outcome; `source` is the sum of the seven others.
    #[serde(flatten)]
    pub tally: Tally,
    /// Whether the sums are right. A report with `false` must not be trusted.
    pub adds_up: bool,
    /// Users read back and found as written.
    pub verified: i64,
    /// Users read back that differ, or were not found.
    pub discrepancies: i64,
    /// The first discrepancies by name.
    pub discrepant: Vec<Named>,
    /// What the application's rows carried of the ids at the end; null for users from a file,
    /// and for a report of a run that goes on.
    #[serde(default)]
    pub table: Option<Table>,
    /// Failed, conflicting and skipped users by reason.
    pub groups: Vec<Group>,
    /// Durations in seconds.
    pub durations: Durations,
    /// Use of the tenant's limit.
    pub rate: Rate,
    /// When its users ended; null for a run that was not started, and in a report of a version
    /// that did not keep it.
    #[serde(default)]
    pub course: Option<Course>,
    /// When the run was started (RFC 3339, UTC).
    #[serde(default)]
    #[schemars(extend("format" = "date-time"))]
    pub started_at: Option<String>,
    /// What people and thresholds ordered of this run, or of all runs meanwhile, in order of time.
    #[serde(default)]
    pub orders: Vec<Order>,
    /// The version of Ferry that made the report.
    #[serde(default)]
    pub made_by: String,
    /// When the report was made (RFC 3339, UTC).
    #[schemars(extend("format" = "date-time"))]
    pub made_at: String,
}

/// An order, as the audit has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// When (RFC 3339, UTC).
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// Who, as `user@host`; `ferry` for a threshold.
    pub by: String,
    /// The word of the command line.
    pub action: String,
    /// What was ordered of it: the limits, or what was accepted at the start; null where the word says it all.
    #[serde(default)]
    pub detail: Option<String>,
    /// Why, in their words.
    pub reason: Option<String>,
}

impl Order {
    /// `rate: private-500`.
    pub(crate) fn told(&self) -> String {
        match &self.detail {
            Some(detail) => format!("{}: {detail}", self.action),
            None => self.action.clone(),
        }
    }
}

/// Users with the same outcome and reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    /// State: failed, conflict or skipped.
    pub state: ItemState,
    /// Reason code.
    pub code: Code,
    /// Number of users.
    pub count: i64,
    /// The fields that the code speaks of, with the number of users of each; none where the code
    /// says the field.
    #[serde(default)]
    pub fields: Vec<FieldCount>,
    /// Remedy, one sentence.
    pub remedy: String,
    /// Whether `run retry` can take them up.
    pub retryable: bool,
    /// Some of them: `key (place:line)`.
    pub examples: Vec<String>,
}

/// A user with the fields that differ; none when it is missing at Auth0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Named {
    /// Key in the source.
    pub key: String,
    /// Position in the source.
    pub seq: i64,
    /// Fields that differ.
    pub fields: Vec<String>,
}

/// Seconds from start to the last batch provisioned, and to the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Durations {
    /// From opening the run to starting it: the wait for an answer to the question of `run start` is in it.
    pub planning_seconds: Option<f64>,
    /// From the start to the last batch's creation.
    pub provisioning_seconds: Option<f64>,
    /// From the start to this report.
    pub total_seconds: Option<f64>,
    /// The least time that creating these users and reading them back takes under the limits of the run's
    /// start; null without a limit, and in a report of an older version.
    #[serde(default)]
    pub least_seconds: Option<f64>,
}

/// Use of the tenant's limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// Named plan of the limits.
    pub limits: String,
    /// Requests sent for these users.
    pub requests: i64,
    /// Requests a second from the start to this report.
    pub requests_per_second: Option<f64>,
    /// Users settled per second while provisioning.
    pub users_per_second: Option<f64>,
    /// Users per second that the plan would allow, if it has a limit.
    pub allowed_users_per_second: Option<f64>,
}

impl Report {
    /// Makes a report of a run.
    pub fn new(
        run: &RunView,
        failures: &[FailureGroup],
        discrepant: &[Discrepancy],
        orders: &[AuditLine],
        now: OffsetDateTime,
    ) -> Self {
        Report {
            ferry_report: LAYOUT,
            run: run.id.to_string(),
            migration: run.migration.clone(),
            origin: run.source.to_string(),
            target: format!("{} / {}", run.spec.tenant, run.spec.connection),
            source_digest: run.spec.source_digest.clone(),
            round: run.round,
            tally: run.tally,
            adds_up: run.tally.adds_up(),
            verified: run.verified,
            discrepancies: run.discrepancies,
            discrepant: discrepant.iter().map(named).collect(),
            table: None,
            groups: groups(failures),
            durations: durations(run, now),
            rate: rate(run, now),
            course: None,
            started_at: run.started_at.map(to_the_second),
            orders: orders_of(run, orders),
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
            made_at: to_the_second(now),
        }
    }

    /// The report as JSON.
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default() // can't fail: plain fields, string keys
    }
}

/// Who needs a person comes first, then the largest group.
fn groups(failures: &[FailureGroup]) -> Vec<Group> {
    let mut groups: Vec<Group> = failures.iter().map(group).collect();
    groups.sort_by_key(|group| group.state == ItemState::Skipped);
    groups
}

/// Orders about this run, and those about all runs since it was opened, oldest first. `newest` is
/// in the order of the audit.
fn orders_of(run: &RunView, newest: &[AuditLine]) -> Vec<Order> {
    let concerns =
        |line: &&AuditLine| line.run == Some(run.id) || line.run.is_none() && line.at >= run.created_at;
    let order = |line: &AuditLine| Order {
        at: to_the_second(line.at),
        by: line.actor.clone(),
        action: line.action.clone(),
        detail: detail_of(line),
        reason: line.reason.clone(),
    };
    newest.iter().rev().filter(concerns).map(order).collect()
}

fn detail_of(line: &AuditLine) -> Option<String> {
    match line.action.as_str() {
        "rate" => Some(line.detail["plan"].as_str().unwrap_or("default").to_owned()),
        _ => {
            let accepted = line.detail["accepted"].as_array()?.iter().filter_map(|word| word.as_str());
            Some(format!("accepted {}", accepted.collect::<Vec<_>>().join(", ")))
        }
    }
}

pub(crate) fn to_the_second(at: OffsetDateTime) -> String {
    at.replace_nanosecond(0).unwrap_or(at).format(&Rfc3339).unwrap_or_default() // can't fail between the years 0 and 9999
}

fn named(discrepancy: &Discrepancy) -> Named {
    Named { key: discrepancy.key.shown(), seq: discrepancy.seq.0, fields: discrepancy.fields.clone() }
}

fn group(found: &FailureGroup) -> Group {
    Group {
        state: found.state,
        code: found.code,
        count: found.count,
        fields: Vec::new(), // the items have them
        remedy: found.code.remedy().to_owned(),
        retryable: found.state != ItemState::Skipped && found.code.retryable(),
        examples: found
            .examples
            .iter()
            .map(|found| format!("{} ({})", found.key.shown(), found.origin))
            .collect(),
    }
}

fn seconds(from: Option<OffsetDateTime>, to: Option<OffsetDateTime>) -> Option<f64> {
    Some(((to? - from?).as_seconds_f64() * 1_000.0).round() / 1_000.0)
}

fn durations(run: &RunView, now: OffsetDateTime) -> Durations {
    Durations {
        planning_seconds: seconds(Some(run.created_at), run.started_at),
        provisioning_seconds: seconds(run.started_at, run.provisioned_at),
        total_seconds: seconds(run.started_at, Some(now)),
        least_seconds: least(run),
    }
}

fn least(run: &RunView) -> Option<f64> {
    let users = u64::try_from(run.tally.created + run.tally.adopted + run.tally.pending).ok()?;
    Some(Estimate::of(users, &run.spec.limits.parse().ok()?)?.total_seconds)
}

fn rate(run: &RunView, now: OffsetDateTime) -> Rate {
    let per_second = |count: i64, to| {
        let time = seconds(run.started_at, to)?;
        (time > 0.0).then(|| ((count as f64 / time) * 10.0).round() / 10.0)
    };
    Rate {
        limits: run.spec.limits.clone(),
        requests: run.requests,
        requests_per_second: per_second(run.requests, Some(now)),
        users_per_second: per_second(run.tally.created + run.tally.adopted, run.provisioned_at),
        allowed_users_per_second: run
            .spec
            .limits
            .parse::<LimitPlan>()
            .ok()
            .and_then(|p| p.creates_per_second()),
    }
}

#[cfg(test)]
mod tests {
    use ferry_domain::{OnExisting, RunId, RunSpec, RunState, SourceIdentity, threshold::StopAfter};
    use time::Duration;

    use super::*;

    fn run() -> RunView {
        RunView {
            id: RunId(Default::default()),
            migration: "users".into(),
            source: SourceIdentity { kind: "csv".into(), location: "/users.csv".into() },
            spec: RunSpec {
                tenant: "t".into(),
                connection: "c".into(),
                on_existing: OnExisting::Adopt,
                batch_size: 100,
                max_attempts: 8,
                limits: "off".into(),
                write_back: None,
                source_digest: String::new(),
                stop_after: StopAfter::default(),
            },
            state: RunState::Sealed,
            tally: Tally { source: 3, failed: 1, skipped: 2, ..Tally::default() },
            verified: 0,
            discrepancies: 0,
            requests: 0,
            open_batches: 0,
            revision: 0,
            round: 1,
            rate: None,
            why: None,
            abandoned: false,
            created_at: OffsetDateTime::UNIX_EPOCH + Duration::hours(1),
            moved_at: OffsetDateTime::UNIX_EPOCH + Duration::hours(1),
            started_at: None,
            provisioned_at: None,
            sealed_at: None,
        }
    }

    #[test]
    fn who_needs_a_person_is_reported_before_who_needs_nothing() {
        let group = |state, code, count| FailureGroup { state, code, count, examples: Vec::new() };
        let failures = [
            group(ItemState::Skipped, Code::AlreadyMigrated, 2_932),
            group(ItemState::Failed, Code::EmailInvalid, 1),
        ];
        let report = Report::new(&run(), &failures, &[], &[], OffsetDateTime::UNIX_EPOCH);
        assert_eq!(report.groups[0].code, Code::EmailInvalid);
        let text = crate::markdown(&report);
        let at = |words: &str| text.find(words).unwrap_or_else(|| panic!("no {words}: {text}"));
        assert!(at("## Who needs a person") < at("EMAIL_INVALID"));
        assert!(at("EMAIL_INVALID") < at("## Left out"));
        assert!(at("## Left out") < at("ALREADY_MIGRATED"));
        assert_eq!(report.made_at, "1970-01-01T00:00:00Z");
    }

    #[test]
    fn a_report_for_people_names_the_fields_of_a_code_with_their_users() {
        let failures = [FailureGroup {
            state: ItemState::Conflict,
            code: Code::ChangedSinceMoved,
            count: 3,
            examples: Vec::new(),
        }];
        let mut report = Report::new(&run(), &failures, &[], &[], OffsetDateTime::UNIX_EPOCH);
        assert!(crate::markdown(&report).contains("| conflict | CHANGED_SINCE_MOVED |  | 3 |"));
        report.groups[0].fields = crate::count_fields([("name, app_metadata.a|b", 1), ("name", 2)]);
        let text = crate::markdown(&report);
        let line = "| conflict | CHANGED_SINCE_MOVED | name 3, app_metadata.a\\|b 1 | 3 |";
        assert!(text.contains(line), "{text}");
        let back: Report = serde_json::from_value(report.to_value()).unwrap();
        assert_eq!(back, report);
    }

    #[test]
    fn a_report_says_who_ordered_what_of_this_run_in_order_of_time() {
        let line = |hour, run, action: &str, reason: Option<&str>| AuditLine {
            at: OffsetDateTime::UNIX_EPOCH + Duration::hours(hour),
            actor: "ann@host".into(),
            action: action.into(),
            run,
            detail: serde_json::Value::Null,
            reason: reason.map(str::to_owned),
        };
        let own = Some(run().id);
        let other = Some("01890000-0000-7000-8000-000000000001".parse().unwrap());
        let newest = [
            line(4, None, "stop_all", None),
            line(3, own, "pause", Some("a | b")),
            line(3, other, "cancel", None),
            line(2, own, "open_run", None),
            line(0, None, "resume_all", None),
        ];
        let report = Report::new(&run(), &[], &[], &newest, OffsetDateTime::UNIX_EPOCH);
        let actions: Vec<&str> = report.orders.iter().map(|order| order.action.as_str()).collect();
        assert_eq!(actions, ["open_run", "pause", "stop_all"]);
        let said = |action: &str, detail| {
            let line = AuditLine { detail, ..line(2, own, action, None) };
            Report::new(&run(), &[], &[], &[line], OffsetDateTime::UNIX_EPOCH).orders[0].told()
        };
        assert_eq!(said("rate", serde_json::json!({"plan": "private-500"})), "rate: private-500");
        assert_eq!(said("rate", serde_json::json!({"plan": null})), "rate: default");
        assert_eq!(said("open_run", serde_json::json!({"accepted": ["A", "B"]})), "open_run: accepted A, B");
        assert_eq!(said("pause", serde_json::json!({"before": "running"})), "pause");
        let text = crate::markdown(&report);
        assert!(text.contains("| 1970-01-01T03:00:00Z | pause | ann@host | a \\| b |"), "{text}");
    }
}
