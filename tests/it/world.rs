//! A world of its own for each test: folder, database, keys in Redis, simulated
//! tenant, and the real binary. Everything ends with it.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use ferry_simulator::{Config, Simulator};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

/// Long enough for a slow machine; a test that waits longer has found a fault.
const PATIENCE: Duration = Duration::from_secs(180);

/// Servers that `tests/run` provides; `None` prints why a test is skipped.
pub fn servers(test: &str) -> Option<(String, String)> {
    match (std::env::var("TEST_DATABASE_URL"), std::env::var("TEST_REDIS_URL")) {
        (Ok(database), Ok(redis)) => Some((database, redis)),
        _ => {
            println!("skipped: {test} needs TEST_DATABASE_URL and TEST_REDIS_URL; tests/run sets them");
            None
        }
    }
}

/// A folder, an environment and the binary. No server.
pub struct Place {
    pub dir: tempfile::TempDir,
    pub env: Vec<(String, String)>,
}

impl Place {
    pub fn new() -> Self {
        Place { dir: tempfile::tempdir().unwrap(), env: Vec::new() }
    }

    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.env.retain(|(key, _)| key != name);
        self.env.push((name.to_owned(), value.into()));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The binary with these arguments, in this folder, with nothing of the tests' own environment.
    pub fn ferry(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ferry"));
        command.args(args).current_dir(self.dir.path()).env_clear();
        for keep in ["PATH", "HOME", "TMPDIR", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(keep) {
                command.env(keep, value);
            }
        }
        command.envs(self.env.iter().map(|(k, v)| (k, v))).stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.ferry(args).output().unwrap(), args)
    }

    /// Runs a command that must end with 0 and print one JSON value.
    pub fn json(&self, args: &[&str]) -> Value {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "ferry {} was expected to end well:\n{}", args.join(" "), ran.all());
        ran.json()
    }
}

/// What a command came to.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    fn from(output: Output, args: &[&str]) -> Self {
        let code = output.status.code().unwrap_or_else(|| panic!("ferry {} was killed", args.join(" ")));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code, out: text(&output.stdout), err: text(&output.stderr) }
    }

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

/// A place with PostgreSQL, Redis and a simulated tenant.
pub struct World {
    pub place: Place,
    pub simulator: Simulator,
    pub database_url: String,
    pub redis_url: String,
    pub namespace: String,
    server_url: String,
    database: String,
    workers: Vec<Worker>,
}

/// A worker process; killed when it is dropped.
pub struct Worker {
    child: Child,
    pub log: PathBuf,
}

impl Worker {
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM; returns the exit code.
    pub fn stop(&mut self) -> i32 {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

impl World {
    pub async fn new(test: &str) -> Option<World> {
        Self::with(test, Config::default()).await
    }

    pub async fn with(test: &str, simulated: Config) -> Option<World> {
        let (server_url, redis_url) = servers(test)?;
        let config = Config { client_id: "ferry".into(), client_secret: SECRET.into(), ..simulated };
        let simulator = Simulator::start(config).await.unwrap();
        let database = format!("ferry_it_{}_{}", std::process::id(), nanos());
        admin(&server_url, &format!("CREATE DATABASE {database}")).await;
        let database_url = with_database(&server_url, &database);
        let namespace = database.clone();
        let mut place = Place::new();
        for (name, value) in [
            ("DATABASE_URL", database_url.as_str()),
            ("REDIS_URL", &redis_url),
            ("FERRY_QUEUE__NAMESPACE", &namespace),
            ("AUTH0_BASE_URL", &simulator.base_url()),
            ("AUTH0_CLIENT_ID", "ferry"),
            ("AUTH0_CLIENT_SECRET", SECRET),
            ("AUTH0_PLAN", "off"),
        ] {
            place.set(name, value);
        }
        Some(World {
            place,
            simulator,
            database_url,
            redis_url,
            namespace,
            server_url,
            database,
            workers: Vec::new(),
        })
    }

    /// Seeds, migrates and starts a run; gives its id.
    pub fn started(&self, users: u64, more: &[&str]) -> String {
        let users = users.to_string();
        let seeded = self.place.run(&["seed", "--target", &self.database_url, "--users", &users]);
        assert_eq!(seeded.code, 0, "{}", seeded.all());
        let migrated = self.place.run(&["migrate", "--app", "--yes"]);
        assert_eq!(migrated.code, 0, "{}", migrated.all());
        self.start(more)
    }

    pub fn start(&self, more: &[&str]) -> String {
        let mut args = vec!["run", "start", &self.database_url, "--preset", "medlogistics"];
        args.extend(["--email-verified", "assume", "--yes", "--output", "json"]);
        args.extend(more);
        let started = self.place.json(&args);
        started["run"].as_str().unwrap().to_owned()
    }

    /// Starts a worker with all roles; its log goes to a file.
    pub fn worker(&mut self, more: &[&str]) -> usize {
        let log = self.place.path(&format!("worker-{}.log", self.workers.len()));
        let mut args = vec!["worker"];
        if !more.contains(&"--log") {
            args.extend(["--log", "info,ferry_workers=debug,ferry_queue=debug"]);
        }
        args.extend(more);
        let err = std::fs::File::create(&log).unwrap();
        let child = self.place.ferry(&args).stdout(Stdio::null()).stderr(err).spawn().unwrap();
        self.workers.push(Worker { child, log });
        self.workers.len() - 1
    }

    pub fn workers(&mut self) -> &mut Vec<Worker> {
        &mut self.workers
    }

    pub fn show(&self, run: &str) -> Value {
        self.place.json(&["run", "show", run, "--output", "json"])
    }

    /// Polls the run until it is as asked.
    pub async fn until(&self, run: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let shown = self.show(run);
            if is(&shown) {
                return shown;
            }
            if started.elapsed() >= PATIENCE {
                let found = self.found().await;
                panic!("the run was expected to be {what}, but stays at {shown}\n{found}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What a person would look at when nothing moves: unfinished jobs, who lives, who
    /// relays, what Redis holds, and the end of each worker's log.
    async fn found(&self) -> String {
        let mut text = String::new();
        for (what, sql) in [
            (
                "job",
                "SELECT to_jsonb(j)::text FROM ferry.jobs j WHERE state NOT IN ('done', 'dead') LIMIT 20",
            ),
            ("worker", "SELECT to_jsonb(w)::text FROM ferry.workers w"),
            ("role", "SELECT to_jsonb(r)::text FROM ferry.roles r"),
            ("now", "SELECT clock_timestamp()::text"),
        ] {
            let rows: Vec<String> =
                sqlx::query_scalar(sql).fetch_all(&mut self.connect().await).await.unwrap_or_default();
            rows.iter().for_each(|row| text.push_str(&format!("{what}: {row}\n")));
        }
        let mut redis = self.redis().await;
        let pattern = format!("*{}*", self.namespace);
        let keys: Vec<String> =
            redis::cmd("KEYS").arg(pattern).query_async(&mut redis).await.unwrap_or_default();
        text.push_str(&format!("keys in Redis: {keys:#?}\n"));
        for worker in &self.workers {
            let log = std::fs::read_to_string(&worker.log).unwrap_or_default();
            let from = log.char_indices().rev().nth(6_000).map_or(0, |(at, _)| at);
            text.push_str(&format!("--- {}\n{}\n", worker.log.display(), &log[from..]));
        }
        text
    }

    pub async fn until_sealed(&self, run: &str) -> Value {
        self.until(run, "sealed", |shown| shown["state"] == "sealed").await
    }

    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.database_url).await.unwrap()
    }

    /// A count or number from the database.
    pub async fn number(&self, sql: &str) -> i64 {
        let row =
            sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&mut self.connect().await).await.unwrap();
        row.get::<i64, _>(0)
    }

    pub async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.connect().await).await.unwrap();
    }

    pub async fn redis(&self) -> redis::aio::MultiplexedConnection {
        // The defaults, 1 s and 500 ms, are short for a machine that a whole test suite keeps busy.
        let patience = Some(Duration::from_secs(30));
        let patient = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(patience)
            .set_response_timeout(patience);
        let client = redis::Client::open(self.redis_url.as_str()).unwrap();
        client.get_multiplexed_async_connection_with_config(&patient).await.unwrap()
    }

    /// What must hold at the end of every run: sums, ids, and nothing left over.
    pub async fn assert_settled(&self, run: &str) {
        let shown = self.show(run);
        assert_adds_up(&shown);
        assert_eq!(shown["pending"], 0, "no user may be left: {shown}");
        let open = self.number("SELECT count(*) FROM ferry.jobs WHERE state NOT IN ('done', 'dead')").await;
        assert_eq!(open, 0, "no job may be left in the ledger");
        self.assert_ids_match().await;
    }

    /// Every id in the application is unique and is a user of the simulator with that address.
    pub async fn assert_ids_match(&self) {
        let rows =
            sqlx::query("SELECT lower(email), auth0_user_id FROM users WHERE auth0_user_id IS NOT NULL")
                .fetch_all(&mut self.connect().await)
                .await
                .unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for row in rows {
            let (email, id): (String, String) = (row.get(0), row.get(1));
            assert!(seen.insert(id.clone()), "{id} stands in two rows");
            let user = self.simulator.user(&id).unwrap_or_else(|| panic!("{id} is not at Auth0"));
            assert_eq!(user.email, email.trim(), "{id} belongs to somebody else");
        }
    }

    pub async fn end(mut self) {
        self.workers.clear();
        let mut redis = self.redis().await;
        let keys: Vec<String> =
            redis::cmd("KEYS").arg(format!("*{}*", self.namespace)).query_async(&mut redis).await.unwrap();
        if !keys.is_empty() {
            let _: i64 = redis::cmd("DEL").arg(keys).query_async(&mut redis).await.unwrap();
        }
        admin(&self.server_url, &format!("DROP DATABASE {} WITH (FORCE)", self.database)).await;
    }
}

/// A secret that no output may ever show.
pub const SECRET: &str = "s3cr3t-Zq81-never-shown";

/// `source` must be the sum of the seven outcomes.
pub fn assert_adds_up(shown: &Value) {
    let n = |key: &str| shown[key].as_i64().unwrap_or_else(|| panic!("{key} is missing in {shown}"));
    let sum: i64 =
        ["created", "adopted", "skipped", "conflict", "failed", "cancelled", "pending"].map(n).iter().sum();
    assert_eq!(n("source"), sum, "the sums do not add up: {shown}");
}

/// Where the samples lie that are not ours, if they do.
pub fn samples(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("FERRY_SAMPLES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples"), PathBuf::from);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: {test} needs the sample files in {}", path.display());
    None
}

async fn admin(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
}

fn with_database(url: &str, database: &str) -> String {
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{database}")
}

fn nanos() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()
}
