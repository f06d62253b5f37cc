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
    ledger: Mutex<LedgerHeard>,
    /// Why the application's table can't be written to, since the last write to it.
    table_lacks: Mutex<Option<String>>,
    /// What the application held locked at the last write, and when, if it did.
    locked: Mutex<Option<(String, Instant)>>,
    figures: Arc<Figures>,
}

/// What was heard of the ledger. Reading and writing are kept apart: a ledger whose disk is full is read
/// as always, and each answer to a reading would make the last failed write forgotten.
#[derive(Default)]
struct LedgerHeard {
    /// Whether the last question got no answer.
    is_silent: bool,
    /// Why the last write failed.
    refuses: Option<String>,
    /// Whether a write was asked for since writes began to fail.
    is_tried_again: bool,
}

impl LedgerHeard {
    /// Why no result could be stored; `None` where one could.
    fn lacks(&self) -> Option<String> {
        match &self.refuses {
            _ if self.is_silent => Some("does not answer".to_owned()),
            Some(why) => Some(format!("can't be written to: {why}")),
            None => None,
        }
    }
}

impl SendGate {
    pub(crate) fn new(figures: Arc<Figures>) -> Self {
        SendGate {
            orders: watch::Sender::new(Orders::default()),
            ledger_answers: watch::Sender::new(true),
            ledger: Mutex::default(),
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

    /// Takes note of whether the ledger answered a reading. Anything but silence is an answer. Returns
    /// whether only a write can show now that it takes results again.
    pub(crate) fn note_read<T>(&self, answer: &Result<T, LedgerError>) -> bool {
        let is_silent = matches!(answer, Err(LedgerError::Unavailable { .. }));
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        // Once at first: it may have been a connection that broke, and not the ledger.
        let may_be_over = ledger.is_silent || !ledger.is_tried_again;
        ledger.is_silent = is_silent;
        self.tell_ledger(&ledger);
        let asks = !is_silent && may_be_over && ledger.refuses.is_some();
        ledger.is_tried_again |= asks;
        asks
    }

    /// Takes note of whether the ledger took a write. A failure is remembered until a write succeeds.
    pub(crate) fn note_written<T>(&self, answer: &Result<T, LedgerError>) {
        match answer {
            Ok(_) => self.ledger_refuses(None),
            Err(error @ LedgerError::Unavailable { .. }) => self.ledger_refuses(Some(error.to_string())),
            Err(_) => _ = self.note_read(answer),
        }
    }

    /// Sets why the ledger takes no writes; `None` when it took one.
    pub(crate) fn ledger_refuses(&self, why: Option<String>) {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.is_silent &= why.is_some();
        ledger.is_tried_again &= ledger.refuses.is_some() && why.is_some();
        ledger.refuses = why;
        self.tell_ledger(&ledger);
    }

    fn tell_ledger(&self, ledger: &LedgerHeard) {
        let lacks = ledger.lacks();
        let answers = lacks.is_none();
        self.figures.set_ledger_lacks(lacks.as_ref().map(|lacks| format!("the ledger {lacks}")));
        if self.ledger_answers.send_replace(answers) == answers {
            return;
        }
        self.figures.ledger_breaker_open.set(i64::from(!answers));
        match lacks {
            None => info!("the ledger takes results again"),
            Some(lacks) => warn!("the ledger {lacks}: nothing is sent whose result could not be stored"),
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

    /// Why no result could be stored, without the database's words: `it does not answer`.
    pub(crate) fn ledger_lacks(&self) -> Option<&'static str> {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        match ledger.is_silent {
            true => Some("it does not answer"),
            false => ledger.refuses.as_ref().map(|_| "it can't be written to"),
        }
    }

    /// Resolves when the ledger takes results.
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

    fn unavailable() -> Result<(), LedgerError> {
        Err(LedgerError::Unavailable { doing: "could not x", reason: "disk full".into(), passes: true })
    }

    #[tokio::test]
    async fn only_silence_counts_as_the_ledger_being_away() {
        let gate = SendGate::new(Arc::default());
        assert!(!gate.note_read(&unavailable()));
        assert!(!gate.ledger_answers());
        assert!(!gate.note_read::<()>(&Err(LedgerError::LeaseLost)), "nothing was written that failed");
        assert!(gate.ledger_answers());
        assert_eq!(gate.figures.ledger_reachable.again(), 1, "an error is an answer, too");
        gate.ledger_back().await;
    }

    #[test]
    fn a_ledger_that_is_read_and_takes_no_writes_lacks_something_until_it_takes_one() {
        let gate = SendGate::new(Arc::default());
        gate.note_read(&Ok(()));
        gate.note_written(&unavailable());
        let asks = [(); 3].map(|()| gate.note_read(&Ok(())));
        assert_eq!(asks, [true, false, false], "a write is asked for once, then it is the heartbeat's");
        assert!(!gate.ledger_answers(), "it was read all the time");
        gate.note_written::<()>(&Err(LedgerError::LeaseLost));
        let lacks = gate.figures.ledger_lacks().unwrap_or_default();
        assert!(lacks.contains("can't be written to") && lacks.contains("disk full"), "{lacks}");
        assert_eq!(gate.ledger_lacks(), Some("it can't be written to"));
        assert_eq!(gate.figures.ledger_reachable.again(), 0, "it was not away and back all the time");
        gate.note_written(&Ok(()));
        assert!(gate.ledger_answers());
        assert_eq!((gate.figures.ledger_lacks(), gate.figures.ledger_reachable.again()), (None, 1));
    }

    #[test]
    fn a_ledger_that_is_back_asks_for_a_write() {
        let gate = SendGate::new(Arc::default());
        gate.note_written(&unavailable());
        gate.note_read(&unavailable());
        assert_eq!(gate.ledger_lacks(), Some("it does not answer"), "what comes first");
        assert!(gate.note_read(&Ok(())));
        assert!(!gate.ledger_answers(), "a write may still fail");
    }
}
