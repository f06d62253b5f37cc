//! What a scenario asks for: servers, a simulated tenant, an application of some size.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ferry_simulator::{Config, Faults, Simulator};
use ferry_testbed::{Database, OwnPostgres, OwnRedis, Place, open_to_all};
use sqlx::postgres::PgPoolOptions;

use crate::scene::{SECRET, Scene, ferry_binary};

/// What a scenario needs; the defaults are small and quick.
pub struct Setup {
    pub number: u32,
    pub name: &'static str,
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

    /// Opens the place; `None` when servers are missing.
    pub async fn open(self) -> Option<Scene> {
        let shared = |name: &str| std::env::var(name).ok();
        let mut place = Place::new(ferry_binary());
        open_to_all(place.dir.path());
        let postgres = self.postgres.map(|options| {
            let folder = self.postgres_folder.unwrap_or_else(|| place.path("postgres"));
            OwnPostgres::start(&folder, &options)
        });
        let redis = self.redis.map(|options| OwnRedis::start(&place.path("redis"), &options));
        let server = match &postgres {
            Some(own) => own.url("postgres"),
            None => shared("TEST_DATABASE_URL")?,
        };
        let redis_url = match &redis {
            Some(own) => own.url(),
            None => shared("TEST_REDIS_URL")?,
        };
        let base: u64 = shared("FERRY_CHAOS_SEED").map_or(7, |seed| seed.parse().unwrap());
        let config =
            Config { client_id: "ferry".into(), client_secret: SECRET.into(), seed: base, ..self.simulated };
        let simulator = Simulator::start(config).await.unwrap();
        let database = Database::on(&server).await;
        place.set_servers([&database.url, &redis_url, &database.name], &simulator.base_url(), SECRET);
        place.set("FERRY_RUN__BATCH_SIZE", self.batch.to_string());
        place.set("FERRY_LOG__LEVEL", "info");
        for (name, value) in self.settings {
            place.set(name, value);
        }
        let pool = PgPoolOptions::new()
            .max_connections(3)
            .acquire_timeout(Duration::from_secs(5))
            .connect_lazy(&database.url)
            .unwrap();
        println!("scenario {}, {}: seed {base}, {} users", self.number, self.name, self.users);
        Some(Scene {
            seed: base,
            users: self.users,
            workers: Vec::new(),
            watch: None,
            place,
            simulator,
            database,
            redis_url,
            pool,
            run: String::new(),
            postgres,
            redis,
        })
    }
}
