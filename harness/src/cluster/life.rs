//! Whether a process runs.

/// What a process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Not started, or killed by us.
    Down,
    /// Running, or stopped by SIGSTOP.
    Up {
        /// The process id.
        pid: i32,
        /// Whether we have asked for its end.
        condemned: bool,
    },
    /// Ended by itself.
    Crashed,
}
