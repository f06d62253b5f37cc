//! Both ledgers have the same files, one for each trait of the port; and the states that
//! their SQL names are the domain's, so that a new state is not forgotten in a statement.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use ferry_domain::RunState;

use super::workspace::root;

/// Files that only one of them has, with the reason.
const ONLY_POSTGRES: &[(&str, &str)] = &[
    ("application/fault.rs", "a server's errors say whose fault it is by SQLSTATE"),
    ("application/pace.rs", "a slow trigger gets fewer rows in one transaction"),
    ("application/writer.rs", "rows that others hold locked are left out, and told from hidden ones"),
    ("copy.rs", "items come by COPY"),
    ("pool.rs", "a server's connections are bounded and checked"),
    ("presence.rs", "a lock on the server shows who lives"),
    ("statistics.rs", "items come faster than the server looks at its tables"),
    ("transaction.rs", "transactions wait for others' locks and are tried again"),
];
const ONLY_SQLITE: &[(&str, &str)] = &[
    ("application/parts.rs", "a trigger may end the transaction, savepoints and all"),
    ("connection.rs", "a file, with one connection that writes"),
    ("lock.rs", "one process has the file"),
    ("relocate.rs", "a ledger in the application's file moves into one of its own"),
    ("values.rs", "lists travel into SQL as JSON, times are microseconds"),
];

#[test]
fn both_ledgers_have_the_same_files() {
    let [postgres, sqlite] = ["postgres", "sqlite"].map(|name| sources(&source_of(name)));
    let only = |these: &BTreeMap<String, String>, those: &BTreeMap<String, String>| {
        these.keys().filter(|file| !those.contains_key(*file)).cloned().collect::<Vec<_>>()
    };
    let named = |list: &[(&str, &str)]| list.iter().map(|(file, _)| (*file).to_owned()).collect::<Vec<_>>();
    assert_eq!(only(&postgres, &sqlite), named(ONLY_POSTGRES), "files that only PostgreSQL has");
    assert_eq!(only(&sqlite, &postgres), named(ONLY_SQLITE), "files that only SQLite has");
}

#[test]
fn each_trait_of_the_port_has_a_file_of_its_name_in_both() {
    let mut traits = BTreeSet::new();
    for (file, text) in sources(&root().join("crates/domain/src/ports/ledger")) {
        for line in text.lines() {
            let Some(name) = line.strip_prefix("pub trait ").and_then(|rest| rest.split(':').next()) else {
                continue;
            };
            if name == "Ledger" {
                continue; // all of them together
            }
            traits.insert(name.to_owned());
            for ledger in ["postgres", "sqlite"] {
                let found = fs::read_to_string(source_of(ledger).join(&file)).unwrap_or_default();
                let head = format!("impl {name} for ");
                assert!(found.contains(&head), "crates/ledger-{ledger}/src/{file} does not implement {name}");
            }
        }
    }
    assert!(traits.len() >= 10, "{traits:?}");
}

/// `state IN (…)` and `state NOT IN (…)` of runs: those that send, and those that have ended.
#[test]
fn lists_of_run_states_in_sql_are_the_domains() {
    let words = |wanted: fn(RunState) -> bool| {
        RunState::ALL
            .into_iter()
            .filter(|state| wanted(*state))
            .map(RunState::as_str)
            .collect::<BTreeSet<_>>()
    };
    let sets =
        [words(RunState::is_sending), words(|state| !state.is_active()), words(RunState::is_unstarted)];
    let runs: BTreeSet<&str> = RunState::ALL.map(RunState::as_str).into();
    let mut lists = 0;
    for ledger in ["postgres", "sqlite"] {
        for (file, text) in sources(&source_of(ledger)) {
            for list in text.split("state IN (").chain(text.split("state NOT IN (")).skip(1) {
                let Some((list, _)) = list.split_once(')') else { continue };
                let named: BTreeSet<&str> =
                    list.split(',').map(|word| word.trim().trim_matches('\'')).collect();
                if !named.is_subset(&runs) || named.is_empty() {
                    continue; // states of jobs or items
                }
                lists += 1;
                assert!(
                    sets.contains(&named),
                    "crates/ledger-{ledger}/src/{file} lists {named:?}: no set of the domain"
                );
            }
        }
    }
    assert!(lists > 10, "only {lists} lists were found: does the SQL read otherwise now?");
}

fn source_of(ledger: &str) -> std::path::PathBuf {
    root().join(format!("crates/ledger-{ledger}/src"))
}

/// All Rust files below a folder, by their path within it.
fn sources(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}
