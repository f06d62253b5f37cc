//! Secrets in files: `DATABASE_URL_FILE`, `REDIS_URL_FILE` and `AUTH0_CLIENT_SECRET_FILE`.

use crate::world::{Place, World, new_place};

/// A place in which a variable is in a file instead, as platforms mount secrets: with the end of
/// a line.
fn into_file(place: &mut Place, name: &str) {
    let at = place.env.iter().position(|(known, _)| known == name).unwrap();
    let (_, value) = place.env.remove(at);
    let path = place.write(&format!("secret-{name}"), &format!("{value}\n"));
    place.set(&format!("{name}_FILE"), path.to_str().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_started_and_worked_on_with_all_secrets_in_files() {
    let Some(mut world) = World::new("secrets in files").await else { return };
    for name in ["DATABASE_URL", "REDIS_URL", "AUTH0_CLIENT_SECRET"] {
        into_file(&mut world.place, name);
    }
    let place = &world.place;
    place.must(&["seed", "--users", "60"]);
    place.must(&["migrate", "--app", "--yes"]);
    let checked = place.run(&["check"]);
    assert!([0, 11].contains(&checked.code), "{}", checked.all());
    place.must(&["config", "check"]);
    let args = ["run", "start", "--preset", "medlogistics", "--email-verified", "assume", "--yes"];
    let started = place.json(&[&args[..], &["--batch-size", "20", "--output", "json"]].concat());
    let run = started["run"].as_str().unwrap().to_owned();
    world.worker(&["--log", "trace"]);
    let sealed = world.until_sealed(&run).await;
    assert!(sealed["created"].as_i64() > Some(30), "{sealed}");
    assert_eq!(world.workers()[0].stop(), 0);
    world.end().await;
}

#[test]
fn a_secret_in_a_file_is_told_by_its_variable_and_never_shown() {
    let mut place = new_place();
    place.set("DATABASE_URL", "postgres://ann:hunter2@127.0.0.1:1/clinic");
    place.set("REDIS_URL", "redis://:hunter2@127.0.0.1:1");
    place.set("AUTH0_CLIENT_SECRET", "hunter2");
    place.set("AUTH0_CLIENT_ID", "ferry");
    place.set("AUTH0_BASE_URL", "http://127.0.0.1:1");
    for name in ["DATABASE_URL", "REDIS_URL", "AUTH0_CLIENT_SECRET"] {
        into_file(&mut place, name);
    }
    place.must(&["config", "check"]);
    let shown = place.json(&["config", "show", "--output", "json"]);
    let shown = shown.as_array().unwrap();
    for name in ["DATABASE_URL", "REDIS_URL", "AUTH0_CLIENT_SECRET"] {
        let line = shown.iter().find(|line| line["key"] == name).unwrap();
        assert_eq!(line["value"], "(in a file, hidden)", "{line}");
        assert_eq!(line["from"], format!("{name}_FILE"), "{line}");
    }
    place.set("FERRY_LEDGER_URL", "sqlite://ferry.db");
    let kept = place.env.clone();
    place.set("DATABASE_URL_FILE", "nosuch");
    let checked = place.run(&["check"]);
    assert!(checked.code == 10 && checked.out.contains("DATABASE_URL_FILE"), "{}", checked.all());
    place.env = kept;
    for args in [&["config", "show"][..], &["run", "list", "--log", "trace"], &["check", "--log", "trace"]] {
        let ran = place.run(args);
        assert!(!ran.all().contains("hunter2"), "{}", ran.all());
    }
}

#[test]
fn a_file_that_gives_no_secret_is_refused_by_the_name_of_its_variable() {
    let tried: [(&str, &[&[&str]]); 2] = [
        (
            "DATABASE_URL",
            &[
                &["config", "check"],
                &["worker"],
                &["run", "list"],
                &["seed"],
                &["run", "start", "--preset", "medlogistics", "--yes"],
            ],
        ),
        ("REDIS_URL", &[&["config", "check"], &["worker"]]),
    ];
    for (name, commands) in tried {
        let file = format!("{name}_FILE");
        let mut place = new_place();
        place.set("AUTH0_CLIENT_ID", "ferry");
        place.set("AUTH0_CLIENT_SECRET", "x");
        place.set("AUTH0_BASE_URL", "http://127.0.0.1:1");
        if name == "REDIS_URL" {
            place.set("DATABASE_URL", "postgres://ann@127.0.0.1:1/clinic");
        }
        place.write("empty", "\n");
        for (path, word) in [("nosuch", "can't be read"), ("empty", "is empty"), (".", "is a folder")] {
            place.set(&file, path);
            for command in commands {
                let ran = place.run(command);
                assert_eq!(ran.code, 2, "{command:?}: {}", ran.all());
                assert!(ran.all().contains(&format!("{file} {path} {word}")), "{command:?}: {}", ran.all());
            }
        }
        place.set(name, "postgres://ann:hunter2@127.0.0.1:1/clinic");
        for command in commands {
            let ran = place.run(command);
            assert_eq!(ran.code, 2, "{command:?}: {}", ran.all());
            let both = format!("{name} and {file} are both set: keep one");
            assert!(ran.all().contains(&both), "{command:?}: {}", ran.all());
            assert!(!ran.all().contains("hunter2"), "{command:?}: {}", ran.all());
        }
    }
}
