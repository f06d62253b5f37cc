//! `ferry simulate`: a simulated Auth0 on this machine.

use std::net::SocketAddr;

use clap::Args;
use ferry_seed::population;
use ferry_simulator::{Config, Faults, Simulator};

use crate::{
    exit::{Exit, usage},
    lifecycle, output, planted,
};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Client ID of the application that can sign in
    #[arg(long, env = "AUTH0_CLIENT_ID", default_value = "ferry", value_name = "ID")]
    pub client_id: String,
    /// Client secret of that application
    #[arg(
        long,
        env = "AUTH0_CLIENT_SECRET",
        hide_env_values = true,
        default_value = "simulated",
        value_name = "SECRET"
    )]
    pub client_secret: String,
    /// Name of the database connection
    #[arg(long, default_value = "Username-Password-Authentication", value_name = "NAME")]
    pub connection: String,
    /// Rate limits: off, free, enterprise, private-500, custom:BURST:PER_SECOND, …
    #[arg(long, default_value = "off", value_name = "PLAN")]
    pub limits: String,
    /// How used-up limits refill: steadily (token-bucket), or completely at the start of each second (fixed-window)
    #[arg(long, default_value = "token-bucket", value_parser = ["token-bucket", "fixed-window"], value_name = "MODEL")]
    pub refill: String,
    /// Answer as slowly as real tenants were measured to, in addition to --latency
    #[arg(long)]
    pub recorded_latency: bool,
    /// Latency of each answer, in milliseconds
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub latency: u64,
    /// Random extra latency of each answer, up to this, in milliseconds
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub jitter: u64,
    /// Share of creates whose answer is lost (the user is stored), 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub lost_answers: f64,
    /// Share of requests answered with a server error, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub server_errors: f64,
    /// Chooses the faults: the same seed, the same faults
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Begin with the accounts that users of the example have at Auth0 already: the example that ferry seed writes
    /// with this number of users and the same --seed
    #[arg(long, value_name = "USERS")]
    pub example: Option<u64>,
}

pub async fn run(options: Options) -> anyhow::Result<Exit> {
    let stop = lifecycle::stop_on_signal()?;
    for (flag, share) in
        [("--lost-answers", options.lost_answers), ("--server-errors", options.server_errors)]
    {
        if !(0.0..=1.0).contains(&share) {
            return Err(usage(format!("{flag} {share}: must be a share from 0 to 1")));
        }
    }
    let example = options.example.map(|users| population(users, options.seed)).transpose().map_err(usage)?;
    let simulator = Simulator::start(Config {
        listen: options.listen,
        client_id: options.client_id,
        client_secret: options.client_secret,
        connection: options.connection,
        limits: options.limits.parse().map_err(usage)?,
        refill: options.refill.parse().map_err(usage)?,
        faults: Faults {
            latency_ms: options.latency,
            jitter_ms: options.jitter,
            recorded_latency: options.recorded_latency,
            lost_answers: options.lost_answers,
            server_errors: options.server_errors,
            ..Faults::default()
        },
        seed: options.seed,
        ..Config::default()
    })
    .await?;
    if let Some(example) = example {
        let planted = planted::plant(&simulator, &example);
        output::say(&format!("{planted} accounts of the example are there already."));
    }
    output::data(&format!("ferry simulate: ready at {}", simulator.base_url()));
    stop.cancelled().await;
    simulator.shutdown().await;
    Ok(Exit::Done)
}
