//! Pages of mapped files that cannot be read: the process ends with the file and the byte, not with a bare signal.
//!
//! The kernel answers a failed read through a map, or one beyond the end of a file that was cut short, with
//! SIGBUS. The handler finds the address among the maps that are there, says which byte of which file it is, and
//! ends the process.
//!
//! Invariant: the handler calls nothing that is not async-signal-safe: it reads atomics, formats into an array
//! on its stack, and calls write(2), signal(2) and _exit(2).

#![expect(
    unsafe_code,
    reason = "installing a signal handler, and what it may call; see SAFETY below"
)]

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::exit::Exit;

/// Makes SIGBUS end the process with a message that names file and byte.
pub fn name_lost_pages() {
    let flags = SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK;
    let action = SigAction::new(SigHandler::SigAction(on_sigbus), flags, SigSet::empty());
    // SAFETY: the handler is async-signal-safe, as the module says.
    let installed = unsafe { sigaction(Signal::SIGBUS, &action) };
    // SIGBUS exists on every Unix, and the handler is a valid one.
    installed.expect("a valid signal and handler");
}

/// The place of a map in the table; gives it back when dropped.
#[derive(Debug)]
pub(in crate::store) struct Mapped(Option<&'static Slot>);

/// Enters a map of the file `name`. When the table is full the map goes unnamed.
pub(in crate::store) fn enter(bytes: &[u8], name: &str) -> Mapped {
    let (start, end) = (bytes.as_ptr().addr(), bytes.as_ptr().addr() + bytes.len());
    let taken = |slot: &&Slot| {
        slot.start
            .compare_exchange(0, TAKEN, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    };
    let slot = SLOTS.iter().find(taken);
    if let Some(slot) = slot {
        for (at, to) in slot.name.iter().enumerate() {
            to.store(name.as_bytes().get(at).copied().unwrap_or(0), Ordering::Relaxed);
        }
        slot.end.store(end, Ordering::Relaxed);
        slot.start.store(start, Ordering::Release);
    }
    Mapped(slot)
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if let Some(slot) = self.0 {
            slot.start.store(0, Ordering::Release);
        }
    }
}

/// One map. It never moves and is never freed, so that the handler may look at it at any time.
#[derive(Debug)]
struct Slot {
    /// The first byte's address; 0 when free, [`TAKEN`] while it is filled in.
    start: AtomicUsize,
    end: AtomicUsize,
    /// Padded with zeros.
    name: [AtomicU8; NAME_BYTES],
}

static SLOTS: [Slot; SLOT_COUNT] = [const {
    Slot {
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        name: [const { AtomicU8::new(0) }; NAME_BYTES],
    }
}; SLOT_COUNT];

extern "C" fn on_sigbus(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel hands a valid siginfo to a handler that was installed with SA_SIGINFO, and fills in the
    // address for SIGBUS.
    let address = unsafe { (*info).si_addr() }.addr();
    let mut line = Line::default();
    for slot in &SLOTS {
        let start = slot.start.load(Ordering::Acquire);
        if start > TAKEN && (start..slot.end.load(Ordering::Relaxed)).contains(&address) {
            line.put(b"noraftd: ");
            for byte in &slot.name {
                match byte.load(Ordering::Relaxed) {
                    0 => break,
                    byte => line.put(&[byte]),
                }
            }
            line.put(b", byte ");
            line.put_number(address - start);
            line.put(b": the page cannot be read (SIGBUS): the disk failed, or the file was cut short\n");
            line.end();
        }
    }
    // SAFETY: signal(2) is async-signal-safe. The access is tried again and ends the process as it always did.
    unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
}

/// A line that is put together without allocating.
struct Line {
    bytes: [u8; LINE_BYTES],
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            bytes: [0; LINE_BYTES],
            length: 0,
        }
    }
}

impl Line {
    fn put(&mut self, text: &[u8]) {
        for byte in text {
            if let Some(to) = self.bytes.get_mut(self.length) {
                *to = *byte;
                self.length += 1;
            }
        }
    }

    fn put_number(&mut self, number: usize) {
        if number >= 10 {
            self.put_number(number / 10);
        }
        self.put(&[b'0' + (number % 10) as u8]);
    }

    fn end(&self) -> ! {
        // SAFETY: write(2) and _exit(2) are async-signal-safe, and the buffer holds that many bytes.
        unsafe {
            libc::write(libc::STDERR_FILENO, self.bytes.as_ptr().cast(), self.length);
            libc::_exit(Exit::Disk as libc::c_int)
        }
    }
}

/// Not an address: the first page is never mapped.
const TAKEN: usize = 1;
/// The longest names are those of segments that are being made.
const NAME_BYTES: usize = 40;
/// A map a segment that was read from: 64 GiB of log in segments of the usual size.
const SLOT_COUNT: usize = 1024;
const LINE_BYTES: usize = 192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_put_together_and_never_runs_over() {
        let mut line = Line::default();
        line.put(b"byte ");
        line.put_number(20480);
        line.put(b"/");
        line.put_number(0);
        assert_eq!(&line.bytes[..line.length], b"byte 20480/0");
        line.put(&[b'x'; 2 * LINE_BYTES]);
        assert_eq!(line.length, LINE_BYTES);
    }

    #[test]
    fn a_place_is_given_back() {
        let bytes = [0; 8];
        let first = enter(&bytes, "segment-1");
        let slot = first.0.unwrap();
        assert_eq!(slot.start.load(Ordering::Relaxed), bytes.as_ptr().addr());
        drop(first);
        assert_eq!(slot.start.load(Ordering::Relaxed), 0);
    }
}
