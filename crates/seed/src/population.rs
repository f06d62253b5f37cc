//! The rows, computed from id, number of users and seed.
//!
//! Numbers are drawn in a fixed order per user before the case is looked at, so
//! that a planted user differs from the plain one it would have been only in
//! what the case is about.

use sha2::Digest as _;

use crate::canonical::{self, Digest};
use crate::case::{Case, Expected};
use crate::error::SeedError;
use crate::layout::{Layout, MAX_USERS, MIN_USERS};
use crate::names;
use crate::person::{Person, api_key, capitalised, role};
use crate::planted::{invalid_email, missing_email, overlong_name};
use crate::random::{Random, Stream};
use crate::rows::{ExistingUser, Hospital, Permission, Role, User, Ward, is_retired};

const USERS_PER_HOSPITAL: u64 = 500;
const HOSPITALS: std::ops::RangeInclusive<u64> = 2..=200;
/// Accounts were opened from 2019-01-01, over five years.
const FIRST_CREATED_AT: i64 = 1_546_300_800;
const CREATED_WITHIN_SECONDS: u64 = 5 * 365 * 86_400;
/// Bytes put into one buffer before they are hashed.
const HASHED_TOGETHER: usize = 64 * 1024;

/// A hospital network, generated as it is read; a few machine words in memory.
#[derive(Debug, Clone)]
pub struct Population {
    users: u64,
    seed: u64,
    hospitals: u64,
    layout: Layout,
}

/// The population of this size and seed.
///
/// # Errors
/// [`SeedError::UserCount`] unless `users` is within [`MIN_USERS`] and [`MAX_USERS`].
pub fn population(users: u64, seed: u64) -> Result<Population, SeedError> {
    if !(MIN_USERS..=MAX_USERS).contains(&users) {
        return Err(SeedError::UserCount { users });
    }
    Ok(Population {
        users,
        seed,
        hospitals: (users / USERS_PER_HOSPITAL).clamp(*HOSPITALS.start(), *HOSPITALS.end()),
        layout: Layout::new(users, seed),
    })
}

impl Population {
    /// The number of users, planted ones included.
    pub fn user_count(&self) -> u64 {
        self.users
    }

    /// The seed it was made from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// All hospitals by id: one per 500 users, 2 to 200.
    pub fn hospitals(&self) -> impl Iterator<Item = Hospital> + Send + '_ {
        (1..=self.hospitals).map(|id| {
            let pool = names::HOSPITALS.len() as u64;
            let name = names::HOSPITALS[((id - 1) % pool) as usize];
            Hospital {
                id,
                code: hospital_code(id),
                name: if id <= pool { name.to_owned() } else { format!("{name} {id}") },
                retired: is_retired(id),
            }
        })
    }

    /// All wards by id: three to eight in each hospital.
    pub fn wards(&self) -> impl Iterator<Item = Ward> + Send + '_ {
        (1..=self.hospitals).flat_map(|hospital_id| {
            (1..=self.ward_count(hospital_id)).map(move |number| Ward {
                id: ward_id(hospital_id, number),
                hospital_id,
                code: format!("W{number}"),
                name: names::WARDS[(number - 1) as usize],
            })
        })
    }

    /// All users by id, from 1 to [`user_count`](Self::user_count).
    pub fn users(&self) -> impl Iterator<Item = User> + Send + '_ {
        (1..=self.users).map(|id| self.user(id))
    }

    /// The rows of `permissions` that belong to a user, in the order of the key.
    pub fn permissions_of(&self, user: &User) -> impl Iterator<Item = Permission> + Send + use<> {
        let home = user.hospital_id;
        let other = (self.case_of(user.id) == Case::TwoHospitals).then(|| self.next_open(home));
        let mut hospitals = [Some(home), other];
        hospitals.sort_unstable();
        let (user_id, role) = (user.id, user.role);
        hospitals.into_iter().flatten().flat_map(move |hospital_id| {
            role.permissions().iter().map(move |&permission| Permission { user_id, hospital_id, permission })
        })
    }

    /// The case a user was planted for.
    pub fn case_of(&self, user_id: u64) -> Case {
        self.layout.place(user_id).case
    }

    /// What a migration of the whole population must end with.
    pub fn expected(&self) -> Expected {
        let mut expected = Expected::default();
        for case in Case::ALL {
            expected.add(case, self.layout.count(case));
        }
        expected
    }

    /// The accounts that must be planted in the tenant beforehand, by user id.
    pub fn existing(&self) -> impl Iterator<Item = ExistingUser> + Send + '_ {
        let mut ids: Vec<(u64, bool)> = self
            .layout
            .planted_ids()
            .filter_map(|id| match self.case_of(id) {
                Case::ExistsVerified => Some((id, true)),
                Case::ExistsUnverified => Some((id, false)),
                _ => None,
            })
            .collect();
        ids.sort_unstable();
        ids.into_iter().map(|(user_id, email_verified)| {
            let user = self.user(user_id);
            ExistingUser {
                user_id,
                email: user.email.unwrap_or_default().to_lowercase(),
                email_verified,
                name: user.name,
            }
        })
    }

    /// SHA-256 over all rows in the order of their keys, in hexadecimal.
    /// Generates the whole population; [`write`](crate::write()) returns it without that work.
    pub fn digest(&self) -> String {
        let mut digest = Digest::default();
        self.digest_places(&mut digest);
        let (mut users, mut permissions) = (Vec::new(), Vec::new());
        for user in self.users() {
            canonical::user(&mut users, &user);
            self.permissions_of(&user).for_each(|row| canonical::permission(&mut permissions, &row));
            if users.len() >= HASHED_TOGETHER {
                digest.users.update(&users);
                digest.permissions.update(&permissions);
                users.clear();
                permissions.clear();
            }
        }
        digest.users.update(&users);
        digest.permissions.update(&permissions);
        digest.finish()
    }

    /// The part of the digest that is about hospitals and wards.
    pub(crate) fn digest_places(&self, digest: &mut Digest) {
        let mut rows = Vec::new();
        self.hospitals().for_each(|row| canonical::hospital(&mut rows, &row));
        digest.hospitals.update(&rows);
        rows.clear();
        self.wards().for_each(|row| canonical::ward(&mut rows, &row));
        digest.wards.update(&rows);
    }

    fn user(&self, id: u64) -> User {
        let mut random = Random::of_row(self.seed, Stream::Users, id);
        let api_key = api_key(&mut random);
        let person = Person::draw(&mut random, self.hospitals, id);
        let role = role(random.below(100));
        let ward = random.below(self.ward_count(person.hospital_id)) + 1;
        let on_a_ward = matches!(role, Role::Doctor | Role::Nurse);
        let mut user = User {
            id,
            email: None,
            name: person.name(),
            role,
            hospital_id: person.hospital_id,
            ward_id: on_a_ward.then(|| ward_id(person.hospital_id, ward)),
            active: true,
            blocked: false,
            api_key,
            created_at: FIRST_CREATED_AT + random.below(CREATED_WITHIN_SECONDS) as i64,
        };
        user.email = Some(person.email());
        self.plant(&mut user, &person);
        user
    }

    fn plant(&self, user: &mut User, person: &Person) {
        let place = self.layout.place(user.id);
        match place.case {
            Case::CaseCollisionFirst | Case::CaseCollisionLater => {
                user.email = Some(self.colliding_email(place.case, place.index));
            }
            Case::NoEmail => user.email = missing_email(place.index),
            Case::InvalidEmail => user.email = Some(invalid_email(place.index, user.id)),
            Case::OverlongName => user.name = overlong_name(person),
            Case::Unicode => {
                let (name, slug) = names::HARD[place.index as usize % names::HARD.len()];
                user.name = name.to_owned();
                user.email = Some(format!("{slug}.{:06}@example.org", user.id));
            }
            Case::Retired => user.active = false,
            Case::Blocked => user.blocked = true,
            Case::ExistsVerified | Case::ExistsUnverified | Case::TwoHospitals | Case::Plain => {}
        }
    }

    /// The address of one half of a pair: the same letters, in other cases.
    fn colliding_email(&self, case: Case, index: u64) -> String {
        let id = self.layout.first_of_pair(index);
        let mut random = Random::of_row(self.seed, Stream::Users, id);
        api_key(&mut random);
        let shared = Person::draw(&mut random, self.hospitals, id).email().to_lowercase();
        // Sometimes the earlier row has the capitals, sometimes the later one.
        let capitals = (case == Case::CaseCollisionLater) == index.is_multiple_of(2);
        match (capitals, index % 3) {
            (false, _) => shared,
            (true, 0) => shared.to_uppercase(),
            (true, _) => capitalised(&shared),
        }
    }

    fn ward_count(&self, hospital_id: u64) -> u64 {
        3 + Random::of_row(self.seed, Stream::Wards, hospital_id).below(6)
    }

    fn next_open(&self, hospital_id: u64) -> u64 {
        let mut next = hospital_id % self.hospitals + 1;
        if is_retired(next) {
            next = next % self.hospitals + 1;
        }
        next
    }
}

fn hospital_code(id: u64) -> String {
    format!("H-{id:02}")
}

fn ward_id(hospital_id: u64, number: u64) -> u64 {
    hospital_id * 10 + number
}
