//! Runs and batches: states, moves and settings that a run keeps for its life.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{ids::RunId, tally::Tally, threshold::StopAfter};

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Items are being written.
    Planning,
    /// All items are written, nothing is sent.
    Planned,
    /// Jobs may be sent.
    Running,
    /// A person stopped it; it goes on where it was.
    Paused,
    /// All batches are verified; the report is being made.
    Sealing,
    /// Ended, with a report.
    Sealed,
    /// Given up by a person; users that may exist are looked up at Auth0, and running work finishes.
    Cancelling,
    /// Given up by a person, with a report.
    Cancelled,
    /// A threshold or gate stopped it; it can be resumed.
    Stopped,
}

/// What happens to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunMove {
    /// The last item is written.
    Plan,
    /// Begin sending.
    Start,
    /// A person's brake.
    Pause,
    /// A person's release, also after a stop.
    Resume,
    /// A threshold or gate.
    Stop,
    /// The last batch is verified.
    BeginSealing,
    /// The report is written.
    Seal,
    /// A person gives it up.
    Cancel,
    /// A person takes failed items up again.
    Retry,
}

impl RunMove {
    /// The word used in the audit, in logs and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            RunMove::Plan => "plan",
            RunMove::Start => "start",
            RunMove::Pause => "pause",
            RunMove::Resume => "resume",
            RunMove::Stop => "stop",
            RunMove::BeginSealing => "begin_sealing",
            RunMove::Seal => "seal",
            RunMove::Cancel => "cancel",
            RunMove::Retry => "retry",
        }
    }

    /// Whether people and thresholds ask for it as a bare move; the others belong to the work
    /// of a run.
    pub const fn is_asked_for(self) -> bool {
        matches!(self, RunMove::Pause | RunMove::Resume | RunMove::Stop | RunMove::Cancel)
    }
}

impl fmt::Display for RunMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl RunState {
    /// All states.
    pub const ALL: [RunState; 9] = [
        RunState::Planning,
        RunState::Planned,
        RunState::Running,
        RunState::Paused,
        RunState::Sealing,
        RunState::Sealed,
        RunState::Cancelling,
        RunState::Cancelled,
        RunState::Stopped,
    ];

    /// The word used in databases and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            RunState::Planning => "planning",
            RunState::Planned => "planned",
            RunState::Running => "running",
            RunState::Paused => "paused",
            RunState::Sealing => "sealing",
            RunState::Sealed => "sealed",
            RunState::Cancelling => "cancelling",
            RunState::Cancelled => "cancelled",
            RunState::Stopped => "stopped",
        }
    }

    /// The state a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// The state after a move, or `None` where there is no such move.
    pub const fn after(self, step: RunMove) -> Option<RunState> {
        use RunState::{Cancelled, Cancelling, Paused, Planned, Planning, Running, Sealed, Sealing, Stopped};
        Some(match (self, step) {
            (Planning, RunMove::Plan) => Planned,
            (Planned, RunMove::Start) => Running,
            (Running, RunMove::Pause) => Paused,
            (Paused | Stopped, RunMove::Resume) => Running,
            (Running, RunMove::Stop) => Stopped,
            (Running, RunMove::BeginSealing) => Sealing,
            (Sealing, RunMove::Seal) => Sealed,
            (Planning | Planned, RunMove::Cancel) => Cancelled,
            (Running | Paused | Stopped, RunMove::Cancel) => Cancelling,
            // Its report job was given up: another one is made.
            (Sealing, RunMove::BeginSealing) => Sealing,
            // Its last batch is read back; the report ends it.
            (Cancelling, RunMove::BeginSealing) => Cancelling,
            (Cancelling, RunMove::Seal) => Cancelled,
            (Sealed | Running | Paused | Stopped, RunMove::Retry) => Running,
            _ => return None,
        })
    }

    /// The run's state as holders of its jobs see it: while all sending is stopped, a run that
    /// sends is as if paused. One that does not send stays what it is.
    pub const fn seen_by_holder(self, all_stopped: bool) -> RunState {
        if all_stopped && self.is_sending() { RunState::Paused } else { self }
    }

    /// Why a run has no such move in this state, and what to do instead, as commands that work
    /// when pasted. Completes "run … is sealed: …".
    pub fn refusal(self, run: RunId, step: RunMove) -> String {
        use RunState::{Cancelled, Cancelling, Paused, Planned, Planning, Running, Sealed, Sealing, Stopped};
        match (self, step) {
            (_, RunMove::Plan) => "a plan is written once. ferry run start begins a new run".to_owned(),
            (Cancelling | Cancelled, _) => {
                "it was cancelled for good. ferry run start begins a new run; users made \
                                            already are found again"
                    .to_owned()
            }
            (Sealed, _) => format!(
                "it has ended. ferry run retry {run} takes failed users up again, ferry run start begins a new run"
            ),
            (Sealing, _) => format!("its report is being made. Wait for its end: ferry run watch {run}"),
            (Planning | Planned, _) => {
                format!(
                    "it was not started. ferry run cancel {run} removes it, ferry run start begins a new run"
                )
            }
            (Paused | Stopped, _) => format!(
                "nothing is sent. ferry run resume {run} lets it go on, ferry run cancel {run} gives it up"
            ),
            (Running, RunMove::BeginSealing | RunMove::Seal) => {
                format!("some of its users are still to be done. See ferry run show {run}")
            }
            (Running, _) => format!("it is running already. See ferry run show {run}"),
        }
    }

    /// The result of asking for a move. Asking for what is already so is no error:
    /// operators press twice, and scripts run twice.
    pub fn asked(self, step: RunMove) -> Asked {
        use RunState::{Cancelled, Cancelling, Paused, Running, Stopped};
        match (self, step) {
            (Paused, RunMove::Pause)
            | (Running, RunMove::Resume)
            | (Stopped, RunMove::Stop)
            | (Cancelling | Cancelled, RunMove::Cancel) => Asked::Already,
            _ => self.after(step).map_or(Asked::Refused, Asked::Moves),
        }
    }

    /// Whether its jobs may be sent.
    pub const fn is_sending(self) -> bool {
        matches!(self, RunState::Running | RunState::Sealing | RunState::Cancelling)
    }

    /// Whether nothing of it was ever sent.
    pub const fn is_unstarted(self) -> bool {
        matches!(self, RunState::Planning | RunState::Planned)
    }

    /// Whether a second run of the same source has to wait for this one.
    pub const fn is_active(self) -> bool {
        !matches!(self, RunState::Sealed | RunState::Cancelled)
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The result of asking for a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It moves there.
    Moves(RunState),
    /// It is there already.
    Already,
    /// There is no such move from here.
    Refused,
}

/// The state of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchState {
    /// Some of its items are pending.
    Open,
    /// None is.
    Provisioned,
    /// Its users were read back.
    Verified,
}

impl BatchState {
    /// All states.
    pub const ALL: [BatchState; 3] = [BatchState::Open, BatchState::Provisioned, BatchState::Verified];

    /// The state a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// The word used in databases.
    pub const fn as_str(self) -> &'static str {
        match self {
            BatchState::Open => "open",
            BatchState::Provisioned => "provisioned",
            BatchState::Verified => "verified",
        }
    }
}

/// What to do with an account that exists at Auth0 and is verified on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExisting {
    /// Take it over.
    #[default]
    Adopt,
    /// Leave it and count it as skipped.
    Skip,
    /// Leave it to a person.
    Conflict,
}

/// Where users come from, without credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub struct SourceIdentity {
    /// `csv`, `json`, `ndjson`, `postgres` or `sqlite`.
    pub kind: String,
    /// Canonical path of the file, or `host:port/database/schema.table`.
    pub location: String,
}

impl SourceIdentity {
    /// Whether it is a file, not a table.
    pub fn is_file(&self) -> bool {
        !matches!(self.kind.as_str(), "postgres" | "sqlite")
    }
}

impl fmt::Display for SourceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.location)
    }
}

/// The application's table that gets `auth0_user_id`. Names, unquoted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteBackTarget {
    /// The database, where it is not the ledger's: [`Application::name`](crate::ports::Application::name).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Schema, where the database has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The table's name.
    pub table: String,
    /// Column that holds the source key.
    pub key_column: String,
    /// Column that gets the Auth0 id.
    pub id_column: String,
    /// Column of the address, or where it is in a column of JSON (`profile.email`): a row whose
    /// address changed since it was planned does not get the id. `None` where the address comes
    /// from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_column: Option<String>,
    /// Whether a person accepted that row-level security may hide rows of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accepts_row_security: bool,
}

impl WriteBackTarget {
    /// A table by its names; nothing is accepted.
    pub fn new(schema: Option<&str>, table: &str, key_column: &str, id_column: &str) -> Self {
        WriteBackTarget {
            database: None,
            schema: schema.map(str::to_owned),
            table: table.to_owned(),
            key_column: key_column.to_owned(),
            id_column: id_column.to_owned(),
            email_column: None,
            accepts_row_security: false,
        }
    }

    /// The table as people write it, with its schema where one is known.
    pub fn shown(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}", self.table),
            None => self.table.clone(),
        }
    }
}

/// Number of batches that users need in batches of `size`, at least one in each.
pub const fn batches_for(users: i64, size: i64) -> i64 {
    let size = if size < 1 { 1 } else { size };
    users / size + (users % size > 0) as i64
}

/// Settings fixed at the start of a run, whatever the settings file holds later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    /// Tenant, as in the chosen ids.
    pub tenant: String,
    /// Connection name.
    pub connection: String,
    /// What to do with existing accounts.
    pub on_existing: OnExisting,
    /// Users in a batch, 1 to 1,000.
    pub batch_size: u32,
    /// Tries of one batch before its remaining items fail.
    pub max_attempts: i32,
    /// Named plan of the tenant's limits, for the report.
    pub limits: String,
    /// Where ids are written back; `None` for files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_back: Option<WriteBackTarget>,
    /// Digest of the source at planning; empty for tables.
    #[serde(default)]
    pub source_digest: String,
    /// When it stops by itself.
    #[serde(default)]
    pub stop_after: StopAfter,
}

/// A run as operators see it.
#[derive(Clone, Debug)]
pub struct RunView {
    /// Its id.
    pub id: RunId,
    /// Named move it belongs to.
    pub migration: String,
    /// Where its users come from.
    pub source: SourceIdentity,
    /// What was decided at its start.
    pub spec: RunSpec,
    /// Its state.
    pub state: RunState,
    /// Sum over its batches.
    pub tally: Tally,
    /// Users read back and found as written.
    pub verified: i64,
    /// Users read back and found otherwise, or not found.
    pub discrepancies: i64,
    /// Requests sent to Auth0.
    pub requests: i64,
    /// Batches not verified yet.
    pub open_batches: i64,
    /// Revision of the newest report; 0 before the first.
    pub revision: i32,
    /// Retry rounds so far; 1 is the first pass.
    pub round: i32,
    /// Plan of limits that an operator set for it.
    pub rate: Option<String>,
    /// Why it is paused or stopped, where a reason was given: a code or a person's words.
    pub why: Option<String>,
    /// Whether it was never started, and its `run start` showed no sign for
    /// [`crate::ports::ABANDONED`]: the next one of its source removes it.
    pub abandoned: bool,
    /// When it was opened.
    pub created_at: OffsetDateTime,
    /// When its state last changed; while it is planned, when its `run start` last showed a sign.
    pub moved_at: OffsetDateTime,
    /// When it was started.
    pub started_at: Option<OffsetDateTime>,
    /// When the newest batch was provisioned.
    pub provisioned_at: Option<OffsetDateTime>,
    /// When it was sealed, for the newest revision.
    pub sealed_at: Option<OffsetDateTime>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_run_moves_only_by_retry_and_a_cancelled_one_never() {
        use RunMove::*;
        for step in [Plan, Start, Pause, Resume, Stop, BeginSealing, Seal, Cancel] {
            assert_eq!(RunState::Sealed.after(step), None, "{step:?}");
            assert_eq!(RunState::Cancelled.after(step), None, "{step:?}");
        }
        assert_eq!(RunState::Sealed.after(Retry), Some(RunState::Running));
        assert_eq!(RunState::Cancelled.after(Retry), None);
    }

    #[test]
    fn a_run_that_sends_nothing_can_go_on_or_be_given_up() {
        use RunMove::*;
        for state in [RunState::Paused, RunState::Stopped] {
            assert_eq!(state.after(Resume), Some(RunState::Running), "{state}");
            assert_eq!(state.after(Retry), Some(RunState::Running), "{state}");
            assert_eq!(state.after(Cancel), Some(RunState::Cancelling), "{state}: users may be at Auth0");
        }
        for state in [RunState::Planning, RunState::Planned] {
            assert_eq!(state.after(Cancel), Some(RunState::Cancelled), "{state}: nothing was sent");
        }
    }

    #[test]
    fn a_report_that_was_given_up_is_made_again() {
        for state in [RunState::Sealing, RunState::Cancelling] {
            assert_eq!(state.after(RunMove::BeginSealing), Some(state));
        }
    }

    #[test]
    fn every_move_that_is_missing_is_refused_with_what_to_do() {
        for state in RunState::ALL {
            for step in [RunMove::Pause, RunMove::Resume, RunMove::Stop, RunMove::Cancel, RunMove::Retry] {
                if state.asked(step) != Asked::Refused {
                    continue;
                }
                let text = state.refusal(RunId(uuid::Uuid::nil()), step);
                assert!(text.contains("ferry run "), "{step} of a run that is {state}: {text}");
            }
        }
    }

    #[test]
    fn a_stop_of_all_sending_hides_no_state_but_sending() {
        assert_eq!(RunState::Running.seen_by_holder(true), RunState::Paused);
        assert_eq!(RunState::Stopped.seen_by_holder(true), RunState::Stopped);
        assert_eq!(RunState::Cancelling.seen_by_holder(false), RunState::Cancelling);
    }

    #[test]
    fn asking_twice_is_no_error_and_a_running_run_is_drained_before_it_is_cancelled() {
        use RunMove::*;
        assert_eq!(RunState::Running.asked(Pause), Asked::Moves(RunState::Paused));
        assert_eq!(RunState::Paused.asked(Pause), Asked::Already);
        assert_eq!(RunState::Sealed.asked(Pause), Asked::Refused);
        assert_eq!(RunState::Running.asked(Cancel), Asked::Moves(RunState::Cancelling));
        assert_eq!(RunState::Cancelling.asked(Cancel), Asked::Already);
        assert_eq!(RunState::Cancelled.asked(Cancel), Asked::Already);
        assert_eq!(RunState::Cancelling.asked(Resume), Asked::Refused);
        assert_eq!(RunState::Cancelling.after(Seal), Some(RunState::Cancelled));
        assert!(RunState::Cancelling.is_active() && RunState::Cancelling.is_sending());
    }
}
