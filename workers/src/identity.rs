//! The identity of this process among the others: one for each registration. It changes
//! when the registration is lost although the process lives, since others may have
//! taken its work by then and would take what it claims under the old name too.

use std::sync::{Mutex, PoisonError};

use ferry_domain::{WorkerId, ports::WorkerRecord};
use tokio::sync::watch;

pub(crate) struct Identity {
    record: Mutex<WorkerRecord>,
    registered: watch::Sender<bool>,
}

impl Identity {
    pub(crate) fn new(record: WorkerRecord) -> Self {
        Identity { record: Mutex::new(record), registered: watch::Sender::new(false) }
    }

    /// What other processes may know of this one.
    pub(crate) fn record(&self) -> WorkerRecord {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The id, registered or not.
    pub(crate) fn id(&self) -> WorkerId {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).id
    }

    /// The id under which something may be claimed, once there is one.
    pub(crate) async fn registered(&self) -> WorkerId {
        // Can't fail: the sender lives as long as `self`.
        let _ = self.registered.subscribe().wait_for(|registered| *registered).await;
        self.id()
    }

    pub(crate) fn is_registered(&self) -> bool {
        *self.registered.borrow()
    }

    /// Nothing may be claimed from now on.
    pub(crate) fn unregister(&self) {
        self.registered.send_replace(false);
    }

    /// Takes another id, not registered yet; returns the old one.
    pub(crate) fn become_another(&self, id: WorkerId) -> WorkerId {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut record.id, id)
    }

    /// The registration is made.
    pub(crate) fn register(&self) {
        self.registered.send_replace(true);
    }
}
