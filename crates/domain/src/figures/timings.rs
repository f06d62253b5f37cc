//! How long things take and how many attempts jobs need, for histograms. What is told here goes nowhere until somebody listens:
//! a process whose metrics nobody scrapes pays nothing.

use std::{fmt, time::Duration};

use crate::{job::JobKind, limits::Group};

/// What became of a job that a worker held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobEnd {
    /// It ended well.
    Done,
    /// A try that counted as an attempt; it is tried again.
    Retried,
    /// Handed back; no attempt is spent.
    Snoozed,
    /// Given up.
    Dead,
}

impl JobEnd {
    /// All ends.
    pub const ALL: [JobEnd; 4] = [JobEnd::Done, JobEnd::Retried, JobEnd::Snoozed, JobEnd::Dead];

    /// The word in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            JobEnd::Done => "done",
            JobEnd::Retried => "retried",
            JobEnd::Snoozed => "snoozed",
            JobEnd::Dead => "dead",
        }
    }

    /// Whether no further try follows.
    pub const fn is_last(self) -> bool {
        matches!(self, JobEnd::Done | JobEnd::Dead)
    }
}

/// What Auth0 is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A token.
    Token,
    /// To make a user.
    CreateUser,
    /// One user, by id.
    GetUser,
    /// Users of an address.
    SearchUsers,
    /// To change a user.
    UpdateUser,
    /// To delete a user.
    DeleteUser,
    /// Connections.
    GetConnections,
}

impl Operation {
    /// The word in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Operation::Token => "token",
            Operation::CreateUser => "create_user",
            Operation::GetUser => "get_user",
            Operation::SearchUsers => "search_users",
            Operation::UpdateUser => "update_user",
            Operation::DeleteUser => "delete_user",
            Operation::GetConnections => "get_connections",
        }
    }
}

/// How a request to Auth0 was answered, in classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answered {
    /// 200 to 299.
    Success,
    /// 429: too many requests.
    Throttled,
    /// Another of 400 to 499.
    Refused,
    /// 500 and more.
    ServerError,
    /// Any other status.
    Other,
    /// No answer, or half of one.
    Nothing,
}

impl Answered {
    /// The class of a status; `None` without an answer.
    pub const fn of(status: Option<u16>) -> Self {
        match status {
            None => Answered::Nothing,
            Some(200..=299) => Answered::Success,
            Some(429) => Answered::Throttled,
            Some(400..=499) => Answered::Refused,
            Some(500..) => Answered::ServerError,
            Some(_) => Answered::Other,
        }
    }

    /// The word in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Answered::Success => "2xx",
            Answered::Throttled => "429",
            Answered::Refused => "4xx",
            Answered::ServerError => "5xx",
            Answered::Other => "other",
            Answered::Nothing => "none",
        }
    }
}

/// What the ledger is asked for in the course of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LedgerStep {
    /// To lease a job.
    Lease,
    /// The users of a batch.
    ReadBatch,
    /// To write results, and ids into the application's rows.
    WriteBack,
    /// To write what was read back.
    WriteReadings,
    /// To end a lease.
    Conclude,
    /// To renew leases.
    Renew,
}

impl LedgerStep {
    /// The word in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            LedgerStep::Lease => "lease",
            LedgerStep::ReadBatch => "read_batch",
            LedgerStep::WriteBack => "write_back",
            LedgerStep::WriteReadings => "write_readings",
            LedgerStep::Conclude => "conclude",
            LedgerStep::Renew => "renew",
        }
    }
}

/// What took a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timed {
    /// From when a job might run until a worker had leased it.
    JobWait(JobKind),
    /// From the lease of a job to its end.
    JobRun(JobKind, JobEnd),
    /// A request to Auth0, without the wait for its permit.
    Request(Operation, Answered),
    /// The wait for a permit of the limit.
    LimitWait(Group),
    /// A step of the ledger.
    Ledger(LedgerStep),
}

/// What is told how long things took. Called on the way of each user: it must be fast, and must
/// not block.
pub trait Timings: Send + Sync {
    /// Takes note of one.
    fn took(&self, what: Timed, took: Duration);

    /// Takes note of a job that ended after this number of attempts, the last one included.
    fn attempts(&self, kind: JobKind, attempts: u32);
}

impl fmt::Debug for dyn Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Timings")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_is_tried_again_has_not_ended() {
        let last: Vec<&str> =
            JobEnd::ALL.into_iter().filter(|end| end.is_last()).map(JobEnd::as_str).collect();
        assert_eq!(last, ["done", "dead"]);
    }

    #[test]
    fn a_status_belongs_to_one_class() {
        for (status, word) in [
            (None, "none"),
            (Some(200), "2xx"),
            (Some(201), "2xx"),
            (Some(302), "other"),
            (Some(404), "4xx"),
            (Some(429), "429"),
            (Some(500), "5xx"),
            (Some(599), "5xx"),
        ] {
            assert_eq!(Answered::of(status).as_str(), word, "{status:?}");
        }
    }
}
