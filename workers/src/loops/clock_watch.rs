//! Compares the clock of this process with the ledger's. Leases go by the ledger's alone, so that
//! nothing breaks; but what logs and reports of different processes say can't be put in order.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::pause;
use crate::environment::Environment;

/// How often they are compared.
const EVERY: Duration = Duration::from_secs(15);
/// From here on a person should know.
const TOO_FAR_MS: u64 = 5_000;

pub(crate) async fn clock_watch(env: &Environment, end: &CancellationToken) {
    let mut told = false;
    loop {
        let asked = env.clock.now();
        match env.processes.clock().await {
            Ok(theirs) => {
                let ahead = ahead_ms(asked, theirs, env.clock.now());
                env.figures.set_clock_ahead_ms(ahead);
                let far = ahead.unsigned_abs() > TOO_FAR_MS;
                if far && !told {
                    warn!(ahead_ms = ahead, "this machine's clock is not the ledger's: set it by NTP");
                } else if told && !far {
                    info!(ahead_ms = ahead, "this machine's clock is near the ledger's again");
                }
                told = far;
            }
            Err(error) => debug!(%error, "the ledger's clock could not be read"),
        }
        if !pause(EVERY, end).await {
            return;
        }
    }
}

/// Milliseconds between the middle of our waiting and what the other clock said.
fn ahead_ms(asked: OffsetDateTime, theirs: OffsetDateTime, answered: OffsetDateTime) -> i64 {
    let ahead: time::Duration = asked + (answered - asked) / 2 - theirs;
    i64::try_from(ahead.whole_milliseconds()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn half_of_the_way_there_and_back_counts_for_neither_clock() {
        let noon = datetime!(2026-11-30 12:00 UTC);
        let ms = time::Duration::milliseconds;
        assert_eq!(ahead_ms(noon, noon + ms(100), noon + ms(200)), 0);
        assert_eq!(ahead_ms(noon + ms(7_000), noon, noon + ms(7_000)), 7_000);
        assert_eq!(ahead_ms(noon, noon + ms(7_000), noon), -7_000);
    }
}
