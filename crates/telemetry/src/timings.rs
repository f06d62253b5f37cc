//! Histograms of how long things take, and of attempts. They have no series before their first value.

use std::{array, time::Duration};

use ferry_domain::{
    JobKind,
    figures::{Timed, Timings},
    telemetry::metrics::{self as m, Kind, Metric},
};
use opentelemetry::{
    KeyValue,
    metrics::{Histogram, Meter},
};

/// All histograms of a process.
pub(crate) struct Histograms {
    job_wait: Histogram<f64>,
    job_run: Histogram<f64>,
    job_attempts: Histogram<f64>,
    requests: Histogram<f64>,
    limit_wait: Histogram<f64>,
    ledger_steps: Histogram<f64>,
}

impl Histograms {
    pub(crate) fn of(meter: &Meter) -> Self {
        let histogram = |metric: Metric| {
            let Kind::Histogram(bounds) = metric.kind else {
                unreachable!("{} is no histogram", metric.name)
            };
            meter
                .f64_histogram(metric.instrument)
                .with_unit(metric.unit)
                .with_description(metric.help)
                .with_boundaries(bounds.to_vec())
                .build()
        };
        Histograms {
            job_wait: histogram(m::JOB_WAIT),
            job_run: histogram(m::JOB_RUN),
            job_attempts: histogram(m::JOB_ATTEMPTS),
            requests: histogram(m::REQUESTS),
            limit_wait: histogram(m::RATE_WAITED),
            ledger_steps: histogram(m::LEDGER_STEPS),
        }
    }
}

impl Timings for Histograms {
    fn took(&self, what: Timed, took: Duration) {
        let took = took.as_secs_f64();
        match what {
            Timed::JobWait(kind) => record(&self.job_wait, &m::JOB_WAIT, [kind.as_str()], took),
            Timed::JobRun(kind, end) => {
                record(&self.job_run, &m::JOB_RUN, [kind.as_str(), end.as_str()], took);
            }
            Timed::Request(operation, answered) => {
                record(&self.requests, &m::REQUESTS, [operation.as_str(), answered.as_str()], took);
            }
            Timed::LimitWait(group) => {
                record(&self.limit_wait, &m::RATE_WAITED, [m::group_word(group)], took);
            }
            Timed::Ledger(step) => record(&self.ledger_steps, &m::LEDGER_STEPS, [step.as_str()], took),
        }
    }

    fn attempts(&self, kind: JobKind, attempts: u32) {
        record(&self.job_attempts, &m::JOB_ATTEMPTS, [kind.as_str()], f64::from(attempts));
    }
}

fn record<const LABELS: usize>(
    histogram: &Histogram<f64>,
    metric: &Metric,
    words: [&'static str; LABELS],
    value: f64,
) {
    let labels: [KeyValue; LABELS] = array::from_fn(|at| KeyValue::new(metric.labels[at], words[at]));
    histogram.record(value, &labels);
}
