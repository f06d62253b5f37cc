//! A world of its own for each test: folder, database, keys in Redis, simulated
//! tenant, and the real binary. Everything ends with it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ferry_simulator::{Config, Faults, Simulator};
use ferry_testbed::{Database, Worker, comes_true, forget, redis_at};
pub use ferry_testbed::{Place, Ran};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, Row};

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
pub fn new_place() -> Place {
    Place::new(env!("CARGO_BIN_EXE_ferry"))
}

/// A place with PostgreSQL, Redis and a simulated tenant.
pub struct World {
    // First, to be dropped before what they use.
    workers: Vec<Worker>,
    pub place: Place,
    pub simulator: Simulator,
    pub database: Database,
    pub redis_url: String,
}

impl World {
    pub async fn new(test: &str) -> Option<World> {
        Self::with(test, Config::default()).await
    }

    /// A tenant that keeps the limits `simulated`; Ferry is set to the limits `told`.
    pub async fn limited(test: &str, simulated: &str, told: &str) -> Option<World> {
        let faults = Faults { latency_ms: 50, ..Faults::default() };
        let config = Config { faults, limits: simulated.parse().unwrap(), ..Config::default() };
        let mut world = Self::with(test, config).await?;
        world.place.set("AUTH0_PLAN", told);
        Some(world)
    }

    pub async fn with(test: &str, simulated: Config) -> Option<World> {
        let (server, redis_url) = servers(test)?;
        let config = Config { client_id: "ferry".into(), client_secret: SECRET.into(), ..simulated };
        let simulator = Simulator::start(config).await.unwrap();
        let database = Database::on(&server).await;
        let mut place = new_place();
        place.set_servers([&database.url, &redis_url, &database.name], &simulator.base_url(), SECRET);
        Some(World { workers: Vec::new(), place, simulator, database, redis_url })
    }

    /// Seeds, migrates and starts a run; gives its id.
    pub fn started(&self, users: u64, more: &[&str]) -> String {
        let users = users.to_string();
        self.place.must(&["seed", "--target", &self.database.url, "--users", &users]);
        self.place.must(&["migrate", "--app", "--yes"]);
        self.start(more)
    }

    pub fn start(&self, more: &[&str]) -> String {
        self.place.start_run(&self.database.url, more)
    }

    /// Starts a worker with all roles; its log goes to a file.
    pub fn worker(&mut self, more: &[&str]) -> usize {
        let log = self.place.path(&format!("worker-{}.log", self.workers.len()));
        let mut args = vec!["worker"];
        if !more.contains(&"--log") {
            args.extend(["--log", "info,ferry_workers=debug,ferry_queue=debug"]);
        }
        args.extend(more);
        self.workers.push(Worker::start(self.place.ferry(&args), &log));
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
        let mut shown = Value::Null;
        let looked = async || {
            shown = self.show(run);
            is(&shown)
        };
        if !comes_true(Duration::from_millis(100), looked).await {
            let found = self.found().await;
            panic!("the run was expected to be {what}, but stays at {shown}\n{found}");
        }
        shown
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
        let pattern = format!("*{}*", self.database.name);
        let keys: Vec<String> =
            redis::cmd("KEYS").arg(pattern).query_async(&mut redis).await.unwrap_or_default();
        text.push_str(&format!("keys in Redis: {keys:#?}\n"));
        for worker in &self.workers {
            let log = worker.said();
            let from = log.char_indices().rev().nth(6_000).map_or(0, |(at, _)| at);
            text.push_str(&format!("--- {}\n{}\n", worker.log.display(), &log[from..]));
        }
        text
    }

    pub async fn until_sealed(&self, run: &str) -> Value {
        self.until(run, "sealed", |shown| shown["state"] == "sealed").await
    }

    pub async fn connect(&self) -> PgConnection {
        self.database.connect().await
    }

    /// A count or number from the database.
    pub async fn number(&self, sql: &str) -> i64 {
        let row =
            sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&mut self.connect().await).await.unwrap();
        row.get::<i64, _>(0)
    }

    pub async fn execute(&self, sql: &str) {
        self.database.execute(sql).await;
    }

    pub async fn redis(&self) -> redis::aio::MultiplexedConnection {
        redis_at(&self.redis_url).await
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
            assert!(seen.insert(id.clone()), "{id} is in two rows");
            let user = self.simulator.user(&id).unwrap_or_else(|| panic!("{id} is not at Auth0"));
            assert_eq!(user.email, email.trim(), "{id} belongs to another user");
        }
    }

    pub async fn end(mut self) {
        self.workers.clear();
        forget(&self.redis_url, &self.database.name).await;
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
