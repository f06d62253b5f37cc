//! The name of a migration: one application's users on their way into one connection.
//!
//! It is part of every id that Ferry chooses (`Auth0UserId::chosen`). Two sources under one
//! name choose the same ids for the same keys, and most keys count from 1; one source under
//! two names chooses two ids for each user. Neither goes unnoticed.

pub mod people;

use people::Overlap;

use crate::{run::SourceIdentity, shell::quoted};

/// A source and the name under which it was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The source.
    pub source: SourceIdentity,
    /// The name.
    pub migration: String,
}

/// The name of a migration that nobody named: what is moved, without the folder or server it
/// is on today. A table gives `database.table`, with its schema where that is not `public`; a
/// file its own name without the ending.
pub fn name_of(source: &SourceIdentity) -> String {
    let last = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let stem = |name: &str| match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem.to_owned(),
        _ => name.to_owned(),
    };
    match source.kind.as_str() {
        "postgres" => {
            let mut parts = source.location.splitn(3, '/');
            let (database, table) = (parts.nth(1).unwrap_or_default(), parts.next().unwrap_or_default());
            format!("{database}.{}", table.strip_prefix("public.").unwrap_or(table))
        }
        "sqlite" => {
            let (path, table) = source.location.rsplit_once('#').unwrap_or((&source.location, ""));
            format!("{}.{table}", stem(&last(path)))
        }
        _ => stem(&last(&source.location)),
    }
}

/// Why a name does not fit what the ledger knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Clash {
    /// A source at another place was moved under it.
    #[error(
        "{other} was moved as migration \"{name}\": its users have the ids that this name gives to the keys of {source_name}. If it is the same application at another place (another host or folder, a copy), keep the name and add --accept MIGRATION_TAKEN: each account is compared with its user. If it is another application, give it a name of its own ([migration] name, or --migration). Under another name, users of the same application whose address changed would get a second account"
    )]
    Taken {
        /// The name.
        name: String,
        /// Who has it.
        other: SourceIdentity,
        /// Who asks for it.
        source_name: SourceIdentity,
    },
    /// This source was moved under another one.
    #[error(
        "{source_name} was moved as migration \"{before}\", and \"{name}\" would give its users other ids. Keep the name ([migration] name = \"{before}\", or --migration {}); with --accept MIGRATION_RENAMED users whom this ledger knows keep their accounts, and new ones get ids of the new name",
        quoted(before)
    )]
    Renamed {
        /// The source.
        source_name: SourceIdentity,
        /// The name it had.
        before: String,
        /// The name it was given now.
        name: String,
    },
    /// Other people with the same keys were moved under it.
    #[error(
        "{} of {} users of {source_name} that were looked at have keys that were moved as migration \"{name}\" from {other}, and only {} of them the same address. If it is another application, give it a name of its own ([migration] name, or --migration). If it is the same application, whose addresses changed, keep the name and add --accept MIGRATION_TAKEN: each account is compared with its user, and whose id is taken is a conflict",
        overlap.keys, overlap.looked_at, overlap.same
    )]
    OtherPeople {
        /// The name.
        name: String,
        /// Who has it.
        other: String,
        /// Who asks for it.
        source_name: String,
        /// How many they are.
        overlap: Overlap,
    },
}

impl Clash {
    /// Whether the name belongs to others, rather than the source to another name.
    pub const fn is_of_name(&self) -> bool {
        matches!(self, Clash::Taken { .. } | Clash::OtherPeople { .. })
    }
}

/// Whether a source may be moved under a name, given what was moved before, newest first. Two
/// files may share a name: a newer export of the same people comes as another file
/// ([`people`] says whether they are the same).
///
/// # Errors
/// Says what clashes, and what to do.
pub fn check(source: &SourceIdentity, name: &str, before: &[Migrated]) -> Result<(), Clash> {
    let own: Vec<&Migrated> = before.iter().filter(|moved| moved.source == *source).collect();
    if own.iter().any(|moved| moved.migration == name) {
        return Ok(());
    }
    if let Some(last) = own.first() {
        let before = last.migration.clone();
        return Err(Clash::Renamed { source_name: source.clone(), before, name: name.to_owned() });
    }
    let shares = |moved: &&Migrated| moved.migration == name && !(moved.source.is_file() && source.is_file());
    match before.iter().find(shares) {
        None => Ok(()),
        Some(moved) => Err(Clash::Taken {
            name: name.to_owned(),
            other: moved.source.clone(),
            source_name: source.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(kind: &str, location: &str) -> SourceIdentity {
        SourceIdentity { kind: kind.into(), location: location.into() }
    }

    fn migrated(kind: &str, location: &str, migration: &str) -> Migrated {
        Migrated { source: source(kind, location), migration: migration.into() }
    }

    #[test]
    fn a_name_is_made_of_what_is_moved() {
        for (kind, location, name) in [
            ("postgres", "db:5432/medlogistics/public.users", "medlogistics.users"),
            ("postgres", "[::1]:5432/shop/crm.people", "shop.crm.people"),
            ("sqlite", "/srv/app/data.db#users", "data.users"),
            ("csv", "/home/ann/staff.csv", "staff"),
            ("ndjson", "/export/.users", ".users"),
        ] {
            assert_eq!(name_of(&source(kind, location)), name);
        }
    }

    #[test]
    fn a_name_belongs_to_one_table_and_a_table_keeps_its_name() {
        let staff = source("postgres", "db:5432/app/public.staff");
        let before = [migrated("postgres", "db:5432/app/public.staff", "users")];
        assert_eq!(check(&staff, "users", &before), Ok(()));
        assert_eq!(check(&staff, "staff", &[]), Ok(()));

        let renamed = check(&staff, "staff", &before).unwrap_err();
        assert!(matches!(&renamed, Clash::Renamed { before, .. } if before == "users"));
        assert!(renamed.to_string().contains("--migration users"), "{renamed}");

        for other in [source("sqlite", "/p.db#patients"), source("csv", "/patients.csv")] {
            let taken = check(&other, "users", &before).unwrap_err();
            assert!(matches!(&taken, Clash::Taken { other, .. } if *other == staff), "{taken}");
            assert_eq!(check(&other, "patients", &before), Ok(()));
        }
    }

    #[test]
    fn a_newer_export_may_carry_the_name_of_an_older_one() {
        let before = [migrated("csv", "/friday/users.csv", "users")];
        assert_eq!(check(&source("csv", "/monday/users.csv"), "users", &before), Ok(()));
        assert!(check(&source("sqlite", "/app.db#users"), "users", &before).is_err());
    }

    #[test]
    fn a_name_that_was_accepted_once_stays() {
        let before = [migrated("csv", "/a.csv", "new"), migrated("csv", "/a.csv", "old")];
        for name in ["new", "old"] {
            assert_eq!(check(&source("csv", "/a.csv"), name, &before), Ok(()));
        }
    }
}
