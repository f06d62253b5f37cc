//! Whether the queue is there, and loses nothing by itself.

use ferry_domain::ports::Queue;
use ferry_queue::Inspection;

use super::{Line, error, ok, warning};
use crate::{place::Place, setup::Setup, wiring};

pub async fn check(place: &Place, setup: &Setup, lines: &mut Vec<Line>) {
    if let Place::Sqlite(_) = place {
        lines.push(ok("queue", "in the worker's memory; no Redis is needed"));
        return;
    }
    let queue = match wiring::redis(setup).await {
        Ok(queue) => queue,
        // Its text says what to start or correct.
        Err(wrong) => {
            lines.push(error("redis", wrong, "Until then nothing is sent; no user is lost by it."));
            return;
        }
    };
    match queue.inspect().await {
        Ok(server) => judge(&server, lines),
        Err(wrong) => lines.push(warning(
            "redis",
            format!("the server was not looked at: {wrong}"),
            "Version, eviction and persistence are not known; allow INFO to have them checked.",
        )),
    }
    lines.push(match queue.probe().await {
        Ok(()) => ok("queue", "a worker can register, take, end and sign off"),
        Err(wrong) => error("queue", wrong, "Until then nothing is sent; no user is lost by it."),
    });
}

fn judge(server: &Inspection, lines: &mut Vec<Line>) {
    let name = format!("{} {}", server.product, server.version);
    let oldest = if server.product == "Valkey" { 8 } else { 7 };
    lines.push(if server.major() < oldest {
        error("redis", format!("{name} is too old"), "Take Redis 7 or later, or Valkey 8 or later.")
    } else {
        ok("redis", name)
    });
    if let Some(line) = unfit(server) {
        lines.push(line);
        return;
    }
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

/// Why a server can never be the queue, whatever its settings.
fn unfit(server: &Inspection) -> Option<Line> {
    Some(if let Some((is, remedy)) = server.unfit() {
        error("redis", format!("REDIS_URL {is}"), format!("{remedy}."))
    } else if server.max_memory > 0 && server.used_memory > server.max_memory / 10 * 9 {
        warning(
            "memory",
            format!("{} of {} bytes are used", server.used_memory, server.max_memory),
            "A full Redis refuses jobs: CONFIG SET maxmemory, or remove what others keep there.",
        )
    } else {
        return None;
    })
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
            mode: "standalone".into(),
            appends: true,
            ..Inspection::default()
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
        assert_eq!(levels(Inspection { appends: false, ..good.clone() }), [Ok, Ok, Warning]);
        for mode in ["cluster", "sentinel"] {
            assert_eq!(levels(Inspection { mode: mode.into(), ..good.clone() }), [Ok, Error]);
        }
        assert_eq!(levels(Inspection { replica: true, ..good.clone() }), [Ok, Error]);
        let full = Inspection { max_memory: 1_000, used_memory: 950, ..good };
        assert_eq!(levels(full), [Ok, Warning]);
    }
}
