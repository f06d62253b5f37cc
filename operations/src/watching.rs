//! What is seen of a run at one look, for a view that follows it.
//!
//! The run and what decides on its pace are read at each look. What costs more, users by code and jobs of all
//! runs, is read at most every two seconds, and more seldom where it takes long: on a large run nobody may slow
//! the ledger down by watching.

mod recent; // speeds of the last moments

use std::time::Duration;

use ferry_domain::{Code, ItemState, RunView, limits::LimitPlan, ports::WorkerView};
use time::OffsetDateTime;
use tokio::time::Instant;

pub use self::recent::STEP;
use self::recent::{Recent, Requests};
use crate::{
    Access, Error,
    pace::{Pace, Speed},
    views::{JobsOfKind, jobs_of_kinds},
    waits::{self, Around},
};

/// The shortest time between two looks at the details.
const DETAILS_EVERY: Duration = Duration::from_secs(2);
/// Reading them may take at most 1/20 of the time: the pause after it is this many times as long.
const SHARE: u32 = 20;
/// Details that take longer are those of before.
const ANSWER: Duration = Duration::from_secs(10);

/// A run at one look.
#[derive(Clone, Debug)]
pub struct Look {
    /// The run.
    pub run: RunView,
    /// When it was seen.
    pub at: OffsetDateTime,
    /// Why it waits; `None` while users move.
    pub why: Option<String>,
    /// Whether its requests may be sent now.
    pub sending: bool,
    /// How fast it goes; `None` while that is not known.
    pub speed: Option<Speed>,
    /// Users made or adopted in a second, in each [`STEP`] of late, the last one last.
    pub recent: Vec<f64>,
    /// Requests to Auth0 in a second, as batches tell of them; `None` while that is not known.
    pub requests_per_second: Option<f64>,
    /// What it may take at most.
    pub limits: Limits,
    /// Worker processes.
    pub workers: Vec<WorkerView>,
    /// What is read less often.
    pub details: Details,
}

/// What the tenant allows, as far as is known here.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Name of the plan.
    pub plan: String,
    /// Whether `run rate` set it, for this run or a newer one.
    pub set: bool,
    /// New users in a second; `None` without a limit.
    pub users_per_second: Option<f64>,
    /// Requests in a second; `None` without a limit that is one for all.
    pub requests_per_second: Option<f64>,
}

impl Limits {
    /// Those that workers keep to now: set by `run rate`, else those the run was started with.
    pub fn of(run: &RunView, around: &Around) -> Limits {
        let set = around.orders.rate.as_ref();
        let name = set.unwrap_or(&run.spec.limits);
        let plan: Option<LimitPlan> = name.parse().ok();
        Limits {
            plan: name.clone(),
            set: set.is_some(),
            users_per_second: plan.as_ref().and_then(LimitPlan::creates_per_second),
            requests_per_second: plan.and_then(|plan| plan.global).map(|bucket| bucket.rate()),
        }
    }
}

/// Users with the same end that need a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Failed or conflict.
    pub state: ItemState,
    /// Why.
    pub code: Code,
    /// How many.
    pub users: i64,
}

/// What is read less often.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    /// Users that need a person by code, the largest group first.
    pub failures: Vec<Group>,
    /// Jobs of all runs by kind.
    pub jobs: Vec<JobsOfKind>,
    /// What the application's table lacks by now.
    pub table: Option<String>,
}

/// A run that is looked at again and again.
#[derive(Debug)]
pub struct Watching {
    began: Instant,
    pace: Pace,
    recent: Recent,
    requests: Requests,
    details: Details,
    next: Option<Instant>,
    /// Users that needed a person when they were last grouped.
    grouped: i64,
}

impl Default for Watching {
    fn default() -> Self {
        Watching {
            began: Instant::now(),
            pace: Pace::default(),
            recent: Recent::default(),
            requests: Requests::default(),
            details: Details::default(),
            next: None,
            grouped: 0,
        }
    }
}

impl Watching {
    /// Makes a look of what was read, with details where they are due.
    pub async fn look(&mut self, access: &Access, run: RunView, around: Around) -> Look {
        let at = self.began.elapsed();
        let state = run.state.seen_by_holder(around.orders.stop_all());
        self.pace.seen(at, &RunView { state, ..run.clone() });
        self.recent.seen(at, &run);
        self.requests.seen(at, run.requests, state.is_sending());
        self.look_at_details(access, &run).await;
        Look {
            at: access.clock.now(),
            why: around.why(&run),
            sending: state.is_sending(),
            speed: self.pace.speed(&run),
            recent: self.recent.speeds(),
            requests_per_second: self.requests.per_second(),
            limits: Limits::of(&run, &around),
            workers: around.workers,
            details: self.details.clone(),
            run,
        }
    }

    /// Details that can't be read stay as they were: the next look at the run says what is wrong.
    async fn look_at_details(&mut self, access: &Access, run: &RunView) {
        if self.next.is_some_and(|next| Instant::now() < next) {
            return;
        }
        let begun = Instant::now();
        let _ = tokio::time::timeout(ANSWER, self.read_details(access, run)).await;
        self.next = Some(begun + begun.elapsed() + (begun.elapsed() * SHARE).max(DETAILS_EVERY));
    }

    async fn read_details(&mut self, access: &Access, run: &RunView) -> Result<(), Error> {
        self.details.jobs = jobs_of_kinds(&access.jobs.queue_counts().await?);
        let now = run.tally.failed + run.tally.conflict;
        if now != self.grouped {
            self.details.failures = failures(access, run).await?;
            self.grouped = now;
        }
        self.details.table = waits::table_remark(access, run).await;
        Ok(())
    }
}

async fn failures(access: &Access, run: &RunView) -> Result<Vec<Group>, Error> {
    let groups = access.reports.failures(run.id).await?;
    let needs_a_person = groups.iter().filter(|group| group.state != ItemState::Skipped);
    let mut failures: Vec<Group> = needs_a_person
        .map(|group| Group { state: group.state, code: group.code, users: group.count })
        .collect();
    failures.sort_by_key(|group| std::cmp::Reverse(group.users));
    Ok(failures)
}

#[cfg(test)]
mod tests {
    use ferry_domain::{RunState, ports::Orders};

    use super::*;
    use crate::views::tests::run_view;

    #[test]
    fn limits_are_those_that_workers_keep_to() {
        let run = run_view(RunState::Running);
        let of = |rate: Option<&str>| {
            let orders = Orders { rate: rate.map(str::to_owned), ..Orders::default() };
            Limits::of(&run, &Around { orders, workers: Vec::new() })
        };
        let started = of(None);
        assert_eq!(
            (started.plan.as_str(), started.set, started.users_per_second),
            ("free", false, Some(2.0))
        );
        let set = of(Some("custom:9:8"));
        assert_eq!((set.set, set.users_per_second, set.requests_per_second), (true, Some(8.0), Some(8.0)));
        let groups = of(Some("essentials"));
        assert_eq!(groups.requests_per_second, None, "it has a limit for each group of requests");
        assert_eq!(of(Some("off")).users_per_second, None);
    }
}
