//! When the users of a run ended, as a part of its report.

use ferry_domain::{Tally, ports};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::to_the_second;

/// The course of a run: its time in at most 200 steps of equal length. A batch counts as a whole,
/// when the last of its users ended; users of an open batch do not count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Course {
    /// When the run was started (RFC 3339, UTC).
    #[schemars(extend("format" = "date-time"))]
    pub begun_at: String,
    /// Length of a step.
    pub step_seconds: f64,
    /// Users whom a rule settled before anything was sent.
    pub before: Tally,
    /// Steps in which something ended, in order of time.
    pub steps: Vec<CourseStep>,
}

/// What ended in one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CourseStep {
    /// 0 for the step that begins with the run.
    pub number: i64,
    /// Batches whose users ended.
    pub batches: i64,
    /// Their users by outcome.
    #[serde(flatten)]
    pub ended: Tally,
    /// Users of the batches read back in it that were found as written.
    pub verified: i64,
    /// The others of these batches.
    pub discrepancies: i64,
}

impl Course {
    /// The course as the ledger tells it.
    pub(crate) fn of(course: &ports::Course) -> Self {
        let step = |step: &ports::CourseStep| CourseStep {
            number: step.number,
            batches: step.batches,
            ended: step.ended,
            verified: step.verified,
            discrepancies: step.discrepancies,
        };
        Course {
            begun_at: to_the_second(course.begun),
            step_seconds: course.step.as_secs_f64(),
            before: course.before,
            steps: course.steps.iter().map(step).collect(),
        }
    }

    /// Steps from the start to what ended last.
    pub(crate) fn length(&self) -> i64 {
        self.steps.last().map_or(0, |step| step.number + 1)
    }

    /// Seconds from the start to the end of a step.
    pub(crate) fn end_of(&self, number: i64) -> f64 {
        (number + 1) as f64 * self.step_seconds
    }
}
