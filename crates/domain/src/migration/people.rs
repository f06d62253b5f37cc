//! Whether the people of a source are those that a migration moved, whatever place the source is at.
//!
//! An export has another name each week, and a database moves to another host. Under another
//! name its users would get other ids, and one whose address changed a second account.

use super::Clash;
use crate::{
    ids::RunId,
    ports::{Addressed, NewRun, SourceWarning},
    record::UserRecord,
    run::{RunView, SourceIdentity},
    shell::quoted,
};

/// Other sources and names whose people are compared, at most: each costs a reading of a run.
const COMPARED: usize = 20;
/// Of runs over tables that many of the newest, and of the older ones those that made most accounts.
const NEWEST: usize = 3;
/// The same of runs over files: each may hold others.
const NEWEST_FILES: usize = 18;
const LARGEST: usize = 2;
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

/// Whether two runs are of one source and name.
fn is_alike(one: &RunView, other: &RunView) -> bool {
    one.source == other.source && one.migration == other.migration
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

    /// The runs, of those given newest first, whose users are compared with this one's: those of its
    /// source, then those of its migration from another place, then those of `same`, sources of the
    /// same people under another name. Of runs into the same connection that asked Auth0 for
    /// somebody; each costs a reading of its users. A run over a table has all its users, so of
    /// many the newest count, and those that made most accounts.
    pub fn earlier(&self, runs: &[RunView], same: &[&RunView]) -> Vec<RunId> {
        let mut places = [Vec::new(), Vec::new(), Vec::new()];
        for run in runs.iter().filter(|run| self.knows(run)) {
            match run {
                run if run.source == *self.source => places[0].push(run),
                run if run.migration == self.migration => places[1].push(run),
                run if same.iter().any(|one| is_alike(one, run)) => places[2].push(run),
                _ => {}
            }
        }
        let newest = if self.source.is_file() { NEWEST_FILES } else { NEWEST };
        for place in &mut places {
            let mut older = place.split_off(place.len().min(newest));
            older.sort_by_key(|run| std::cmp::Reverse(run.tally.created + run.tally.adopted));
            place.extend(older.into_iter().take(LARGEST));
        }
        places.into_iter().flatten().map(|run| run.id).collect()
    }

    /// The newest run of its source that has ended, of those given newest first.
    pub fn last(&self, runs: &[RunView]) -> Option<RunId> {
        let own = |run: &&RunView| run.id != self.run && run.source == *self.source && !run.state.is_active();
        runs.iter().find(own).map(|run| run.id)
    }

    /// Whether a run of this source had this name before.
    pub fn had_name(&self, runs: &[RunView]) -> bool {
        let own = |run: &RunView| run.source == *self.source && run.migration == self.migration;
        runs.iter().any(|run| run.id != self.run && !run.state.is_unstarted() && own(run))
    }

    /// Of each other source and name the run, the newest of those given, whose people are compared
    /// with this one's to find whether they are the same.
    pub fn strangers<'r>(&self, runs: &'r [RunView]) -> Vec<&'r RunView> {
        let mut strangers: Vec<&RunView> = Vec::new();
        for run in runs.iter().filter(|run| run.source != *self.source && self.knows(run)) {
            if strangers.len() < COMPARED && !strangers.iter().any(|one| is_alike(one, run)) {
                strangers.push(run);
            }
        }
        strangers
    }

    /// Whether a run asked Auth0 for users of this one's target.
    fn knows(&self, run: &RunView) -> bool {
        let asked = run.requests > 0 || run.tally.created + run.tally.adopted > 0;
        run.id != self.run && !run.state.is_unstarted() && asked && self.has_target_of(run)
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

    /// What a person should know of users that a run moved under another name.
    pub fn note_other_name(&self, run: &RunView, overlap: Overlap) -> Option<SourceWarning> {
        let Overlap { looked_at, keys, same } = overlap;
        if run.migration == self.migration || keys == 0 {
            return None;
        }
        let (before, from, name) = (&run.migration, &run.source, self.migration);
        let keep = quoted(before);
        let (what, remedy) = match overlap.is_of_one_application() {
            true => (
                format!(
                    "the users were moved as migration \"{before}\" from {from}: they keep their accounts, and new ones get ids of \"{name}\""
                ),
                format!("Keep one name for an application: --migration {keep}"),
            ),
            false => (
                format!(
                    "{keys} of {looked_at} users that were looked at have keys that were moved as migration \"{before}\" from {from}, {} of them with another address",
                    keys - same
                ),
                format!(
                    "If they are the same people, keep the name: --migration {keep}. As \"{name}\" they would get second accounts"
                ),
            ),
        };
        Some(SourceWarning { field: None, what, remedy })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SourceKey, Tally, record::Email, run::RunState, testing::run_view};

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
        let tally = Tally { created: 1, ..Tally::default() };
        RunView { migration: migration.into(), source, tally, ..run_view(number, RunState::Sealed) }
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
            moved(3, "other", "/other.csv"),
        ];
        let same = runs[5].clone();
        let source = runs[1].source.clone();
        let numbers = |runs: &[RunView]| -> Vec<u128> {
            planned(&source, "users").earlier(runs, &[&same]).iter().map(|id| id.0.as_u128()).collect()
        };
        assert_eq!(numbers(&runs), [7, 4, 6, 5, 3]);
        let last = |runs: &[RunView]| planned(&source, "users").last(runs).map(|id| id.0.as_u128());
        assert_eq!(last(&runs), Some(7));
        runs[1].state = RunState::Running;
        runs[2].spec.connection = "another".into();
        runs[3].spec.tenant = "another".into();
        runs[5].tally.created = 0;
        assert_eq!((numbers(&runs), last(&runs)), (vec![7, 4], Some(4)), "what a running one made counts");
    }

    #[test]
    fn of_many_runs_over_a_table_the_newest_and_the_largest_are_compared() {
        let of_kind = |kind: &str| -> Vec<u128> {
            let source = SourceIdentity { kind: kind.into(), location: "app".into() };
            let runs: Vec<RunView> = (10..40)
                .rev()
                .map(|number| {
                    let created = if number == 12 { 500 } else { 1 };
                    let tally = Tally { created, ..Tally::default() };
                    RunView { source: source.clone(), tally, ..moved(number, "users", "") }
                })
                .collect();
            planned(&source, "users").earlier(&runs, &[]).iter().map(|id| id.0.as_u128()).collect()
        };
        assert_eq!(of_kind("postgres"), [39, 38, 37, 12, 36]);
        assert_eq!(of_kind("csv").len(), NEWEST_FILES + LARGEST, "each export may hold others");
    }

    #[test]
    fn of_each_other_source_and_name_the_newest_run_is_compared() {
        let runs = [
            moved(8, "users", "/old.csv"),
            moved(7, "staff", "/new.csv"),
            moved(6, "users", "/old.csv"),
            moved(5, "old", "/old.csv"),
            RunView { requests: 0, tally: Tally::default(), ..moved(4, "idle", "/idle.csv") },
        ];
        let new = runs[1].source.clone();
        let strangers = |planned: Planned<'_>| -> Vec<u128> {
            planned.strangers(&runs).into_iter().map(|run| run.id.0.as_u128()).collect()
        };
        assert_eq!(strangers(planned(&new, "users")), [8, 5], "one that asked for nobody knows nothing");
        assert!(planned(&new, "staff").had_name(&runs) && !planned(&new, "users").had_name(&runs));
        let elsewhere = Planned { connection: "another", ..planned(&new, "users") };
        assert!(strangers(elsewhere).is_empty());
        let anywhere = Planned { tenant: "", ..planned(&new, "users") };
        assert_eq!(strangers(anywhere), [8, 5]);
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
    fn what_was_moved_under_another_name_is_noted_with_the_name_to_keep() {
        let (now, then) = (moved(9, "users-monday", "/users-monday.csv"), moved(8, "users", "/users.csv"));
        let note = |overlap| planned(&now.source, &now.migration).note_other_name(&then, overlap);
        let same = note(overlap(300, 200, 197)).unwrap().to_string();
        for words in ["keep their accounts", "--migration users", "\"users\" from csv /users.csv"] {
            assert!(same.contains(words), "{words}: {same}");
        }
        let others = note(overlap(9, 5, 1)).unwrap().to_string();
        assert!(others.contains("5 of 9 users") && others.contains("4 of them with another"), "{others}");
        assert_eq!(note(overlap(300, 0, 0)), None);
        assert_eq!(planned(&now.source, "users").note_other_name(&then, overlap(3, 2, 1)), None);
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
