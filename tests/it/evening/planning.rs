//! A plan that was reviewed, and a run that keeps to it without anything being typed again.

use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::world::{Place, new_place};

fn place() -> Place {
    let mut place = new_place();
    place.set("AUTH0_DOMAIN", "acme.eu.auth0.com");
    place.set("AUTH0_CLIENT_ID", "ferry");
    place.set("AUTH0_CLIENT_SECRET", "x");
    place
}

const MAPPING: &str =
    "email_verified = \"never\"\n[source.columns]\nkey = \"id\"\nemail = \"email\"\nactive = \"active\"\n";

async fn application(place: &Place, file: &str, table: &str) {
    let url = format!("sqlite://{}?mode=rwc", place.path(file).display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let sql = format!(
        "CREATE TABLE {table} (id INTEGER PRIMARY KEY, email TEXT, active INTEGER);
         INSERT INTO {table} VALUES (1, 'ann@example.com', 1), (2, 'bob@example.com', 0)"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
}

#[test]
fn a_plan_and_a_start_take_the_application_s_database_where_no_source_is_typed() {
    let mut place = place();
    place.set("DATABASE_URL", "sqlite://app.db");
    place.must(&["seed", "--target", "app.db", "--users", "60"]);
    place.must(&["migrate", "--app", "--yes"]);
    let flags = ["--preset", "medlogistics", "--email-verified", "assume", "--inactive", "block"];
    let planned = place.must(&[&["plan", "-o", "friday.plan"][..], &flags].concat());
    let next =
        planned.err.lines().find_map(|line| line.strip_prefix("Next: ferry ")).expect("a next command");
    assert_eq!(next, "run start --plan friday.plan", "nothing has to be typed again");
    let mut args: Vec<&str> = next.split(' ').collect();
    args.extend(["--yes", "--output", "json"]);
    let plan = place.json(&[&["plan", "--output", "json"][..], &flags].concat());
    let started = place.json(&args);
    assert_eq!((&started["source"], &started["pending"]), (&plan["records"], &plan["accepted"]), "{started}");
}

#[test]
fn a_plan_without_a_source_or_a_database_says_what_to_name() {
    let place = place();
    let ran = place.run(&["plan"]);
    assert_eq!(ran.code, 2, "{}", ran.all());
    assert!(ran.err.contains("name a source") && ran.err.contains("DATABASE_URL"), "{}", ran.all());
}

#[test]
fn a_plan_made_with_another_settings_file_and_options_starts_from_any_folder() {
    let place = place();
    place.write("moved.toml", &format!("[source]\n{MAPPING}"));
    place.write("users.txt", "id,email,active\n1,ann@example.com,true\n2,bob@example.com,false\n");
    let made = ["--config", "moved.toml", "--format", "csv", "--inactive", "block", "--migration", "staff"];
    place.must(&[&["plan", "users.txt", "-o", "friday.plan"][..], &made].concat());
    let started = place.json(&["run", "start", "--plan", "friday.plan", "--yes", "--output", "json"]);
    assert_eq!((&started["source"], &started["pending"]), (&2.into(), &2.into()), "{started}");
    let run = place.must(&["run", "show", "last"]);
    assert!(run.out.contains("staff"), "{}", run.all());
}

#[test]
fn a_start_that_differs_from_its_plan_names_what_differs() {
    let place = place();
    place.write("ferry.toml", &format!("[source]\n{MAPPING}"));
    place.write("users.csv", "id,email,active,mail\n1,ann@example.com,true,x@example.com\n");
    place.must(&["plan", "users.csv", "-o", "friday.plan", "--inactive", "block"]);
    let start = ["run", "start", "--plan", "friday.plan", "--yes"];
    let other = place.run(&[&start[..], &["--inactive", "carry"]].concat());
    assert_eq!(other.code, 6, "{}", other.all());
    assert!(other.err.contains("source.inactive (block in the plan, carry now)"), "{}", other.all());
    place.write("ferry.toml", &format!("[source]\n{}", MAPPING.replace("\"email\"", "\"mail\"")));
    let other = place.run(&start);
    assert_eq!(other.code, 6, "{}", other.all());
    assert!(other.err.contains("source.columns.email (email in the plan, mail now)"), "{}", other.all());
    assert!(!other.err.contains("source.inactive"), "what is as planned is not named: {}", other.all());
    let text = std::fs::read_to_string(place.path("friday.plan")).unwrap();
    assert!(!text.contains('@'), "a plan holds no address");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_another_source_has_is_refused_by_plan_and_told_by_check() {
    let mut place = place();
    application(&place, "app.db", "staff").await;
    application(&place, "app.db", "patients").await;
    place.set("DATABASE_URL", "sqlite:app.db");
    place.set("FERRY_MIGRATION__NAME", "users");
    place.write("ferry.toml", &format!("[source]\ntable = \"staff\"\n{MAPPING}"));
    let before = std::fs::read(place.path("app.db")).unwrap();
    place.must(&["plan"]);
    assert_eq!(std::fs::read(place.path("app.db")).unwrap(), before, "a plan changes nothing");
    place.must(&["migrate", "--app", "--yes"]);
    place.must(&["run", "start", "--yes"]);
    place.must(&["plan"]);
    let checked = place.run(&["check"]);
    assert!(!checked.out.contains("warning  migration"), "its own name is no clash: {}", checked.all());

    place.write("ferry.toml", &format!("[source]\ntable = \"patients\"\n{MAPPING}"));
    place.must(&["migrate", "--app", "--yes"]);
    for command in [&["plan"][..], &["run", "start", "--yes"][..]] {
        let ran = place.run(command);
        assert_eq!(ran.code, 6, "{command:?}: {}", ran.all());
        assert!(ran.err.contains("was moved as migration \"users\""), "{command:?}: {}", ran.all());
    }
    let checked = place.json_of_check();
    let line =
        checked["checks"].as_array().unwrap().iter().find(|line| line["check"] == "migration").cloned();
    let line = line.expect("check looks at the name");
    assert_eq!(line["result"], "warning", "{line}");
    let accepted = place.must(&["plan", "--accept", "MIGRATION_TAKEN", "-o", "friday.plan"]);
    let next = "run start --plan friday.plan --accept MIGRATION_TAKEN";
    assert!(accepted.err.contains(next), "{}", accepted.all());
    let mut args: Vec<&str> = next.split(' ').collect();
    args.push("--yes");
    place.must(&args);
}

/// What `check` prints for scripts, whatever its exit code.
trait Checked {
    fn json_of_check(&self) -> serde_json::Value;
}

impl Checked for Place {
    fn json_of_check(&self) -> serde_json::Value {
        self.run(&["check", "--output", "json"]).json()
    }
}
