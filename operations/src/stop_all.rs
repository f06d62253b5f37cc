//! One brake for every run and worker: stops all sending, and lets it go on.

use std::{collections::BTreeSet, fmt};

use ferry_domain::{RunState, ports::Orders};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{Access, Error};

/// Whom it concerns.
#[derive(Clone, Debug)]
pub struct Question {
    /// To stop, or to let all be sent again.
    pub stop: bool,
    /// What operators ordered so far, with the runs that have not ended.
    pub orders: Orders,
    /// Worker processes.
    pub workers: usize,
}

impl Question {
    /// Whether there is anything to change, and so to ask about.
    pub fn is_needed(&self) -> bool {
        self.orders.stop_all() != self.stop
    }

    /// `2 runs: 1 running, 1 paused; 3 workers`
    fn concerned(&self) -> String {
        let runs = &self.orders.runs;
        let states: Vec<String> = RunState::ALL
            .iter()
            .map(|state| (state, runs.iter().filter(|run| run.state == *state).count()))
            .filter(|(_, runs)| *runs > 0)
            .map(|(state, runs)| format!("{runs} {state}"))
            .collect();
        let runs = match runs.len() {
            0 => "no run has not ended".to_owned(),
            1 => format!("1 run: {}", states.join(", ")),
            many => format!("{many} runs: {}", states.join(", ")),
        };
        match self.workers {
            0 => format!("{runs}; no worker"),
            1 => format!("{runs}; 1 worker"),
            many => format!("{runs}; {many} workers"),
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stop {
            true => write!(f, "Stop all sending until ferry resume-all ({})?", self.concerned()),
            false => write!(f, "Let everything be sent again ({})?", self.concerned()),
        }
    }
}

/// Looks whom it concerns.
///
/// # Errors
/// When the ledger fails.
pub async fn ask(access: &Access, stop: bool) -> Result<Question, Error> {
    let orders = access.controls.orders().await?;
    Ok(Question { stop, orders, workers: access.processes.workers().await?.len() })
}

/// The tenants of the runs that have not ended.
///
/// # Errors
/// When the ledger fails.
pub async fn tenants(access: &Access, question: &Question) -> Result<BTreeSet<String>, Error> {
    let mut tenants = BTreeSet::new();
    for run in &question.orders.runs {
        // One that was removed meanwhile concerns nobody.
        tenants.extend(access.runs.run(run.id).await?.map(|run| run.spec.tenant));
    }
    Ok(tenants)
}

/// What it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Switched {
    /// Whether all sending is stopped now.
    pub stop_all: bool,
    /// Whether anything changed.
    pub changed: bool,
    /// Runs that have not ended.
    pub runs: usize,
    /// Worker processes.
    pub workers: usize,
}

/// Stops all sending, or lets it go on; workers follow within a second.
///
/// # Errors
/// When the ledger fails.
pub async fn act(access: &Access, question: &Question, reason: Option<&str>) -> Result<Switched, Error> {
    let mut changed = false;
    if question.is_needed() {
        changed = access.controls.stop_all(question.stop, &access.command(reason)).await?;
    }
    let (runs, workers) = (question.orders.runs.len(), question.workers);
    Ok(Switched { stop_all: question.stop, changed, runs, workers })
}

#[cfg(test)]
mod tests {
    use ferry_domain::RunId;

    use ferry_domain::ports::ActiveRun;

    use super::*;

    #[test]
    fn a_question_counts_runs_by_state_and_workers() {
        let run = RunId(Default::default());
        let of = |states: &[RunState], workers| {
            let runs = states.iter().map(|state| ActiveRun { id: run, state: *state }).collect();
            Question { stop: true, orders: Orders { runs, ..Orders::default() }, workers }.to_string()
        };
        assert_eq!(of(&[], 0), "Stop all sending until ferry resume-all (no run has not ended; no worker)?");
        let both = of(&[RunState::Paused, RunState::Running, RunState::Running], 1);
        assert!(both.contains("(3 runs: 2 running, 1 paused; 1 worker)"), "{both}");
    }

    #[test]
    fn nothing_is_asked_where_nothing_would_change() {
        let mut question = Question { stop: true, orders: Orders::default(), workers: 0 };
        assert!(question.is_needed());
        question.orders.stopped_since = Some(time::OffsetDateTime::UNIX_EPOCH);
        assert!(!question.is_needed());
        question.stop = false;
        assert!(question.is_needed() && question.to_string().contains("sent again"), "{question}");
    }
}
