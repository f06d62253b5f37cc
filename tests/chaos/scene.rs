//! Where a scenario takes place: servers, a simulated tenant, an application with users,
//! a run, and worker processes.

use std::{
    os::unix::process::ExitStatusExt,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use ferry_simulator::Simulator;
use ferry_testbed::{
    Database, OwnPostgres, OwnRedis, PATIENCE, Place, Proxy, Worker, comes_true, forget, local, redis_at,
    tail,
};
use futures_util::FutureExt;
use sqlx::{AssertSqlSafe, PgPool, Row};
use tokio::time::Instant;

use crate::{
    invariants,
    results::{Counts, Ending, Told, record},
    setup::Setup,
    watch::{Held, Recovery, Watch, held_by, recovery},
};

/// A secret that no output may ever show.
pub const SECRET: &str = "s3cr3t-Ck47-never-shown";

/// The place of one scenario.
pub struct Scene {
    pub seed: u64,
    pub users: u64,
    // First, to be dropped before what they use.
    pub workers: Vec<Worker>,
    pub watch: Option<Watch>,
    pub place: Place,
    pub simulator: Simulator,
    pub database: Database,
    pub redis_url: String,
    pub pool: PgPool,
    pub run: String,
    pub postgres: Option<OwnPostgres>,
    pub redis: Option<OwnRedis>,
}

/// Plays a scenario, checks the invariants after it, and records its result.
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
    /// Another binary, such as the crash build, with more variables.
    pub fn command(&self, binary: &Path, args: &[&str], more: &[(&str, &str)]) -> Command {
        let mut command = self.place.command(binary, args);
        command.envs(more.iter().copied());
        command
    }

    /// Seeds the application, migrates, and starts a run over it.
    pub fn start(&mut self, more: &[&str]) {
        self.seed();
        self.place.must(&["migrate", "--app", "--yes"]);
        self.start_run(more);
    }

    pub fn seed(&self) {
        let (users, seed) = (self.users.to_string(), self.seed.to_string());
        self.place.must(&["seed", "--target", &self.database.url, "--users", &users, "--seed", &seed]);
    }

    pub fn start_run(&mut self, more: &[&str]) {
        self.run = self.place.start_run(&self.database.url, more);
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
        let log = self.place.path(&format!("worker-{}.log", self.workers.len()));
        self.workers.push(Worker::start(command, &log));
        self.workers.len() - 1
    }

    /// Starts a crash build that is armed with this; `None` without one.
    pub fn armed(&mut self, at: &str, more: &[(&str, &str)]) -> Option<usize> {
        let binary = crash_binary()?;
        let mut more = more.to_vec();
        more.push(("FERRY_CRASH_AT", at));
        Some(self.hire(self.command(&binary, &["worker"], &more)))
    }

    /// Waits until a process has died at its crash point.
    pub async fn crashed(&mut self, worker: usize) {
        let status = self.workers[worker].ended(PATIENCE).await;
        let said = self.workers[worker].said();
        assert_eq!(status.signal(), Some(6), "it was expected to abort:\n{}", tail(&said));
    }

    /// SIGKILL; when it came, and what the process held.
    pub async fn kill(&mut self, worker: usize) -> (Instant, Vec<Held>) {
        let held = held_by(&self.pool, self.workers[worker].pid()).await;
        let at = Instant::now();
        self.workers[worker].kill();
        (at, held)
    }

    /// How long after a kill everything that was held has another holder.
    pub async fn recovered(&self, (at, held): &(Instant, Vec<Held>)) -> Recovery {
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

    /// Waits until this number of the application's users have their id.
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
        if !comes_true(Duration::from_millis(25), holds).await {
            let picture = self.picture().await;
            panic!("after {PATIENCE:?} this is still not true: {what}; {picture}");
        }
    }

    /// The state of jobs, batches and items, in a line.
    async fn picture(&self) -> String {
        let jobs = "SELECT coalesce(string_agg(line, ', '), 'no jobs') FROM (SELECT concat_ws(' ', count(*), kind, state,
            'send', max(send), 'due in', round(extract(epoch FROM min(not_before) - clock_timestamp())), 's') AS line
            FROM ferry.jobs GROUP BY kind, state) lines";
        let jobs = sqlx::query(jobs).fetch_one(&self.pool).await;
        let jobs = jobs.map_or_else(|error| error.to_string(), |row| row.get(0));
        format!("run {}, {} users across, {jobs}", self.state().await, self.across().await)
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

    /// A text from the database.
    pub async fn text(&self, sql: &str) -> String {
        sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&self.pool).await.unwrap().get(0)
    }

    pub async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.pool).await.unwrap();
    }

    pub async fn redis(&self) -> redis::aio::MultiplexedConnection {
        redis_at(&self.redis_url).await
    }

    /// From now on every process reaches Auth0 through a proxy.
    pub async fn auth0_behind_a_proxy(&mut self) -> Proxy {
        let base = self.simulator.base_url();
        let proxy = Proxy::before(base.rsplit('/').next().unwrap().parse().unwrap()).await;
        self.place.set("AUTH0_BASE_URL", format!("http://127.0.0.1:{}", proxy.port));
        proxy
    }

    /// A proxy before the Redis of this scenario.
    pub async fn redis_proxy(&self) -> Proxy {
        Proxy::before(local(port_of(&self.redis_url))).await
    }

    /// Whether a worker's log holds this.
    pub fn logs_say(&self, what: &str) -> bool {
        self.workers.iter().any(|worker| worker.said().contains(what))
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
            forget(&self.redis_url, &self.database.name).await;
        }
    }
}

/// The port of a URL that ends with it.
fn port_of(url: &str) -> u16 {
    url.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap()
}

/// The binary under test.
pub fn ferry_binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ferry"))
}

/// The build with crash points, if `tests/chaos/run` made one.
pub fn crash_binary() -> Option<PathBuf> {
    std::env::var_os("FERRY_CRASH_BINARY").map(PathBuf::from)
}
