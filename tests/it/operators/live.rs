//! The live view of `run watch` on a pseudo terminal, which `script` of util-linux opens.

use std::{
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use ferry_testbed::Worker;
use serde_json::Value;

use super::stage::{Stage, on_both_ledgers};
use crate::world::{Place, World};

on_both_ledgers!(orders_of_the_live_view_are_those_of_the_commands, a_signal_gives_the_terminal_back,);

/// A terminal of 24 lines in which a run is watched.
struct Terminal<'a> {
    child: Child,
    place: &'a Place,
}

impl<'a> Terminal<'a> {
    /// `None` where there is no such program; it is on every Debian.
    fn open(place: &'a Place, run: &str) -> Option<Self> {
        let version = Command::new("script").arg("--version").output().ok();
        if !version.is_some_and(|version| String::from_utf8_lossy(&version.stdout).contains("util-linux")) {
            println!("skipped: the live view needs script of util-linux");
            return None;
        }
        let watch = format!("echo $$ > pid; exec {} run watch {run}", env!("CARGO_BIN_EXE_ferry"));
        let line = format!(
            "stty rows 24 cols 80; stty -a > before; sh -c '{watch}'; echo $? > code; stty -a > after"
        );
        let mut command = place.command(Path::new("script"), &["-q", "-f", "-c", &line, "screen"]);
        command.env("TERM", "xterm-256color").env("SHELL", "/bin/sh");
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        Some(Terminal { child, place })
    }

    fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.place.path(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the view shows these words.
    async fn until(&mut self, words: &str) {
        for _ in 0..100 {
            // Ctrl-L draws all of it again; else only cells that changed are drawn.
            self.press("\x0c");
            tokio::time::sleep(Duration::from_millis(300)).await;
            let screen = self.read("screen");
            if shown(screen.rsplit("\x1b[2J").next().unwrap_or_default()).contains(words) {
                return;
            }
        }
        panic!("{words:?} was expected on the screen: {}", shown(&self.read("screen")));
    }

    /// As a person does: keys that come sooner after the one before count as pasted, and are no orders.
    fn press(&mut self, keys: &str) {
        std::thread::sleep(Duration::from_millis(100));
        self.child.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for its end; the exit code of watching, and what is on the normal screen then.
    async fn end(mut self) -> (i32, String) {
        for _ in 0..300 {
            if self.read("after").ends_with('\n') {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(self.read("after").ends_with('\n'), "it still watches: {}", shown(&self.read("screen")));
        self.child.wait().unwrap();
        assert_eq!(self.read("before"), self.read("after"), "the terminal was left in another mode");
        let screen = self.read("screen");
        let (drawn, after) = screen.rsplit_once("\x1b[?1049l").expect("the alternate screen was left");
        assert!(drawn.contains("\x1b[?1049h") && after.contains("\x1b[?25h"), "the cursor is shown: {after}");
        (self.read("code").trim().parse().unwrap(), after.to_owned())
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The words of a drawing, without what moves the cursor and colours them.
fn shown(drawn: &str) -> String {
    let mut parts = drawn.split("\x1b[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(part.len());
        let (sequence, rest) = part.split_at((end + 1).min(part.len()));
        text.push_str(if sequence.ends_with('m') { "" } else { " " });
        text.push_str(rest);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn until(stage: &Stage, name: &str, value: &str) {
    for _ in 0..100 {
        if stage.show()[name] == value {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{name} was expected to be {value}: {}", stage.show());
}

async fn orders_of_the_live_view_are_those_of_the_commands(stage: &mut Stage) {
    let Some(mut terminal) = Terminal::open(stage.place(), &stage.run) else { return };
    terminal.until("no worker runs").await;
    terminal.press("p");
    terminal.until("Pause the run?").await;
    assert_eq!(stage.show()["state"], "running", "nothing is done before the answer");
    terminal.press("y");
    until(stage, "state", "paused").await;
    terminal.until("nothing is sent").await;
    terminal.press("r");
    terminal.until("Let the run go on").await;
    terminal.press("y");
    until(stage, "state", "running").await;
    terminal.press("+");
    terminal.until("Requests per second").await;
    terminal.press("8\r");
    terminal.until("Set the limits to custom:8:8").await;
    terminal.press("y");
    until(stage, "rate", "custom:8:8").await;
    terminal.press("q");
    let (code, said) = terminal.end().await;
    assert_eq!(code, 130, "{said}");
    assert!(said.contains("No longer watching") && said.contains("(running)"), "{said}");

    let lines = stage.json("audit --run RUN");
    let by = |line: &Value| line["actor"].as_str().is_some_and(|actor| actor.starts_with("ann@"));
    let ordered = lines.as_array().unwrap().iter().filter(|line| by(line));
    let mut actions: Vec<&str> = ordered.filter_map(|line| line["action"].as_str()).collect();
    actions.retain(|action| ["pause", "resume", "rate"].contains(action));
    assert_eq!(actions, ["rate", "resume", "pause"], "{lines}");
}

async fn a_signal_gives_the_terminal_back(stage: &mut Stage) {
    for signal in ["-TERM", "-INT", "-HUP"] {
        let Some(mut terminal) = Terminal::open(stage.place(), &stage.run) else { return };
        terminal.until("no worker runs").await;
        let pid = terminal.read("pid");
        assert!(Command::new("kill").args([signal, pid.trim()]).status().unwrap().success());
        let (code, said) = terminal.end().await;
        assert!(code == 130 && said.contains("No longer watching"), "{signal}: {code} {said}");
        for name in ["screen", "after", "before", "pid", "code"] {
            std::fs::remove_file(stage.place().path(name)).unwrap();
        }
    }
    assert_eq!(stage.show()["state"], "running");
}

/// A process that watches a terminal which is gone would live for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_is_closed_ends_watching() {
    let stage = Stage::embedded().await;
    let Some(mut terminal) = Terminal::open(stage.place(), &stage.run) else { return };
    terminal.until("no worker runs").await;
    let process = Path::new("/proc").join(terminal.read("pid").trim());
    assert!(process.exists());
    terminal.child.kill().unwrap();
    for _ in 0..100 {
        // Nobody may be there to ask for its exit code.
        let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it watches on without a terminal: {}", process.display());
}

/// Lines are what scripts and other programs rest on.
#[tokio::test(flavor = "multi_thread")]
async fn lines_can_be_had_on_a_terminal_too() {
    let stage = Stage::embedded().await;
    for how in ["--plain", "--output json"] {
        let Some(terminal) = Terminal::open(stage.place(), &format!("{} {how}", stage.run)) else { return };
        tokio::time::sleep(Duration::from_secs(2)).await;
        let pid = terminal.read("pid");
        assert!(Command::new("kill").args(["-INT", pid.trim()]).status().unwrap().success());
        let screen = terminal.read("screen");
        assert!(!screen.contains("\x1b[?1049h"), "{how}: {screen}");
        assert!(screen.contains("no worker runs"), "{how}: {screen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_is_told_on_the_normal_screen() {
    let Some(world) = World::new("the end of a live view").await else { return };
    let run = world.started(60, &[]);
    let Some(mut terminal) = Terminal::open(&world.place, &run) else { return };
    terminal.until("no worker runs").await;
    let mut worker = Worker::start(world.place.ferry(&["worker"]), &world.place.path("worker.log"));
    let (code, said) = terminal.end().await;
    worker.stop();
    let same = world.place.run(&["run", "watch", &run]);
    assert_eq!(code, same.code, "{said}");
    let unfolded = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(unfolded(&said).contains(&unfolded(&same.out)), "{said}\n{}", same.all());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn going_on_in_production_is_left_to_the_command_that_takes_the_tenants_name() {
    let stage = Stage::embedded().await;
    stage.place().write("ferry.toml", "[auth0]\nproduction = [\"127.0.0.1:1\"]\n");
    stage.place().must(&["run", "pause", &stage.run, "--yes"]);
    let Some(mut terminal) = Terminal::open(stage.place(), &stage.run) else { return };
    terminal.until("nothing is sent").await;
    terminal.press("r");
    terminal.until("Let the run go on").await;
    terminal.press("y");
    terminal.until("a tenant of production").await;
    assert_eq!(stage.show()["state"], "paused");
    terminal.press("q");
    assert_eq!(terminal.end().await.0, 130);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_is_pasted_into_the_view_is_no_order() {
    let stage = Stage::embedded().await;
    let Some(mut terminal) = Terminal::open(stage.place(), &stage.run) else { return };
    terminal.until("no worker runs").await;
    for text in ["copy", "py", "happy"] {
        terminal.press(text);
        tokio::time::sleep(Duration::from_secs(1)).await;
        terminal.press("\x1b");
        tokio::time::sleep(Duration::from_millis(300)).await;
        if !Path::new("/proc").join(terminal.read("pid").trim()).exists() {
            break; // no question was open, and Escape left
        }
        assert_eq!(stage.show()["state"], "running", "{text}");
    }
    assert_eq!(stage.show()["state"], "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_ends_when_nobody_reads_its_lines() {
    let stage = Stage::embedded().await;
    let mut watch = stage.place().ferry(&["run", "watch", &stage.run, "--output", "ndjson"]);
    let mut child = watch.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    stage.place().must(&["run", "pause", &stage.run, "--yes"]);
    for _ in 0..100 {
        if child.try_wait().unwrap().is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    child.kill().unwrap();
    panic!("it watches on for nobody");
}
