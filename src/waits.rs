//! Why a run does not go on, in words for progress lines and `run show`.

use std::{collections::BTreeMap, time::Duration};

use ferry_domain::{
    Code, RunState, RunView,
    ports::{Controls, Ledger, LedgerError, WorkerView},
};

/// Workers silent for longer are taken for gone.
const FRESH: Duration = Duration::from_secs(10);

/// What decides on a run's pace besides itself.
#[derive(Debug, Default)]
pub struct Around {
    /// What operators said.
    pub controls: Controls,
    /// Who works.
    pub workers: Vec<WorkerView>,
}

impl Around {
    /// Asks the ledger.
    pub async fn of(ledger: &dyn Ledger) -> Result<Around, LedgerError> {
        Ok(Around { controls: ledger.controls().await?, workers: ledger.workers().await? })
    }

    /// Why a run waits, with what lets it go on; `None` while users move.
    pub fn why(&self, run: &RunView) -> Option<String> {
        let id = run.id;
        match run.state {
            RunState::Sealed | RunState::Cancelled => return None,
            RunState::Paused => return Some(format!("paused: ferry run resume {id}{}", said(run))),
            RunState::Stopped => return Some(format!("stopped: ferry run resume {id}{}", said(run))),
            RunState::Planned | RunState::Planning => return Some("waits: not started".into()),
            _ if self.controls.stop_all => {
                return Some("waits: all sending is stopped: ferry resume-all".into());
            }
            _ => {}
        }
        let live: Vec<&WorkerView> = self.workers.iter().filter(|w| w.silent_for <= FRESH).collect();
        if live.is_empty() {
            return Some("waits: no worker runs: ferry worker".into());
        }
        waits_of(&live).or_else(|| match run.state {
            RunState::Sealing => Some("writing the report".into()),
            RunState::Cancelling if run.tally.pending > 0 => {
                Some("asking Auth0 about users that were in a worker's hands".into())
            }
            _ if run.tally.pending == 0 => Some("reading users back".into()),
            _ => None,
        })
    }
}

/// What workers say of themselves, the commonest first; with the share of workers
/// where it is not all of them.
fn waits_of(live: &[&WorkerView]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for waits in live.iter().filter_map(|worker| worker.record.waits.as_deref()) {
        *counts.entry(waits).or_default() += 1;
    }
    let (text, workers) = counts.into_iter().max_by_key(|(_, workers)| *workers)?;
    let text = if text.starts_with("wait") { text.to_owned() } else { format!("waits: {text}") };
    match workers == live.len() {
        true => Some(text),
        false => Some(format!("{text} ({workers} of {} workers)", live.len())),
    }
}

/// ` (reason)`, where one was given.
fn said(run: &RunView) -> String {
    run.why.as_deref().map(|why| format!(" ({why})")).unwrap_or_default()
}

/// The code that stopped a run, if it was no person.
pub fn code_of(run: &RunView) -> Option<Code> {
    let why = run.why.as_deref()?;
    // Exactly as codes are written: a person's word "interrupted" is no code.
    Code::ALL.iter().copied().find(|code| code.as_str() == why)
}

#[cfg(test)]
mod tests {
    use ferry_domain::{WorkerId, ports::WorkerRecord};

    use super::*;

    fn worker(waits: Option<&str>, silent: u64) -> WorkerView {
        let record = WorkerRecord {
            id: WorkerId(Default::default()),
            host: "h".into(),
            pid: 1,
            slots: 8,
            waits: waits.map(str::to_owned),
        };
        WorkerView { record, watched: true, silent_for: Duration::from_secs(silent), leases: 0 }
    }

    #[test]
    fn the_commonest_wait_is_named_with_its_share() {
        let limit = worker(Some("waiting for the limit: user writes 200/min"), 0);
        let auth0 = worker(Some("Auth0 does not answer"), 0);
        let busy = worker(None, 0);
        assert_eq!(waits_of(&[&busy]), None);
        assert_eq!(waits_of(&[&auth0]).as_deref(), Some("waits: Auth0 does not answer"));
        assert_eq!(
            waits_of(&[&limit, &auth0, &limit, &busy]).as_deref(),
            Some("waiting for the limit: user writes 200/min (2 of 4 workers)")
        );
    }
}
