//! Limits of the system that would end the process with a bare signal.

#![expect(unsafe_code, reason = "changing what a signal does; see SAFETY below")]

use nix::sys::signal::{SigHandler, Signal, signal};

/// Makes a write beyond the limit of a file's size (`ulimit -f`) an error, EFBIG, and not the end of the process by
/// SIGXFSZ: it is handled like a full disk, by name.
pub fn take_file_limits_as_errors() {
    // SAFETY: no handler is installed, and nothing relied on the one before.
    let ignored = unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) };
    // SIGXFSZ exists on every Unix, and may be ignored.
    ignored.expect("a valid signal");
}
