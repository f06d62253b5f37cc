//! Pipes and devices where a file is meant: refused in words, since reading one waits for ever.

use std::{process::Command, time::Duration};

use crate::world::{Place, Ran, new_place};

fn place() -> Place {
    let mut place = new_place();
    place.set("AUTH0_DOMAIN", "acme.eu.auth0.com");
    place.set("AUTH0_CLIENT_ID", "ferry");
    place.set("AUTH0_CLIENT_SECRET", "x");
    place.write(
        "ferry.toml",
        "[source]\ntable = \"users\"\nemail_verified = \"never\"\n[source.columns]\nkey = \"id\"\nemail = \"email\"\n",
    );
    for name in ["users.csv", "users.json", "users.ndjson", "app.db", "friday.plan", "pipe.toml", "secret"] {
        assert!(Command::new("mkfifo").arg(place.path(name)).status().unwrap().success());
    }
    place
}

/// Runs a command that must end soon: nobody ever writes to a pipe here.
fn ends(place: &Place, args: &[&str]) -> Ran {
    let mut child = place
        .ferry(args)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    for _ in 0..200 {
        if child.try_wait().unwrap().is_some() {
            let output = child.wait_with_output().unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let (out, err) = (text(&output.stdout), text(&output.stderr));
            return Ran { code: output.status.code().unwrap(), out, err };
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let _ = child.kill();
    let _ = child.wait();
    panic!("ferry {} hangs", args.join(" "));
}

#[test]
fn a_pipe_as_a_source_is_refused_by_every_reader() {
    let place = place();
    for source in ["users.csv", "users.json", "users.ndjson", "app.db"] {
        for args in [&["plan", source][..], &["run", "start", source, "--yes"][..]] {
            let ran = ends(&place, args);
            assert_eq!(ran.code, 2, "{args:?}: {}", ran.all());
            assert!(
                ran.err.contains(source) && ran.err.contains("this is a pipe"),
                "{args:?}: {}",
                ran.all()
            );
        }
    }
    let device = ends(&place, &["plan", "/dev/null", "--format", "csv"]);
    assert!(device.code == 2 && device.err.contains("this is a device"), "{}", device.all());
    let runs = std::fs::read_dir(place.dir.path()).unwrap().count();
    assert_eq!(runs, 8, "nothing was made");
}

#[test]
fn a_pipe_as_plan_settings_secret_or_ledger_is_refused_by_its_name() {
    let mut place = place();
    let plan = ends(&place, &["run", "start", "--plan", "friday.plan", "--yes"]);
    assert!(plan.code == 2 && plan.err.contains("friday.plan is a pipe"), "{}", plan.all());
    // Nobody writes to these: a pipe of settings or of a secret is waited for, and not for ever.
    let settings = ends(&place, &["config", "check", "--config", "pipe.toml"]);
    assert!(settings.code == 2 && settings.err.contains("pipe.toml is a pipe"), "{}", settings.all());
    let checked = ends(&place, &["check", "--config", "pipe.toml"]);
    assert!(checked.code == 10 && checked.out.contains("is a pipe"), "{}", checked.all());

    place.env.retain(|(name, _)| name != "AUTH0_CLIENT_SECRET");
    place.set("AUTH0_CLIENT_SECRET_FILE", "secret");
    for command in [&["config", "check"][..], &["check"][..]] {
        let ran = ends(&place, command);
        assert!(ran.out.contains("AUTH0_CLIENT_SECRET_FILE secret is a pipe"), "{command:?}: {}", ran.all());
    }
    place.env.retain(|(name, _)| name != "AUTH0_CLIENT_SECRET_FILE");
    place.set("AUTH0_CLIENT_SECRET", "x");
    place.set("DATABASE_URL", "sqlite:app.db");
    for command in [&["check"][..], &["migrate", "--yes"][..], &["run", "list"][..], &["worker"][..]] {
        let ran = ends(&place, command);
        assert_ne!(ran.code, 0, "{command:?}: {}", ran.all());
        assert!(ran.all().contains("app.db"), "{command:?}: {}", ran.all());
    }
}

/// Writes to a pipe once, as `<(vault read …)` does.
fn writes(place: &Place, name: &str, text: &'static str) -> std::thread::JoinHandle<()> {
    let path = place.path(name);
    std::thread::spawn(move || std::fs::write(path, text).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_and_settings_may_come_through_a_pipe_once() {
    let config = ferry_simulator::Config {
        client_id: "ferry".into(),
        client_secret: "through-a-pipe".into(),
        ..Default::default()
    };
    let simulator = ferry_simulator::Simulator::start(config).await.unwrap();
    let mut place = place();
    place.env.retain(|(name, _)| !name.starts_with("AUTH0_"));
    place.set("AUTH0_BASE_URL", simulator.base_url());
    place.set("AUTH0_CLIENT_ID", "ferry");
    place.set("AUTH0_CLIENT_SECRET_FILE", "secret");
    place.set("DATABASE_URL", "sqlite://own.db");
    let commands: [&[&str]; 2] =
        [&["config", "check", "--config", "pipe.toml"], &["check", "--config", "pipe.toml"]];
    for command in commands {
        let writers = [
            writes(&place, "secret", "through-a-pipe\n"),
            writes(&place, "pipe.toml", "[auth0]\nlimits = \"private-100\"\n[run]\nbatch_size = 7\n"),
        ];
        let ran = ends(&place, command);
        assert!(ran.code == 0 && !ran.all().contains("pipe"), "{command:?}: {}", ran.all());
        assert!(ran.all().contains("private-100") || command[0] == "config", "{}", ran.all());
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    }
}
