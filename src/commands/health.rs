//! `ferry health`: asks a worker for its health, as the probe of a container without a shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use clap::Args;

use crate::{exit::Exit, output};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The worker's --listen; an address for all networks is asked on this machine
    #[arg(long, env = "FERRY_LISTEN", default_value = "127.0.0.1:9464", value_name = "ADDRESS")]
    pub at: SocketAddr,
    /// Ask whether it has to be started again, and not whether it takes work
    #[arg(long)]
    pub live: bool,
}

pub async fn run(options: Options) -> anyhow::Result<Exit> {
    let (path, address) = (if options.live { "/livez" } else { "/readyz" }, reachable(options.at));
    match ferry_telemetry::ask(address, path).await {
        Ok((200, answer)) => {
            output::data(&answer);
            Ok(Exit::Done)
        }
        Ok((_, answer)) => {
            output::say(&answer);
            Ok(Exit::Internal)
        }
        Err(error) => {
            output::say(&format!(
                "no worker answers at http://{address}{path}: {error}; name the address of its --listen with --at"
            ));
            Ok(Exit::Internal)
        }
    }
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
