//! The content of a report, as one serialisable value.

use ferry_domain::{
    Code, ItemState, RunView, Tally,
    limits::LimitPlan,
    ports::{Discrepancy, FailureGroup},
};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Layout of the report.
const LAYOUT: u32 = 1;

/// The content of a report. Field names are part of the command's output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Failed, conflicting and skipped users by reason.
    pub groups: Vec<Group>,
    /// Durations in seconds.
    pub durations: Durations,
    /// Use of the tenant's limit.
    pub rate: Rate,
    /// When the report was made (RFC 3339, UTC).
    pub made_at: String,
}

/// Users with the same outcome and reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// State: failed, conflict or skipped.
    pub state: ItemState,
    /// Reason code.
    pub code: Code,
    /// Number of users.
    pub count: i64,
    /// Remedy, one sentence.
    pub remedy: String,
    /// Whether `run retry` can take them up.
    pub retryable: bool,
    /// Some of them: `key (place:line)`.
    pub examples: Vec<String>,
}

/// A user with the fields that differ; none when it is missing at Auth0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Named {
    /// Key in the source.
    pub key: String,
    /// Position in the source.
    pub seq: i64,
    /// Fields that differ.
    pub fields: Vec<String>,
}

/// Seconds from start to the last batch provisioned, and to the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Durations {
    /// From opening the run to starting it.
    pub planning_seconds: Option<f64>,
    /// From the start to the last batch's creation.
    pub provisioning_seconds: Option<f64>,
    /// From the start to this report.
    pub total_seconds: Option<f64>,
}

/// Use of the tenant's limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
        now: OffsetDateTime,
    ) -> Self {
        Report {
            ferry_report: LAYOUT,
            run: run.id.to_string(),
            migration: run.migration.clone(),
            origin: run.source.to_string(),
            target: format!("{} / {}", run.spec.tenant, run.spec.connection),
            round: run.round,
            tally: run.tally,
            adds_up: run.tally.adds_up(),
            verified: run.verified,
            discrepancies: run.discrepancies,
            discrepant: discrepant.iter().map(named).collect(),
            groups: failures.iter().map(group).collect(),
            durations: durations(run, now),
            rate: rate(run, now),
            made_at: now.format(&Rfc3339).unwrap_or_default(), // can't fail between the years 0 and 9999
        }
    }

    /// The report as JSON.
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default() // can't fail: plain fields, string keys
    }
}

fn named(discrepancy: &Discrepancy) -> Named {
    Named { key: discrepancy.key.shown(), seq: discrepancy.seq.0, fields: discrepancy.fields.clone() }
}

fn group(found: &FailureGroup) -> Group {
    Group {
        state: found.state,
        code: found.code,
        count: found.count,
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
    }
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
