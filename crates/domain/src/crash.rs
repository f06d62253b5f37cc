//! Named points between two durable steps, where a test build ends the process.
//!
//! Compiled to nothing without the feature `crash-points`. With it, the command arms
//! one point by name; the n-th time a process passes it, it aborts as a power cut
//! would. The table here is the whole list, so that a test can visit each.

/// A point: its name, and between which durable steps it lies.
pub type Point = (&'static str, &'static str);

/// All points, in the order in which a user passes them.
pub const POINTS: &[Point] = &[
    ("relay.claimed", "jobs are queued in the ledger, nothing is pushed yet"),
    ("relay.pushed", "jobs are pushed, the relay has not looked again"),
    ("worker.delivered", "a job came from the queue, no lease is taken"),
    ("worker.leased", "the lease is taken, no item is read"),
    ("provision.read", "items are read, nothing is sent"),
    ("provision.sent", "a user is at Auth0, its result is only in memory"),
    ("provision.gathered", "a group of results is complete, its write has not begun"),
    ("apart.written", "the application's rows have their ids, the ledger elsewhere does not know it"),
    ("provision.written", "a group of results is in the ledger, the batch goes on"),
    ("provision.finished", "the batch is provisioned and its event made, nothing is acknowledged"),
    ("worker.concluded", "a verdict is in the ledger, nothing is acknowledged"),
    ("verify.read", "users are read back, nothing is recorded"),
    ("verify.recorded", "the verification is recorded, nothing is acknowledged"),
    ("report.made", "the report is made, the run is not sealed"),
    ("report.sealed", "the run is sealed, nothing is acknowledged"),
    ("rescue.taken", "jobs are taken back from dead holders, and the queue is not told yet"),
    ("rescue.halved", "a batch is halved, and the queue is not told yet"),
    ("poison.asked", "a user that ended its workers was asked for, nothing is written"),
    ("cancel.asked", "users of a cancelled run were asked for, nothing is written"),
    ("stop.retiring", "a stopping process has ended its work, its leases are not handed back"),
];

#[cfg(feature = "crash-points")]
mod armed {
    use std::{
        sync::{
            OnceLock,
            atomic::{AtomicBool, AtomicU32, Ordering},
        },
        time::Duration,
    };

    /// What is armed for users instead of a point: death at one, death at one once Auth0
    /// has answered, a panic at one (the first time), or from the first user on a block of
    /// every thread for some seconds.
    const FOR_USERS: [&str; 4] = ["user:", "sent:", "panic:", "block:"];

    static ARMED: OnceLock<(String, AtomicU32)> = OnceLock::new();

    /// Whether a name is `user:KEY`, `sent:KEY`, `panic:KEY` or `block:SECONDS`.
    pub fn is_for_users(name: &str) -> bool {
        FOR_USERS.iter().any(|prefix| name.starts_with(prefix))
    }

    /// Arms a point: the `nth` pass (from 1) aborts the process.
    ///
    /// # Errors
    /// With the list of points when there is none of that name.
    pub fn arm(name: &str, nth: u32) -> Result<(), String> {
        let known = super::POINTS.iter().any(|(point, _)| *point == name) || is_for_users(name);
        if !known {
            let names: Vec<_> = super::POINTS.iter().map(|(point, _)| *point).collect();
            return Err(format!("no crash point {name:?}; there are: {}", names.join(", ")));
        }
        let _ = ARMED.set((name.to_owned(), AtomicU32::new(nth.max(1))));
        Ok(())
    }

    /// Passes a point.
    pub fn pass(name: &str) {
        let Some((armed, left)) = ARMED.get() else { return };
        if armed == name && left.fetch_sub(1, Ordering::SeqCst) == 1 {
            eprintln!("ferry: crash point {name}");
            std::process::abort();
        }
    }

    /// The same while this user is worked on: `user:KEY` kills the process each time.
    pub fn pass_user(key: &str) {
        let Some((armed, left)) = ARMED.get() else { return };
        if armed.strip_prefix("user:") == Some(key) {
            eprintln!("ferry: crash on a chosen user");
            std::process::abort();
        }
        if armed.strip_prefix("panic:") == Some(key) && left.fetch_sub(1, Ordering::SeqCst) == 1 {
            panic!("a chosen user");
        }
        if let Some(seconds) = armed.strip_prefix("block:").and_then(|text| text.parse().ok()) {
            block(left, Duration::from_secs(seconds));
        }
    }

    /// Passes with a user that was sent: `sent:KEY` kills each time.
    pub fn pass_sent_user(key: &str) {
        let armed = ARMED.get().and_then(|(armed, _)| armed.strip_prefix("sent:"));
        if armed == Some(key) {
            eprintln!("ferry: crash after a chosen user was sent");
            std::process::abort();
        }
    }

    /// The first caller sleeps; those that come meanwhile wait for it, and so do their threads.
    fn block(left: &AtomicU32, time: Duration) {
        static OVER: AtomicBool = AtomicBool::new(false);
        if left.swap(0, Ordering::SeqCst) > 0 {
            eprintln!("ferry: threads are blocked");
            std::thread::sleep(time);
            OVER.store(true, Ordering::SeqCst);
        }
        while !OVER.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[cfg(feature = "crash-points")]
pub use armed::{arm, is_for_users, pass, pass_sent_user, pass_user};

/// Passes a point.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn pass(_name: &str) {}

/// The same while this user is worked on.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn pass_user(_key: &str) {}

/// Passes with a user that was sent.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn pass_sent_user(_key: &str) {}
