//! What is shown, as objects: their field names are part of the command's output and
//! must not change.

mod dead;

use ferry_domain::{
    Code, ItemState, JobKind, RunId, RunState, RunView, WorkerId,
    ports::{ItemView, QueueCount, QueueState, WorkerView},
};
use ferry_report::Table;
use schemars::JsonSchema;
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

pub use self::dead::{Letter, LetterInFull, LostUser, Payload, Try};

use crate::pace::{self, Pauses};

/// One run among others.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the names say it; sums are users")]
pub struct RunLine {
    pub run: RunId,
    pub state: RunState,
    pub migration: String,
    /// Where its users come from.
    pub from: String,
    pub source: i64,
    pub created: i64,
    pub adopted: i64,
    pub pending: i64,
    pub conflict: i64,
    pub failed: i64,
    pub skipped: i64,
    pub cancelled: i64,
    #[schemars(extend("format" = "date-time"))]
    pub created_at: String,
    #[schemars(extend("format" = "date-time"))]
    pub started_at: Option<String>,
    #[schemars(extend("format" = "date-time"))]
    pub ended_at: Option<String>,
    /// Whether it was never started and its `run start` is gone.
    pub abandoned: bool,
}

impl From<&RunView> for RunLine {
    fn from(run: &RunView) -> Self {
        RunLine {
            run: run.id,
            state: run.state,
            migration: run.migration.clone(),
            from: run.source.to_string(),
            source: run.tally.source,
            created: run.tally.created,
            adopted: run.tally.adopted,
            pending: run.tally.pending,
            conflict: run.tally.conflict,
            failed: run.tally.failed,
            skipped: run.tally.skipped,
            cancelled: run.tally.cancelled,
            created_at: run.created_at.format(&Rfc3339).unwrap_or_default(),
            started_at: run.started_at.map(to_the_second),
            ended_at: run.sealed_at.filter(|_| !run.state.is_active()).map(to_the_second),
            abandoned: run.abandoned,
        }
    }
}

/// One run in full. `source` is the sum of the seven outcomes.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the names say it; sums are users")]
pub struct RunInFull {
    pub run: RunId,
    pub state: RunState,
    pub source: i64,
    pub created: i64,
    pub adopted: i64,
    pub skipped: i64,
    pub conflict: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub pending: i64,
    pub verified: i64,
    pub discrepancies: i64,
    pub round: i32,
    pub revision: i32,
    /// The plan of limits it was started with.
    pub limits: String,
    /// The plan of limits that was set while it runs.
    pub rate: Option<String>,
    /// Why it is paused or stopped: a code, or a person's words.
    pub why: Option<String>,
    /// Whether it was never started and its `run start` is gone.
    pub abandoned: bool,
    pub max_failures: Option<i64>,
    /// In percent.
    pub max_failure_rate: Option<f64>,
    #[schemars(extend("format" = "date-time"))]
    pub started_at: Option<String>,
    #[schemars(extend("format" = "date-time"))]
    pub ended_at: Option<String>,
    /// From its start to its end, or until now; null where time was not looked at.
    pub elapsed_seconds: Option<u64>,
    /// How much of that it was paused or stopped, or all sending was; null where that is not known.
    pub paused_seconds: Option<u64>,
    /// Since when all sending is stopped; null where it is not.
    #[schemars(extend("format" = "date-time"))]
    pub all_stopped_since: Option<String>,
    /// Users made or adopted in a second, on average since the start without pauses; null where it does not go on.
    pub users_per_second: Option<f64>,
    /// Until everybody is read back, at this speed; null where it does not go on.
    pub eta_seconds: Option<u64>,
    /// What the application's rows carry of the ids, counted at the end.
    pub table: Option<Table>,
}

impl RunInFull {
    /// The run with its speed at this moment.
    pub fn at(run: &RunView, pauses: &Pauses, now: OffsetDateTime) -> Self {
        let speed = pace::average(run, pauses, now);
        RunInFull {
            elapsed_seconds: pace::elapsed(run, now).map(|time| time.as_secs()),
            paused_seconds: pace::paused(run, pauses, now).map(|time| time.as_secs()),
            all_stopped_since: pauses.all_stopped_since().map(to_the_second),
            users_per_second: speed.map(|speed| (speed.users_per_second * 10.0).round() / 10.0),
            eta_seconds: speed.and_then(|speed| speed.left).map(|left| left.as_secs()),
            ..RunInFull::from(run)
        }
    }
}

impl From<&RunView> for RunInFull {
    fn from(run: &RunView) -> Self {
        let (sums, stop) = (&run.tally, &run.spec.stop_after);
        RunInFull {
            run: run.id,
            state: run.state,
            source: sums.source,
            created: sums.created,
            adopted: sums.adopted,
            skipped: sums.skipped,
            conflict: sums.conflict,
            failed: sums.failed,
            cancelled: sums.cancelled,
            pending: sums.pending,
            verified: run.verified,
            discrepancies: run.discrepancies,
            round: run.round,
            revision: run.revision,
            limits: run.spec.limits.clone(),
            rate: run.rate.clone(),
            why: run.why.clone(),
            abandoned: run.abandoned,
            max_failures: stop.failures,
            max_failure_rate: stop.rate.map(|share| f64::from(share) / 100.0),
            started_at: run.started_at.map(to_the_second),
            ended_at: run.sealed_at.filter(|_| !run.state.is_active()).map(to_the_second),
            elapsed_seconds: None,
            paused_seconds: None,
            all_stopped_since: None,
            users_per_second: None,
            eta_seconds: None,
            table: None,
        }
    }
}

/// A time to the second, as RFC 3339.
pub fn to_the_second(at: OffsetDateTime) -> String {
    at.replace_nanosecond(0).unwrap_or(at).format(&Rfc3339).unwrap_or_default() // can't fail between the years 0 and 9999
}

/// Jobs of one kind, in all runs.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the names are those of states")]
pub struct JobsOfKind {
    pub kind: JobKind,
    /// How long ago the oldest one that waits should have begun.
    pub oldest_due_seconds: Option<f64>,
    pub ready: i64,
    pub scheduled: i64,
    pub retrying: i64,
    pub queued: i64,
    pub leased: i64,
    pub dead: i64,
}

/// A line for each kind, also where it has no job.
pub fn jobs_of_kinds(counted: &[QueueCount]) -> Vec<JobsOfKind> {
    let of_kind = |kind: JobKind| {
        let lines = || counted.iter().filter(move |line| line.kind == kind);
        let count =
            |state: QueueState| lines().filter(|line| line.state == state).map(|line| line.jobs).sum();
        JobsOfKind {
            kind,
            oldest_due_seconds: lines().filter_map(|line| line.oldest).max().map(|age| age.as_secs_f64()),
            ready: count(QueueState::Ready),
            scheduled: count(QueueState::Scheduled),
            retrying: count(QueueState::Retrying),
            queued: count(QueueState::Queued),
            leased: count(QueueState::Leased),
            dead: count(QueueState::Dead),
        }
    };
    JobKind::ALL.map(of_kind).into()
}

/// What the queue holds of the jobs that were sent to it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Window {
    /// Jobs waiting or in flight; null where it could not be asked.
    pub held: Option<usize>,
    /// The most it may hold.
    pub size: i64,
    /// Why it could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A worker process.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "as `WorkerView`, which has the words")]
pub struct Worker {
    pub worker: WorkerId,
    pub host: String,
    pub pid: i32,
    pub slots: i32,
    pub watched: bool,
    pub silent_seconds: f64,
    pub leases: i64,
    pub waits: Option<String>,
}

impl From<&WorkerView> for Worker {
    fn from(worker: &WorkerView) -> Self {
        Worker {
            worker: worker.record.id,
            host: worker.record.host.clone(),
            pid: worker.record.pid,
            slots: worker.record.slots,
            watched: worker.watched,
            silent_seconds: worker.silent_for.as_secs_f64(),
            leases: worker.leases,
            waits: worker.record.waiting_for.as_ref().map(ToString::to_string),
        }
    }
}

/// A user's id at Auth0, by its key in the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct IdView {
    /// The key, as the source has it.
    pub key: String,
    /// The user at Auth0.
    pub auth0_user_id: Option<String>,
    /// What became of the user.
    #[schemars(with = "ItemState")]
    pub state: &'static str,
    /// Why, where there is more to say.
    pub code: Option<Code>,
    /// File and line, or table and row.
    pub place: String,
}

impl From<&ItemView> for IdView {
    fn from(item: &ItemView) -> Self {
        IdView {
            key: item.key.0.clone(),
            auth0_user_id: item.auth0_user_id.as_ref().map(|id| id.0.clone()),
            state: item.state.as_str(),
            code: item.code,
            place: item.origin.to_string(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use ferry_domain::{
        OnExisting, RunSpec, SourceIdentity, Tally,
        ports::{Candidate, Source, SourceError},
        threshold::StopAfter,
    };
    use serde_json::json;

    use super::*;

    /// A run of ten users, three of them created.
    pub(crate) fn run_view(state: RunState) -> RunView {
        RunView {
            id: "01890000-0000-7000-8000-000000000001".parse().unwrap(),
            migration: "users".into(),
            source: SourceIdentity { kind: "csv".into(), location: "/tmp/users.csv".into() },
            spec: RunSpec {
                tenant: "acme.eu.auth0.com".into(),
                connection: "Users".into(),
                on_existing: OnExisting::Adopt,
                batch_size: 5,
                max_attempts: 8,
                limits: "free".into(),
                write_back: None,
                source_digest: String::new(),
                stop_after: StopAfter { failures: Some(7), rate: Some(250) },
            },
            state,
            tally: Tally { source: 10, created: 3, pending: 7, ..Tally::default() },
            verified: 0,
            discrepancies: 0,
            requests: 3,
            open_batches: 2,
            revision: 0,
            round: 1,
            rate: None,
            why: None,
            abandoned: false,
            created_at: OffsetDateTime::UNIX_EPOCH,
            moved_at: OffsetDateTime::UNIX_EPOCH,
            started_at: None,
            provisioned_at: None,
            sealed_at: None,
        }
    }

    /// A source without users.
    pub(crate) struct Nobody(pub(crate) SourceIdentity);

    #[async_trait::async_trait]
    impl Source for Nobody {
        fn identity(&self) -> SourceIdentity {
            self.0.clone()
        }

        async fn next_chunk(&mut self, _most: usize) -> Result<Vec<Candidate>, SourceError> {
            Ok(Vec::new())
        }

        fn digest(&self) -> Option<String> {
            None
        }
    }

    /// Scripts rest on these names; a name that has to change needs a line in the changelog.
    #[test]
    fn a_run_s_object_keeps_its_names() {
        let run = run_view(RunState::Running);
        let expected = json!({
            "run": "01890000-0000-7000-8000-000000000001", "state": "running", "source": 10, "created": 3,
            "adopted": 0, "skipped": 0, "conflict": 0, "failed": 0, "cancelled": 0, "pending": 7,
            "verified": 0, "discrepancies": 0, "round": 1, "revision": 0, "limits": "free", "rate": null, "table": null,
            "why": null, "abandoned": false, "max_failures": 7, "max_failure_rate": 2.5,
            "started_at": null, "ended_at": null, "elapsed_seconds": null, "users_per_second": null,
            "paused_seconds": null, "all_stopped_since": null,
            "eta_seconds": null,
        });
        assert_eq!(serde_json::to_value(RunInFull::from(&run)).unwrap(), expected);
        let expected = json!({
            "run": "01890000-0000-7000-8000-000000000001", "state": "running", "migration": "users",
            "from": "csv /tmp/users.csv", "source": 10, "created": 3, "adopted": 0, "pending": 7,
            "conflict": 0, "failed": 0, "skipped": 0, "cancelled": 0, "created_at": "1970-01-01T00:00:00Z",
            "started_at": null, "ended_at": null, "abandoned": false,
        });
        assert_eq!(serde_json::to_value(RunLine::from(&run)).unwrap(), expected);
    }

    #[test]
    fn every_kind_of_job_has_a_line() {
        let second = Some(Duration::from_secs(1));
        let count = |kind, state, jobs, oldest| QueueCount { kind, state, jobs, oldest };
        let counted = [
            count(JobKind::Provision, QueueState::Ready, 3, second),
            count(JobKind::Verify, QueueState::Retrying, 2, None),
        ];
        let lines = jobs_of_kinds(&counted);
        assert_eq!(lines.len(), JobKind::ALL.len());
        assert_eq!((lines[0].ready, lines[0].retrying, lines[0].oldest_due_seconds), (3, 0, Some(1.0)));
        assert_eq!((lines[1].retrying, lines[1].oldest_due_seconds), (2, None));
        let object = serde_json::to_value(&lines[0]).unwrap();
        assert_eq!(object["kind"], "provision", "{object}");
    }

    #[test]
    fn a_queue_that_could_not_be_asked_says_why() {
        let of = |window| serde_json::to_value(window).unwrap();
        assert_eq!(of(Window { held: Some(2), size: 9, error: None }), json!({"held": 2, "size": 9}));
        let unknown = Window { held: None, size: 9, error: Some("away".into()) };
        assert_eq!(of(unknown), json!({"held": null, "size": 9, "error": "away"}));
    }
}
