//! What becomes of a job whose workers die: the user that kills them is isolated
//! by halving the batch, and everybody else arrives.
//!
//! Deaths count only while nothing gets on: results that are written back clear them, since
//! what kills its worker each time is in hand again at once, and the others of its batch are
//! through by then. So a worker that is killed twenty times by chance leaves nobody suspected
//! (before, the batches that it had held waited up to half a minute for a process of their own).
//!
//! A half keeps all but one of the deaths, so it is halved again by the next: a user
//! among a hundred is alone after 3 + 6 deaths. After three more it is not sent again:
//! Auth0 is asked whether it arrived, and only if not it is given up. Rejected: noting the
//! users in flight before each request (a write per user, for a fault of one in a million).

use crate::{code::Code, job::JobKind};

/// Deaths of holders after which a job is no longer simply tried again.
pub const DEATHS: i32 = 3;

/// Whether a job has to begin alone in its process. The next death decides, so it must not
/// be charged to whatever begins beside it: without this the batches beside a deadly one were
/// halved and buried with it (seen: five users given up for one).
pub fn is_suspect(kind: JobKind, deaths: i32) -> bool {
    let decides = match kind {
        JobKind::Provision => DEATHS,
        JobKind::Verify | JobKind::Report => DEATHS_OF_WHOLE,
    };
    deaths + 1 >= decides
}

/// Deaths after which a job is given up that can't be halved: reading a batch back, or a
/// report. It takes more, since a batch of reads may be held for half a minute under a small
/// limit, does not get on before its end, and so meets deaths that are not its doing (seen in a
/// soak with a fault each 20 s: twenty verifications were given up after three).
pub const DEATHS_OF_WHOLE: i32 = 20;

/// Deaths after which a single user is not sent again. Halves start with two, so a user that
/// was isolated has to be there at three deaths of its own: with one, a user that met one
/// chance kill more was given up, and was at Auth0 already (seen in one of twenty rounds of
/// twenty kills).
pub const DEATHS_ALONE: i32 = DEATHS + 2;

/// Deaths after which a single user is given up unasked: three workers more died although
/// they only asked for it.
pub const DEATHS_ASKING: i32 = DEATHS_ALONE + DEATHS;

/// Whether a job is only asked for at Auth0, since sending it ended its workers. A batch
/// that was not halved yet is never judged as one.
pub fn is_only_asked_for(deaths: i32, pending: usize) -> bool {
    deaths >= DEATHS_ALONE && pending == 1
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

/// Decides by how often holders died over it and how many users are left in it.
pub fn remedy(kind: JobKind, deaths: i32, pending: i64) -> Remedy {
    match kind {
        _ if deaths < DEATHS => Remedy::Again,
        JobKind::Provision if pending > 1 => Remedy::Halve,
        JobKind::Provision if deaths < DEATHS_ASKING => Remedy::Again,
        JobKind::Verify | JobKind::Report if deaths < DEATHS_OF_WHOLE => Remedy::Again,
        JobKind::Provision | JobKind::Verify | JobKind::Report => Remedy::GiveUp(Code::CrashedWorker),
    }
}

/// Deaths that each half starts with.
pub fn deaths_of_half(deaths: i32) -> i32 {
    (deaths - 1).max(0)
}

/// How many users the first half keeps.
pub fn kept(pending: i64) -> i64 {
    pending / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_deadly_user_among_a_thousand_is_alone_after_few_deaths_and_never_loops() {
        let (mut pending, mut deaths, mut died) = (1_000_i64, 0, 0);
        loop {
            deaths += 1;
            died += 1;
            match remedy(JobKind::Provision, deaths, pending) {
                Remedy::Again if is_only_asked_for(deaths, pending as usize) => break,
                Remedy::Again => {}
                Remedy::Halve => {
                    pending -= kept(pending); // it is always in the larger half
                    deaths = deaths_of_half(deaths);
                }
                Remedy::GiveUp(code) => panic!("{code} before anybody asked for it"),
            }
        }
        assert_eq!(pending, 1, "only the deadly user is judged");
        assert!(died <= 15, "{died} deaths");
    }

    #[test]
    fn a_user_that_was_isolated_is_there_at_three_deaths_before_it_is_only_asked_for() {
        let alone = deaths_of_half(DEATHS);
        for own in 1..3 {
            assert!(!is_only_asked_for(alone + own, 1), "{own} deaths alone");
        }
        assert!(is_only_asked_for(alone + 3, 1));
        assert!(!is_only_asked_for(alone + 3, 2), "two users are halved first");
    }

    #[test]
    fn asking_is_tried_three_times_too() {
        for asking in 0..3 {
            assert_eq!(
                remedy(JobKind::Provision, DEATHS_ALONE + asking, 1),
                Remedy::Again,
                "{asking} deaths"
            );
        }
        assert_eq!(remedy(JobKind::Provision, DEATHS_ALONE + 3, 1), Remedy::GiveUp(Code::CrashedWorker));
    }

    #[test]
    fn two_deaths_may_be_chance() {
        assert_eq!(remedy(JobKind::Provision, 2, 1), Remedy::Again);
        assert_eq!(remedy(JobKind::Verify, 19, 0), Remedy::Again);
        assert_eq!(remedy(JobKind::Verify, 20, 0), Remedy::GiveUp(Code::CrashedWorker));
    }
}
