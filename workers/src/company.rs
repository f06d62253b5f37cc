//! Who works beside whom in this process. A job over which holders died works alone, so that
//! the next death is charged to nobody else; once it gets on, the others come back, since
//! its deaths are cleared with that (`ferry_domain::poison`). Kept alone to its end it held up
//! all other work of the process for as long as a batch lasts at the tenant's limit.

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

#[derive(Default)]
pub(crate) struct Company(RwLock<()>);

/// A job's place, kept until its verdict is written.
pub(crate) enum Seat<'a> {
    Among(#[expect(dead_code, reason = "held, not read")] RwLockReadGuard<'a, ()>),
    Alone(RwLockWriteGuard<'a, ()>),
}

impl Company {
    /// Waits for a place; a suspect waits until all others are through.
    pub(crate) async fn seat(&self, suspect: bool) -> Seat<'_> {
        if suspect { Seat::Alone(self.0.write().await) } else { Seat::Among(self.0.read().await) }
    }
}

impl Seat<'_> {
    /// Lets others in.
    pub(crate) fn among_others(self) -> Self {
        match self {
            Seat::Alone(guard) => Seat::Among(guard.downgrade()),
            among => among,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_suspect_is_alone_until_it_gets_on() {
        let company = Company::default();
        let other = company.seat(false).await;
        assert!(company.seat(true).now_or_never().is_none(), "somebody is at work");
        drop(other);
        let suspect = company.seat(true).await;
        assert!(company.seat(false).now_or_never().is_none(), "the suspect is alone");
        let suspect = suspect.among_others();
        let _other = company.seat(false).now_or_never().expect("others may join it");
        assert!(company.seat(true).now_or_never().is_none(), "two are at work");
        drop(suspect);
    }
}
