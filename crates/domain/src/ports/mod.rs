//! What the rules need from outside, each as a trait an adapter fulfils.

mod application;
mod directory;
mod ledger;
mod limiter;
mod queue;
mod source;

pub use application::Application;
pub use directory::{Connection, Directory, DirectoryError, DirectoryUser, NewUser, Silence};
pub use ledger::{
    ABANDONED, ActiveRun, Addressed, AppRows, AuditLine, BatchCount, BatchFilter, BatchIds, BatchJob,
    BatchVerification, BatchView, Batches, Cancellable, Command, Controls, Course, CourseStep, DeadCount,
    DeadFilter, DeadKind, DeadLetter, DeadLetters, DeadState, DeadTry, DeadView, Discrepancy, Duty, Ended,
    Example, FailureGroup, ItemFilter, ItemPages, ItemView, Items, JobCount, Jobs, LOOKED_AT, Leases, Ledger,
    LedgerError, Lines, ListedUser, Loss, Migration, Moved, MovedAs, MovedOtherwise, MovedUser, Moves,
    NewRun, Orders, Planned, Planning, Presence, Processes, Property, QueueCount, QueueState, Redriven,
    RefusedRow, Reports, Rescued, Restored, Retried, Retryable, RunNow, Runs, SealedRun, SettledGroup,
    StoredReport, Unclaimed, UserFilter, UserInRun, UserJob, Users, WaitReason, WatchedRun, Whose,
    WorkerRecord, WorkerView, WriteBack,
};
pub use limiter::{Alone, GroupFigures, Limiter, LimiterFigures, Observed, Used, Waiting};
pub use queue::{Consumer, Delivery, Handler, Queue, QueueError, Stop, Swept};
pub use source::{Candidate, Settled, Source, SourceError, SourceWarning};

pub use crate::{
    clock::{Clock, Random},
    limits::Group,
};
