//! How much of a tenant's limit several processes use together (`benches/limits`).
//!
//! `drive` starts a simulator with a plan and a refill model, and real processes (this
//! program again, as `work`) that each create users through the Auth0 client and the
//! shared limiter, over a Redis it is given. One is killed, another one added, and for
//! each phase the simulator's counters say what was used and what was refused. `follow`
//! halves and doubles the limit instead. `ideal` computes what one client could reach
//! that knows the bucket but not how long its next request will take.
//!
//! Only against a simulator of its own: it creates users without asking.

use std::{process::Stdio, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use ferry_auth0::{Auth0, Auth0Settings};
use ferry_domain::{
    Auth0UserId, Email, SourceKey, UserRecord,
    limits::LimitPlan,
    ports::{Directory, Limiter, NewUser},
};
use ferry_limiter::{SharedLimiter, SharedOptions};
use ferry_simulator::{
    Config, Faults, Refill, Simulator,
    limits::{Bucket, Rate},
    recorded_us,
};
use serde_json::json;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

const CONNECTION: &str = "Username-Password-Authentication";
/// Users under way at once in each process.
const AT_ONCE: u32 = 32;

#[derive(Parser)]
#[command(disable_version_flag = true)]
struct Options {
    #[command(subcommand)]
    what: Option<What>,
    /// Given by `cargo bench` and test runners
    #[arg(long, hide = true)]
    bench: bool,
    #[arg(long, hide = true)]
    list: bool,
    #[arg(long, hide = true)]
    ignored: bool,
    #[arg(long, hide = true)]
    format: Option<String>,
}

#[derive(Subcommand)]
enum What {
    /// Four phases: start, steady, one killed, one added; a Markdown row each
    Drive(Drive),
    /// The limit halved and doubled: seconds until followed
    Follow(Drive),
    /// What is reachable with the recorded latency
    Ideal {
        #[arg(long)]
        plan: String,
        #[arg(long)]
        refill: Refill,
    },
    /// One process; started by the others
    Work {
        #[arg(long)]
        auth0: String,
        #[arg(long)]
        redis: String,
        #[arg(long)]
        tenant: String,
        #[arg(long)]
        plan: String,
        #[arg(long)]
        number: u32,
    },
}

#[derive(Args, Clone)]
struct Drive {
    #[arg(long)]
    redis: String,
    #[arg(long)]
    plan: String,
    #[arg(long)]
    refill: Refill,
    #[arg(long)]
    processes: u32,
    /// Seconds of each phase
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Milliseconds of each answer
    #[arg(long, default_value_t = 80)]
    latency: u64,
    /// Latency as recorded at real tenants instead
    #[arg(long)]
    recorded: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Options::parse().what {
        Some(What::Drive(options)) => drive(options).await,
        Some(What::Follow(options)) => follow(options).await,
        Some(What::Ideal { plan, refill }) => ideal(&plan, refill),
        Some(What::Work { auth0, redis, tenant, plan, number }) => {
            work(&auth0, &redis, &tenant, &plan, number).await
        }
        None => {
            eprintln!("limits_load: nothing was run. benches/limits starts it.");
            Ok(())
        }
    }
}

// --- one process ------------------------------------------------------------

async fn work(auth0: &str, redis: &str, tenant: &str, plan: &str, number: u32) -> anyhow::Result<()> {
    let plan: LimitPlan = plan.parse()?;
    let limiter: Arc<dyn Limiter> =
        Arc::new(SharedLimiter::new(redis, tenant, &plan, &SharedOptions::default())?);
    let mut settings = Auth0Settings::for_base_url(auth0.parse()?, "ferry", "simulated".to_owned().into())?;
    settings.throttle_patience = Duration::from_secs(3_600);
    let directory = Arc::new(Auth0::new(settings, limiter.clone(), Arc::default())?);
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..AT_ONCE {
        let directory = directory.clone();
        callers.spawn(async move {
            for user in 0u64.. {
                // Whatever comes of it: the simulator counts.
                let _ = directory.create(&new_user(&format!("{number}-{caller}-{user}"))).await;
            }
        });
    }
    // The driver says the plan anew on a line of its own.
    let (said, mut lines) = tokio::sync::mpsc::unbounded_channel::<String>();
    std::thread::spawn(move || {
        std::io::stdin().lines().map_while(Result::ok).for_each(|line| {
            let _ = said.send(line);
        });
    });
    while let Some(line) = lines.recv().await {
        limiter.set_plan(&line.parse()?);
    }
    limiter.give_back().await;
    std::process::exit(0)
}

fn new_user(name: &str) -> NewUser {
    let key = SourceKey(name.to_owned());
    let record = UserRecord::new(key.clone(), Email::normalised(&format!("{name}@example.com")), true);
    let mark =
        json!({"source_key": name, "run": "r", "digest": "d"}).as_object().cloned().unwrap_or_default();
    let id = Auth0UserId::chosen("t", CONNECTION, "m", &key);
    NewUser { id, connection: CONNECTION.into(), record, password: "Tr0ub4dor-and-3-more".into(), mark }
}

// --- the driver -------------------------------------------------------------

struct World {
    simulator: Simulator,
    options: Drive,
    processes: Vec<Child>,
    started: u32,
    tenant: String,
}

/// Counters at a moment.
#[derive(Clone, Copy)]
struct Mark {
    at: Instant,
    admitted: u64,
    refused: u64,
}

impl World {
    async fn start(options: Drive) -> anyhow::Result<World> {
        let latency_ms = if options.recorded { 0 } else { options.latency };
        let simulator = Simulator::start(Config {
            client_id: "ferry".into(),
            client_secret: "simulated".into(),
            limits: options.plan.parse()?,
            refill: options.refill,
            faults: Faults { latency_ms, recorded_latency: options.recorded, ..Faults::default() },
            ..Config::default()
        })
        .await?;
        let tenant = simulator.base_url();
        Ok(World { simulator, options, processes: Vec::new(), started: 0, tenant })
    }

    fn add(&mut self) -> anyhow::Result<()> {
        self.started += 1;
        let child = Command::new(std::env::current_exe()?)
            .args(["work", "--auth0", &self.simulator.base_url(), "--redis", &self.options.redis])
            .args(["--tenant", &self.tenant, "--plan", &self.options.plan])
            .args(["--number", &self.started.to_string()])
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        self.processes.push(child);
        Ok(())
    }

    fn mark(&self) -> Mark {
        let stats = self.simulator.stats();
        let refused = stats.rate_limited;
        Mark { at: Instant::now(), admitted: stats.management_requests() - refused, refused }
    }

    /// Waits for a phase to pass, and says what was used of what a limit of `rate` allows.
    async fn phase(&self, name: &str, rate: f64, extra: f64) -> anyhow::Result<()> {
        let before = self.mark();
        sleep(Duration::from_secs(self.options.seconds)).await;
        let after = self.mark();
        let allowed = rate * (after.at - before.at).as_secs_f64() + extra;
        let used = (after.admitted - before.admitted) as f64;
        let refused = (after.refused - before.refused) as f64;
        let Drive { plan, refill, processes, recorded, .. } = &self.options;
        let latency = if *recorded { "recorded" } else { "steady" };
        println!(
            "| {plan} | {} | {processes} | {latency} | {name} | {used:.0} | {:.2} % | {refused:.0} | {:.3} % |",
            model(*refill),
            100.0 * used / allowed,
            100.0 * refused / (used + refused).max(1.0),
        );
        Ok(())
    }
}

fn model(refill: Refill) -> &'static str {
    match refill {
        Refill::TokenBucket => "token bucket",
        Refill::FixedWindow => "fixed window",
    }
}

async fn drive(options: Drive) -> anyhow::Result<()> {
    let plan: LimitPlan = options.plan.parse()?;
    let rate = plan.creates_per_second().context("a plan with a limit")?;
    let burst = [plan.global, plan.user_writes].into_iter().flatten().map(|bucket| bucket.burst).min();
    let mut world = World::start(options.clone()).await?;
    for _ in 0..options.processes {
        world.add()?;
    }
    // From the first request on: until then no process is there.
    while world.mark().admitted == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    world.phase("start", rate, f64::from(burst.unwrap_or(0))).await?;
    world.phase("steady", rate, 0.0).await?;
    if options.processes > 1 {
        world.processes.remove(0).kill().await?;
        world.phase("one killed", rate, 0.0).await?;
    }
    world.add()?;
    world.phase("one added", rate, 0.0).await?;
    Ok(())
}

/// The tenant's limit is halved without a word, and given back; then the plan is said too.
async fn follow(options: Drive) -> anyhow::Result<()> {
    let plan: LimitPlan = options.plan.parse()?;
    let Some(bucket) = plan.global else { bail!("follow takes a plan with one bucket for all") };
    let (size, rate) = (bucket.burst, bucket.per_minute / 60);
    let half = format!("custom:{}:{}", (size / 2).max(1), (rate / 2).max(1));
    let mut world = World::start(options.clone()).await?;
    for _ in 0..options.processes {
        world.add()?;
    }
    sleep(Duration::from_secs(20)).await;
    for (name, limit, said) in [
        ("halved silently", half.as_str(), false),
        ("doubled silently", options.plan.as_str(), false),
        ("halved and said", half.as_str(), true),
        ("doubled and said", options.plan.as_str(), true),
    ] {
        world.simulator.set_limits(&limit.parse()?);
        if said {
            for process in &mut world.processes {
                let stdin = process.stdin.as_mut().context("a pipe")?;
                tokio::io::AsyncWriteExt::write_all(stdin, format!("{limit}\n").as_bytes()).await?;
            }
        }
        let target = limit.parse::<LimitPlan>()?.creates_per_second().context("a limit")?;
        followed(&world, name, target).await;
    }
    Ok(())
}

/// Prints after how many seconds the use stays within 10 % of the new limit for 5 s, and
/// what 60 s after that look like.
async fn followed(world: &World, name: &str, target: f64) {
    let first = world.mark();
    let (mut since, mut seconds) = (first, None);
    let mut marks = vec![first];
    while seconds.is_none() && first.at.elapsed() < Duration::from_secs(180) {
        sleep(Duration::from_millis(500)).await;
        marks.push(world.mark());
        let now = marks[marks.len() - 1];
        let Some(back) = marks.len().checked_sub(11).map(|index| marks[index]) else { continue };
        let rate = (now.admitted - back.admitted) as f64 / (now.at - back.at).as_secs_f64();
        if (rate / target - 1.0).abs() <= 0.1 {
            seconds = Some((back.at - first.at).as_secs_f64());
            since = now;
        }
    }
    sleep(Duration::from_secs(60)).await;
    let end = world.mark();
    let used = (end.admitted - since.admitted) as f64;
    let refused = (end.refused - since.refused) as f64;
    println!(
        "| {} | {} | {} | {name} | {} | {} | {:.1} % | {:.2} % |",
        world.options.plan,
        model(world.options.refill),
        world.options.processes,
        seconds.map_or("more than 180".to_owned(), |seconds| format!("{seconds:.1}")),
        since.refused - first.refused,
        100.0 * used / (target * (end.at - since.at).as_secs_f64()),
        100.0 * refused / (used + refused).max(1.0),
    );
}

/// The best steady pace whose requests, late by half of what was recorded, are refused
/// at most once in a thousand.
fn ideal(plan: &str, refill: Refill) -> anyhow::Result<()> {
    let figures: LimitPlan = plan.parse()?;
    let bucket = figures.global.or(figures.user_writes).context("a plan with a limit")?;
    let mut best = None;
    for pace in (300..=1_000u32).rev().step_by(2) {
        let rate = bucket.rate() * f64::from(pace) / 1_000.0;
        let count = (rate * 3_600.0) as u64;
        let mut chance = 0x9e37_79b9_7f4a_7c15u64;
        let mut arrivals: Vec<u64> = (0..count)
            .map(|number| {
                chance =
                    chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let late_ms = recorded_us(true, (chance >> 11) as f64 / (1u64 << 53) as f64) / 2_000;
                10_000_000 + (number as f64 * 1_000.0 / rate) as u64 + late_ms
            })
            .collect();
        arrivals.sort_unstable();
        let mut server = Bucket::new(Rate::per_minute(bucket.burst, bucket.per_minute), refill);
        // Not the burst: an hour's use is what is asked for.
        while server.take(10_000_000).remaining > 0 {}
        let admitted = arrivals.iter().filter(|at| server.take(**at).admitted).count() as f64;
        let (share, refused) = (admitted / (bucket.rate() * 3_600.0), 1.0 - admitted / count as f64);
        if refused <= 0.001 {
            best = Some((share, refused));
            break; // slower ones use less
        }
    }
    match best {
        Some((share, refused)) => {
            println!("| {plan} | {} | {:.2} % | {:.3} % |", model(refill), share * 100.0, refused * 100.0);
        }
        None => println!("| {plan} | {} | less than 30 % | – |", model(refill)),
    }
    Ok(())
}
