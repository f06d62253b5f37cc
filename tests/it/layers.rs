//! Who may import what: the layers, held by a test.
//!
//! Cargo itself holds that what is not a dependency can't be imported, so it is enough
//! to look at the dependencies that each package declares. They are read from `cargo
//! metadata --no-deps`, which knows the declared ones of every platform and feature and
//! needs no network. `supply` looks at the packages of others, `sizes` at the length of
//! our files, `documents` at the paths that documents name.

mod documents;
mod ledgers;
mod sizes;
mod supply;
mod workspace;

use workspace::{Kind, Package};

/// A layer: its packages, and which of our own packages they may import.
struct Layer {
    name: &'static str,
    packages: &'static [&'static str],
    may_import: &'static [&'static str],
}

/// Lower layers know nothing of upper ones. The command, which sees everything, is not
/// in this list. Tests of any package may also use what [`FOR_TESTS`] names.
const LAYERS: &[Layer] = &[
    Layer { name: "rules", packages: &["ferry-domain"], may_import: &[] },
    Layer {
        name: "adapters",
        packages: &[
            "ferry-auth0",
            "ferry-ledger",
            "ferry-limiter",
            "ferry-queue",
            "ferry-report",
            "ferry-sources",
            "ferry-telemetry",
        ],
        may_import: &["ferry-domain"],
    },
    // Two adapters of one port: what they share without SQL is written once below them.
    Layer {
        name: "ledgers",
        packages: &["ferry-ledger-postgres", "ferry-ledger-sqlite"],
        may_import: &["ferry-domain", "ferry-ledger"],
    },
    Layer {
        name: "work",
        packages: &["ferry-operations", "ferry-workers"],
        may_import: &["ferry-domain", "ferry-report"],
    },
    // The simulator and the example application share no types with the code they test:
    // shared ones would hide the same mistake on both sides.
    Layer { name: "beside", packages: &["ferry-seed", "ferry-simulator"], may_import: &[] },
    // What adapters have to do, and what tests share. Only tests import it.
    Layer { name: "contract", packages: CONTRACT, may_import: &["ferry-domain"] },
    // Compares what the ledgers do with a model; nothing imports it.
    Layer {
        name: "proof",
        packages: &["ferry-model"],
        may_import: &["ferry-domain", "ferry-ledger-postgres", "ferry-ledger-sqlite"],
    },
];

/// The only package that sees all layers and names concrete types.
const COMMAND: &str = "ferry";

/// Suites, and what they and other tests run on. The program imports neither, nor does the command.
const CONTRACT: &[&str] = &["ferry-contract", "ferry-testbed"];

/// What tests of every package may import besides.
const FOR_TESTS: &[&str] = &["ferry-contract", "ferry-simulator", "ferry-testbed"];

/// Packages of others with the few of ours that may import them. A name that ends in
/// `*` means all that begin like it. Tests may import what they like.
const RESERVED: &[(&str, &[&str])] = &[
    ("anyhow", &[COMMAND]),
    ("apalis*", &["ferry-queue"]),
    // ferry-telemetry serves three pages about the process itself: metrics and health.
    ("axum*", &["ferry-simulator", "ferry-telemetry"]),
    ("clap*", &[COMMAND]),
    ("figment*", &[COMMAND]),
    ("opentelemetry*", &["ferry-telemetry"]),
    ("prometheus*", &["ferry-telemetry"]),
    ("redis", &["ferry-limiter", "ferry-queue", "ferry-testbed"]),
    ("reqwest*", &["ferry-auth0"]),
    ("stateright", &["ferry-model"]),
    (
        "sqlx*",
        &["ferry-ledger-postgres", "ferry-ledger-sqlite", "ferry-seed", "ferry-sources", "ferry-testbed"],
    ),
];

/// All that the rules may import: nothing that does input or output.
const RULES_MAY_IMPORT: &[&str] = &[
    "async-trait",
    "futures-core",
    "schemars",
    "secrecy",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "time",
    "uuid",
];

#[test]
fn every_package_keeps_to_its_layer() {
    let found = violations(&workspace::packages());
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn the_table_of_layers_names_only_packages_that_exist() {
    let packages = workspace::packages();
    let ours: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let named = LAYERS.iter().flat_map(|layer| layer.packages.iter().chain(layer.may_import));
    for name in named.chain(RESERVED.iter().flat_map(|(_, may)| may.iter())) {
        assert!(ours.contains(name), "tests/it/layers.rs names {name}, which is no package of ours");
    }
}

/// The test of the test: each kind of wrong import is found and named.
#[test]
fn wrong_imports_are_named() {
    let planted =
        |name: &str, kind, import: &str| violations(&[Package::for_test(name, kind, import)]).join("\n");
    assert_eq!(
        planted("ferry-auth0", Kind::Normal, "sqlx-core"),
        "package ferry-auth0 of layer adapters imports sqlx-core, which only \
         ferry-ledger-postgres, ferry-ledger-sqlite, ferry-seed, ferry-sources, ferry-testbed may"
    );
    assert_eq!(
        planted("ferry-queue", Kind::Dev, "ferry-auth0"),
        "package ferry-queue of layer adapters imports ferry-auth0 of layer adapters, \
         but may import of ours only: ferry-domain; in tests also ferry-contract, ferry-simulator, ferry-testbed"
    );
    assert_eq!(
        planted("ferry-domain", Kind::Normal, "tokio"),
        "package ferry-domain of layer rules imports tokio; the rules do no input or output \
         and import only: async-trait, futures-core, schemars, secrecy, serde, serde_json, \
         sha2, thiserror, time, uuid"
    );
    assert_eq!(
        planted("ferry-new", Kind::Normal, "serde"),
        "package ferry-new has no layer: give it one in tests/it/layers.rs"
    );
    assert_eq!(planted("ferry-queue", Kind::Normal, "redis"), "");
    assert_eq!(
        planted(COMMAND, Kind::Normal, "ferry-testbed"),
        "package ferry imports ferry-testbed, which only tests may"
    );
    assert_eq!(
        planted("ferry-queue", Kind::Build, "ferry-contract"),
        "package ferry-queue of layer adapters imports ferry-contract, which only tests may"
    );
    for import in FOR_TESTS {
        assert_eq!(planted("ferry-queue", Kind::Dev, import), "");
    }
    assert_eq!(planted(COMMAND, Kind::Dev, "ferry-testbed"), "");
    assert_eq!(planted("ferry-sources", Kind::Dev, "reqwest"), "");
    assert_eq!(planted(COMMAND, Kind::Normal, "ferry-workers"), "");
}

/// What the packages import against the rules above, one sentence each.
fn violations(packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    for package in packages {
        if layer_of(&package.name).is_none() && package.name != COMMAND {
            found.push(format!("package {} has no layer: give it one in tests/it/layers.rs", package.name));
            continue;
        }
        for (kind, import) in &package.imports {
            found.extend(violation(&package.name, *kind, import));
        }
    }
    found
}

/// What is wrong with one import, if anything is.
fn violation(package: &str, kind: Kind, import: &str) -> Option<String> {
    let layer = layer_of(package);
    let who = match layer {
        Some(layer) => format!("package {package} of layer {}", layer.name),
        None => format!("package {package}"),
    };
    if CONTRACT.contains(&import) && kind != Kind::Dev {
        return Some(format!("{who} imports {import}, which only tests may"));
    }
    if import.starts_with("ferry-") || import == COMMAND {
        let layer = layer?;
        let for_tests = kind == Kind::Dev && FOR_TESTS.contains(&import);
        if for_tests || layer.may_import.contains(&import) {
            return None;
        }
        let of_layer = layer_of(import).map_or("command", |layer| layer.name);
        let allowed = match layer.may_import {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        return Some(format!(
            "{who} imports {import} of layer {of_layer}, but may import of ours only: \
             {allowed}; in tests also {}",
            FOR_TESTS.join(", ")
        ));
    }
    if kind == Kind::Dev {
        return None;
    }
    if layer.is_some_and(|layer| layer.name == "rules") && !RULES_MAY_IMPORT.contains(&import) {
        return Some(format!(
            "{who} imports {import}; the rules do no input or output and import only: {}",
            RULES_MAY_IMPORT.join(", ")
        ));
    }
    let (_, owners) = RESERVED.iter().find(|(pattern, _)| matches(pattern, import))?;
    (!owners.contains(&package))
        .then(|| format!("{who} imports {import}, which only {} may", owners.join(", ")))
}

fn layer_of(package: &str) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| layer.packages.contains(&package))
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}
