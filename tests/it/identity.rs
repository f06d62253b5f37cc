//! Nobody gets another person's account: two sources, second runs, accounts that exist.

use ferry_simulator::{Config, PlantedUser, Simulator};
use ferry_testbed::Worker;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

use crate::world::{Place, Ran, SECRET, assert_adds_up, new_place};

const MAPPING: &str = "email_verified = \"column\"\ninactive = \"block\"\n[source.columns]\nkey = \"id\"\n\
    email = \"email\"\nname = \"name\"\nemail_verified = \"verified\"\nactive = \"active\"\n";

/// The embedded form with a simulated tenant.
pub struct Embedded {
    pub place: Place,
    pub simulator: Simulator,
    runs: u32,
}

impl Embedded {
    pub async fn new() -> Self {
        let config = Config { client_id: "ferry".into(), client_secret: SECRET.into(), ..Config::default() };
        let simulator = Simulator::start(config).await.unwrap();
        let mut place = new_place();
        place.set("AUTH0_BASE_URL", simulator.base_url());
        place.set("AUTH0_CLIENT_ID", "ferry");
        place.set("AUTH0_CLIENT_SECRET", SECRET);
        place.set("AUTH0_PLAN", "off");
        place.write("ferry.toml", &format!("[source]\n{MAPPING}"));
        Embedded { place, simulator, runs: 0 }
    }

    pub fn csv(&self, name: &str, rows: &str) {
        self.place.write(name, &format!("id,email,name,verified,active\n{rows}"));
    }

    /// An application in a SQLite file, ready for its ids.
    pub async fn application(&mut self, file: &str, table: &str, rows: &str) {
        let create = format!(
            "CREATE TABLE {table} (id INTEGER PRIMARY KEY, email TEXT, name TEXT, verified INTEGER, active INTEGER);
             INSERT INTO {table} (id, email, name, verified, active) VALUES {rows}"
        );
        execute(&self.place, file, &create).await;
        self.uses(file, table);
        self.place.must(&["migrate", "--app", "--yes"]);
    }

    /// From now on commands are about this table.
    fn uses(&mut self, file: &str, table: &str) {
        self.place.set("DATABASE_URL", format!("sqlite://{file}"));
        self.place.write("ferry.toml", &format!("[source]\ntable = \"{table}\"\n{MAPPING}"));
    }

    /// Moves a source to its end; what `run watch` said, and the run.
    pub fn moves(&mut self, args: &[&str]) -> (Ran, String) {
        let start: Vec<&str> =
            ["run", "start", "--yes", "--output", "json"].iter().chain(args).copied().collect();
        let started = self.place.json(&start);
        let run = started["run"].as_str().unwrap().to_owned();
        (self.works(&run), run)
    }

    /// A run that was retried, to its end.
    pub fn goes_on(&mut self, run: &str, code: i32) {
        let watched = self.works(run);
        assert_eq!(watched.code, code, "{}", watched.all());
    }

    fn works(&mut self, run: &str) -> Ran {
        self.runs += 1;
        let log = self.place.path(&format!("worker-{}.log", self.runs));
        let mut worker = Worker::start(self.place.ferry(&["worker"]), &log);
        let watched = self.place.run(&["run", "watch", run]);
        assert_eq!(worker.stop(), 0, "{}", worker.said());
        assert_adds_up(&self.shown(run));
        watched
    }

    pub fn shown(&self, run: &str) -> Value {
        self.place.json(&["run", "show", run, "--output", "json"])
    }

    pub fn report(&self, run: &str) -> String {
        self.place.must(&["run", "report", run, "--output", "csv"]).out
    }

    /// Each row's id belongs to the account with the row's address.
    pub async fn assert_ids_match(&self, file: &str, table: &str) -> i64 {
        let path = self.place.path(file);
        let mut connection =
            SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
        let sql = format!("SELECT email, auth0_user_id FROM {table} WHERE auth0_user_id IS NOT NULL");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
        for row in &rows {
            let (email, id): (String, String) = (row.get(0), row.get(1));
            let user = self.simulator.user(&id).unwrap_or_else(|| panic!("{id} is not at Auth0"));
            assert_eq!(user.email, email, "{id} belongs to another user");
        }
        rows.len() as i64
    }
}

pub async fn execute(place: &Place, file: &str, sql: &str) {
    let url = format!("sqlite://{}?mode=rwc", place.path(file).display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
}

const STAFF: &str = "1,ann@example.com,Ann,true,true\n2,bob@example.com,Bob,true,true\n";
const PATIENTS: &str = "(1, 'zoe@example.org', 'Zoe', 1, 1), (2, 'yan@example.org', 'Yan', 1, 1),
                        (3, 'xia@example.org', 'Xia', 1, 1)";

#[tokio::test(flavor = "multi_thread")]
async fn two_sources_that_count_from_one_have_accounts_of_their_own() {
    let mut world = Embedded::new().await;
    world.csv("staff.csv", STAFF);
    assert_eq!(world.moves(&["staff.csv"]).0.code, 0);
    world.application("clinic.db", "patients", PATIENTS).await;
    let (watched, run) = world.moves(&[]);
    assert_eq!(watched.code, 0, "{}", watched.all());
    assert_eq!(world.shown(&run)["created"], 3);
    assert_eq!(world.simulator.users().len(), 5);
    assert_eq!(world.assert_ids_match("clinic.db", "patients").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_another_source_with_the_same_keys_and_name_is_a_conflict() {
    let mut world = Embedded::new().await;
    world.place.set("FERRY_MIGRATION__NAME", "users");
    world.csv("staff.csv", STAFF);
    assert_eq!(world.moves(&["staff.csv"]).0.code, 0);
    // Another ledger, so that only Auth0 knows of the first.
    world.application("clinic.db", "patients", PATIENTS).await;
    let (watched, run) = world.moves(&[]);
    assert_eq!(watched.code, 3, "{}", watched.all());
    let shown = world.shown(&run);
    assert_eq!((&shown["created"], &shown["conflict"], &shown["skipped"]), (&1.into(), &2.into(), &0.into()));
    let report = world.report(&run);
    assert_eq!(report.matches("ID_TAKEN").count(), 2, "{report}");
    assert!(report.contains("a migration.name of its own"), "{report}");
    assert_eq!(world.assert_ids_match("clinic.db", "patients").await, 1, "nothing is written back for them");

    // The remedy works: nobody is doubled, and the one who was made is found again.
    world.place.set("FERRY_MIGRATION__NAME", "patients");
    let refused = world.place.run(&["run", "start", "--yes"]);
    assert_eq!(refused.code, 6, "{}", refused.all());
    assert!(refused.err.contains("MIGRATION_RENAMED"), "{}", refused.all());
    let (watched, _) = world.moves(&["--accept", "MIGRATION_RENAMED"]);
    assert_eq!(watched.code, 0, "{}", watched.all());
    assert_eq!(world.simulator.users().len(), 5);
    assert_eq!(world.assert_ids_match("clinic.db", "patients").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_another_table_has_in_the_ledger_is_refused_before_anything_is_sent() {
    let mut world = Embedded::new().await;
    world.place.set("FERRY_MIGRATION__NAME", "users");
    world.application("app.db", "staff", "(1, 'ann@example.com', 'Ann', 1, 1)").await;
    assert_eq!(world.moves(&[]).0.code, 0);
    world.application("app.db", "patients", PATIENTS).await;
    let refused = world.place.run(&["run", "start", "--yes"]);
    assert_eq!(refused.code, 6, "{}", refused.all());
    for word in ["app.db#staff", "\"users\"", "--migration", "MIGRATION_TAKEN"] {
        assert!(refused.err.contains(word), "{word}: {}", refused.all());
    }
    assert_eq!(world.place.json(&["run", "list", "--output", "json"]).as_array().unwrap().len(), 1);
    let (watched, _) = world.moves(&["--accept", "MIGRATION_TAKEN"]);
    assert_eq!(watched.code, 3, "{}", watched.all());
    assert_eq!(world.assert_ids_match("app.db", "patients").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_says_who_changed_since_and_reads_everybody_back() {
    let mut world = Embedded::new().await;
    world.csv("staff.csv", STAFF);
    assert_eq!(world.moves(&["staff.csv"]).0.code, 0);
    let (watched, run) = world.moves(&["staff.csv"]);
    assert_eq!(watched.code, 0, "{}", watched.all());
    let shown = world.shown(&run);
    assert_eq!((&shown["skipped"], &shown["verified"]), (&2.into(), &2.into()), "{shown}");

    world.csv("staff.csv", "1,ann@example.com,Ann,true,false\n2,bea@example.com,Bea,true,true\n");
    let (watched, run) = world.moves(&["staff.csv"]);
    assert_eq!(watched.code, 3, "{}", watched.all());
    let report = world.report(&run);
    assert!(report.contains("1,1,staff.csv:2,conflict,CHANGED_SINCE_MOVED,blocked,auth0|"), "{report}");
    assert!(report.contains("2,2,staff.csv:3,conflict,CHANGED_SINCE_MOVED,email,,"), "{report}");
    assert_eq!(world.simulator.users().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_made_for_one_user_is_not_offered_to_another() {
    let mut world = Embedded::new().await;
    world.csv("users.csv", "104,ann@example.com,Ann,true,true\n1297,Ann@example.com,Anna,true,true\n");
    let (watched, run) = world.moves(&["users.csv"]);
    assert_eq!(watched.code, 3, "{}", watched.all());
    let report = world.report(&run);
    assert!(report.contains("2,1297,users.csv:3,failed,DUPLICATE_EMAIL,email,"), "{report}");
    assert!(report.contains(",users.csv:2\n"), "{report}");

    world.csv("users.csv", "1297,ann@example.com,Anna,true,true\n");
    let (watched, run) = world.moves(&["users.csv"]);
    assert_eq!(watched.code, 3, "{}", watched.all());
    let report = world.report(&run);
    assert!(report.contains("1,1297,users.csv:2,conflict,ACCOUNT_OF_ANOTHER_USER,email,,"), "{report}");
    assert!(report.ends_with(",104\n"), "{report}");
    assert_eq!(world.simulator.users().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn adopting_an_account_changes_nobodys_right_to_sign_in() {
    let mut world = Embedded::new().await;
    for (email, blocked) in
        [("open@example.com", false), ("shut@example.com", true), ("both@example.com", true)]
    {
        world.simulator.plant(PlantedUser {
            email: email.into(),
            email_verified: true,
            blocked: Some(blocked),
            ..PlantedUser::default()
        });
    }
    world.csv(
        "users.csv",
        "1,open@example.com,A,true,false\n2,shut@example.com,B,true,true\n3,both@example.com,C,true,false\n",
    );
    let (watched, run) = world.moves(&["users.csv"]);
    assert_eq!(watched.code, 3, "{}", watched.all());
    assert_eq!(world.report(&run).matches("conflict,ADOPT_BLOCKED_DIFFERS,blocked,,").count(), 2);
    let shown = world.shown(&run);
    assert_eq!((&shown["adopted"], &shown["verified"]), (&1.into(), &1.into()), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_rows_with_one_address_the_one_that_may_sign_in_is_moved() {
    let mut world = Embedded::new().await;
    let rows = "1,ann@example.com,Ann,true,false\n2,ann@example.com,Ann,true,true\n\
                3,bob@example.com,Bob,true,true\n4,bob@example.com,Bob,true,false\n";
    world.csv("users.csv", rows);
    let (watched, run) = world.moves(&["users.csv"]);
    assert_eq!(watched.code, 3, "{}", watched.all());
    let report = world.report(&run);
    assert!(report.contains("1,1,users.csv:2,failed,DUPLICATE_EMAIL,email,"), "{report}");
    assert!(report.contains("4,4,users.csv:5,failed,DUPLICATE_EMAIL,email,"), "{report}");
    assert!(world.simulator.users().iter().all(|user| user.blocked != Some(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_a_file_can_be_taken_back() {
    let mut world = Embedded::new().await;
    world.csv("users.csv", STAFF);
    let (watched, run) = world.moves(&["users.csv"]);
    assert!(watched.err.contains(&format!("ferry run export {run}")), "{}", watched.all());
    let map = world.place.must(&["run", "export", &run]).out;
    let lines: Vec<&str> = map.lines().collect();
    assert_eq!(lines[0], "key,auth0_user_id,state,code,place");
    for (line, email) in lines[1..].iter().zip(["ann@example.com", "bob@example.com"]) {
        let id = line.split(',').nth(1).unwrap();
        assert_eq!(world.simulator.user(id).unwrap().email, email);
    }
    let objects = world.place.must(&["run", "export", &run, "--output", "ndjson"]);
    assert_eq!(objects.json()["key"], "2", "the last line is the second user's");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_was_moved_is_not_given_to_a_later_row() {
    let mut world = Embedded::new().await;
    let rows = "(104, 'ann@example.com', 'Ann', 1, 1), (105, 'bob@example.com', 'Bob', 1, 1)";
    world.application("app.db", "people", rows).await;
    world.place.write(
        "ferry.toml",
        &format!("[source]\ntable = \"people\"\n{MAPPING}auth0_user_id = \"auth0_user_id\"\n"),
    );
    assert_eq!(world.moves(&[]).0.code, 0);
    let twin =
        "INSERT INTO people (id, email, name, verified, active) VALUES (7, 'Ann@example.com', 'Anna', 1, 1)";
    execute(&world.place, "app.db", twin).await;
    let (watched, run) = world.moves(&[]);
    assert_eq!(watched.code, 3, "{}", watched.all());
    let report = world.report(&run);
    assert!(report.contains("1,7,people:1,failed,DUPLICATE_EMAIL,email,,"), "{report}");
    assert!(report.ends_with(",people:2\n"), "{report}");
    assert_eq!(world.assert_ids_match("app.db", "people").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_changes_while_a_run_waits_gets_no_id() {
    let mut world = Embedded::new().await;
    let rows = "(1, 'ann@example.com', 'Ann', 1, 1), (2, 'bob@example.com', 'Bob', 1, 1)";
    world.application("app.db", "people", rows).await;
    let run =
        world.place.json(&["run", "start", "--yes", "--output", "json"])["run"].as_str().unwrap().to_owned();
    execute(&world.place, "app.db", "UPDATE people SET email = 'bobby@example.com' WHERE id = 2").await;
    let mut worker = Worker::start(world.place.ferry(&["worker"]), &world.place.path("worker.log"));
    let watched = world.place.run(&["run", "watch", &run]);
    worker.stop();
    assert_eq!(watched.code, 3, "{}", watched.all());
    let report = world.report(&run);
    assert!(report.contains("2,2,people:2,conflict,APP_ROW_CHANGED,email,auth0|"), "{report}");
    assert!(report.contains("remove it"), "{report}");
    assert_eq!(world.assert_ids_match("app.db", "people").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_within_json_that_changes_while_a_run_waits_gets_no_id() {
    let mut world = Embedded::new().await;
    let create = r#"CREATE TABLE users (id INTEGER PRIMARY KEY, profile TEXT);
        INSERT INTO users VALUES (1, '{"email": "ann@example.com"}'), (2, '{"email": "bob@example.com"}')"#;
    execute(&world.place, "app.db", create).await;
    world.place.set("DATABASE_URL", "sqlite://app.db");
    let mapping = "[source]\ntable = \"users\"\nemail_verified = \"never\"\n[source.columns]\n\
        key = \"id\"\nemail = \"profile.email\"\n";
    world.place.write("ferry.toml", mapping);
    world.place.must(&["migrate", "--app", "--yes"]);
    let run =
        world.place.json(&["run", "start", "--yes", "--output", "json"])["run"].as_str().unwrap().to_owned();
    let change = r#"UPDATE users SET profile = '{"email": "bobby@example.com"}' WHERE id = 2"#;
    execute(&world.place, "app.db", change).await;
    let mut worker = Worker::start(world.place.ferry(&["worker"]), &world.place.path("worker.log"));
    let watched = world.place.run(&["run", "watch", &run]);
    worker.stop();
    assert_eq!(watched.code, 3, "{}", watched.all());
    assert!(world.report(&run).contains("2,2,users:2,conflict,APP_ROW_CHANGED,email,auth0|"));
    assert_eq!(world.shown(&run)["created"], 1);
}

/// Whoever answers `n`, or starts second, leaves the ledger to the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_comes_to_nothing_takes_no_ledger_with_it() {
    let mut world = Embedded::new().await;
    world.place.set("DATABASE_URL", "sqlite://ledger.db");
    for name in ["a.csv", "b.csv"] {
        world.csv(name, STAFF);
    }
    let start = |place: &Place, file: &str| {
        let mut command = place.ferry(&["run", "start", file, "--yes"]);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
    };
    let both = [start(&world.place, "a.csv"), start(&world.place, "a.csv"), start(&world.place, "b.csv")];
    let started = both.into_iter().filter_map(|mut child| child.wait().ok()?.success().then_some(())).count();
    let runs = world.place.json(&["run", "list", "--output", "json"]);
    assert_eq!(runs.as_array().unwrap().len(), started, "each that said it started is there: {runs}");
    // Without a terminal nobody is asked, and nothing is started.
    assert_eq!(world.place.run(&["run", "start", "staff.csv"]).code, 2);
    assert!(world.place.path("ledger.db").is_file());
    world.runs += 1;
}

/// Nobody is moved into a tenant that the run was not started for.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_another_tenant_moves_nobody_and_says_why() {
    let mut world = Embedded::new().await;
    world.csv("users.csv", STAFF);
    let run = world.place.json(&["run", "start", "users.csv", "--yes", "--output", "json"]);
    let run = run["run"].as_str().unwrap().to_owned();
    let config = Config { client_id: "ferry".into(), client_secret: SECRET.into(), ..Config::default() };
    let other = Simulator::start(config).await.unwrap();
    let own = world.simulator.base_url();
    world.place.set("AUTH0_BASE_URL", other.base_url());
    let mut worker = Worker::start(world.place.ferry(&["worker"]), &world.place.path("elsewhere.log"));
    let shown = || world.place.must(&["run", "show", &run]).out;
    // A long reason is folded.
    let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = async || words(shown()).contains("this worker is not");
    assert!(ferry_testbed::comes_true(std::time::Duration::from_millis(200), told).await);
    worker.stop();
    assert!(other.users().is_empty(), "somebody was moved into another tenant");

    world.place.set("AUTH0_BASE_URL", own);
    let mut worker = Worker::start(world.place.ferry(&["worker"]), &world.place.path("here.log"));
    assert_eq!(world.place.run(&["run", "watch", &run]).code, 0);
    worker.stop();
    assert_eq!(world.simulator.users().len(), 2);
}
