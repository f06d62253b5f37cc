//! Paths in the documents: each one in back-ticks names something that is there.

use std::fs;

use super::workspace::root;

/// Endings by which a word without a slash is taken for a file of ours.
const ENDINGS: &[&str] = &[".rs", ".toml", ".md", ".sql", ".lua", ".awk", ".svg"];

/// Files of others, by the document that names them.
const OF_OTHERS: &[(&str, &str)] = &[
    ("CHANGELOG.md", "ferry.toml"),           // settings of an operator
    ("README.md", "ferry.toml"),              // the same
    ("docs/apalis.md", "lua/fetch_next.lua"), // apalis-redis
];

#[test]
fn every_path_in_the_documents_is_there() {
    let tree = tree();
    let mut looked_at = 0;
    let mut missing = Vec::new();
    for document in tree.iter().filter(|path| path.ends_with(".md")) {
        for path in paths(&fs::read_to_string(root().join(document)).unwrap()) {
            looked_at += 1;
            if !OF_OTHERS.contains(&(document, path.as_str())) && !is_there(&tree, document, &path) {
                missing.push(format!("{document}: `{path}`"));
            }
        }
    }
    assert!(looked_at > 100, "only {looked_at} paths were found in the documents");
    assert!(missing.is_empty(), "these paths are not there:\n{}", missing.join("\n"));
}

/// The test of the test.
#[test]
fn paths_are_told_from_other_words() {
    let text = "`src/a.rs`, `b.md` and `crates/<name>/c.rs`; `/metrics`, `a/b c`, `x://y`, `Group::write`, \
                `../d.md`\n```\n`e.rs`\n```\n`docs/`";
    assert_eq!(paths(text), ["src/a.rs", "b.md", "crates/", "docs/"]);
    let tree = ["crates/a/README.md", "crates/a/src/b.rs", "src/c.rs", "docs"].map(str::to_owned);
    for (document, path, there) in [
        ("docs/D.md", "src/c.rs", true),
        ("docs/D.md", "a/src/b.rs", true),
        ("docs/D.md", "docs/", true),
        ("docs/D.md", "rc/c.rs", false),
        ("docs/D.md", "domain/c.rs", false),
        ("crates/a/README.md", "b.rs", true),
        ("crates/a/README.md", "src/c.rs", true),
        ("crates/a/README.md", "c.rs", false),
    ] {
        assert_eq!(is_there(&tree, document, path), there, "{path} in {document}");
    }
}

/// What looks like a path of ours, up to its first placeholder; no examples of code.
fn paths(text: &str) -> Vec<String> {
    let prose: String = text.split("```").step_by(2).collect();
    let quoted = prose.split('`').skip(1).step_by(2).map(str::to_owned);
    let is_path = |word: &String| {
        let foreign = word.starts_with('/') || word.starts_with("../") || word.contains("://");
        let plain = !word.contains(|c: char| c.is_whitespace() || "()=|\"'$,".contains(c));
        plain && !foreign && (word.contains('/') || ENDINGS.iter().any(|ending| word.ends_with(ending)))
    };
    let fixed = |word: String| match word.find(['<', '*', '{']) {
        Some(at) => word[..at].rfind('/').map_or(String::new(), |slash| word[..=slash].to_owned()),
        None => word,
    };
    quoted.filter(is_path).map(fixed).filter(|path| !path.is_empty()).collect()
}

/// Whether it is the end of a path in the document's package, or a whole path. Documents of
/// the top folder and of `docs` are about everything.
fn is_there(tree: &[String], document: &str, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
    let about = if folder.starts_with("docs") { "" } else { folder };
    tree.iter().any(|known| {
        let end = known.strip_suffix(path).is_some_and(|before| before.is_empty() || before.ends_with('/'));
        known == path || (end && known.starts_with(about))
    })
}

/// All files and folders of the repository, from its top.
fn tree() -> Vec<String> {
    let mut all = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            if name == ".git" || name == "target" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            }
            all.push(name);
        }
    }
    all
}
