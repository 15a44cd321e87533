//! Signals to the process: SIGTERM and SIGINT to stop, SIGHUP to read its secrets and certificates again, SIGUSR1 to write its
//! status to the log, SIGUSR2 to clear alarms that are over.
//!
//! Invariant: the first signal to stop stops the node in order; a second one ends it at once. The others never end it.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that this process takes.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    user: Signal,
    second_user: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Stop; the signal's name.
    Stop(&'static str),
    /// Read again what may change while the node serves.
    Reload,
    /// Write the status to the log.
    Report,
    /// Take alarms that are over off the list.
    ClearAlarms,
}

impl Signals {
    /// Takes the signals over.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
            second_user: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Wish {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Wish::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Wish::Stop("SIGINT"),
            _ = self.hang_up.recv() => Wish::Reload,
            _ = self.user.recv() => Wish::Report,
            _ = self.second_user.recv() => Wish::ClearAlarms,
        }
    }

    /// Waits for the next one that means to stop, and names it.
    pub(super) async fn stop(&mut self) -> &'static str {
        loop {
            match self.next().await {
                Wish::Stop(name) => return name,
                Wish::Reload | Wish::Report | Wish::ClearAlarms => {}
            }
        }
    }
}
