//! What is generated, without any database.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use ferry_seed::{Case, Expected, MIN_USERS, Population, SeedError, User, population};

#[test]
fn same_seed_same_digest_other_seed_other_digest() {
    let first = population(1_000, 7).unwrap();
    assert_eq!(first.digest(), population(1_000, 7).unwrap().digest());
    assert_ne!(first.digest(), population(1_000, 8).unwrap().digest());
    assert_ne!(first.digest(), population(1_001, 7).unwrap().digest());
}

/// Digests are written down in reports and scripts. When this fails, the sample
/// data has changed: undo that, or say in the change why everybody must re-seed.
#[test]
fn the_digest_of_a_thousand_users_with_seed_seven_is_fixed() {
    assert_eq!(
        population(1_000, 7).unwrap().digest(),
        "0db028ffabf0b5357a0351d798fcfbe97210e267efe623181f4dd1332eb13b0f"
    );
}

#[test]
fn too_few_or_too_many_users_are_refused() {
    for users in [0, MIN_USERS - 1, u64::MAX] {
        let error = population(users, 7).unwrap_err();
        assert!(matches!(error, SeedError::UserCount { users: asked } if asked == users));
        assert!(error.to_string().contains("40"), "{error}");
    }
    assert_eq!(population(MIN_USERS, 7).unwrap().users().count() as u64, MIN_USERS);
}

#[test]
fn the_expected_numbers_are_those_of_a_recount_over_the_rows() {
    for (users, seed) in [(40, 1), (41, 7), (399, 3), (1_000, 7), (12_345, 99)] {
        let population = population(users, seed).unwrap();
        assert_eq!(population.expected(), recount(&population), "{users} users, seed {seed}");
        let sum = population.expected();
        let sum = sum.created + sum.adopted + sum.skipped + sum.conflict + sum.failed;
        assert_eq!(sum, users);
    }
}

/// Judges each row by what stands in it, knowing nothing of cases.
fn recount(population: &Population) -> Expected {
    let existing: HashMap<String, bool> =
        population.existing().map(|user| (user.email, user.email_verified)).collect();
    let mut seen = HashSet::new();
    let mut expected = Expected::default();
    for user in population.users() {
        let (state, code) = judge(&user, &existing, &mut seen);
        let judged = population.case_of(user.id).expected();
        assert_eq!((judged.state, judged.code), (state, code), "user {}", user.id);
        match state {
            "created" => expected.created += 1,
            "adopted" => expected.adopted += 1,
            "skipped" => expected.skipped += 1,
            "conflict" => expected.conflict += 1,
            _ => expected.failed += 1,
        }
        if let Some(code) = code {
            *expected.by_code.entry(code).or_default() += 1;
        }
    }
    expected
}

fn judge(
    user: &User,
    existing: &HashMap<String, bool>,
    seen: &mut HashSet<String>,
) -> (&'static str, Option<&'static str>) {
    if !user.active {
        return ("skipped", Some("DISABLED"));
    }
    let email = user.email.as_deref().unwrap_or_default().trim().to_lowercase();
    if email.is_empty() {
        return ("failed", Some("EMAIL_MISSING"));
    }
    if !looks_like_an_address(&email) {
        return ("failed", Some("EMAIL_INVALID"));
    }
    if user.name.chars().count() > 300 {
        return ("failed", Some("FIELD_TOO_LONG"));
    }
    if !seen.insert(email.clone()) {
        return ("failed", Some("DUPLICATE_EMAIL"));
    }
    match existing.get(&email) {
        Some(true) => ("adopted", None),
        Some(false) => ("conflict", Some("ADOPT_UNVERIFIED")),
        None => ("created", None),
    }
}

fn looks_like_an_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let good = |part: &str| {
        part.split('.')
            .all(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    };
    local.len() <= 64 && good(local) && good(domain)
}

#[test]
fn every_address_is_on_a_domain_nobody_can_own() {
    let population = population(5_000, 7).unwrap();
    let texts = population.users().filter_map(|user| user.email);
    let texts = texts.chain(population.existing().map(|user| user.email));
    let domains: BTreeSet<String> = texts
        .filter_map(|email| email.rsplit_once('@').map(|(_, domain)| domain.to_lowercase()))
        .filter(|domain| !domain.is_empty())
        .collect();
    assert!(domains.contains("h-07.medlogistics.example"), "{domains:?}");
    for domain in domains {
        let reserved = ["example.com", "example.org", "example.net"]
            .iter()
            .any(|owner| domain == *owner || domain.ends_with(&format!(".{owner}")))
            || [".example", ".test", ".invalid"].iter().any(|top| domain.ends_with(top));
        assert!(reserved, "{domain}");
    }
}

#[test]
fn pairs_collide_only_when_lower_cased() {
    let population = population(5_000, 7).unwrap();
    let mut by_address: BTreeMap<String, Vec<User>> = BTreeMap::new();
    let colliding = [Case::CaseCollisionFirst, Case::CaseCollisionLater];
    for user in population.users().filter(|user| colliding.contains(&population.case_of(user.id))) {
        let address = user.email.as_deref().unwrap().to_lowercase();
        by_address.entry(address).or_default().push(user);
    }
    assert_eq!(by_address.len(), 25);
    for pair in by_address.values() {
        assert_eq!(pair.len(), 2);
        assert_ne!(pair[0].email, pair[1].email);
        assert_eq!(population.case_of(pair[0].id), Case::CaseCollisionFirst);
        assert_eq!(population.case_of(pair[1].id), Case::CaseCollisionLater);
    }
}

#[test]
fn planted_users_are_what_their_case_says() {
    let population = population(5_000, 7).unwrap();
    let mut missing = BTreeSet::new();
    let mut hard_names = BTreeSet::new();
    for user in population.users() {
        let case = population.case_of(user.id);
        let rows: Vec<_> = population.permissions_of(&user).collect();
        let places: BTreeSet<u64> = rows.iter().map(|row| row.hospital_id).collect();
        assert_eq!(places.len(), if case == Case::TwoHospitals { 2 } else { 1 });
        assert!(places.contains(&user.hospital_id));
        assert_eq!(rows.len(), places.len() * user.role.permissions().len());
        assert_eq!(user.blocked, case == Case::Blocked);
        assert_eq!(user.active, case != Case::Retired);
        match case {
            Case::NoEmail => drop(missing.insert(user.email)),
            Case::Unicode => drop(hard_names.insert(user.name)),
            _ => {}
        }
    }
    assert!(missing.contains(&None) && missing.contains(&Some(String::new())), "{missing:?}");
    assert!(hard_names.iter().any(|name| name.contains('\u{301}')));
    assert!(hard_names.iter().any(|name| name.len() > 300 && name.chars().count() <= 300));
}

#[test]
fn keys_and_places_hold_together() {
    let population = population(20_000, 7).unwrap();
    let hospitals: HashMap<u64, bool> = population.hospitals().map(|row| (row.id, row.retired)).collect();
    assert_eq!(hospitals.len(), 40);
    assert!(hospitals.values().any(|&retired| retired));
    let wards: HashMap<u64, u64> = population.wards().map(|row| (row.id, row.hospital_id)).collect();
    for hospital in hospitals.keys() {
        let count = wards.values().filter(|owner| *owner == hospital).count();
        assert!((3..=8).contains(&count), "hospital {hospital} has {count} wards");
    }
    let mut keys = HashSet::new();
    for user in population.users() {
        assert!(!hospitals[&user.hospital_id], "user {} in a closed hospital", user.id);
        assert!(user.ward_id.is_none_or(|ward| wards[&ward] == user.hospital_id));
        let digits = user.api_key.strip_prefix("mlk_").unwrap();
        assert!(digits.len() == 40 && digits.bytes().all(|b| b.is_ascii_hexdigit()));
        assert!(keys.insert(user.api_key));
    }
}

#[test]
fn debug_output_has_neither_address_nor_name_nor_key() {
    let population = population(1_000, 7).unwrap();
    for user in population.users() {
        let text = format!("{user:?}");
        assert!(!text.contains(&user.api_key) && !text.contains(&user.name));
        assert!(!text.contains('@'));
    }
    for user in population.existing() {
        assert!(!format!("{user:?}").contains(&user.email));
    }
}
