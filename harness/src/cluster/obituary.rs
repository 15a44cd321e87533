//! How a process ended: by itself, or because it was asked to.
//!
//! Invariant: a process that ends without having been condemned, and not in a way that is tolerated, is a [`Crash`].

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::Signal;
use tokio::process::Child;
use tokio::sync::watch;

use super::life::Life;

/// A process that ended without having been asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crash {
    /// Its exit code or signal, in words.
    pub how: String,
    /// Whether it was its own doing: an abort, a fault, a panic. Others may have sent SIGKILL.
    pub own_fault: bool,
    /// The last lines of its log.
    pub last_words: Vec<String>,
}

/// Waits for a child's end and says what it was.
pub(super) struct Obituary {
    pub(super) life: watch::Sender<Life>,
    pub(super) crashes: Arc<Mutex<Vec<Crash>>>,
    pub(super) ended: Arc<Mutex<Option<ExitStatus>>>,
    /// Exit codes that are no crash at the moment.
    pub(super) tolerated: Arc<Mutex<[&'static [i32]; 2]>>,
    pub(super) log: PathBuf,
}

impl Obituary {
    pub(super) async fn wait(self, mut child: Child) {
        let ended = child.wait().await;
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = ended.as_ref().ok().copied();
        let condemned = matches!(*self.life.borrow(), Life::Up { condemned: true, .. });
        let tolerated = *self.tolerated.lock().unwrap_or_else(PoisonError::into_inner);
        let code = ended.as_ref().ok().and_then(code_of);
        let is_tolerated = |code| tolerated.iter().any(|codes| codes.contains(&code));
        if condemned || code.is_some_and(is_tolerated) {
            self.life.send_replace(Life::Down);
            return;
        }
        let last_words = last_lines(&self.log, LAST_WORDS_MAX);
        let crash = Crash {
            how: ended.as_ref().map_or_else(ToString::to_string, describe),
            own_fault: ended
                .as_ref()
                .is_ok_and(|status| is_own_fault(*status, &last_words)),
            last_words,
        };
        self.crashes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(crash);
        self.life.send_replace(Life::Crashed);
    }
}

/// Its exit code; that of a process which a signal ended is as shells give it.
pub(super) fn code_of(status: &ExitStatus) -> Option<i32> {
    let by_signal = || status.signal().map(|signal| SIGNALLED + signal);
    status.code().or_else(by_signal)
}

pub(super) fn describe(status: &ExitStatus) -> String {
    match (status.code(), status.signal().map(Signal::try_from)) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(Ok(signal))) => format!("was ended by {signal}"),
        (None, Some(Err(_)) | None) => format!("ended: {status}"),
    }
}

pub(super) fn is_own_fault(status: ExitStatus, last_words: &[String]) -> bool {
    let faults = [
        Signal::SIGABRT,
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGILL,
        Signal::SIGFPE,
    ];
    let faulted = status
        .signal()
        .is_some_and(|signal| faults.iter().any(|fault| *fault as i32 == signal));
    let confessed = status.code() == Some(EXIT_SOFTWARE);
    faulted || confessed || last_words.iter().any(|line| line.contains("panicked at"))
}

/// The last lines of a file; empty when it cannot be read.
pub fn last_lines(path: &Path, lines_max: usize) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let tail = bytes
        .get(bytes.len().saturating_sub(LOG_TAIL_BYTES)..)
        .unwrap_or_default();
    let text = String::from_utf8_lossy(tail);
    let lines: Vec<&str> = text.lines().collect();
    lines
        .iter()
        .skip(lines.len().saturating_sub(lines_max))
        .map(|line| (*line).to_owned())
        .collect()
}

/// "The program itself is wrong" (sysexits(3)).
const EXIT_SOFTWARE: i32 = 70;

/// Enough for a panic message and what led to it.
pub(super) const LAST_WORDS_MAX: usize = 12;

const LOG_TAIL_BYTES: usize = 64 << 10;

/// Shells add this to the number of the signal that ended a process.
pub const SIGNALLED: i32 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(raw: i32, last_words: &[&str]) -> (String, bool) {
        let status = ExitStatus::from_raw(raw);
        let words: Vec<String> = last_words.iter().map(|line| (*line).to_owned()).collect();
        (describe(&status), is_own_fault(status, &words))
    }

    #[test]
    fn a_panic_an_abort_and_a_confession_are_its_own_fault() {
        assert_eq!(
            ended(101 << 8, &["thread panicked at x.rs"]),
            ("exited with code 101".into(), true)
        );
        assert_eq!(ended(70 << 8, &[]), ("exited with code 70".into(), true));
        assert_eq!(
            ended(Signal::SIGABRT as i32, &[]),
            ("was ended by SIGABRT".into(), true)
        );
    }

    #[test]
    fn what_others_may_have_done_is_not() {
        assert_eq!(
            ended(Signal::SIGKILL as i32, &[]),
            ("was ended by SIGKILL".into(), false)
        );
        assert_eq!(
            ended(74 << 8, &["the disk failed"]),
            ("exited with code 74".into(), false)
        );
    }

    #[test]
    fn the_last_lines_are_the_last() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "1\n2\n3\n").unwrap();
        assert_eq!(last_lines(file.path(), 2), ["2", "3"]);
        assert_eq!(last_lines(Path::new("/nowhere"), 2), [""; 0]);
    }
}
