//! What becomes of a job that is rescued again and again: the user that kills its
//! workers is isolated by halving the batch, and all others arrive.
//!
//! A rescue counts until the batch makes progress: a successful write-back resets the
//! counter. A user that always kills its worker is retried right away, after its neighbours
//! are done, so the count rises again. A worker that is killed twenty times by chance makes
//! no job a suspect (before, its batches waited up to half a minute for a process of their own).
//!
//! | rescues since the last progress | provision | verify, report |
//! |---|---|---|
//! | [`RESCUES`] 4 | more than one user: halved; each half keeps all but one of the rescues | |
//! | [`RESCUES_ALONE`] 6 | one user: asked for at Auth0 and not sent again | |
//! | [`RESCUES_ASKING`] 9 | one user: given up | |
//! | [`RESCUES_OF_WHOLE`] 20 | | given up |
//!
//! So a user among a hundred is alone after 4 + 6 rescues. Rejected: noting the users in
//! flight before each request (a write per user, for a fault of one in a million).

use crate::{code::Code, job::JobKind};

/// Rescues after which a job is no longer simply tried again. One less makes it a suspect, and
/// suspects start one after the other. With three, two kills by chance made suspects, and the
/// batches behind them waited for up to 14 s (ADR 0020).
pub const RESCUES: i32 = 4;

/// Whether a job has to begin alone in its process. The next rescue decides, so it must not
/// be charged to jobs that begin beside it: without this the batches beside a deadly one were
/// halved and given up with it (seen: five users given up for one).
pub fn is_suspect(kind: JobKind, rescues: i32) -> bool {
    let decides = match kind {
        JobKind::Provision => RESCUES,
        JobKind::Verify | JobKind::Report => RESCUES_OF_WHOLE,
    };
    rescues + 1 >= decides
}

/// Rescues after which a job is given up that can't be halved: reading a batch back, or a
/// report. It takes more, since a batch of reads may be held for half a minute under a small
/// limit, makes no progress before its end, and so is rescued through no fault of its own (seen in
/// a soak with a fault each 20 s: twenty verifications were given up after three).
pub const RESCUES_OF_WHOLE: i32 = 20;

/// Rescues after which a single user is not sent again. Halves start with one less than
/// [`RESCUES`], so a user that was isolated needs three more of its own: with one, a user that met one chance kill more was
/// given up, and was at Auth0 already (seen in one of twenty rounds of twenty kills).
pub const RESCUES_ALONE: i32 = RESCUES + 2;

/// Rescues after which a single user is given up unasked: three workers more died although
/// they only asked for it.
pub const RESCUES_ASKING: i32 = RESCUES_ALONE + 3;

/// Whether a job is only asked for at Auth0, since sending it ended its workers. A batch
/// that was not halved yet is never judged as one.
pub fn is_only_asked_for(rescues: i32, pending: usize) -> bool {
    rescues >= RESCUES_ALONE && pending == 1
}

/// What to do with a job that was taken back from a dead holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Anybody may take it again.
    Again,
    /// Two jobs out of one: the first half stays, the second gets a batch of its own.
    Halve,
    /// It is given up with this code.
    GiveUp(Code),
}

/// Decides by the rescues of the job and the number of users left in it.
pub fn remedy(kind: JobKind, rescues: i32, pending: i64) -> Remedy {
    match kind {
        _ if rescues < RESCUES => Remedy::Again,
        JobKind::Provision if pending > 1 => Remedy::Halve,
        JobKind::Provision if rescues < RESCUES_ASKING => Remedy::Again,
        JobKind::Verify | JobKind::Report if rescues < RESCUES_OF_WHOLE => Remedy::Again,
        JobKind::Provision | JobKind::Verify | JobKind::Report => Remedy::GiveUp(Code::CrashedWorker),
    }
}

/// Rescues that each half starts with.
pub fn rescues_of_half(rescues: i32) -> i32 {
    (rescues - 1).max(0)
}

/// The number of users that the first half keeps.
pub fn kept(pending: i64) -> i64 {
    pending / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_deadly_user_among_a_thousand_is_alone_after_few_rescues_and_never_loops() {
        let (mut pending, mut rescues, mut died) = (1_000_i64, 0, 0);
        loop {
            rescues += 1;
            died += 1;
            match remedy(JobKind::Provision, rescues, pending) {
                Remedy::Again if is_only_asked_for(rescues, pending as usize) => break,
                Remedy::Again => {}
                Remedy::Halve => {
                    pending -= kept(pending); // it is always in the larger half
                    rescues = rescues_of_half(rescues);
                }
                Remedy::GiveUp(code) => panic!("{code} before anybody asked for it"),
            }
        }
        assert_eq!(pending, 1, "only the deadly user is judged");
        assert!(died <= 17, "{died} rescues");
    }

    #[test]
    fn a_user_that_was_isolated_is_there_at_three_rescues_before_it_is_only_asked_for() {
        let alone = rescues_of_half(RESCUES);
        for own in 1..3 {
            assert!(!is_only_asked_for(alone + own, 1), "{own} rescues alone");
        }
        assert!(is_only_asked_for(alone + 3, 1));
        assert!(!is_only_asked_for(alone + 3, 2), "two users are halved first");
    }

    #[test]
    fn asking_is_tried_three_times_too() {
        for asking in 0..3 {
            assert_eq!(
                remedy(JobKind::Provision, RESCUES_ALONE + asking, 1),
                Remedy::Again,
                "{asking} rescues"
            );
        }
        assert_eq!(remedy(JobKind::Provision, RESCUES_ALONE + 3, 1), Remedy::GiveUp(Code::CrashedWorker));
    }

    #[test]
    fn a_job_is_a_suspect_after_three_rescues_and_halved_after_four() {
        assert!(!is_suspect(JobKind::Provision, 2), "two rescues may be chance");
        assert!(is_suspect(JobKind::Provision, 3));
        assert_eq!(remedy(JobKind::Provision, 3, 2), Remedy::Again);
        assert_eq!(remedy(JobKind::Provision, 4, 2), Remedy::Halve);
    }

    #[test]
    fn a_job_that_cannot_be_halved_is_given_up_after_twenty_rescues() {
        assert_eq!(remedy(JobKind::Verify, 19, 0), Remedy::Again);
        assert_eq!(remedy(JobKind::Verify, 20, 0), Remedy::GiveUp(Code::CrashedWorker));
    }
}
