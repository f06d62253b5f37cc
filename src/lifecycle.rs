//! Signals. The first one, SIGTERM, Ctrl-C or the end of the terminal, asks: take nothing new, hand back, exit 0. The second
//! one ends the process immediately; what it held is rescued when its lease runs out.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{exit::Exit, output, screen};

/// Cancelled by the first SIGTERM or Ctrl-C.
pub fn stop_on_signal() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // What runs under nohup stays.
    let mut hangup = if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
    let asked = stop.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
                _ = async { hangup.as_mut()?.recv().await }, if hangup.is_some() => {}
            }
        };
        next().await;
        asked.cancel();
        // A view ends with the first signal, and says so itself.
        if !screen::is_open() {
            output::remark("ferry: stopping; a second signal ends it immediately");
        }
        next().await;
        screen::restore();
        std::process::exit(i32::from(Exit::Interrupted as u8));
    });
    Ok(stop)
}

/// Whether whoever started this process has it ignore the end of the terminal, as Linux tells: the
/// mask of ignored signals in hexadecimal digits, SIGHUP in its lowest bit.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).map(str::trim);
    mask.and_then(|mask| u64::from_str_radix(mask, 16).ok()).is_none_or(|mask| mask & 1 == 1)
}
