//! Memory that the system does not give: the process ends with a message and an exit code of its own.
//!
//! The state of a node is in memory, and no part of it can be done without: an allocation that fails is the end. Without
//! this it would be an abort (SIGABRT), which looks like a bug. Nothing is lost: what was acknowledged is durable.
//!
//! Invariant: after a failure nothing is allocated any more; only write(2) and _exit(2) are called.

#![expect(unsafe_code, reason = "an allocator is unsafe to implement; see SAFETY below")]

use std::alloc::{GlobalAlloc, Layout, System};

use nix::libc;

use crate::exit::Exit;

/// The system's allocator; where it has nothing to give, the process ends with [`Exit::System`].
#[derive(Debug)]
pub struct OrExit;

// SAFETY: every call goes to the system's allocator as it is; what it gives is handed on, unless it is null, which
// does not return.
unsafe impl GlobalAlloc for OrExit {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of this method, which is that of the other.
        or_exit(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        or_exit(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: as above.
        or_exit(unsafe { System.realloc(old, layout, bytes) })
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

fn or_exit(given: *mut u8) -> *mut u8 {
    if given.is_null() {
        end();
    }
    given
}

#[cold]
fn end() -> ! {
    // SAFETY: both are async-signal-safe and take a buffer that is there for good; `_exit` does not return. Whether the
    // message can be written makes no difference.
    unsafe {
        libc::write(libc::STDERR_FILENO, LAST_WORDS.as_ptr().cast(), LAST_WORDS.len());
        libc::_exit(i32::from(Exit::System as u8))
    }
}

const LAST_WORDS: &str = "noraftd: the system gives no more memory (ulimit -v, a cgroup, or the machine has none): the state of a \
                          node is in memory, so it ends; everything that it acknowledged is on its disk\n";
