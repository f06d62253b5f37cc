//! Where a scenario takes place: servers, a simulated tenant, an application with users,
//! a run, and worker processes.

use std::{
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use ferry_simulator::{Config, Faults, Simulator};
use futures_util::FutureExt;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Row, postgres::PgPoolOptions};
use tokio::time::{Instant, sleep};

use crate::{
    invariants,
    results::{Counts, Ending, Told, record},
    servers::{OwnPostgres, OwnRedis, open_to_all},
    watch::{Held, Watch, held_by, recovery},
    worker::{Worker, tail},
};

/// Long enough for a slow machine; a scenario that waits longer has found a fault.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// A secret that no output may ever show.
pub const SECRET: &str = "s3cr3t-Ck47-never-shown";

/// What a scenario needs; the defaults are small and quick.
pub struct Setup {
    number: u32,
    name: &'static str,
    users: u64,
    batch: u32,
    simulated: Config,
    settings: Vec<(&'static str, String)>,
    redis: Option<Vec<&'static str>>,
    postgres: Option<Vec<&'static str>>,
    postgres_folder: Option<PathBuf>,
}

impl Setup {
    pub fn new(number: u32, name: &'static str) -> Setup {
        let faults = Faults { latency_ms: 60, ..Faults::default() };
        Setup {
            number,
            name,
            users: 400,
            batch: 25,
            simulated: Config { faults, ..Config::default() },
            settings: Vec::new(),
            redis: None,
            postgres: None,
            postgres_folder: None,
        }
    }

    pub fn users(self, users: u64, batch: u32) -> Setup {
        Setup { users, batch, ..self }
    }

    /// How long each answer takes.
    pub fn latency(mut self, ms: u64) -> Setup {
        self.simulated.faults.latency_ms = ms;
        self
    }

    pub fn simulated(mut self, change: impl FnOnce(&mut Config)) -> Setup {
        change(&mut self.simulated);
        self
    }

    /// A variable in the environment of every process.
    pub fn set(mut self, name: &'static str, value: impl Into<String>) -> Setup {
        self.settings.push((name, value.into()));
        self
    }

    /// A Redis of its own, with these options.
    pub fn own_redis(self, options: &[&'static str]) -> Setup {
        Setup { redis: Some(options.to_vec()), ..self }
    }

    /// A PostgreSQL of its own, with these settings.
    pub fn own_postgres(self, options: &[&'static str]) -> Setup {
        Setup { postgres: Some(options.to_vec()), ..self }
    }

    /// Where its files lie.
    pub fn postgres_in(self, folder: &Path) -> Setup {
        Setup { postgres_folder: Some(folder.to_owned()), ..self }
    }

    async fn open(self) -> Option<Scene> {
        let shared = |name: &str| std::env::var(name).ok();
        let dir = tempfile::tempdir().unwrap();
        open_to_all(dir.path());
        let postgres = self.postgres.map(|options| {
            let folder = self.postgres_folder.unwrap_or_else(|| dir.path().join("postgres"));
            OwnPostgres::start(&folder, &options)
        });
        let redis = self.redis.map(|options| OwnRedis::start(&dir.path().join("redis"), &options));
        let server = match &postgres {
            Some(own) => own.url("postgres"),
            None => shared("TEST_DATABASE_URL")?,
        };
        let redis_url = match &redis {
            Some(own) => own.url(),
            None => shared("TEST_REDIS_URL")?,
        };
        let base: u64 = shared("FERRY_CHAOS_SEED").map_or(7, |seed| seed.parse().unwrap());
        let config = Config {
            client_id: "ferry".into(),
            client_secret: SECRET.into(),
            seed: base,
            ..self.simulated
        };
        let simulator = Simulator::start(config).await.unwrap();
        let database = format!("ferry_chaos_{}_{}", std::process::id(), self.number);
        administer(&server, &format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")).await;
        administer(&server, &format!("CREATE DATABASE {database}")).await;
        let database_url = format!("{}/{database}", server.rsplit_once('/').unwrap().0);
        let mut env: Vec<(String, String)> = Vec::new();
        for (name, value) in [
            ("DATABASE_URL", database_url.as_str()),
            ("REDIS_URL", &redis_url),
            ("FERRY_QUEUE__NAMESPACE", &database),
            ("FERRY_RUN__BATCH_SIZE", &self.batch.to_string()),
            ("FERRY_LOG__LEVEL", "info"),
            ("AUTH0_BASE_URL", &simulator.base_url()),
            ("AUTH0_CLIENT_ID", "ferry"),
            ("AUTH0_CLIENT_SECRET", SECRET),
            ("AUTH0_PLAN", "off"),
        ] {
            env.push((name.to_owned(), value.to_owned()));
        }
        for (name, value) in self.settings {
            env.retain(|(known, _)| known != name);
            env.push((name.to_owned(), value));
        }
        let pool = PgPoolOptions::new()
            .max_connections(3)
            .acquire_timeout(Duration::from_secs(5))
            .connect_lazy(&database_url)
            .unwrap();
        println!("scenario {}, {}: seed {base}, {} users", self.number, self.name, self.users);
        Some(Scene {
            number: self.number,
            name: self.name,
            seed: base,
            users: self.users,
            dir,
            env,
            simulator,
            database_url,
            redis_url,
            namespace: database,
            server,
            pool,
            run: String::new(),
            workers: Vec::new(),
            watch: None,
            postgres,
            redis,
        })
    }
}

/// The place of one scenario.
pub struct Scene {
    pub number: u32,
    pub name: &'static str,
    pub seed: u64,
    pub users: u64,
    pub dir: tempfile::TempDir,
    pub env: Vec<(String, String)>,
    pub simulator: Simulator,
    pub database_url: String,
    pub redis_url: String,
    pub namespace: String,
    server: String,
    pub pool: PgPool,
    pub run: String,
    pub workers: Vec<Worker>,
    watch: Option<Watch>,
    pub postgres: Option<OwnPostgres>,
    pub redis: Option<OwnRedis>,
}

/// Plays a scenario, checks the invariants after it, and records what it came to.
pub async fn play(setup: Setup, story: impl AsyncFnOnce(&mut Scene) -> Told) {
    let (number, name) = (setup.number, setup.name);
    let Some(mut scene) = setup.open().await else {
        return crate::results::skip(number, name, "TEST_DATABASE_URL and TEST_REDIS_URL are not set");
    };
    let seed = scene.seed;
    let mut counts = Counts { users: i64::try_from(scene.users).unwrap(), ..Counts::default() };
    let played = AssertUnwindSafe(async {
        let told = story(&mut scene).await;
        let (counted, mut faults) = invariants::check(&scene).await;
        faults.extend(scene.watch.iter().flat_map(Watch::faults));
        (told, counted, faults)
    });
    match played.catch_unwind().await {
        Ok((told, counted, faults)) => {
            counts = counted;
            let ending = if faults.is_empty() { Ending::Passed } else { Ending::Failed };
            record(number, name, seed, ending, counts, &told);
            if !faults.is_empty() {
                let logs = scene.logs();
                panic!("scenario {number}, {name}, seed {seed}:\n- {}\n{logs}", faults.join("\n- "));
            }
            scene.end().await;
        }
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
            let first = said.lines().next().unwrap_or_default();
            record(number, name, seed, Ending::Failed, counts, &Told::note(first));
            println!("{}", scene.logs());
            std::panic::resume_unwind(panic);
        }
    }
}

impl Scene {
    /// The environment of this binary, of the crash build for instance, and more variables.
    pub fn command(&self, binary: &Path, args: &[&str], more: &[(&str, &str)]) -> Command {
        let mut command = Command::new(binary);
        command.args(args).current_dir(self.dir.path()).env_clear().stdin(Stdio::null());
        for keep in ["PATH", "HOME", "TMPDIR"] {
            if let Some(value) = std::env::var_os(keep) {
                command.env(keep, value);
            }
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value))).envs(more.iter().copied());
        command
    }

    /// Runs a command to its end; its exit code, stdout and stderr.
    pub fn ferry(&self, args: &[&str]) -> (i32, String, String) {
        let done = self.command(ferry_binary(), args, &[]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (done.status.code().unwrap_or(-1), text(&done.stdout), text(&done.stderr))
    }

    /// Runs a command that must end with 0.
    pub fn must(&self, args: &[&str]) -> String {
        let (code, out, err) = self.ferry(args);
        assert_eq!(code, 0, "ferry {}:\n{out}\n{err}", args.join(" "));
        out
    }

    /// The same, for one that prints JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let out = self.must(args);
        let last = out.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|_| panic!("no JSON on the last line of {out:?}"))
    }

    /// Seeds the application, migrates, and starts a run over it.
    pub fn start(&mut self, more: &[&str]) {
        self.seed();
        self.must(&["migrate", "--app", "--yes"]);
        self.start_run(more);
    }

    pub fn seed(&self) {
        let (users, seed) = (self.users.to_string(), self.seed.to_string());
        self.must(&["seed", "--target", &self.database_url, "--users", &users, "--seed", &seed]);
    }

    pub fn start_run(&mut self, more: &[&str]) {
        let url = self.database_url.clone();
        let mut args = vec!["run", "start", &url, "--preset", "medlogistics", "--email-verified", "assume"];
        args.extend(["--yes", "--output", "json"]);
        args.extend(more);
        self.run = self.json(&args)["run"].as_str().unwrap().to_owned();
        self.watch = Some(Watch::over(self.pool.clone()));
    }

    /// Starts a worker with all roles; its number.
    pub fn worker(&mut self) -> usize {
        self.worker_with(&[])
    }

    pub fn worker_with(&mut self, more: &[(&str, &str)]) -> usize {
        self.hire(self.command(ferry_binary(), &["worker"], more))
    }

    pub fn workers(&mut self, many: usize) {
        for _ in 0..many {
            self.worker();
        }
    }

    /// Starts a command as a worker.
    pub fn hire(&mut self, command: Command) -> usize {
        let log = self.dir.path().join(format!("worker-{}.log", self.workers.len()));
        self.workers.push(Worker::start(command, &log));
        self.workers.len() - 1
    }

    /// SIGKILL; when it came, and what the process held.
    pub async fn kill(&mut self, worker: usize) -> (Instant, Vec<Held>) {
        let held = held_by(&self.pool, self.workers[worker].pid()).await;
        let at = Instant::now();
        self.workers[worker].kill();
        (at, held)
    }

    /// How long after a kill everything that was held is somebody else's.
    pub async fn recovered(&self, (at, held): &(Instant, Vec<Held>)) -> Duration {
        recovery(&self.pool, held, *at, PATIENCE).await
    }

    /// Waits until this worker has leased batches and is in the middle of them.
    pub async fn until_busy(&self, worker: usize) {
        let sql = format!(
            "SELECT count(*) FROM ferry.jobs WHERE kind = 'provision' AND state = 'leased' AND holder IN
                (SELECT id FROM ferry.workers WHERE pid = {})",
            self.workers[worker].pid()
        );
        self.until(&format!("worker {worker} is busy"), async || self.number(&sql).await > 0).await;
    }

    /// Waits until so many users of the application have their id.
    pub async fn until_done(&self, users: i64) {
        self.until(&format!("{users} users are across"), async || self.across().await >= users).await;
    }

    pub async fn across(&self) -> i64 {
        self.number("SELECT count(*) FROM users WHERE auth0_user_id IS NOT NULL").await
    }

    pub async fn until_sealed(&self) {
        self.until_state("sealed").await;
    }

    pub async fn until_state(&self, state: &str) {
        self.until(&format!("the run is {state}"), async || self.state().await == state).await;
    }

    pub async fn state(&self) -> String {
        let row = sqlx::query("SELECT state FROM ferry.runs WHERE id::text = $1").bind(&self.run);
        row.fetch_one(&self.pool).await.map_or_else(|_| "unknown".to_owned(), |row| row.get(0))
    }

    /// Waits for something, with a bound.
    pub async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let began = Instant::now();
        while !holds().await {
            assert!(began.elapsed() < PATIENCE, "after {PATIENCE:?} it is still not so that {what}");
            sleep(Duration::from_millis(25)).await;
        }
    }

    /// A number from the database; -1 when it does not answer.
    pub async fn number(&self, sql: &str) -> i64 {
        match sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&self.pool).await {
            Ok(row) => row.get(0),
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42601") => {
                panic!("{error}: {sql}")
            }
            Err(_) => -1,
        }
    }

    pub async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.pool).await.unwrap();
    }

    pub async fn redis(&self) -> redis::aio::MultiplexedConnection {
        redis_at(&self.redis_url).await
    }

    /// The ends of all logs.
    pub fn logs(&self) -> String {
        let shown = self.workers.iter().enumerate();
        shown.map(|(n, worker)| format!("--- worker {n}\n{}\n", tail(&worker.said()))).collect()
    }

    async fn end(mut self) {
        self.workers.clear();
        self.watch = None;
        self.pool.close().await;
        if self.redis.is_none() {
            let mut redis = self.redis().await;
            let ask = redis::cmd("KEYS").arg(format!("*{}*", self.namespace)).query_async(&mut redis).await;
            let keys: Vec<String> = ask.unwrap();
            if !keys.is_empty() {
                let _: i64 = redis::cmd("DEL").arg(keys).query_async(&mut redis).await.unwrap();
            }
        }
        if self.postgres.is_none() {
            administer(&self.server, &format!("DROP DATABASE {} WITH (FORCE)", self.namespace)).await;
        }
    }
}

/// The binary under test.
pub fn ferry_binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ferry"))
}

/// The build with crash points, if `tests/chaos/run` made one.
pub fn crash_binary() -> Option<PathBuf> {
    std::env::var_os("FERRY_CRASH_BINARY").map(PathBuf::from)
}

pub async fn redis_at(url: &str) -> redis::aio::MultiplexedConnection {
    let patient = redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(30)));
    let client = redis::Client::open(url).unwrap();
    client.get_multiplexed_async_connection_with_config(&patient).await.unwrap()
}

async fn administer(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
}
