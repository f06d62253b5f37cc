//! Tells the program which commit it is built from: its version stays the same between two releases.
//!
//! `FERRY_COMMIT` of the build comes first: a build in a container has no repository. Else git is asked, where
//! this folder has a repository of its own. Only this package is built anew after a commit.

use std::{path::Path, process::Command};

/// Said where nobody knows.
const UNKNOWN: &str = "unknown";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=FERRY_COMMIT");
    let commit = given().or_else(of_repository).unwrap_or_else(|| UNKNOWN.to_owned());
    assert!(
        is_commit(&commit),
        "FERRY_COMMIT is {commit:?}: give the commit as git writes it, or leave it out"
    );
    println!("cargo:rustc-env=FERRY_BUILT_FROM={commit}");
}

#[expect(clippy::disallowed_methods, reason = "of the build, not of the program")]
fn given() -> Option<String> {
    std::env::var("FERRY_COMMIT").ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn of_repository() -> Option<String> {
    // In a folder that was unpacked inside another repository, git would name that one's commit.
    if !Path::new(env!("CARGO_MANIFEST_DIR")).join(".git").exists() {
        return None;
    }
    // It grows with each commit and checkout. A path that is not there would have this run each time.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo:rerun-if-changed={log}");
    }
    git(&["rev-parse", "HEAD"]).filter(|commit| is_commit(commit))
}

fn git(args: &[&str]) -> Option<String> {
    let asked = Command::new("git").args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    let text = String::from_utf8(asked.stdout).ok()?.trim().to_owned();
    (asked.status.success() && !text.is_empty()).then_some(text)
}

/// It becomes a label of a metric.
fn is_commit(text: &str) -> bool {
    text == UNKNOWN || (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
