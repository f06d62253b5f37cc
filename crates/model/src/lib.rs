//! Lease, fence, job row and creation as a small world that is explored state by
//! state: every order of steps, with a fault between any two of them.
//!
//! Tests of the real code reach the orders that chance gives. Here a few workers,
//! batches and users stand for many, faults are counted out, and what remains is
//! finite. A [`Weakness`] takes one safeguard away; the tests show that each one is
//! needed, and for what.
//!
//! Steps are those of the real thing where others can see between them: a `POST`
//! served and its answer, the lock of a job row and the commit. What one statement of
//! the ledger does, locked rows included, is one step here. Time is left out: a lease
//! may run out at any moment, a wait may last as long as others like.
//!
//! Rejected: `stateright`'s actors (our processes meet in a database, not by messages),
//! and its `eventually`, which says of itself that it overlooks cycles; [`stuck`]
//! looks for states with no way to the end instead.

mod ledger;
mod properties;
mod reach;
mod state;
mod step;
mod worker;

pub use properties::{Names, done};
pub use reach::{Reach, stuck};
pub use state::State;
pub use step::Action;

/// What is in the world, and what may go wrong in it.
#[derive(Clone, Debug)]
pub struct World {
    /// Worker processes, 1 to 3.
    pub workers: usize,
    /// Batches of the run, 1 or 2.
    pub batches: usize,
    /// Users in a batch, 1 or 2.
    pub users: usize,
    /// Faults to come.
    pub faults: Faults,
    /// Whether the sweep looks for runs that nobody sealed.
    pub sweep: bool,
    /// Whether a person may cancel the run.
    pub cancel: bool,
    /// Whether a holder may send a `POST` after its lease went to another, for
    /// instance a stopped process that goes on. It also stands for a request of a
    /// dead process that Auth0 serves late.
    pub late_requests: bool,
    /// The safeguard that is missing.
    pub weakness: Option<Weakness>,
}

/// How often each fault may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// A worker dies between two steps and comes back under a new identity.
    pub crashes: u8,
    /// A lease runs out though its holder lives.
    pub expiries: u8,
    /// The queue loses a job, or all it has.
    pub losses: u8,
    /// The queue delivers a job twice.
    pub doubles: u8,
    /// Auth0 has created a user and the answer is lost.
    pub answers: u8,
    /// A holder hands its job back.
    pub hand_backs: u8,
}

impl Faults {
    /// Each fault up to `times` times.
    pub const fn each(times: u8) -> Self {
        Faults {
            crashes: times,
            expiries: times,
            losses: times,
            doubles: times,
            answers: times,
            hand_backs: times,
        }
    }
}

impl World {
    /// Two workers and one batch of two users; each fault once, nothing missing.
    pub const fn small() -> Self {
        World {
            workers: 2,
            batches: 1,
            users: 2,
            faults: Faults::each(1),
            sweep: true,
            cancel: false,
            late_requests: true,
            weakness: None,
        }
    }
}

/// A safeguard taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// Results are written without looking at the lease.
    NoFence,
    /// The token is compared in a subquery: looked at, but the row is not locked.
    FenceInSubquery,
    /// The verify job is made in a transaction of its own after the last item.
    EventApart,
    /// A verifier counts open batches without the lock on the run.
    SealWithoutRunLock,
    /// A job is claimed by its id, whatever the delivery's send counter.
    ClaimAnySend,
    /// Every `POST` makes up a new id.
    RandomIds,
    /// Cancel ends every pending item, without asking Auth0 for those that may have been sent.
    CancelUnasked,
}
