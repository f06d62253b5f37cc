//! Whether the people of a source are those that a migration moved, whatever place the source is at.
//!
//! An export has another name each week, and a database moves to another host. Under another
//! name its users would get other ids, and one whose address changed a second account.

use super::Clash;
use crate::{
    ids::RunId,
    ports::{Addressed, NewRun},
    record::UserRecord,
    run::{RunView, SourceIdentity},
};

/// Users that are kept for the comparison, at most.
const MOST: usize = 1_000;

/// Some users of a source, spread evenly over it.
#[derive(Clone, Debug)]
pub struct Sample {
    users: Vec<Addressed>,
    stride: usize,
    offered: usize,
}

impl Default for Sample {
    fn default() -> Self {
        Sample { users: Vec::new(), stride: 1, offered: 0 }
    }
}

impl Sample {
    /// Offers the next user in source order.
    pub fn offer(&mut self, record: &UserRecord) {
        if self.offered.is_multiple_of(self.stride) && self.users.len() == MOST {
            self.stride *= 2;
            let mut keep = false;
            self.users.retain(|_| {
                keep = !keep;
                keep
            });
        }
        if self.offered.is_multiple_of(self.stride) {
            self.users.push(Addressed { key: record.key.clone(), email: record.email.clone() });
        }
        self.offered += 1;
    }

    /// Its users, in source order.
    pub fn users(&self) -> &[Addressed] {
        &self.users
    }
}

/// How many users of a source a run moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// Users that were looked at.
    pub looked_at: usize,
    /// Of these, those whose key was moved.
    pub keys: usize,
    /// Of these, those who had the same address then.
    pub same: usize,
}

impl Overlap {
    /// Whether the users are of one application: most with the same key have the same address. In
    /// two applications that count from 1 a few may: people who work with both.
    pub const fn is_of_one_application(self) -> bool {
        self.same > 0 && self.same * 2 >= self.keys
    }

    /// Of both.
    pub const fn and(self, other: Overlap) -> Overlap {
        Overlap {
            looked_at: self.looked_at + other.looked_at,
            keys: self.keys + other.keys,
            same: self.same + other.same,
        }
    }
}

/// Who is planned.
#[derive(Clone, Copy, Debug)]
pub struct Planned<'a> {
    /// The run.
    pub run: RunId,
    /// Its migration's name.
    pub migration: &'a str,
    /// Its source.
    pub source: &'a SourceIdentity,
    /// Its tenant; empty where none is known yet.
    pub tenant: &'a str,
    /// Its connection.
    pub connection: &'a str,
}

impl<'a> Planned<'a> {
    /// Of a run to be opened.
    pub fn of(run: &'a NewRun) -> Planned<'a> {
        let NewRun { id, migration, source, spec, .. } = run;
        Planned { run: *id, migration, source, tenant: &spec.tenant, connection: &spec.connection }
    }

    /// Whether a run moved users to the same accounts.
    fn has_target_of(&self, run: &RunView) -> bool {
        run.spec.connection == self.connection && (self.tenant.is_empty() || run.spec.tenant == self.tenant)
    }

    /// The runs, of those given newest first, whose users are compared with this one's to find who
    /// changed: those of its source before those of its migration from another place.
    pub fn earlier(&self, runs: &[RunView]) -> Vec<RunId> {
        let ended = |run: &&RunView| run.id != self.run && !run.state.is_active();
        let (own, others): (Vec<_>, Vec<_>) =
            runs.iter().filter(ended).partition(|run| run.source == *self.source);
        let same_move = |run: &&RunView| run.migration == self.migration && self.has_target_of(run);
        own.into_iter().chain(others.into_iter().filter(same_move)).map(|run| run.id).collect()
    }

    /// The newest run of its source that has ended, of those given newest first.
    pub fn last(&self, runs: &[RunView]) -> Option<RunId> {
        let own = |run: &&RunView| run.id != self.run && run.source == *self.source && !run.state.is_active();
        runs.iter().find(own).map(|run| run.id)
    }

    /// The runs, of those given newest first, whose people are compared with this one's to find
    /// whether the name fits; none where this source had this name before.
    pub fn strangers<'r>(&self, runs: &'r [RunView]) -> Vec<&'r RunView> {
        let others: Vec<&RunView> =
            runs.iter().filter(|run| run.id != self.run && !run.state.is_unstarted()).collect();
        if others.iter().any(|run| run.source == *self.source && run.migration == self.migration) {
            return Vec::new();
        }
        others.into_iter().filter(|run| run.source != *self.source && self.has_target_of(run)).collect()
    }

    /// Whether the people of a run of the same name are these, given how many of a sample it moved.
    ///
    /// # Errors
    /// Says who else has the name, and what to do.
    pub fn check_same_name(&self, run: &RunView, overlap: Overlap) -> Result<(), Clash> {
        if run.migration != self.migration || overlap.keys == 0 || overlap.is_of_one_application() {
            return Ok(());
        }
        let (name, other, source_name) =
            (self.migration.to_owned(), run.source.to_string(), self.source.to_string());
        Err(Clash::OtherPeople { name, other, source_name, overlap })
    }

    /// Whether anybody would get a second account under this name, given how many of all users to be
    /// sent a run of another name moved. Who has the same address is found by it.
    ///
    /// # Errors
    /// Says who would, and what to do.
    pub fn check_other_name(&self, run: &RunView, overlap: Overlap) -> Result<(), Clash> {
        if run.migration == self.migration || overlap.same == overlap.keys {
            return Ok(());
        }
        let (name, before) = (self.migration.to_owned(), run.migration.clone());
        let (other, source_name) = (run.source.to_string(), self.source.to_string());
        Err(Clash::SamePeople { name, before, other, source_name, overlap })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SourceKey, record::Email, run::RunState, testing::run_view};

    fn sample(users: usize) -> Sample {
        let mut sample = Sample::default();
        for key in 0..users {
            let email = Email::normalised(&format!("person-{key}@example.com"));
            sample.offer(&UserRecord::new(SourceKey(key.to_string()), email, true));
        }
        sample
    }

    #[test]
    fn a_sample_is_spread_over_the_source() {
        assert_eq!(sample(700).users().len(), 700, "all of a small one");
        for users in [1_001, 9_999, 100_000] {
            let sample = sample(users);
            let keys: Vec<usize> = sample.users().iter().map(|user| user.key.0.parse().unwrap()).collect();
            assert!((MOST / 2..=MOST).contains(&keys.len()), "{users}: {}", keys.len());
            assert!(keys.windows(2).all(|pair| pair[1] - pair[0] == sample.stride), "{users}");
            assert!(users - keys.last().unwrap() <= sample.stride, "{users}: to its end");
        }
    }

    fn moved(number: u128, migration: &str, location: &str) -> RunView {
        let source = SourceIdentity { kind: "csv".into(), location: location.into() };
        RunView { migration: migration.into(), source, ..run_view(number, RunState::Sealed) }
    }

    fn planned<'a>(source: &'a SourceIdentity, migration: &'a str) -> Planned<'a> {
        Planned { run: run_view(9, RunState::Planning).id, migration, source, tenant: "t", connection: "db" }
    }

    #[test]
    fn a_run_of_the_same_source_counts_before_one_of_the_same_migration() {
        let mut runs = [
            moved(8, "staff", "/other.csv"),
            moved(7, "users", "/new.csv"),
            moved(6, "users", "/old.csv"),
            moved(5, "users", "/old.csv"),
            moved(4, "staff", "/new.csv"),
        ];
        let source = runs[1].source.clone();
        let numbers = |runs: &[RunView]| -> Vec<u128> {
            planned(&source, "users").earlier(runs).iter().map(|id| id.0.as_u128()).collect()
        };
        assert_eq!(numbers(&runs), [7, 4, 6, 5]);
        let last = |runs: &[RunView]| planned(&source, "users").last(runs).map(|id| id.0.as_u128());
        assert_eq!(last(&runs), Some(7));
        runs[1].state = RunState::Running;
        runs[2].spec.connection = "another".into();
        runs[3].spec.tenant = "another".into();
        assert_eq!((numbers(&runs), last(&runs)), (vec![4], Some(4)));
    }

    #[test]
    fn people_are_strangers_until_their_source_had_the_name() {
        let runs = [moved(8, "users", "/old.csv"), moved(7, "staff", "/new.csv")];
        let (new, old) = (runs[1].source.clone(), runs[0].source.clone());
        let migrations = |planned: Planned<'_>| -> Vec<String> {
            planned.strangers(&runs).into_iter().map(|run| run.migration.clone()).collect()
        };
        assert_eq!(migrations(planned(&new, "users")), ["users"]);
        assert!(migrations(planned(&new, "staff")).is_empty());
        assert_eq!(migrations(planned(&old, "new")), ["staff"], "its own other name is said without them");
        let elsewhere = Planned { connection: "another", ..planned(&new, "users") };
        assert!(migrations(elsewhere).is_empty());
        let anywhere = Planned { tenant: "", ..planned(&new, "users") };
        assert_eq!(migrations(anywhere), ["users"]);
    }

    fn overlap(looked_at: usize, keys: usize, same: usize) -> Overlap {
        Overlap { looked_at, keys, same }
    }

    #[test]
    fn a_few_may_work_with_two_applications() {
        assert!(overlap(3, 1, 1).is_of_one_application());
        assert!(overlap(200, 5, 3).is_of_one_application());
        for other in [overlap(200, 200, 20), overlap(3, 3, 1), overlap(3, 3, 0), overlap(0, 0, 0)] {
            assert!(!other.is_of_one_application(), "{other:?}");
        }
    }

    #[test]
    fn whoever_would_get_a_second_account_keeps_the_name() {
        let (now, then) = (moved(9, "users-monday", "/users-monday.csv"), moved(8, "users", "/users.csv"));
        let check = |overlap| planned(&now.source, &now.migration).check_other_name(&then, overlap);
        let clash = check(overlap(300, 200, 197)).unwrap_err();
        assert!(matches!(clash, Clash::SamePeople { .. }));
        for words in ["3 of them with another address", "--migration users)", "\"users\" from csv /users.csv"]
        {
            assert!(clash.to_string().contains(words), "{words}: {clash}");
        }
        assert_eq!(check(overlap(300, 200, 200)), Ok(()), "they are found by their addresses");
        assert_eq!(planned(&now.source, "users").check_other_name(&then, overlap(3, 2, 1)), Ok(()));
    }

    #[test]
    fn other_people_under_the_same_keys_are_not_moved_under_one_name() {
        let (now, then) = (moved(9, "users", "/clinic/users.csv"), moved(8, "users", "/school/users.csv"));
        let check = |overlap| planned(&now.source, &now.migration).check_same_name(&then, overlap);
        let clash = check(overlap(10, 5, 1)).unwrap_err();
        assert!(matches!(clash, Clash::OtherPeople { .. }));
        assert!(clash.to_string().contains("5 of 10 users"), "{clash}");
        for fits in [overlap(10, 5, 3), overlap(10, 0, 0)] {
            assert_eq!(check(fits), Ok(()));
        }
        assert_eq!(planned(&now.source, "clinic").check_same_name(&then, overlap(10, 5, 1)), Ok(()));
    }
}
