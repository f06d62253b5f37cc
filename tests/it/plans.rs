//! `ferry plan` as a person and a pipeline see it: who would not be sent and why, what the exit
//! code says, and that a mapping that does not fit is refused before anything is written.

use crate::world::{Place, new_place};

const COLUMNS: usize = 80;

fn place() -> Place {
    let mut place = new_place();
    place.set("AUTH0_DOMAIN", "acme.eu.auth0.com");
    place.set("AUTH0_CLIENT_ID", "ferry");
    place.set("AUTH0_CLIENT_SECRET", "x");
    place.write(
        "ferry.toml",
        "[source]\n[source.columns]\nkey = \"id\"\nemail = \"email\"\nemail_verified = \"verified\"\nname = \"name\"\n",
    );
    place
}

const MIXED: &str = "id,email,verified,name\n1,a1@example.com,1.0,A\n2,a2@example.com,true,B\n\
                     3,a3@example..com,true,C\n4,a4@example.com,ja,D\n,a6@example.com,true,F\n";

#[test]
fn a_plan_lists_each_record_that_would_not_be_sent() {
    let place = place();
    place.write("users.csv", MIXED);
    let plain = place.run(&["plan", "users.csv"]);
    assert_eq!(plain.code, 0, "{}", plain.all());
    let names_field = |line: &str| line.contains("FIELD_INVALID") && line.contains("email_verified");
    assert!(plain.out.lines().any(names_field), "{}", plain.all());
    assert!(plain.err.contains("--list"), "the table says how to list them: {}", plain.all());

    let listed = place.run(&["plan", "users.csv", "--list"]);
    for (place, code, field, key) in [
        ("users.csv:2", "FIELD_INVALID", "email_verified", "1"),
        ("users.csv:4", "EMAIL_INVALID", "email", "3"),
        ("users.csv:5", "FIELD_INVALID", "email_verified", "4"),
        ("users.csv:6", "KEY_MISSING", "", "users.csv:6"),
    ] {
        let words: Vec<&str> =
            [place, code, field, key].into_iter().filter(|word| !word.is_empty()).collect();
        let found = listed.out.lines().any(|line| line.split_whitespace().collect::<Vec<_>>() == words);
        assert!(found, "{words:?} is not listed:\n{}", listed.all());
    }
    let long =
        listed.out.lines().chain(listed.err.lines()).find(|line| {
            line.chars().count() > COLUMNS && !line.contains(place.dir.path().to_str().unwrap())
        });
    assert_eq!(long, None, "wider than a terminal");

    place.write("twice.csv", "id,email,verified,name\n1,a1@example.com,true,A\n2,A1@example.com,true,B\n");
    let twice = place.run(&["plan", "twice.csv", "--list"]);
    let names_other =
        |line: &str| line.contains("DUPLICATE_EMAIL email") && line.ends_with("2 (see twice.csv:2)");
    assert!(twice.out.lines().any(names_other), "{}", twice.all());

    let csv = place.run(&["plan", "users.csv", "--output", "csv"]);
    let lines: Vec<&str> = csv.out.lines().collect();
    assert_eq!(lines.len(), 5, "{}", csv.all());
    assert_eq!(lines[0], "seq,key,place,state,code,field,auth0_user_id,remedy,other");
    assert!(lines[1].starts_with("1,1,users.csv:2,failed,FIELD_INVALID,email_verified,,"), "{}", lines[1]);
    for shown in [&listed.out, &csv.out] {
        assert!(!shown.contains('@'), "no address is shown: {shown}");
    }
}

#[test]
fn a_plan_and_a_start_say_what_reading_back_costs_beside_creating() {
    let mut place = place();
    place.set("AUTH0_PLAN", "custom:1:1");
    place.set("DATABASE_URL", "sqlite://ledger.db");
    let rows: String = (0..30).map(|n| format!("{n},a{n}@example.com,true,A\n")).collect();
    place.write("users.csv", &format!("id,email,verified,name\n{rows}"));
    for line in [&["plan", "users.csv"][..], &["run", "start", "users.csv", "--yes"]] {
        let ran = place.run(line);
        assert_eq!(ran.code, 0, "{}", ran.all());
        let said = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in ["takes at least 29 s under custom:1:1", "reading them back about 30 s more"] {
            assert!(said.contains(words), "{words:?} is not said:\n{}", ran.all());
        }
    }
}

#[test]
fn a_listed_plan_is_one_json_value() {
    let place = place();
    place.write("users.csv", MIXED);
    let plan = place.json(&["plan", "users.csv", "--list", "--output", "json"]);
    let list = plan["list"].as_array().unwrap();
    assert_eq!((list.len(), plan["rejected"].as_i64()), (4, Some(4)), "{plan}");
    assert_eq!(list[0]["place"], "users.csv:2");
    assert_eq!((&list[0]["key"], &list[0]["field"]), (&"1".into(), &"email_verified".into()));
    assert!(list[0]["remedy"].as_str().unwrap().ends_with('.'));
    let field = plan["by_code"].as_array().unwrap().iter().find(|group| group["code"] == "FIELD_INVALID");
    assert_eq!((&field.unwrap()["field"], &field.unwrap()["count"]), (&"email_verified".into(), &2.into()));
    let without = place.json(&["plan", "users.csv", "--output", "json"]);
    assert_eq!(without.get("list"), None);
    assert_eq!(without["warnings"], serde_json::json!([]));
}

#[test]
fn the_detailed_exit_code_tells_work_from_nothing_and_from_what_can_not_be_read() {
    let place = place();
    place.write(
        "ferry.toml",
        "[source]\nemail_verified = \"never\"\n[source.columns]\nkey = \"id\"\nemail = \"email\"\nauth0_user_id = \"done\"\n",
    );
    for (file, text, code) in [
        ("good.csv", "id,email,done\n1,a1@example.com,\n", 7),
        ("both.csv", "id,email,done\n1,a1@example.com,\n2,bad,\n", 7),
        ("refused.csv", "id,email,done\n1,bad,\n", 3),
        ("done.csv", "id,email,done\n1,a1@example.com,auth0|1\n", 0),
    ] {
        place.write(file, text);
        let detailed = place.run(&["plan", file, "--detailed-exitcode"]);
        assert_eq!(detailed.code, code, "{file}: {}", detailed.all());
        assert_eq!(place.run(&["plan", file]).code, 0, "{file}, without the option");
    }
    assert_eq!(place.run(&["plan", "gone.csv", "--detailed-exitcode"]).code, 2);
}

#[test]
fn a_property_that_no_record_has_stops_plan_and_start_and_leaves_nothing() {
    let place = place();
    place.write(
        "ferry.toml",
        "[source]\nemail_verified = \"never\"\n[source.columns]\nkey = \"id\"\nemail = \"email\"\nblocked = \"is_blocked\"\n",
    );
    place.write(
        "users.json",
        r#"[{"id":1,"email":"a@example.com","isBlocked":true},{"id":2,"email":"b@example.com"}]"#,
    );
    for command in [&["plan", "users.json"][..], &["run", "start", "users.json", "--yes"][..]] {
        let ran = place.run(command);
        assert_eq!(ran.code, 2, "{}", ran.all());
        for word in ["blocked", "\"is_blocked\"", "isBlocked"] {
            assert!(ran.err.contains(word), "{word}: {}", ran.all());
        }
    }
    assert_eq!(
        place.json(&["run", "list", "--output", "json"]),
        serde_json::json!([]),
        "no run is left behind"
    );
    place.write("ferry.toml", "[source]\nemail_verified = \"never\"\n[source.columns]\nkey = \"id\"\nemail = \"email\"\nname = \"nom\"\n");
    let noted = place.run(&["plan", "users.json"]);
    assert_eq!(noted.code, 0, "{}", noted.all());
    assert!(noted.err.contains("Note: name: no record has \"nom\""), "{}", noted.all());
}

#[test]
fn a_file_that_is_not_there_is_said_before_its_mapping() {
    let place = new_place();
    let ran = place.run(&["plan", "nosuch.csv"]);
    assert_eq!(ran.code, 2, "{}", ran.all());
    assert!(ran.err.contains("nosuch.csv: there is no such file"), "{}", ran.all());
    let ran = place.run(&["plan", "sqlite:nosuch"]);
    assert!(ran.err.contains("nosuch: there is no such file"), "{}", ran.all());
}

#[test]
fn no_cell_of_a_file_without_a_header_reaches_the_terminal() {
    let place = place();
    place
        .write("headless.csv", "u0001,hunter2-Secret,,Ann,Bee,+15550100\nu0002,x,bob@example.com,Bob,Cee,\n");
    place.write("map.json", r#"{"ann@example.com":{"id":1},"bob@example.com":{"id":2}}"#);
    for file in ["headless.csv", "map.json"] {
        for command in [&["plan", file][..], &["run", "start", file, "--yes"][..]] {
            let ran = place.run(command);
            assert_eq!(ran.code, 2, "{}", ran.all());
            for secret in ["hunter2", "u0001", "Ann", "Bee", "+1555", "@"] {
                assert!(!ran.all().contains(secret), "{secret} is shown: {}", ran.all());
            }
        }
    }
}

#[test]
fn a_plan_takes_no_place_but_its_own() {
    let place = place();
    let read = |name| std::fs::read_to_string(place.path(name)).unwrap();
    place.write("users.csv", MIXED);
    place.write("friday.part", "somebody's notes");
    place.must(&["plan", "users.csv", "-o", "friday.plan"]);
    assert_eq!(read("friday.part"), "somebody's notes");

    place.write("real.plan", "the one before");
    std::os::unix::fs::symlink("real.plan", place.path("link.plan")).unwrap();
    place.must(&["plan", "users.csv", "-o", "link.plan"]);
    assert!(place.path("link.plan").is_symlink(), "a link stays one");
    assert!(read("real.plan").starts_with('{') && read("friday.plan").starts_with('{'));

    std::fs::create_dir(place.path("folder")).unwrap();
    for wrong in ["folder", "/dev/null"] {
        let refused = place.run(&["plan", "users.csv", "-o", wrong]);
        assert!(refused.code == 2 && refused.err.contains("is no file"), "{}", refused.all());
    }
    let left = std::fs::read_dir(place.path(".")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.map(|name| name.into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.starts_with(".ferry-plan") || name == "folder.part"), "{left:?}");
}

#[test]
fn what_a_person_accepts_is_in_the_audit() {
    let mut place = place();
    place.set("FERRY_LEDGER_URL", "sqlite://ferry.db");
    place.set("AUTH0_PLAN", "off");
    let people = "id,email,verified,name\n1,a1@example.com,true,A\n";
    place.write("users.csv", people);
    place.must(&["migrate", "--yes"]);
    place.must(&["plan", "users.csv", "-o", "friday.plan"]);
    place.write("users.csv", &people.replace(",A\n", ",Anna\n"));
    let start = ["run", "start", "--plan", "friday.plan", "--yes"];
    let refused = place.run(&start);
    assert!(refused.code == 6 && refused.err.contains("--accept SOURCE_CHANGED"), "{}", refused.all());
    place.must(&[&start[..], &["--accept", "SOURCE_CHANGED"]].concat());
    let audit = place.json(&["audit", "--output", "json"]);
    let opened = audit.as_array().unwrap().iter().find(|line| line["detail"]["accepted"].is_array());
    assert_eq!(
        opened.unwrap_or_else(|| panic!("{audit}"))["detail"]["accepted"],
        serde_json::json!(["SOURCE_CHANGED"])
    );
}
