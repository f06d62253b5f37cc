//! `ops/runbooks`: each command of each page, run by a shell as it is printed, in a world in the state that
//! its alert is about; of FerryMixedVersions, FerryLabelOverflow and FerryTwoRelays in a slow one, and of
//! FerryClockSkew the page is read where its command reads it, with a clock that is right. What helps by itself (`redrive`, `rebuild`, `resume`) has helped at the end.

mod failing;
mod moving;
mod servers;
mod waiting;

use std::{collections::BTreeSet, path::Path, time::Duration};

use ferry_testbed::comes_true;

use crate::world::{Place, Ran, World};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ops/runbooks");

/// The end of a command that differs from 0, and words that it has to say: (how it begins, code, words).
type Expected<'a> = (&'a str, i32, &'a [&'a str]);

/// One page, followed in the world of this place.
struct Page<'a> {
    alert: &'a str,
    place: &'a Place,
    run: &'a str,
    expected: &'a [Expected<'a>],
}

impl Page<'_> {
    /// What is looked at first.
    fn look(&self) -> &Self {
        self.follow("First look", true)
    }

    /// What is to be done then; it has to end well.
    fn mend(&self) -> &Self {
        self.follow("Remedy", false)
    }

    fn follow(&self, part: &str, looking: bool) -> &Self {
        let mut unused: BTreeSet<usize> = (0..self.expected.len()).collect();
        for line in commands(self.alert, part) {
            let ran = shell(self.place, &line.replace("RUN", self.run));
            let found =
                self.expected.iter().position(|(begin, ..)| line.starts_with(begin)).filter(|_| looking);
            let (_, code, words) = found.map_or(("", 0, &[][..]), |at| self.expected[at]);
            let place = format!("{}: {line}\n{}", self.alert, ran.all());
            assert!(ran.code == code || code == 0 && warned(&line, ran.code), "code {}, {place}", ran.code);
            let said = one_line(&ran.all());
            for word in words {
                assert!(said.contains(word), "{word:?} is not said by {place}");
            }
            found.map(|at| unused.remove(&at));
        }
        assert!(!looking || unused.is_empty(), "{}: {:?} are in no command", self.alert, self.expected);
        self
    }
}

/// `ferry check` ends with 11 in worlds whose Redis keeps nothing on disk.
fn warned(line: &str, code: i32) -> bool {
    line.starts_with("ferry check") && code == 11
}

/// The commands under a heading of a page.
fn commands(alert: &str, part: &str) -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(FOLDER).join(format!("{alert}.md"))).unwrap();
    let (_, text) = text.split_once(&format!("## {part}\n")).unwrap_or_else(|| panic!("{alert}: no {part}"));
    let text = text.split("\n## ").next().unwrap_or_default();
    let blocks = text.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

/// As it is pasted, with the command that is tested first in the path.
fn shell(place: &Place, line: &str) -> Ran {
    let mut command = place.command(Path::new("sh"), &["-c", line]);
    let ours = Path::new(env!("CARGO_BIN_EXE_ferry")).parent().unwrap().display();
    command.env("PATH", format!("{ours}:{}", std::env::var("PATH").unwrap()));
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let code = output.status.code().unwrap_or_else(|| panic!("{line} was killed"));
    Ran { code, out: text(&output.stdout), err: text(&output.stderr) }
}

/// Without the folding to the width of a terminal.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `queue list` says this within the time that tests have.
async fn queue_says(world: &World, words: &str) {
    let mut said = String::new();
    let told = async || {
        said = one_line(&world.place.must(&["queue", "list"]).all());
        said.contains(words)
    };
    assert!(comes_true(Duration::from_millis(200), told).await, "{words}: {said}");
}

/// Follows pages whose alerts come from the same state.
fn all(alerts: &[&str], place: &Place, run: &str, expected: &[Expected<'_>]) {
    for alert in alerts {
        Page { alert, place, run, expected }.look().mend();
    }
}

/// Each page belongs to one of the tests, and each of them to a page.
#[test]
fn every_page_is_followed_in_a_world_of_its_state() {
    let lists = [waiting::ALERTS, moving::ALERTS, failing::ALERTS, servers::ALERTS];
    let followed: Vec<&str> = lists.concat();
    let distinct: BTreeSet<String> = followed.iter().map(|alert| (*alert).to_owned()).collect();
    assert_eq!(distinct.len(), followed.len(), "one of them occurs twice: {followed:?}");
    let pages = std::fs::read_dir(FOLDER).unwrap().map(|file| file.unwrap().file_name());
    let pages = pages.filter_map(|name| name.to_str()?.strip_suffix(".md").map(str::to_owned));
    assert_eq!(pages.filter(|page| page != "README").collect::<BTreeSet<_>>(), distinct);
}
