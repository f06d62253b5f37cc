//! `ferry simulate`: a simulated Auth0 on this machine.

use ferry_simulator::{Config, Faults, Simulator};

use crate::{
    cli::Simulate,
    exit::{Exit, usage},
    lifecycle, output,
};

pub async fn run(options: Simulate) -> anyhow::Result<Exit> {
    let stop = lifecycle::stop_on_signal()?;
    for (flag, share) in
        [("--lost-answers", options.lost_answers), ("--server-errors", options.server_errors)]
    {
        if !(0.0..=1.0).contains(&share) {
            return Err(usage(format!("{flag} {share}: must be a share from 0 to 1")));
        }
    }
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
    output::data(&format!("ferry simulate: ready at {}", simulator.base_url()));
    stop.cancelled().await;
    simulator.shutdown().await;
    Ok(Exit::Done)
}
