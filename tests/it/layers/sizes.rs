//! The length of our files: a file of a thousand lines is a sign that two things share
//! a name.

use std::fs;
use std::path::{Path, PathBuf};

use super::workspace::root;

/// More lines than this need a reason, in words, at the head of the file.
const MOST_LINES: usize = 700;

/// How a header says why its file is longer.
const REASON: &str = "reason for the length:";

/// How many lines count as the head.
const HEAD_LINES: usize = 30;

#[test]
fn no_file_is_long_without_a_reason() {
    let files = our_files();
    let mut lengths: Vec<usize> = files.iter().map(|(_, text)| text.lines().count()).collect();
    lengths.sort_unstable();
    let at = |percent: usize| lengths[(lengths.len() - 1) * percent / 100];
    println!(
        "{} Rust files: median {} lines, nine of ten up to {}, longest {}",
        lengths.len(),
        at(50),
        at(90),
        at(100),
    );

    for (file, text) in &files {
        let length = text.lines().count();
        let has_reason = text.lines().take(HEAD_LINES).any(|line| line.contains(REASON));
        assert!(
            length <= MOST_LINES || has_reason,
            "{} has {length} lines, more than {MOST_LINES}: divide it, or write \
             \"{REASON} ...\" into its header",
            file.display()
        );
    }
}

/// The Rust files below the folders where ours live, whether committed yet or not.
fn our_files() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for folder in ["src", "operations", "workers", "crates", "tests", "benches"] {
        collect(&root().join(folder), &mut files);
    }
    assert!(!files.is_empty(), "no Rust file found below {}", root().display());
    files
}

fn collect(folder: &Path, files: &mut Vec<(PathBuf, String)>) {
    // Not every folder is there from the beginning.
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            files.push((path, text));
        }
    }
}
