//! The send gate, which every handler asks before it sends: did an operator stop the
//! run, and could a result be stored? Fed by the loop `controls`, which asks the ledger
//! twice a second.

use ferry_domain::{
    Figures, JobKind, RunId, RunState,
    ports::{LedgerError, Orders, WriteBack},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};
use tracing::{info, warn};

/// Longer than a batch of locked rows waits for its next try.
const A_MOMENT: Duration = Duration::from_secs(10);
/// What is locked where it is not the whole table.
const ROWS: &str = "rows that are to get an id";

/// What decides whether requests may be sent: orders of operators, and whether the ledger answers.
pub(crate) struct SendGate {
    orders: watch::Sender<Orders>,
    ledger_answers: watch::Sender<bool>,
    /// Why the application's table can't be written to, since the last write to it.
    table_lacks: Mutex<Option<String>>,
    /// What the application held locked at the last write, and when, if it did.
    locked: Mutex<Option<(String, Instant)>>,
    figures: Arc<Figures>,
}

impl SendGate {
    pub(crate) fn new(figures: Arc<Figures>) -> Self {
        SendGate {
            orders: watch::Sender::new(Orders::default()),
            ledger_answers: watch::Sender::new(true),
            table_lacks: Mutex::new(None),
            locked: Mutex::new(None),
            figures,
        }
    }

    /// Takes in what operators asked for last.
    pub(crate) fn heard(&self, orders: Orders) {
        self.orders.send_if_modified(|known| {
            let news = *known != orders;
            *known = orders;
            news
        });
    }

    /// Whether jobs of a kind of a run may be worked on.
    pub(crate) fn allows(&self, run: RunId, kind: JobKind) -> bool {
        allowed(&self.orders.borrow(), run, kind)
    }

    /// Resolves when an operator stops what a handler works on.
    pub(crate) async fn halted(&self, run: RunId, kind: JobKind) {
        // Can't fail: the sender lives as long as `self`.
        let _ = self.orders.subscribe().wait_for(|orders| !allowed(orders, run, kind)).await;
    }

    /// Takes note of whether the ledger answered. Anything but silence is an answer.
    pub(crate) fn note<T>(&self, answer: &Result<T, LedgerError>) {
        let answers = !matches!(answer, Err(LedgerError::Unavailable { .. }));
        self.figures.ledger_reachable.set(answers);
        if self.ledger_answers.send_replace(answers) != answers {
            self.figures.ledger_breaker_open.set(i64::from(!answers));
            if answers {
                info!("the ledger answers again");
            } else {
                warn!("the ledger does not answer: nothing is sent whose result could not be stored");
            }
        }
    }

    /// Takes note of whether the application's table could be written to.
    pub(crate) fn note_table(&self, written: &Result<WriteBack, LedgerError>) {
        let locked = match written {
            Ok(written) if !written.locked.is_empty() => Some(ROWS.to_owned()),
            Err(LedgerError::AppBusy(what)) => Some(what.clone()),
            // What a person has to mend is no matter of waiting.
            Ok(_) | Err(LedgerError::WriteBackTarget(_)) => None,
            Err(_) => return, // says nothing about the table
        };
        let locked = locked.map(|what| (what, Instant::now()));
        *self.locked.lock().unwrap_or_else(PoisonError::into_inner) = locked;
        let lacks = match written {
            Ok(_) => None,
            Err(LedgerError::WriteBackTarget(why)) => Some(why.clone()),
            Err(_) => return, // says nothing about the table
        };
        *self.table_lacks.lock().unwrap_or_else(PoisonError::into_inner) = lacks;
    }

    /// Why the application's table can't be written to.
    pub(crate) fn table_lacks(&self) -> Option<String> {
        self.table_lacks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the application held locked at the last write, a moment ago.
    pub(crate) fn locked(&self) -> Option<String> {
        let locked = self.locked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        locked.filter(|(_, at)| at.elapsed() < A_MOMENT).map(|(what, _)| what)
    }

    /// Whether a result could be stored, as far as is known.
    pub(crate) fn ledger_answers(&self) -> bool {
        *self.ledger_answers.borrow()
    }

    /// Resolves when the ledger answers.
    pub(crate) async fn ledger_back(&self) {
        let _ = self.ledger_answers.subscribe().wait_for(|answers| *answers).await;
    }
}

/// A run that is not listed was opened or has ended since: its own row decides, at the next write.
fn allowed(orders: &Orders, run: RunId, kind: JobKind) -> bool {
    let may_run = match orders.state_of(run) {
        None | Some(RunState::Running) => true,
        // What is at Auth0 already is still read back; users are looked up, not sent.
        Some(RunState::Cancelling) => kind != JobKind::Provision,
        Some(RunState::Sealing) => kind == JobKind::Report,
        Some(_) => false,
    };
    may_run && !orders.stop_all()
}

#[cfg(test)]
mod tests {
    use ferry_domain::{ItemSeq, ports::ActiveRun};

    use super::*;

    const RUN: RunId = RunId(uuid::Uuid::from_u128(1));

    fn orders(state: RunState) -> Orders {
        Orders { runs: vec![ActiveRun { id: RUN, state }], ..Orders::default() }
    }

    #[test]
    fn a_paused_run_stops_and_a_cancelled_one_only_reads() {
        for kind in JobKind::ALL {
            assert!(allowed(&Orders::default(), RUN, kind), "a run that is not listed");
            assert!(!allowed(&orders(RunState::Paused), RUN, kind));
            assert!(!allowed(
                &Orders {
                    stopped_since: Some(time::OffsetDateTime::UNIX_EPOCH),
                    ..orders(RunState::Running)
                },
                RUN,
                kind
            ));
        }
        assert!(!allowed(&orders(RunState::Cancelling), RUN, JobKind::Provision));
        assert!(allowed(&orders(RunState::Cancelling), RUN, JobKind::Verify));
    }

    #[test]
    fn what_the_applications_table_lacks_is_known_until_a_write_succeeds() {
        let gate = SendGate::new(Arc::default());
        gate.note_table(&Err(LedgerError::WriteBackTarget("no column".into())));
        gate.note_table(&Err(LedgerError::Busy));
        assert_eq!(gate.table_lacks().as_deref(), Some("no column"));
        gate.note_table(&Ok(written(&[])));
        assert_eq!(gate.table_lacks(), None);
    }

    fn written(locked: &[i64]) -> WriteBack {
        let locked = locked.iter().copied().map(ItemSeq).collect();
        WriteBack { refused_rows: Vec::new(), locked, pending: 1, run: RunState::Running }
    }

    #[tokio::test(start_paused = true)]
    async fn locked_rows_are_the_reason_until_a_write_meets_none_or_nothing_is_heard_of_them() {
        let gate = SendGate::new(Arc::default());
        gate.note_table(&Ok(written(&[7])));
        gate.note_table(&Err(LedgerError::Busy));
        assert_eq!(gate.locked().as_deref(), Some(ROWS));
        tokio::time::advance(A_MOMENT).await;
        assert_eq!(gate.locked(), None);
        gate.note_table(&Err(LedgerError::AppBusy("public.users".into())));
        assert_eq!(gate.locked().as_deref(), Some("public.users"));
        gate.note_table(&Ok(written(&[])));
        assert_eq!(gate.locked(), None);
        gate.note_table(&Ok(written(&[7])));
        gate.note_table(&Err(LedgerError::WriteBackTarget("no column".into())));
        assert_eq!(gate.locked(), None, "what a person has to mend comes first");
        assert_eq!(gate.table_lacks().as_deref(), Some("no column"));
    }

    #[tokio::test]
    async fn only_silence_counts_as_the_ledger_being_away() {
        let gate = SendGate::new(Arc::default());
        gate.note::<()>(&Err(LedgerError::Unavailable { doing: "x", reason: String::new(), passes: true }));
        assert!(!gate.ledger_answers());
        gate.note::<()>(&Err(LedgerError::LeaseLost));
        assert!(gate.ledger_answers());
        assert_eq!(gate.figures.ledger_reachable.again(), 1, "an error is an answer, too");
        gate.ledger_back().await;
    }
}
