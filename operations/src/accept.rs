//! What a person accepts by name, where Ferry would refuse to begin.

use std::{fmt, str::FromStr};

use ferry_domain::{application::ROW_SECURITY, migration::Clash};

/// One thing that `--accept` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// The source is not as it was when the plan was made: it is taken as it is now.
    SourceChanged,
    /// A source at another place, or other people, were moved under this migration's name. Each
    /// account under a chosen id is compared with its user, so nobody gets another's; whose id is
    /// taken is a conflict.
    MigrationTaken,
    /// This source was moved under another name. Users whom this ledger knows keep their accounts;
    /// others are found by address and mark, and one whose address changed gets a second account.
    MigrationRenamed,
    /// Policies may hide rows of the application's table from this database user: only those
    /// that it sees are moved.
    RowSecurity,
}

impl Accept {
    /// All of them.
    pub const ALL: [Accept; 4] =
        [Accept::SourceChanged, Accept::MigrationTaken, Accept::MigrationRenamed, Accept::RowSecurity];

    /// Whether a name that does not fit was accepted.
    pub fn of(clash: &Clash, accepted: &[Accept]) -> bool {
        let word = if clash.is_of_name() { Accept::MigrationTaken } else { Accept::MigrationRenamed };
        accepted.contains(&word)
    }

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Accept::SourceChanged => "SOURCE_CHANGED",
            Accept::MigrationTaken => "MIGRATION_TAKEN",
            Accept::MigrationRenamed => "MIGRATION_RENAMED",
            Accept::RowSecurity => ROW_SECURITY,
        }
    }
}

impl fmt::Display for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Nothing that can be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} can't be accepted; what can be: {all}", all = Accept::ALL.map(Accept::as_str).join(", "))]
pub struct Unknown(String);

impl FromStr for Accept {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Accept::ALL.into_iter().find(|one| one.as_str() == text).ok_or_else(|| Unknown(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back_and_another_names_those_there_are() {
        for one in Accept::ALL {
            assert_eq!(one.as_str().parse(), Ok(one));
        }
        let unknown = "EVERYTHING".parse::<Accept>().unwrap_err().to_string();
        assert!(unknown.contains("EVERYTHING can't be accepted"), "{unknown}");
        assert!(unknown.contains("MIGRATION_RENAMED"), "{unknown}");
    }
}
