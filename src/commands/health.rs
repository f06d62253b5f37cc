//! `ferry health`: asks a worker for its health, as the probe of a container without a shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{exit::Exit, options::Output, output, printed};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The worker's --listen; an address for all networks is asked on this machine
    #[arg(long, env = "FERRY_LISTEN", default_value = "127.0.0.1:9464", value_name = "ADDRESS")]
    pub at: SocketAddr,
    /// Ask whether it has to be started again, and not whether it takes work
    #[arg(long)]
    pub live: bool,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// What a worker answers to the question for its health.
#[derive(Serialize, JsonSchema)]
pub struct Health {
    /// What was asked: `/readyz`, whether it takes work, or `/livez`, whether it may stay.
    asked: &'static str,
    /// The address it was asked at.
    at: String,
    /// Whether the answer is yes.
    well: bool,
    /// The answer, or why there is none.
    answer: String,
}

pub async fn run(options: Options) -> anyhow::Result<Exit> {
    let (path, address) = (if options.live { "/livez" } else { "/readyz" }, reachable(options.at));
    let (well, answer) = match ferry_telemetry::ask(address, path).await {
        Ok((status, answer)) => (status == 200, answer),
        Err(error) => {
            let where_else = "name the address of its --listen with --at";
            (false, format!("no worker answers at http://{address}{path}: {error}; {where_else}"))
        }
    };
    match options.output {
        Output::Json | Output::Ndjson => {
            printed::object(&Health { asked: path, at: address.to_string(), well, answer })?;
        }
        Output::Table if well => output::data(&answer),
        Output::Table => output::say(&answer),
    }
    Ok(if well { Exit::Done } else { Exit::Internal })
}

/// An address to listen on for all networks is none to connect to.
fn reachable(at: SocketAddr) -> SocketAddr {
    let here = match at.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(here, at.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_listens_everywhere_is_asked_here() {
        for (at, asked) in
            [("0.0.0.0:9464", "127.0.0.1:9464"), ("[::]:9464", "[::1]:9464"), ("10.1.2.3:80", "10.1.2.3:80")]
        {
            assert_eq!(reachable(at.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
