//! An operator's evening, from the plan to the report: each line is run as it is printed in
//! `docs/OPERATIONS.md`, which this test writes anew where `WRITE_OPERATIONS` is set.

use std::{fs, path::Path};

use ferry_simulator::{Config, Faults, PlantedUser};

use crate::world::World;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATIONS.md");
const HEAD: &str = "# An evening with Ferry

From the plan to the report, as an operator types it. The output is real: `tests/it/story.rs` runs each line and
writes this page (`WRITE_OPERATIONS=1 tests/run -- -E 'test(an_operators_evening)'`); names of servers, ids of
processes and ports are replaced. The environment holds `DATABASE_URL`, `REDIS_URL`, `AUTH0_DOMAIN` and the client that
may use the Management API; the tenant allows 50 requests a second (`AUTH0_PLAN=private-100`).
";

/// The page, as it grows.
struct Story<'a> {
    world: &'a World,
    page: String,
    hidden: Vec<(String, &'static str)>,
    /// The process that will be killed.
    killed: String,
}

impl Story<'_> {
    /// A part of the evening, and why.
    fn part(&mut self, title: &str, why: &str) {
        self.page.push_str(&format!("\n## {title}\n\n{why}\n"));
    }

    /// Runs a line as a shell does; its output, which has to hold these words.
    fn line(&mut self, line: &str, code: i32, words: &[&str]) -> String {
        let mut command = self.world.place.command(Path::new("sh"), &["-c", &format!("{{ {line}; }} 2>&1")]);
        let ours = Path::new(env!("CARGO_BIN_EXE_ferry")).parent().unwrap().display();
        command.env("PATH", format!("{ours}:{}", std::env::var("PATH").unwrap()));
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}\n{said}");
        for word in words {
            assert!(said.contains(word), "{line} was expected to say {word:?}:\n{said}");
        }
        let mut shown = format!("$ {line}\n{}", said.trim_end());
        for (what, instead) in &self.hidden {
            shown = shown.replace(what, instead);
        }
        let end = if code == 0 { String::new() } else { format!("\n(exit code {code})") };
        self.page.push_str(&format!("\n```text\n{shown}{end}\n```\n"));
        said
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_evening() {
    let faults = Faults { latency_ms: 40, ..Faults::default() };
    let limits = "private-100".parse().unwrap();
    let Some(mut world) = World::with("an evening", Config { faults, limits, ..Config::default() }).await
    else {
        return;
    };
    world.place.set("AUTH0_PLAN", "private-100");
    world.place.set("FERRY_OPERATOR", "ann");
    world.place.set("FERRY_RUN__BATCH_SIZE", "50");
    world.place.must(&["seed", "--target", &world.database.url, "--users", "600"]);
    world.place.must(&["migrate", "--app", "--yes"]);
    for email in accounts_that_nobody_confirmed(&world).await {
        world.simulator.plant(PlantedUser { email_verified: false, ..PlantedUser::new(&email) });
    }
    let workers = [world.worker(&[]), world.worker(&[])];
    let killed = world.workers()[workers[0]].pid().to_string();
    let base = world.simulator.base_url();
    let tenant = base.rsplit('/').next().unwrap().to_owned();
    let url = url::Url::parse(&world.database.url).unwrap();
    let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5_432));
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let hidden = vec![
        (format!("@{host}"), "@ops-1"),
        (format!("{host}/"), "worker-1/"),
        (tenant, "acme.eu.auth0.com"),
        (server, "db.example"),
        (world.database.name.clone(), "medlogistics"),
        (killed.clone(), "4711"),
    ];
    let mut story = Story { world: &world, page: HEAD.to_owned(), hidden, killed };
    before_the_run(&mut story);
    while_it_goes_on(&mut story).await;
    after_it(&mut story);
    let page = story.page;
    write_or_compare(&page);
    world.end().await;
}

/// Addresses of three users, as Auth0 has them.
async fn accounts_that_nobody_confirmed(world: &World) -> Vec<String> {
    let sql = "SELECT lower(trim(email)) FROM users WHERE email ~ '^[a-z0-9.]+@[a-z0-9.-]+$' AND active
        AND (SELECT count(*) FROM users AS other WHERE lower(trim(other.email)) = lower(trim(users.email))) = 1
        ORDER BY id DESC LIMIT 3";
    sqlx::query_scalar(sql).fetch_all(&mut world.connect().await).await.unwrap()
}

fn before_the_run(story: &mut Story<'_>) {
    story.part("Plan", "What would become of each record, by reading only. Nobody is asked outside.");
    let plan = "ferry plan --preset medlogistics --email-verified assume";
    story.line(&format!("{plan} -o evening.plan"), 0, &["to send", "EMAIL_MISSING"]);
    story.part(
        "Ask the tenant",
        "The same, with Auth0 asked about each user, within its limit and without a change: who is there already?",
    );
    story.line(&format!("{plan} --target"), 0, &["ADOPT_UNVERIFIED"]);
    story.part("Start", "The plan is kept to: the run refuses to start if source or settings changed since.");
    story.line(
        "ferry run start --plan evening.plan --yes --reason 'agreed with the clinics'",
        0,
        &["Started"],
    );
}

async fn while_it_goes_on(story: &mut Story<'_>) {
    story.part(
        "Watch",
        "On a terminal this is a view with keys; in a log, lines. Ctrl-C ends watching, not the run.",
    );
    story.line("timeout -s INT 8 ferry run watch last --plain", 124, &["users"]);
    story.part("Slow down", "Somebody else needs the tenant: a fifth of its limit is enough for now.");
    story.line("ferry run rate last 10 --reason 'sign-ins are slow'", 0, &["workers follow within a second"]);
    story.line("ferry run show last", 0, &["running"]);
    story.part("Pause", "Requests that are under way end, then nothing is sent.");
    story.line("ferry run pause last --reason 'call with the clinics'", 0, &["is paused"]);
    story.part("Go on", "The run goes on where it left off, at the settings' limits again.");
    story.line("ferry run resume last --reason 'clinics agreed'", 0, &["goes on"]);
    story.line("ferry run rate last default", 0, &["of the settings again"]);
    story.part(
        "A worker dies",
        "The kernel, a node or a person ends one of the two, without a warning. Its batches go to the other.",
    );
    let line = format!("kill -9 {}", story.killed);
    story.line(&line, 0, &[]);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    story.line("ferry queue list", 0, &["provision"]);
    story.part("To the end", "Watching ends with the run; 3 says that some users need a person.");
    story.line("ferry run watch last --plain", 3, &["is sealed"]);
}

fn after_it(story: &mut Story<'_>) {
    story.part("Who needs a person", "By reason, then by name: keys and places, never addresses.");
    story.line("ferry run show last", 0, &["sealed"]);
    story.line("ferry user list last --where 'code=ADOPT_UNVERIFIED'", 0, &["conflict"]);
    story.part(
        "Mend",
        "Somebody had these accounts at Auth0 before, with addresses that nobody had confirmed. The people confirmed \
         them now; nothing is to be changed in the application.",
    );
    for user in story.world.simulator.users() {
        story.world.simulator.change(&user.user_id, |user| user.email_verified = true);
    }
    story.line("ferry user show $(ferry user list last --where 'code=ADOPT_UNVERIFIED' --output csv | sed -n 2p | cut -d, -f1)", 0, &["ADOPT_UNVERIFIED"]);
    story.part("Retry", "Only those that the filter means; the count comes before the act.");
    story.line(
        "ferry run retry last --where 'code=ADOPT_UNVERIFIED' --yes --reason 'addresses confirmed'",
        0,
        &["3 users"],
    );
    story.line("ferry run watch last --plain", 3, &["adopted 3"]);
    story.part("Report", "What was agreed, what came of it, and who ordered what. For managers the same as a page: `--output html`.");
    story.line("ferry run report last", 0, &["| adopted | 3 |"]);
    story.line("ferry run report last --output html >report.html && ls report.html", 0, &["report.html"]);
    story.line("ferry audit --run last", 0, &["retry"]);
}

/// Lines and headings are compared; times and speeds differ from evening to evening.
fn write_or_compare(page: &str) {
    if std::env::var_os("WRITE_OPERATIONS").is_some() {
        return fs::write(DOCUMENT, page).unwrap();
    }
    let typed = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| line.starts_with("$ ") || line.starts_with("## "))
            .map(str::to_owned)
            .collect()
    };
    let kept = fs::read_to_string(DOCUMENT).unwrap();
    assert_eq!(typed(&kept), typed(page), "docs/OPERATIONS.md is old: see its first lines");
}
