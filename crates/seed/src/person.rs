//! A person: name, address, role and key, drawn from the user's stream.

use std::fmt::Write as _;

use crate::canonical;
use crate::names;
use crate::random::Random;
use crate::rows::{Role, is_retired};

/// What an address is made of.
pub(crate) struct Person {
    id: u64,
    pub(crate) given: names::Name,
    pub(crate) family: names::Name,
    pub(crate) hospital_id: u64,
    domain: u64,
    capitals: bool,
}

impl Person {
    pub(crate) fn draw(random: &mut Random, hospitals: u64, id: u64) -> Self {
        let given = *random.pick(&names::GIVEN);
        let family = *random.pick(&names::FAMILY);
        let drawn = random.below(hospitals) + 1;
        Self {
            id,
            given,
            family,
            // A closed hospital has no users; the one before it is open.
            hospital_id: if is_retired(drawn) { drawn - 1 } else { drawn },
            domain: random.below(12),
            capitals: random.below(16) == 0,
        }
    }

    pub(crate) fn name(&self) -> String {
        let mut name = String::with_capacity(self.given.0.len() + self.family.0.len() + 1);
        name.push_str(self.given.0);
        name.push(' ');
        name.push_str(self.family.0);
        name
    }

    /// Unique by the id in it; one in sixteen has capitals.
    pub(crate) fn email(&self) -> String {
        let mut email = String::with_capacity(64);
        email.push_str(self.given.1);
        email.push('.');
        email.push_str(self.family.1);
        // Writing to a String cannot fail.
        let _ = write!(email, ".{:06}@", self.id);
        match names::OTHER_DOMAINS.get(self.domain as usize) {
            Some(domain) => email.push_str(domain),
            None => {
                let _ = write!(email, "h-{:02}.medlogistics.example", self.hospital_id);
            }
        }
        if self.capitals { capitalised(&email) } else { email }
    }
}

/// `mlk_` and 40 digits. The first 16 differ between all users of a population,
/// as each user's stream starts in a state of its own.
pub(crate) fn api_key(random: &mut Random) -> String {
    let mut bytes = [0_u8; 24];
    for part in bytes.chunks_exact_mut(8) {
        part.copy_from_slice(&random.next().to_be_bytes());
    }
    let mut key = String::with_capacity(44);
    key.push_str("mlk_");
    key.push_str(&canonical::hex(&bytes[..20]));
    key
}

pub(crate) fn role(percent: u64) -> Role {
    match percent {
        0..45 => Role::Nurse,
        45..70 => Role::Doctor,
        70..82 => Role::Logistics,
        82..92 => Role::Pharmacist,
        92..97 => Role::Auditor,
        _ => Role::Admin,
    }
}

/// `Anna.Kowalska.000123@h-07.medlogistics.example`: each part of the local part
/// starts with a capital.
pub(crate) fn capitalised(email: &str) -> String {
    let at = email.find('@').unwrap_or(email.len());
    let mut start = true;
    email
        .char_indices()
        .map(|(index, letter)| {
            let capital = start && index < at;
            start = matches!(letter, '.' | '-');
            if capital { letter.to_ascii_uppercase() } else { letter }
        })
        .collect()
}
