//! A text on the way to a mapped property that should hold JSON and does not. What decides about a
//! user is refused by its field; what may lack is left out, and said with its number and place.

use ferry_domain::ports::Candidate;
use ferry_sources::Mapping;
use ferry_testbed::Database;

use crate::{sqlite::Db, support::*};

/// Users 3 and 4 go without what is broken, 5 has nothing to open, 6 was moved before, 7 may be blocked.
const EXPECTED: [&str; 7] = ["1", "2", "3", "4", "5", "ALREADY_MIGRATED(blocked)", "FIELD_INVALID(blocked)"];

const PROFILES: [&str; 7] = [
    r#"{"name": "Ann"}"#,
    r#"{"name": "Bo", "more": [1]}"#,
    r#"{"name": "secret-cell"#,
    r#"{"name": "Dee"}"#,
    "",
    "{",
    r#"{"name": "Eve"}"#,
];
const DATA: [&str; 7] =
    [r#"{"team": "red"}"#, "NULL", r#"{"team": "red"}"#, "team: red", " ", "{", r#"{"team": "red"}"#];
/// What says whether a user is blocked.
const STATUS: [&str; 7] = [r#"{"blocked": true}"#, "", "", "", "", "{", r#"{"blocked": true"#];

fn mapped() -> Mapping {
    let fields = [
        ("key", "id"),
        ("email", "email"),
        ("name", "profile.name"),
        ("app_metadata.team", "data.team"),
        ("blocked", "status.blocked"),
        ("auth0_user_id", "moved"),
    ];
    Mapping { table: Some("u".into()), ..mapping(&fields) }
}

fn rows() -> impl Iterator<Item = (usize, [&'static str; 4])> {
    let moved = |at| if at == 5 { "auth0|6" } else { "" };
    (0..7).map(move |at| (at + 1, [PROFILES[at], DATA[at], STATUS[at], moved(at)]))
}

/// The same stories whatever the reader, with the key of each user that was refused, and no cell.
fn told((all, said): (Vec<Candidate>, Vec<String>), reader: &str, first: [&str; 2]) {
    let [name, team] = first;
    for (field, place) in [("name", name), ("app_metadata.team", team)] {
        let note =
            said.iter().find(|note| note.contains(field)).unwrap_or_else(|| panic!("{reader}: {said:?}"));
        assert!(note.contains("1 record has no JSON") && note.contains(place), "{reader}: {note}");
    }
    assert!(!said.iter().any(|note| note.contains("secret")), "{said:?}");
    let names: Vec<_> = users(&all).iter().map(|user| user.name.as_deref()).collect();
    assert_eq!(names, [Some("Ann"), Some("Bo"), None, Some("Dee"), None], "{reader}");
    assert!(users(&all)[0].blocked && !users(&all)[1].blocked);
    let all = &all;
    let said: Vec<String> =
        story(all).iter().map(|line| line.split_once(':').unwrap().1.to_owned()).collect();
    assert_eq!(said, EXPECTED, "{reader}");
    let keys: Vec<_> = settled(all).iter().map(|s| s.key.as_ref().unwrap().0.clone()).collect();
    assert_eq!(keys, ["6", "7"], "{reader}");
    assert!(settled(all).iter().all(|s| s.record.is_none() || s.outcome.auth0_user_id.is_some()));
}

fn sql(create: &str) -> String {
    let mut text = create.to_owned();
    for (id, cells) in rows() {
        text += &format!("INSERT INTO u VALUES ({id}, 'u{id}@example.com', '{}');\n", cells.join("', '"));
    }
    text
}

const CREATE: &str = "CREATE TABLE u (id integer PRIMARY KEY, email text, profile text, data text, status text, moved text);\n";

#[tokio::test]
async fn a_table_says_which_records_have_broken_json() {
    let db = Db::new(&sql(CREATE)).await;
    // NULL as a text is a value in a table, but no JSON: nothing is on the way to.
    told(all_of(&db.location(), &mapped()).await.unwrap(), "SQLite", ["u:3", "u:4"]);
    let Some(database) = Database::new().await else { return };
    database.execute(&sql(CREATE)).await;
    let location = ferry_sources::Location::parse(&database.url, None).unwrap();
    told(all_of(&location, &mapped()).await.unwrap(), "PostgreSQL", ["u:3", "u:4"]);
}

#[tokio::test]
async fn a_file_says_which_records_have_broken_json() {
    let mut csv = "id,email,profile,data,status,moved\n".to_owned();
    let mut lines = Vec::new();
    for (id, cells) in rows() {
        let quoted = cells.map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
        csv += &format!("{id},u{id}@example.com,{}\n", quoted.join(","));
        let [profile, data, status, moved] = cells;
        let email = format!("u{id}@example.com");
        let record = serde_json::json!({"id": id, "email": email, "profile": profile, "data": data, "status": status, "moved": moved});
        lines.push(record.to_string());
    }
    let mapped = mapped();
    let of = async |name: &str, text: String| read_all(name, text, &mapped).await.unwrap();
    told(of("users.csv", csv).await, "CSV", ["users.csv:4", "users.csv:5"]);
    told(of("users.ndjson", lines.join("\n")).await, "NDJSON", ["users.ndjson:3", "users.ndjson:4"]);
    told(of("users.json", format!("[{}]", lines.join(","))).await, "JSON", ["users.json:3", "users.json:4"]);
}

/// A hash, a provider or a block that can't be read is none that is absent.
#[tokio::test]
async fn what_decides_about_a_user_is_refused_by_its_own_field() {
    for field in
        ["key", "email", "email_verified", "active", "blocked", "provider", "password_hash", "auth0_user_id"]
    {
        let mut fields = vec![("key", "id"), ("email", "email"), ("name", "name")];
        fields.retain(|(known, _)| *known != field);
        fields.push((field, "data.value"));
        let good = r#"{"id": 1, "email": "a@example.com", "name": "A", "data": {"value": null}}"#;
        let bad = r#"{"id": 2, "email": "b@example.com", "name": "B", "data": "{\"value"}"#;
        let all = read_text("users.ndjson", format!("{good}\n{bad}\n"), &mapping(&fields)).await.unwrap();
        assert_eq!(story(&all)[1], format!("2:FIELD_INVALID({field})"), "{all:?}");
    }
}
