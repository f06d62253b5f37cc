//! Whether the queue is there, and loses nothing by itself.

use ferry_queue::Inspection;

use super::{Line, error, ok, warning};
use crate::{place::Place, setup::Setup, wiring};

pub async fn check(place: &Place, setup: &Setup, lines: &mut Vec<Line>) {
    if let Place::Sqlite(_) = place {
        lines.push(ok("queue", "in the worker's memory; no Redis is needed"));
        return;
    }
    let inspected = async { anyhow::Ok(wiring::redis(setup).await?.inspect().await?) };
    match inspected.await {
        Ok(server) => judge(&server, lines),
        // Its text says what to start or correct.
        Err(wrong) => lines.push(error("redis", wrong, "Until then nothing is sent; no user is lost by it.")),
    }
}

fn judge(server: &Inspection, lines: &mut Vec<Line>) {
    let name = format!("{} {}", server.product, server.version);
    let oldest = if server.product == "Valkey" { 8 } else { 7 };
    lines.push(if server.major() < oldest {
        error("redis", format!("{name} is too old"), "Take Redis 7 or later, or Valkey 8 or later.")
    } else {
        ok("redis", name)
    });
    lines.push(if server.eviction == "noeviction" {
        ok("eviction", "noeviction: a full Redis refuses, and forgets nothing")
    } else {
        error(
            "eviction",
            format!("maxmemory-policy is {}: a full Redis would forget jobs", server.eviction),
            "CONFIG SET maxmemory-policy noeviction, in the server's configuration too.",
        )
    });
    lines.push(if server.appends {
        ok("persistence", "appendonly is on")
    } else {
        warning(
            "persistence",
            "appendonly is off: a restart of Redis empties the queue",
            "No user is lost, the ledger sends again after some seconds. CONFIG SET appendonly yes avoids the wait.",
        )
    });
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn what_could_forget_jobs_is_an_error_and_what_costs_time_a_warning() {
        let good = Inspection {
            product: "Redis".into(),
            version: "7.4.1".into(),
            eviction: "noeviction".into(),
            max_memory: 0,
            appends: true,
        };
        let levels = |server: Inspection| {
            let mut lines = Vec::new();
            judge(&server, &mut lines);
            lines.iter().map(|line| line.level).collect::<Vec<_>>()
        };
        use Level::{Error, Ok, Warning};
        assert_eq!(levels(good.clone()), [Ok, Ok, Ok]);
        assert_eq!(levels(Inspection { version: "6.2.1".into(), ..good.clone() }), [Error, Ok, Ok]);
        assert_eq!(levels(Inspection { product: "Valkey".into(), ..good.clone() }), [Error, Ok, Ok]);
        assert_eq!(levels(Inspection { eviction: "allkeys-lru".into(), ..good.clone() }), [Ok, Error, Ok]);
        assert_eq!(levels(Inspection { appends: false, ..good }), [Ok, Ok, Warning]);
    }
}
