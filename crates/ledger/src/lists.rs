//! Rows that only together mean something, and those that are counted.

use std::time::Duration;

use ferry_domain::{
    RunId, SourceKey, Tally, WorkerId,
    ports::{
        ActiveRun, BatchCount, Course, CourseStep, Example, FailureGroup, JobCount, Orders, QueueCount,
        WaitReason, WatchedRun, WorkerRecord, WorkerView,
    },
    threshold,
};
use uuid::Uuid;

use crate::{
    Result,
    words::{self, StoredTime},
};

/// A settled item that is an example of its group; rows of a group follow one another.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct FailureRow {
    pub state: String,
    pub code: Option<String>,
    pub key: String,
    pub place: String,
    pub line: i64,
    pub seq: i64,
    /// Items of the whole group.
    pub count: i64,
}

/// Groups settled items, in the order of their rows.
pub fn failure_groups(rows: Vec<FailureRow>) -> Result<Vec<FailureGroup>> {
    let mut groups: Vec<FailureGroup> = Vec::new();
    for row in rows {
        let state = words::item_state(row.seq, &row.state)?;
        let code = words::settled_code(row.seq, state, row.code.as_deref())?;
        let origin = words::origin(row.seq, row.place, row.line)?;
        let example = Example { key: SourceKey(row.key), origin };
        match groups.last_mut() {
            Some(last) if (last.state, last.code) == (state, code) => last.examples.push(example),
            _ => groups.push(FailureGroup { state, code, count: row.count, examples: vec![example] }),
        }
    }
    Ok(groups)
}

/// A step of a run's course; the first one has number -1 and what was settled before the start.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct CourseRow<T> {
    pub begun: T,
    /// Length of a step in microseconds.
    pub step: i64,
    pub number: i64,
    pub batches: i64,
    pub created: i64,
    pub adopted: i64,
    pub skipped: i64,
    pub conflict: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub verified: i64,
    pub discrepancies: i64,
}

/// A course, from its steps in order.
pub fn course<T: StoredTime>(run: RunId, rows: Vec<CourseRow<T>>) -> Result<Option<Course>> {
    let mut course: Option<Course> = None;
    for row in rows {
        let ended = Tally {
            source: row.created + row.adopted + row.skipped + row.conflict + row.failed + row.cancelled,
            created: row.created,
            adopted: row.adopted,
            skipped: row.skipped,
            conflict: row.conflict,
            failed: row.failed,
            cancelled: row.cancelled,
            pending: 0,
        };
        let course = match &mut course {
            Some(course) => course,
            none => none.insert(Course {
                begun: row.begun.moment("runs", &run)?,
                step: Duration::from_micros(row.step.unsigned_abs()),
                before: Tally::default(),
                steps: Vec::new(),
            }),
        };
        if row.number < 0 {
            course.before = ended;
        } else {
            course.steps.push(CourseStep {
                number: row.number,
                batches: row.batches,
                ended,
                verified: row.verified,
                discrepancies: row.discrepancies,
            });
        }
    }
    Ok(course)
}

/// A running run with limits on failures.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct WatchedRow {
    pub id: Uuid,
    pub stop_after: String,
    pub failed: i64,
    pub ended: i64,
    pub pending: i64,
}

impl WatchedRow {
    /// The run, and what counts against its limits.
    pub fn watched(self) -> Result<WatchedRun> {
        Ok(WatchedRun {
            run: RunId(self.id),
            limits: words::stop_after(self.id, &self.stop_after)?,
            tally: threshold::since(self.failed, self.ended, self.pending),
        })
    }
}

/// A number of jobs of one kind and state.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct CountRow {
    pub kind: String,
    pub state: String,
    pub count: i64,
}

impl CountRow {
    /// Jobs of one run.
    pub fn of_run(self) -> Result<JobCount> {
        let (kind, state) =
            (words::job_kind("a count", &self.kind)?, words::job_state("a count", &self.state)?);
        Ok(JobCount { kind, state, jobs: self.count })
    }

    /// Jobs of all runs, with the age of the oldest that waits for nothing but its turn.
    pub fn of_all(self, oldest: Option<Duration>) -> Result<QueueCount> {
        let (kind, state) =
            (words::job_kind("a count", &self.kind)?, words::queue_state("a count", &self.state)?);
        Ok(QueueCount { kind, state, jobs: self.count, oldest })
    }
}

/// A number of batches of one run in one state.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct BatchCountRow {
    pub run_id: Uuid,
    pub state: String,
    pub count: i64,
}

impl BatchCountRow {
    /// What it counts.
    pub fn counted(self) -> Result<BatchCount> {
        let state = words::batch_state("a count", &self.state)?;
        Ok(BatchCount { run: RunId(self.run_id), state, batches: self.count })
    }
}

/// A row of `workers`.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct WorkerRow {
    pub id: Uuid,
    pub host: String,
    pub pid: i32,
    pub slots: i32,
    pub watched: bool,
    pub waits: Option<String>,
    pub leases: i64,
}

impl WorkerRow {
    /// The worker as operators see it.
    pub fn view(self, silent_for: Duration) -> WorkerView {
        let WorkerRow { id, host, pid, slots, watched, waits, leases } = self;
        let waiting_for = waits.map(WaitReason);
        let record = WorkerRecord { id: WorkerId(id), host, pid, slots, waiting_for };
        WorkerView { record, watched, silent_for, leases }
    }
}

/// A run that has not ended, newest first, beside what holds for all; without any run one row
/// whose run is empty.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct OrderRow<T> {
    pub stopped_since: Option<T>,
    pub id: Option<Uuid>,
    pub state: Option<String>,
    pub rate: Option<String>,
}

/// The orders that rows hold together. The newest run's rate counts.
pub fn orders<T: StoredTime>(rows: Vec<OrderRow<T>>) -> Result<Orders> {
    let mut orders = Orders::default();
    for row in rows {
        let since = row.stopped_since.map(|since| since.moment("controls", &"stop_all"));
        orders.stopped_since = since.transpose()?;
        let (Some(id), Some(state)) = (row.id, row.state) else { continue };
        orders.runs.push(ActiveRun { id: RunId(id), state: words::run_state(id, &state)? });
        orders.rate = orders.rate.or(row.rate);
    }
    Ok(orders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_group_are_its_examples() {
        let row = |code: &str, seq: i64, count: i64| FailureRow {
            state: "failed".into(),
            code: Some(code.into()),
            key: seq.to_string(),
            place: "a.csv".into(),
            line: seq + 1,
            seq,
            count,
        };
        let groups =
            failure_groups(vec![row("GHOST", 1, 9), row("GHOST", 4, 9), row("TIMED_OUT", 2, 1)]).unwrap();
        let found: Vec<_> = groups.iter().map(|group| (group.count, group.examples.len())).collect();
        assert_eq!(found, [(9, 2), (1, 1)]);
        let nameless = FailureRow { code: None, ..row("GHOST", 1, 1) };
        assert!(failure_groups(vec![nameless]).unwrap_err().to_string().contains("without a code"));
    }

    #[test]
    fn the_newest_run_with_a_rate_decides() {
        let since = time::macros::datetime!(2026-11-27 18:30 UTC);
        let row = |id: u128, rate: Option<&str>| OrderRow {
            stopped_since: Some(since),
            id: Some(Uuid::from_u128(id)),
            state: Some("running".into()),
            rate: rate.map(str::to_owned),
        };
        let both = orders(vec![row(3, None), row(2, Some("free")), row(1, Some("public"))]).unwrap();
        assert_eq!(
            (both.stopped_since, both.runs.len(), both.rate.as_deref()),
            (Some(since), 3, Some("free"))
        );
        let none =
            OrderRow::<time::OffsetDateTime> { stopped_since: None, id: None, state: None, rate: None };
        let none = orders(vec![none]).unwrap();
        assert_eq!(none, Orders::default());
    }
}
