//! Auth0 behind a circuit breaker: what all handlers of a process go through.
//!
//! Requests wait here while Auth0 is ill, so that batches keep their leases and continue
//! where they were. Then one probe at a time is sent, and the rate returns gradually.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use ferry_domain::{
    Auth0UserId, Code, Figures,
    breaker::{Admission, Breaker},
    ports::{Connection, Directory, DirectoryError, DirectoryUser, NewUser, Random, Silence},
};
use serde_json::{Map, Value};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tracing::{info, warn};

type Result<T> = std::result::Result<T, DirectoryError>;

pub(crate) struct Guarded {
    inner: Arc<dyn Directory>,
    random: Arc<dyn Random>,
    figures: Arc<Figures>,
    breaker: Mutex<Breaker>,
    under_way: AtomicUsize,
    since: Instant,
    token_refused: watch::Sender<bool>,
}

impl Guarded {
    pub(crate) fn new(inner: Arc<dyn Directory>, random: Arc<dyn Random>, figures: Arc<Figures>) -> Self {
        let (breaker, under_way, since) = (Mutex::default(), AtomicUsize::new(0), Instant::now());
        Guarded {
            inner,
            random,
            figures,
            breaker,
            under_way,
            since,
            token_refused: watch::Sender::new(false),
        }
    }

    /// Whether the last request that says something of the token says that it is refused.
    pub(crate) fn token_is_refused(&self) -> bool {
        *self.token_refused.borrow()
    }

    /// Takes note that a token was taken after all.
    pub(crate) fn token_is_taken(&self) {
        self.token_refused.send_replace(false);
    }

    /// Resolves when a request is answered that the token is refused.
    pub(crate) async fn token_refused(&self) {
        // Can't fail: the sender lives as long as `self`.
        let _ = self.token_refused.subscribe().wait_for(|refused| *refused).await;
    }

    /// Takes note of what an answer says of the token.
    fn note_token<T>(&self, answer: &Result<T>) {
        match answer {
            Err(DirectoryError::TokenRefused) => _ = self.token_refused.send_replace(true),
            Ok(_) | Err(DirectoryError::Exists | DirectoryError::Refused { .. }) => {
                self.token_refused.send_replace(false);
            }
            Err(_) => {} // says nothing of the token
        }
    }

    /// Whether Auth0 is regarded as ill: the breaker is open.
    pub(crate) fn is_open(&self) -> bool {
        self.breaker().is_open()
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.since.elapsed()
    }

    async fn enter(&self) -> Ticket<'_> {
        loop {
            let under_way = self.under_way.load(Ordering::Relaxed);
            let admission = self.breaker().admit(self.now(), under_way);
            match admission {
                Admission::Pass => {
                    self.under_way.fetch_add(1, Ordering::Relaxed);
                    return Ticket { of: self, reported: false };
                }
                Admission::Wait(pause) => sleep(pause).await,
            }
        }
    }

    async fn through<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        let mut ticket = self.enter().await;
        let answer = request.await;
        ticket.reported = true;
        let was = self.is_open();
        if ill(&answer) {
            self.breaker().failed(self.now(), &*self.random);
        } else {
            self.breaker().succeeded();
        }
        match (was, self.is_open()) {
            (false, true) => warn!("Auth0 does not answer as it should: only probes are sent"),
            (true, false) => info!("Auth0 answers again"),
            _ => {}
        }
        self.figures.auth0_breaker_open.set(i64::from(self.is_open()));
        self.note_token(&answer);
        answer
    }
}

/// No answer, or one that means the other side is ill.
fn ill<T>(answer: &Result<T>) -> bool {
    match answer {
        Err(DirectoryError::Unknown(_)) => true,
        Err(DirectoryError::NotSent(code)) => {
            matches!(code, Code::ServerError | Code::TimedOut | Code::ConnectionLost)
        }
        _ => false,
    }
}

/// A request under way; one that is dropped counts neither as success nor as failure.
struct Ticket<'a> {
    of: &'a Guarded,
    reported: bool,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.of.under_way.fetch_sub(1, Ordering::Relaxed);
        if !self.reported {
            self.of.breaker().abandoned();
        }
    }
}

#[async_trait]
impl Directory for Guarded {
    async fn create(&self, user: &NewUser) -> Result<Auth0UserId> {
        self.through(self.inner.create(user)).await
    }

    async fn get(&self, id: &Auth0UserId) -> Result<Option<DirectoryUser>> {
        self.through(self.inner.get(id)).await
    }

    async fn read_back(&self, id: &Auth0UserId) -> Result<Option<DirectoryUser>> {
        self.through(self.inner.read_back(id)).await
    }

    async fn by_email(&self, email: &str) -> Result<Vec<DirectoryUser>> {
        self.through(self.inner.by_email(email)).await
    }

    async fn update(&self, id: &Auth0UserId, fields: Map<String, Value>) -> Result<DirectoryUser> {
        self.through(self.inner.update(id, fields)).await
    }

    async fn delete(&self, id: &Auth0UserId) -> Result<()> {
        self.through(self.inner.delete(id)).await
    }

    async fn connection(&self, name: &str) -> Result<Option<Connection>> {
        self.through(self.inner.connection(name)).await
    }

    /// Not through the breaker: no user waits for it.
    async fn sign_in(&self) -> Result<()> {
        self.inner.sign_in().await
    }

    fn requests(&self) -> u64 {
        self.inner.requests()
    }

    fn silence(&self) -> Option<Silence> {
        self.inner.silence()
    }
}

#[cfg(test)]
mod tests {
    use ferry_contract::{FakeDirectory, SeededRandom};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_ill_auth0_is_only_probed_and_a_dropped_probe_does_not_block_it() {
        let fake = Arc::new(FakeDirectory::default());
        let guarded = Guarded::new(fake.clone(), Arc::new(SeededRandom::new(1)), Arc::default());
        for _ in 0..ferry_domain::breaker::FAILURES {
            fake.next_get_fails(DirectoryError::NotSent(Code::ConnectionLost));
            assert!(guarded.get(&Auth0UserId("auth0|x".into())).await.is_err());
        }
        assert!(guarded.is_open());
        let dropped = tokio::time::timeout(Duration::from_millis(1), guarded.enter()).await;
        assert!(dropped.is_err(), "the first probe waits");
        drop(guarded.enter().await);
        assert_eq!(guarded.get(&Auth0UserId("auth0|x".into())).await, Ok(None), "the next probe may go");
        assert!(!guarded.is_open());
    }

    #[tokio::test]
    async fn a_refused_token_is_known_until_an_answer_comes() {
        let fake = Arc::new(FakeDirectory::default());
        let figures = Arc::new(Figures::default());
        let guarded = Guarded::new(fake.clone(), Arc::new(SeededRandom::new(1)), figures);
        let ask = async || guarded.get(&Auth0UserId("auth0|x".into())).await;
        for error in [DirectoryError::TokenRefused, DirectoryError::Unknown(Code::TimedOut)] {
            fake.next_get_fails(error);
            assert!(ask().await.is_err());
            assert!(guarded.token_is_refused());
        }
        assert_eq!((ask().await, guarded.token_is_refused()), (Ok(None), false));
    }
}
