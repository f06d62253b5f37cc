//! The migration as a loop: what a good engineer writes in an afternoon, and the
//! measure for what Ferry costs (`benches/compare`).
//!
//! It reads the users of the MedLogistics example, creates them at Auth0, a fixed
//! number at the same time, and writes each id back by itself, or with `--grouped` all that were
//! created since the last write in one statement. No queue, no ledger, no retry:
//! whatever it does not expect ends it. It is not made slow to look bad: the rows are
//! streamed, connections are kept, the statement is prepared, and the request carries
//! the fields that Ferry sends. A task per user over 16 connections was tried: 6 % more
//! users/s for 5 % more CPU on two cores, and no longer the loop one would write first.
//!
//! Only against a server on this machine: it creates users without asking.

mod store;

use std::{future::ready, mem, process::ExitCode, time::Duration};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use futures_util::TryStreamExt;
use rand::{TryRng, rngs::SysRng};
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use serde_json::json;
use tokio::{sync::mpsc, time::Instant, try_join};

use store::{Store, User};

/// Ticks of `/proc/PID/stat` in a second: Linux shows every program 100.
const TICKS_PER_SECOND: f64 = 100.0;

/// Most ids in one statement.
const GROUP: usize = 500;

/// Creates the users of the MedLogistics example at a simulated Auth0, without a queue.
#[derive(Parser)]
#[command(disable_version_flag = true)]
struct Options {
    /// The application's database, seeded and with the column auth0_user_id
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database: Option<String>,
    /// A simulated Auth0 on this machine
    #[arg(long, env = "AUTH0_BASE_URL")]
    auth0: Option<Url>,
    /// Its application
    #[arg(long, env = "AUTH0_CLIENT_ID", default_value = "ferry")]
    client_id: String,
    /// The application's secret
    #[arg(long, env = "AUTH0_CLIENT_SECRET", hide_env_values = true, default_value = "simulated")]
    client_secret: String,
    /// The connection the users are created in
    #[arg(long, env = "AUTH0_CONNECTION", default_value = "Username-Password-Authentication")]
    connection: String,
    /// Users under way at once
    #[arg(long, env = "BARE_LOOP_AT_ONCE", default_value_t = 64)]
    at_once: u32,
    /// Write ids back in groups
    #[arg(long)]
    grouped: bool,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
    /// Given by test runners that look for tests; there are none
    #[arg(long, hide = true)]
    list: bool,
    /// Given by test runners
    #[arg(long, hide = true, value_name = "FORM")]
    format: Option<String>,
    /// Given by test runners
    #[arg(long, hide = true)]
    ignored: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let (Some(database), Some(auth0)) = (&options.database, &options.auth0) else {
        return explained();
    };
    if options.list {
        return explained();
    }
    match run(&options, database, auth0).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bare_loop: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// On stderr: a runner that asked for a list of tests reads stdout.
fn explained() -> ExitCode {
    eprintln!(
        "bare_loop: nothing was run. It needs DATABASE_URL and AUTH0_BASE_URL; benches/compare sets them."
    );
    ExitCode::SUCCESS
}

async fn run(options: &Options, database: &str, auth0: &Url) -> anyhow::Result<()> {
    ensure!(
        is_local(auth0),
        "AUTH0_BASE_URL is not on this machine: the loop creates users without asking, start `ferry simulate`"
    );
    ensure!(options.at_once > 0, "--at-once must be 1 or more");
    let started = Instant::now();
    let counted = migrate(options, database, auth0).await?;
    let seconds = started.elapsed().as_secs_f64();
    let used = Used::read()?;
    println!(
        "{}",
        json!({
            "users": counted.created,
            "conflicts": counted.conflicts,
            "at_once": options.at_once,
            "grouped": options.grouped,
            "seconds": rounded(seconds),
            "users_per_second": rounded(counted.created as f64 / seconds),
            "cpu_seconds": rounded(used.cpu_seconds),
            "peak_kib": used.peak_kib,
        })
    );
    Ok(())
}

#[derive(Clone, Copy, Default)]
struct Counted {
    created: u64,
    conflicts: u64,
}

async fn migrate(options: &Options, database: &str, auth0: &Url) -> anyhow::Result<Counted> {
    let store = &Store::open(database, options.at_once).await?;
    let target = &Target::connect(options, auth0).await?;
    let most = options.at_once as usize;
    if options.grouped {
        return grouped(store, target, most).await;
    }
    store
        .users()
        .map_ok(|user| bring_across(store, target, user))
        .try_buffer_unordered(most)
        .try_fold(Counted::default(), |mut counted, created| {
            if created {
                counted.created += 1
            } else {
                counted.conflicts += 1
            }
            ready(Ok(counted))
        })
        .await
}

/// Creates users and writes ids at the same time: a group is what was created while the last one
/// was written.
async fn grouped(store: &Store, target: &Target, most: usize) -> anyhow::Result<Counted> {
    let (send, mut created) = mpsc::channel(2 * GROUP);
    let creating = async move {
        let mut conflicts = 0;
        let mut answers = store
            .users()
            .map_ok(|user| async move {
                let answer = target.create(&user).await.with_context(|| format!("user {}", user.id))?;
                Ok(answer.map(|user_id| (user.id, user_id)))
            })
            .try_buffer_unordered(most);
        while let Some(answer) = answers.try_next().await? {
            match answer {
                Some(pair) => send.send(pair).await.context("nobody writes any more")?,
                None => conflicts += 1,
            }
        }
        anyhow::Ok(conflicts)
    };
    let writing = async {
        let (mut group, mut written) = (Vec::with_capacity(GROUP), 0);
        while created.recv_many(&mut group, GROUP).await > 0 {
            written += group.len() as u64;
            store.write_group(mem::take(&mut group)).await?;
        }
        Ok(written)
    };
    let (conflicts, created) = try_join!(creating, writing)?;
    Ok(Counted { created, conflicts })
}

/// True when the user was created, false when the address is taken.
async fn bring_across(store: &Store, target: &Target, user: User) -> anyhow::Result<bool> {
    let Some(user_id) = target.create(&user).await.with_context(|| format!("user {}", user.id))? else {
        return Ok(false);
    };
    store.write(user.id, &user_id).await?;
    Ok(true)
}

/// Where users go: the API with a token that is asked for once.
struct Target {
    http: Client,
    users: Url,
    token: String,
    connection: String,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

#[derive(Deserialize)]
struct Created {
    user_id: String,
}

impl Target {
    async fn connect(options: &Options, base: &Url) -> anyhow::Result<Target> {
        let http = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .pool_max_idle_per_host(options.at_once as usize)
            .build()?;
        let question = json!({
            "grant_type": "client_credentials",
            "client_id": options.client_id,
            "client_secret": options.client_secret,
            "audience": base.join("/api/v2/")?.as_str(),
        });
        let answer = http.post(base.join("/oauth/token")?).json(&question).send().await?;
        let token: Token = answer.error_for_status().context("no token")?.json().await?;
        Ok(Target {
            http,
            users: base.join("/api/v2/users")?,
            token: token.access_token,
            connection: options.connection.clone(),
        })
    }

    /// The new user's id, or nothing when the address is taken. The answer's text is
    /// not passed on: it may quote the address.
    async fn create(&self, user: &User) -> anyhow::Result<Option<String>> {
        let mut metadata = json!({ "role": user.role, "hospital": user.hospital });
        if let Some(ward) = &user.ward {
            metadata["ward"] = json!(ward);
        }
        let body = json!({
            "connection": self.connection,
            "email": user.email.to_lowercase(),
            "email_verified": true,
            "verify_email": false,
            "password": password(),
            "name": user.name,
            "blocked": user.blocked,
            "app_metadata": metadata,
        });
        let answer = self.http.post(self.users.clone()).bearer_auth(&self.token).json(&body).send().await?;
        match answer.status() {
            StatusCode::CREATED => Ok(Some(answer.json::<Created>().await?.user_id)),
            StatusCode::CONFLICT => {
                // Read to its end, so that the connection can be used again.
                answer.bytes().await?;
                Ok(None)
            }
            other => bail!("Auth0 answered {other}; the loop knows no better than to stop"),
        }
    }
}

/// Known to no one: 256 bits in hexadecimal, and the classes that a policy asks for.
fn password() -> String {
    let mut bytes = [0; 32];
    // Without chance there is no password, and nothing to go on with.
    SysRng.try_fill_bytes(&mut bytes).expect("the operating system gives random bytes");
    bytes.iter().fold(String::from("Aa1!"), |text, byte| text + &format!("{byte:02x}"))
}

fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == "localhost"
        || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// What this process has used so far, by its own files in `/proc`.
struct Used {
    cpu_seconds: f64,
    peak_kib: u64,
}

impl Used {
    fn read() -> anyhow::Result<Used> {
        let read = |path| std::fs::read_to_string(path).with_context(|| format!("{path}: only Linux has it"));
        let stat = read("/proc/self/stat")?;
        // Behind the name, which may hold blanks and brackets, come fields 3 and up; 14 and 15 are ticks.
        let fields = stat.rsplit_once(") ").context("/proc/self/stat has no name")?.1;
        let ticks: u64 =
            fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        let status = read("/proc/self/status")?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(Used {
            cpu_seconds: ticks as f64 / TICKS_PER_SECOND,
            peak_kib: peak.trim().trim_end_matches(" kB").parse().context("VmHWM is no number")?,
        })
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
