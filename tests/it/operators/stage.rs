//! A started run in a ledger, without a worker, on either database.

use std::{sync::Arc, time::Duration};

use ferry_domain::{
    RunId, WorkerId,
    ports::{Command, Ledger, WorkerRecord},
    run::RunMove,
};
use ferry_ledger_postgres::{Options, PostgresLedger};
use ferry_ledger_sqlite::SqliteLedger;
use serde_json::Value;
use sqlx::{Connection, Row, SqliteConnection};

use crate::world::{Place, Ran, World, new_place};

/// Who acts in these tests.
const OPERATOR: &str = "ann";

/// The run and its ledger.
pub struct Stage {
    pub ledger: Arc<dyn Ledger>,
    pub run: String,
    home: Home,
}

enum Home {
    Embedded(Place),
    Production(Box<World>),
}

impl Stage {
    /// A SQLite file, 60 users, batches of 20.
    pub async fn embedded() -> Stage {
        let mut place = new_place();
        for (name, value) in [
            ("FERRY_OPERATOR", OPERATOR),
            ("DATABASE_URL", "sqlite://app.db"),
            ("AUTH0_BASE_URL", "http://127.0.0.1:1"),
            ("AUTH0_CLIENT_ID", "ferry"),
            ("AUTH0_CLIENT_SECRET", "x"),
            ("AUTH0_PLAN", "off"),
        ] {
            place.set(name, value);
        }
        for args in [&["seed", "--target", "app.db", "--users", "60"][..], &["migrate", "--app", "--yes"]] {
            place.must(args);
        }
        let run = place.start_run("app.db", &["--batch-size", "20"]);
        let ledger = Arc::new(SqliteLedger::open_existing(&place.path("app.ferry.db")).await.unwrap());
        Stage { ledger, run, home: Home::Embedded(place) }
    }

    /// The same in PostgreSQL, with Redis and a simulated tenant; `None` prints why not.
    pub async fn production(test: &str) -> Option<Stage> {
        let mut world = World::new(test).await?;
        world.place.set("FERRY_OPERATOR", OPERATOR);
        let run = world.started(60, &["--batch-size", "20"]);
        let ledger = PostgresLedger::connect(&world.database.url, Options::default()).await.unwrap();
        Some(Stage { ledger: Arc::new(ledger), run, home: Home::Production(Box::new(world)) })
    }

    pub fn place(&self) -> &Place {
        match &self.home {
            Home::Embedded(place) => place,
            Home::Production(world) => &world.place,
        }
    }

    /// The world, where there is one.
    pub fn world(&mut self) -> Option<&mut World> {
        match &mut self.home {
            Home::Embedded(_) => None,
            Home::Production(world) => Some(world),
        }
    }

    pub fn id(&self) -> RunId {
        self.run.parse().unwrap()
    }

    /// Runs a command that must end with 0; `RUN` in it is replaced by the id of the run.
    pub fn json(&self, line: &str) -> Value {
        self.place().json(&self.args(line, &["--output", "json"]))
    }

    /// Runs a command of words separated by spaces.
    pub fn ferry(&self, line: &str) -> Ran {
        self.place().run(&self.args(line, &[]))
    }

    /// Runs a command that must end with this code and say these words on stderr.
    pub fn says(&self, line: &str, code: i32, words: &[&str]) -> Ran {
        let ran = self.ferry(line);
        assert_eq!(ran.code, code, "ferry {line}\n{}", ran.all());
        for word in words {
            assert!(ran.err.contains(word), "ferry {line} does not say {word:?}:\n{}", ran.all());
        }
        ran
    }

    fn args<'a>(&'a self, line: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let words = line.split(' ').map(|word| if word == "RUN" { self.run.as_str() } else { word });
        words.chain(more.iter().copied()).collect()
    }

    pub fn show(&self) -> Value {
        self.json("run show RUN")
    }

    /// The application's database, as a source.
    pub fn source(&self) -> String {
        match &self.home {
            Home::Embedded(_) => "app.db".to_owned(),
            Home::Production(world) => world.database.url.clone(),
        }
    }

    /// A worker takes a job, and is gone without a word.
    pub async fn take_one_job(&self) {
        let worker = WorkerId(self.id().0);
        let record = WorkerRecord { id: worker, host: "gone".into(), pid: 1, slots: 1, waiting_for: None };
        drop(self.ledger.register(&record).await.unwrap());
        let send = self.ledger.take_ready(1).await.unwrap().remove(0);
        let lease = self.ledger.claim(send.job, send.send, worker, Duration::from_secs(6)).await.unwrap();
        assert!(lease.is_some());
        self.ledger.retire(worker).await.unwrap();
    }

    /// Stops the run as a threshold does.
    pub async fn stopped_by(&self, code: &str) {
        let command = Command { by: "ferry", reason: Some(code) };
        self.ledger.move_run(self.id(), RunMove::Stop, &command).await.unwrap();
    }

    /// Lines of the audit by this test's operator that carry this reason, and what was done.
    pub async fn audited(&self, reason: &str) -> Vec<String> {
        let sql = "SELECT action, actor, reason FROM AUDIT ORDER BY id";
        let rows: Vec<(String, String, Option<String>)> = match &self.home {
            Home::Embedded(place) => {
                let url = format!("sqlite://{}", place.path("app.ferry.db").display());
                let mut connection = SqliteConnection::connect(&url).await.unwrap();
                let sql = sqlx::AssertSqlSafe(sql.replace("AUDIT", "ferry_audit"));
                let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
                rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
            }
            Home::Production(world) => {
                let sql = sqlx::AssertSqlSafe(sql.replace("AUDIT", "ferry.audit"));
                let rows = sqlx::query(sql).fetch_all(&mut world.connect().await).await.unwrap();
                rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
            }
        };
        let who = format!("{OPERATOR}@");
        rows.into_iter()
            .filter(|(_, actor, why)| actor.starts_with(&who) && why.as_deref() == Some(reason))
            .map(|(action, ..)| action)
            .collect()
    }

    pub async fn assert_audited(&self, reason: &str) {
        let found = self.audited(reason).await;
        assert_eq!(found.len(), 1, "one line in the audit was expected for {reason:?}: {found:?}");
    }

    pub async fn end(self) {
        if let Home::Production(world) = self.home {
            drop(self.ledger);
            world.end().await;
        }
    }
}

/// Makes a test for each ledger of an `async fn name(stage: &mut Stage)`.
macro_rules! on_both_ledgers {
    ($($name:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let mut stage = $crate::operators::stage::Stage::embedded().await;
                super::$name(&mut stage).await;
                stage.end().await;
            })+
        }
        mod production {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let test = stringify!($name);
                let Some(mut stage) = $crate::operators::stage::Stage::production(test).await else { return };
                super::$name(&mut stage).await;
                stage.end().await;
            })+
        }
    };
}
pub(crate) use on_both_ledgers;
