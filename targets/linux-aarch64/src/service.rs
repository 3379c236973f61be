//! The service manager: readiness, the watchdog, and the signal to end.

use std::fmt::Arguments;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sd_notify::NotifyState;

/// Set when the daemon is asked to end (SIGTERM, SIGINT).
pub(crate) fn stop_flag() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        // The second signal ends the process at once.
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// Tells systemd that the outputs are up. Without systemd, nothing happens.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Tells systemd that the daemon ends.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Feeds the watchdog of the unit as long as the fusion loop turns. A sensor that hangs does not starve it.
pub(crate) struct Watchdog {
    on: bool,
}

impl Watchdog {
    /// On if the unit sets `WatchdogSec`.
    pub(crate) fn new() -> Self {
        Self { on: sd_notify::watchdog_enabled().is_some() }
    }

    /// The loop has turned; `status` is what `systemctl status` shows.
    pub(crate) fn alive(&mut self, status: Arguments<'_>) {
        if self.on {
            notify(&[NotifyState::Watchdog, NotifyState::Status(&status.to_string())]);
        }
    }
}

fn notify(states: &[NotifyState<'_>]) {
    // Where nobody listens, nobody needs to know.
    let _ = sd_notify::notify(states);
}
