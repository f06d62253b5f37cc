//! A folder, an environment and the binary under test.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// Where a test runs commands: nothing of its own environment reaches them.
#[derive(Debug)]
pub struct Place {
    /// Its folder, removed at the end.
    pub dir: TempDir,
    /// What every command finds in its environment.
    pub env: Vec<(String, String)>,
    binary: PathBuf,
}

impl Place {
    /// For a test with `env!("CARGO_BIN_EXE_ferry")`.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Place { dir: tempfile::tempdir().unwrap(), env: Vec::new(), binary: binary.into() }
    }

    /// Sets a variable for every command to come.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.into()));
    }

    /// Servers and tenant of a production form; `namespace` is its name in Redis.
    pub fn set_servers(&mut self, [database, redis, namespace]: [&str; 3], auth0: &str, secret: &str) {
        for (name, value) in [
            ("DATABASE_URL", database),
            ("REDIS_URL", redis),
            ("FERRY_QUEUE__NAMESPACE", namespace),
            ("AUTH0_BASE_URL", auth0),
            ("AUTH0_CLIENT_ID", "ferry"),
            ("AUTH0_CLIENT_SECRET", secret),
            ("AUTH0_PLAN", "off"),
        ] {
            self.set(name, value);
        }
    }

    /// A SQLite application `app.db`, and a tenant: all that the embedded form needs.
    pub fn set_embedded(&mut self, auth0: &str, secret: &str) {
        for (name, value) in [
            ("DATABASE_URL", "sqlite://app.db"),
            ("AUTH0_BASE_URL", auth0),
            ("AUTH0_CLIENT_ID", "ferry"),
            ("AUTH0_CLIENT_SECRET", secret),
            ("AUTH0_PLAN", "off"),
        ] {
            self.set(name, value);
        }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The binary with these arguments.
    pub fn ferry(&self, args: &[&str]) -> Command {
        self.command(&self.binary, args)
    }

    /// Another binary, with the same surroundings.
    pub fn command(&self, binary: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(binary);
        command.args(args).current_dir(self.dir.path()).env_clear();
        for keep in ["PATH", "HOME", "TMPDIR", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(keep) {
                command.env(keep, value);
            }
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.ferry(args).output().unwrap(), args)
    }

    /// Runs a command that must end with 0.
    pub fn must(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "ferry {} was expected to end well:\n{}", args.join(" "), ran.all());
        ran
    }

    /// The same, for one that prints a JSON value.
    pub fn json(&self, args: &[&str]) -> Value {
        self.must(args).json()
    }

    /// Starts a run over the example application in this database; its id.
    pub fn start_run(&self, database: &str, more: &[&str]) -> String {
        let mut args = vec!["run", "start", database, "--preset", "medlogistics"];
        args.extend(["--email-verified", "assume", "--yes", "--output", "json"]);
        args.extend(more);
        self.json(&args)["run"].as_str().unwrap().to_owned()
    }
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// Its stdout.
    pub out: String,
    /// Its stderr.
    pub err: String,
}

impl Ran {
    fn from(output: Output, args: &[&str]) -> Self {
        let code = output.status.code().unwrap_or_else(|| panic!("ferry {} was killed", args.join(" ")));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code, out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// For a message.
    pub fn all(&self) -> String {
        format!("exit {}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.out, self.err)
    }

    /// The last line of stdout as JSON.
    pub fn json(&self) -> Value {
        let last = self.out.lines().last().unwrap_or_default();
        serde_json::from_str(last)
            .unwrap_or_else(|e| panic!("no JSON on the last line ({e}):\n{}", self.all()))
    }
}
