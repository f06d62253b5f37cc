//! The packages of others: one TLS provider, one registry, known licences, and one build.
//!
//! `deny.toml` says it for cargo-deny, which knows more (texts of licences, other
//! platforms). This is its core for machines without it, on this machine's platform.
//! `cargo tree` is asked, not `cargo metadata`: the latter also lists packages behind
//! features that are off, ring among them.

use std::collections::BTreeSet;

use super::workspace::{cargo, root};

/// Name and licence of each package that a build of the workspace needs, tests included.
fn built_packages() -> BTreeSet<(String, String)> {
    tree("normal,build,dev", "{p}|{l}")
        .into_iter()
        .map(|(package, licence)| (package.split(' ').next().unwrap_or(&package).to_owned(), licence))
        .collect()
}

/// Each package over these edges (`dev` are those of tests), with what the format says of it.
fn tree(edges: &str, format: &str) -> BTreeSet<(String, String)> {
    let command = ["tree", "--workspace", "--locked", "--offline", "--prefix", "none"];
    let tree = cargo(&[&command[..], &["--edges", edges, "--format", format]].concat());
    let lines = tree.lines().map(|line| line.trim_end_matches(" (*)"));
    lines.filter_map(|line| line.split_once('|')).map(|(p, said)| (p.to_owned(), said.to_owned())).collect()
}

/// `cargo run -- demo` and then `tests/run` build everything once, as long as what tests
/// ask for besides changes no package of the program.
#[test]
fn tests_need_no_second_build_of_the_program() {
    let (program, tests) = (tree("normal,build", "{p}|{f}"), tree("normal,build,dev", "{p}|{f}"));
    let twice = built_twice(&program, &tests);
    assert!(
        twice.is_empty(),
        "tests build these again, and all that is above them; name the features in [workspace.dependencies] \
         of Cargo.toml:\n{}\n",
        twice.join("\n")
    );
}

#[test]
fn a_second_build_is_named_with_the_features_that_make_it() {
    let of = |features: &str| BTreeSet::from([("tokio v1".to_owned(), features.to_owned())]);
    assert_eq!(
        built_twice(&of("rt,time"), &of("rt,test-util,time")),
        ["tokio v1: the program has rt,time; tests have rt,test-util,time"]
    );
    assert!(built_twice(&of("rt,time"), &of("rt,time")).is_empty());
}

/// Packages of the program that tests build with other features.
fn built_twice(program: &BTreeSet<(String, String)>, tests: &BTreeSet<(String, String)>) -> Vec<String> {
    let of = |package: &String| {
        let all = tests.iter().filter(|(name, _)| name == package).map(|(_, features)| features.as_str());
        all.collect::<Vec<_>>().join(" and ")
    };
    let twice = program.difference(tests);
    twice.map(|(name, has)| format!("{name}: the program has {has}; tests have {}", of(name))).collect()
}

#[test]
fn aws_lc_rs_is_the_only_tls_provider() {
    let built = built_packages();
    let has = |wanted: &str| built.iter().any(|(name, _)| name == wanted);
    assert!(has("aws-lc-rs"), "aws-lc-rs is gone from the tree; what does TLS now?");
    for other in ["ring", "openssl", "openssl-sys", "native-tls", "boring"] {
        assert!(
            !has(other),
            "{other} is in the tree beside aws-lc-rs: with two TLS providers rustls can't choose \
             and rediss:// panics. `cargo tree --workspace --invert {other}` says who brings it; \
             turn its default features off"
        );
    }
}

#[test]
fn every_package_comes_from_one_registry() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let sources: BTreeSet<&str> = lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
    let one_registry = sources.len() == 1 && sources.iter().all(|s| s.starts_with("\"registry+"));
    assert!(one_registry, "Cargo.lock takes packages from more than the registry: {sources:?}");
}

#[test]
fn every_licence_is_on_the_list() {
    let allowed = allowed_licences();
    for (name, licence) in built_packages() {
        assert!(
            permits(&licence, &allowed),
            "package {name} has licence \"{licence}\", which the list in deny.toml does not cover"
        );
    }
}

#[test]
fn licence_expressions_are_read_as_meant() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "ISC".to_owned()]);
    for good in ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "ISC AND (MIT OR GPL-3.0)", "(MIT) AND ISC"] {
        assert!(permits(good, &allowed), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "ISC AND (GPL-3.0 OR AGPL-3.0)", "MIT WITH other"] {
        assert!(!permits(bad, &allowed), "{bad}");
    }
}

fn allowed_licences() -> BTreeSet<String> {
    let deny = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    let deny: toml::Table = toml::from_str(&deny).unwrap();
    let list = deny["licenses"]["allow"].as_array().unwrap();
    list.iter().map(|licence| licence.as_str().unwrap().to_owned()).collect()
}

/// Whether the list covers an SPDX expression. `/` is an old spelling of OR, and AND
/// binds closer than OR.
fn permits(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let alternatives = split_outside_brackets(&expression.replace('/', " OR "), " OR ");
    alternatives.iter().any(|alternative| {
        split_outside_brackets(alternative, " AND ").iter().all(|term| {
            let term = term.trim();
            match term.strip_prefix('(').and_then(|term| term.strip_suffix(')')) {
                Some(inner) => permits(inner, allowed),
                None => allowed.contains(term),
            }
        })
    })
}

fn split_outside_brackets(expression: &str, operator: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for piece in expression.split(operator) {
        match parts.last_mut() {
            // An open bracket: the operator belongs to what is inside.
            Some(last) if last.matches('(').count() > last.matches(')').count() => {
                *last += operator;
                *last += piece;
            }
            _ => parts.push(piece.to_owned()),
        }
    }
    parts
}
