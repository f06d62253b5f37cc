//! The planted cases and the outcome that each must have.

use std::collections::BTreeMap;

use serde::Serialize;

/// Why a user is in the population.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Case {
    /// The lower id of two rows whose addresses are equal once lower-cased.
    CaseCollisionFirst,
    /// The higher id of such a pair.
    CaseCollisionLater,
    /// No address: NULL, empty, or blanks.
    NoEmail,
    /// A text in the address column that is no address.
    InvalidEmail,
    /// A name of more than 300 characters.
    OverlongName,
    /// A name that tests every encoding on the way; not longer than 300
    /// characters, though some have more than 300 bytes.
    Unicode,
    /// `active = false`.
    Retired,
    /// `blocked = true`; must arrive blocked.
    Blocked,
    /// In Auth0 already, address verified. Adopted under a preset that takes the
    /// application's own addresses as verified (there is no column for it).
    ExistsVerified,
    /// In Auth0 already, address not verified.
    ExistsUnverified,
    /// Permissions in two hospitals.
    TwoHospitals,
    /// An ordinary user.
    Plain,
}

/// The outcome that one user must have in a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ExpectedOutcome {
    /// `created`, `adopted`, `skipped`, `conflict` or `failed`.
    pub state: &'static str,
    /// The reason, for the last three states.
    pub code: Option<&'static str>,
}

impl Case {
    /// All cases, in the order of the enum.
    pub const ALL: [Case; 12] = [
        Case::CaseCollisionFirst,
        Case::CaseCollisionLater,
        Case::NoEmail,
        Case::InvalidEmail,
        Case::OverlongName,
        Case::Unicode,
        Case::Retired,
        Case::Blocked,
        Case::ExistsVerified,
        Case::ExistsUnverified,
        Case::TwoHospitals,
        Case::Plain,
    ];

    /// The outcome that a user of this case must have.
    pub fn expected(self) -> ExpectedOutcome {
        let (state, code) = match self {
            Case::CaseCollisionLater => ("failed", Some("DUPLICATE_EMAIL")),
            Case::NoEmail => ("failed", Some("EMAIL_MISSING")),
            Case::InvalidEmail => ("failed", Some("EMAIL_INVALID")),
            Case::OverlongName => ("failed", Some("FIELD_TOO_LONG")),
            Case::Retired => ("skipped", Some("DISABLED")),
            Case::ExistsVerified => ("adopted", None),
            Case::ExistsUnverified => ("conflict", Some("ADOPT_UNVERIFIED")),
            Case::CaseCollisionFirst | Case::Unicode | Case::Blocked | Case::TwoHospitals | Case::Plain => {
                ("created", None)
            }
        };
        ExpectedOutcome { state, code }
    }

    /// The name for reports, such as `case-collision-later`.
    pub fn name(self) -> &'static str {
        match self {
            Case::CaseCollisionFirst => "case-collision-first",
            Case::CaseCollisionLater => "case-collision-later",
            Case::NoEmail => "no-email",
            Case::InvalidEmail => "invalid-email",
            Case::OverlongName => "overlong-name",
            Case::Unicode => "unicode",
            Case::Retired => "retired",
            Case::Blocked => "blocked",
            Case::ExistsVerified => "exists-verified",
            Case::ExistsUnverified => "exists-unverified",
            Case::TwoHospitals => "two-hospitals",
            Case::Plain => "plain",
        }
    }
}

/// The number of users that must end in each state, over the whole population.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// New accounts.
    pub created: u64,
    /// Accounts that were there and are now linked.
    pub adopted: u64,
    /// Users left out on purpose.
    pub skipped: u64,
    /// Users a person must decide about.
    pub conflict: u64,
    /// Users whose data cannot become an account.
    pub failed: u64,
    /// Users per reason code; codes without a user are left out.
    pub by_code: BTreeMap<&'static str, u64>,
}

impl Expected {
    pub(crate) fn add(&mut self, case: Case, users: u64) {
        let outcome = case.expected();
        match outcome.state {
            "created" => self.created += users,
            "adopted" => self.adopted += users,
            "skipped" => self.skipped += users,
            "conflict" => self.conflict += users,
            _ => self.failed += users,
        }
        if let Some(code) = outcome.code.filter(|_| users > 0) {
            *self.by_code.entry(code).or_default() += users;
        }
    }
}
