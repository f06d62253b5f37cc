//! Waiting for something that has to come, with a bound.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Long enough for a slow machine; a test that waits longer has found a fault.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Asks again after each pause until it is so; `false` when it never is.
pub async fn comes_true(pause: Duration, mut holds: impl AsyncFnMut() -> bool) -> bool {
    let began = Instant::now();
    while !holds().await {
        if began.elapsed() >= PATIENCE {
            return false;
        }
        sleep(pause).await;
    }
    true
}

/// The same with a short pause, and ends the test when it never is.
pub async fn until(what: &str, holds: impl AsyncFnMut() -> bool) {
    assert!(
        comes_true(Duration::from_millis(20), holds).await,
        "after {PATIENCE:?} it is still not so that {what}"
    );
}
