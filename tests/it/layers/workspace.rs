//! What cargo says about our packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// When a dependency is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Always.
    Normal,
    /// For tests, examples and benches only.
    Dev,
    /// For the build script only.
    Build,
}

/// One package of ours, with what it imports by its Cargo.toml.
#[derive(Debug)]
pub struct Package {
    pub name: String,
    pub imports: Vec<(Kind, String)>,
}

impl Package {
    /// A made-up package with one import.
    pub fn for_test(name: &str, kind: Kind, import: &str) -> Self {
        Self { name: name.to_owned(), imports: vec![(kind, import.to_owned())] }
    }

    fn from_metadata(package: &Value) -> Self {
        let imports = package["dependencies"].as_array().unwrap().iter();
        Self {
            name: text(&package["name"]),
            // The name in the registry: renaming a package does not hide it.
            imports: imports.map(|import| (kind(import), text(&import["name"]))).collect(),
        }
    }
}

/// All packages of this workspace.
pub fn packages() -> Vec<Package> {
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages: Vec<Package> =
        metadata["packages"].as_array().unwrap().iter().map(Package::from_metadata).collect();
    assert!(!packages.is_empty(), "cargo metadata names no package");
    packages
}

/// The folder with the workspace's Cargo.toml.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// What cargo prints; the one that runs the tests, else the one in `PATH`.
pub fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {} failed:\n{errors}", arguments.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

fn kind(import: &Value) -> Kind {
    match import["kind"].as_str() {
        None => Kind::Normal,
        Some("dev") => Kind::Dev,
        Some("build") => Kind::Build,
        Some(other) => panic!("cargo metadata names a kind of dependency unknown here: {other}"),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
