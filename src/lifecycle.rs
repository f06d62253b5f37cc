//! Signals. The first one asks: take nothing new, hand back, exit 0. The second
//! one ends the process immediately; what it held is rescued when its lease runs out.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;

/// Cancelled by the first SIGTERM or Ctrl-C.
pub fn stop_on_signal() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let asked = stop.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        asked.cancel();
        eprintln!("ferry: stopping; a second signal ends it immediately");
        next().await;
        std::process::exit(i32::from(Exit::Interrupted as u8));
    });
    Ok(stop)
}
