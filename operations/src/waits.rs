//! Why a run does not go on, in words for progress lines and `run show`.

use std::{collections::BTreeMap, time::Duration};

use ferry_domain::{
    Code, RunState, RunView,
    liveness::{FRESH, LATE},
    ports::{LedgerError, Orders, WorkerView},
};

use crate::{Access, views::to_the_second};

/// What decides on a run's pace besides itself.
#[derive(Debug, Default)]
pub struct Around {
    /// What operators ordered.
    pub orders: Orders,
    /// Who works.
    pub workers: Vec<WorkerView>,
}

impl Around {
    /// Asks the ledger.
    ///
    /// # Errors
    /// When it fails.
    pub async fn of(access: &Access) -> Result<Around, LedgerError> {
        Ok(Around { orders: access.controls.orders().await?, workers: access.processes.workers().await? })
    }

    /// Why a run waits, with what lets it go on; `None` while users move.
    pub fn why(&self, run: &RunView) -> Option<String> {
        let id = run.id;
        match run.state {
            RunState::Sealed | RunState::Cancelled => return None,
            RunState::Paused | RunState::Stopped => {
                let (state, why) = (run.state.as_str(), said(run));
                return Some(format!("{state}: ferry run resume {id}{why}{}", self.stopped_too()));
            }
            RunState::Planned | RunState::Planning if run.abandoned => return Some(abandoned(run)),
            RunState::Planning => return Some("ferry run start reads its source".into()),
            RunState::Planned => {
                return Some("waits for the answer to ferry run start, which asks whether to begin".into());
            }
            _ if self.orders.stop_all() => return Some(self.stopped()),
            _ => {}
        }
        let live: Vec<&WorkerView> = self.workers.iter().filter(|w| w.silent_for <= FRESH).collect();
        if live.is_empty() {
            return Some(nobody(&self.workers).to_owned());
        }
        if let Some(silent) = live.iter().map(|worker| worker.silent_for).min().filter(|least| *least > LATE)
        {
            return Some(unheard(silent, waits_of(&live)));
        }
        waits_of(&live).or_else(|| match run.state {
            RunState::Sealing => Some("writing the report".into()),
            RunState::Cancelling if run.tally.pending > 0 => {
                Some("asking Auth0 about users that a worker had begun".into())
            }
            _ if run.tally.pending == 0 => Some("reading users back".into()),
            _ => None,
        })
    }

    /// Who ordered it, and why, is in the audit.
    fn stopped(&self) -> String {
        let since = self.orders.stopped_since.map(|at| format!("since {}; ", to_the_second(at)));
        let since = since.unwrap_or_default();
        format!("waits: all sending is stopped: ferry resume-all ({since}who and why: ferry audit)")
    }

    /// Of a run that would not go on if only it were resumed.
    fn stopped_too(&self) -> &'static str {
        match self.orders.stop_all() {
            true => "; all sending is stopped as well: ferry resume-all",
            false => "",
        }
    }
}

/// What the table of a run with users left lacks by now, though ids can still be written; `None`
/// also where this process can't see the table.
pub async fn table_remark(access: &Access, run: &RunView) -> Option<String> {
    let under_way = run.state.is_active() && run.tally.pending > 0;
    let target = run.spec.write_back.as_ref().filter(|_| under_way)?;
    let table = access.planning.application_table(target).await.ok()?;
    table.lost_index().map(|found| found.to_string())
}

/// What to do about a run that was never started and whose `ferry run start` is gone.
pub fn abandoned(run: &RunView) -> String {
    format!(
        "abandoned: its ferry run start is gone, nobody was sent. ferry run start begins anew, ferry run cancel {} removes it",
        run.id
    )
}

/// A worker that can't write to the ledger looks from here like one that is gone.
fn nobody(silent: &[WorkerView]) -> &'static str {
    match silent {
        [] => "waits: no worker runs: ferry worker",
        _ => "waits: no worker runs, or none can write to the ledger: ferry worker, ferry check",
    }
}

/// Each heartbeat of all workers failed for a while: what they said last may be over.
fn unheard(silent: Duration, last: Option<String>) -> String {
    let last = last.map(|last| format!("; before that: {last}")).unwrap_or_default();
    let seconds = silent.as_secs();
    format!(
        "waits: nothing was heard of any worker for {seconds} s, perhaps they can't write to the ledger: ferry check{last}"
    )
}

/// What workers say of themselves, the commonest first; with the share of workers
/// where it is not all of them.
fn waits_of(live: &[&WorkerView]) -> Option<String> {
    // Reasons that differ in figures only ("for 6 s") are one.
    let mut counts: BTreeMap<String, (&str, usize)> = BTreeMap::new();
    for waits in live.iter().filter_map(|worker| worker.record.waiting_for.as_ref()) {
        let alike = waits.0.replace(|c: char| c.is_ascii_digit() || c == '.', "");
        counts.entry(alike).or_insert((&waits.0, 0)).1 += 1;
    }
    let (text, workers) = counts.into_values().max_by_key(|(_, workers)| *workers)?;
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
    use std::time::Duration;

    use ferry_domain::{
        WorkerId,
        ports::{WaitReason, WorkerRecord},
    };

    use super::*;
    use crate::views::tests::run_view;

    fn worker(waits: Option<&str>, silent: u64) -> WorkerView {
        let record = WorkerRecord {
            id: WorkerId(Default::default()),
            host: "h".into(),
            pid: 1,
            slots: 8,
            waiting_for: waits.map(|reason| WaitReason(reason.to_owned())),
        };
        WorkerView { record, watched: true, silent_for: Duration::from_secs(silent), leases: 0 }
    }

    #[test]
    fn the_commonest_wait_is_named_with_its_share() {
        let limit = worker(Some("waiting for the limit: user writes, 3.3 requests/s allowed"), 0);
        let auth0 = worker(Some("Auth0 does not answer"), 0);
        let busy = worker(None, 0);
        assert_eq!(waits_of(&[&busy]), None);
        assert_eq!(waits_of(&[&auth0]).as_deref(), Some("waits: Auth0 does not answer"));
        assert_eq!(
            waits_of(&[&limit, &auth0, &limit, &busy]).as_deref(),
            Some("waiting for the limit: user writes, 3.3 requests/s allowed (2 of 4 workers)")
        );
        let silent = |seconds| format!("waiting for Auth0: 64 requests without an answer for {seconds} s");
        let (one, two) = (worker(Some(&silent(5)), 0), worker(Some(&silent(16)), 0));
        assert_eq!(waits_of(&[&one, &two]), Some(silent(5)), "reasons that differ in figures are one");
    }

    fn why(run: &RunView, orders: Orders, workers: Vec<WorkerView>) -> Option<String> {
        Around { orders, workers }.why(run)
    }

    #[test]
    fn what_a_person_has_to_do_comes_before_what_workers_say() {
        let busy = || vec![worker(Some("Auth0 does not answer"), 0)];
        let of = |state| {
            let why = why(&run_view(state), Orders::default(), busy());
            why.unwrap_or_default()
        };
        assert!(
            of(RunState::Paused).starts_with("paused: ferry run resume 0189"),
            "{}",
            of(RunState::Paused)
        );
        assert!(of(RunState::Stopped).starts_with("stopped: ferry run resume"));
        assert!(of(RunState::Planned).contains("asks whether to begin"));
        assert!(of(RunState::Planning).contains("reads its source"));
        assert_eq!(of(RunState::Sealed), "");
        assert_eq!(of(RunState::Running), "waits: Auth0 does not answer");
        let stopped = Orders { stopped_since: Some(time::OffsetDateTime::UNIX_EPOCH), ..Orders::default() };
        let text = why(&run_view(RunState::Running), stopped.clone(), busy()).unwrap();
        assert!(text.contains("ferry resume-all"), "{text}");
        let both = why(&run_view(RunState::Paused), stopped, busy()).unwrap();
        assert!(both.starts_with("paused: ferry run resume") && both.ends_with("ferry resume-all"), "{both}");
        let mut paused = run_view(RunState::Paused);
        paused.why = Some("lunch".into());
        assert!(why(&paused, Orders::default(), busy()).unwrap().ends_with(" (lunch)"));
    }

    #[test]
    fn a_run_whose_start_is_gone_names_the_command_that_begins_anew() {
        for state in [RunState::Planning, RunState::Planned] {
            let run = RunView { abandoned: true, ..run_view(state) };
            let text = why(&run, Orders::default(), vec![worker(None, 0)]).unwrap();
            assert!(
                text.starts_with("abandoned: ") && text.contains("ferry run start begins anew"),
                "{text}"
            );
            assert!(text.contains(&format!("ferry run cancel {}", run.id)), "{text}");
        }
    }

    #[test]
    fn a_worker_that_is_silent_for_long_is_none() {
        let run = run_view(RunState::Running);
        let of = |workers| why(&run, Orders::default(), workers);
        assert!(of(vec![]).unwrap().contains("no worker runs"));
        assert_eq!(of(vec![]).unwrap(), "waits: no worker runs: ferry worker");
        let silent = of(vec![worker(None, 11)]).unwrap();
        assert!(silent.contains("no worker runs, or none can write"), "{silent}");
        assert_eq!(of(vec![worker(None, 4)]), None, "users move");
    }

    #[test]
    fn what_workers_said_before_they_fell_silent_is_not_told_as_the_reason() {
        let run = run_view(RunState::Running);
        let of = |workers| why(&run, Orders::default(), workers).unwrap_or_default();
        let limit = "waiting for the limit: user writes, 3.3 requests/s allowed";
        let silent = of(vec![worker(Some(limit), 6), worker(Some(limit), 9)]);
        assert!(silent.starts_with("waits: nothing was heard of any worker for 6 s"), "{silent}");
        assert!(silent.ends_with(&format!("ferry check; before that: {limit}")), "{silent}");
        assert!(of(vec![worker(None, 10)]).starts_with("waits: nothing was heard"));
        assert_eq!(of(vec![worker(Some(limit), 9), worker(Some(limit), 1)]), limit, "one is heard");
    }

    #[test]
    fn the_end_of_a_run_says_what_is_left() {
        let mut run = run_view(RunState::Cancelling);
        let of = |run: &RunView| why(run, Orders::default(), vec![worker(None, 0)]).unwrap_or_default();
        assert!(of(&run).contains("asking Auth0"));
        run.tally.pending = 0;
        assert_eq!(of(&run), "reading users back");
        run.state = RunState::Sealing;
        assert_eq!(of(&run), "writing the report");
    }

    #[test]
    fn only_a_code_is_taken_for_one() {
        let mut run = run_view(RunState::Stopped);
        for (why, code) in [
            (Some("TOO_MANY_FAILURES"), Some(Code::TooManyFailures)),
            (Some("too_many_failures"), None),
            (Some("lunch"), None),
            (None, None),
        ] {
            run.why = why.map(str::to_owned);
            assert_eq!(code_of(&run), code, "{why:?}");
        }
    }
}
