//! Weak points 4.4.32 and 33: commands take no memory, and the cost of a suffix is that of the
//! suffix. Measured in bytes asked of the allocator, not in time.

#[path = "contract/kit/mod.rs"]
mod kit;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use kit::*;
use noraft::{LogEntries, LogPosition};

thread_local! {
    /// Bytes this thread holds, and bytes it has asked for so far.
    static HELD: Cell<i64> = const { Cell::new(0) };
    static ASKED: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

fn note(held: i64, asked: i64) {
    HELD.with(|count| count.set(count.get() + held));
    ASKED.with(|count| count.set(count.get() + asked));
}

fn size(layout: Layout) -> i64 {
    i64::try_from(layout.size()).unwrap_or(i64::MAX)
}

#[expect(
    unsafe_code,
    reason = "the allocator's interface is unsafe; each call goes to the system's unchanged"
)]
// SAFETY: every call is handed on to `System` with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(size(layout), size(layout));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(-size(layout), 0);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn held_by(work: impl FnOnce()) -> i64 {
    let before = HELD.get();
    work();
    HELD.get() - before
}

fn asked_by(work: impl FnOnce()) -> i64 {
    let before = ASKED.get();
    work();
    ASKED.get() - before
}

#[test]
fn point_33_commands_take_no_memory() {
    let mut node = leader();
    let held = held_by(|| {
        for _ in 0..100_000 {
            node.propose_command();
            node.actions_mut().for_each(drop);
        }
    });
    assert_eq!(held, 0);
}

#[test]
fn point_33_neither_proposing_nor_following_plain_commands_allocates() {
    let mut node = leader();
    assert_eq!(
        asked_by(|| (0..1000).for_each(|_| assert!(!node.propose_command().is_invalid()))),
        0
    );
    let mut run = LogEntries::new(LogPosition::ZERO);
    assert_eq!(asked_by(|| (0..1000).for_each(|_| run.push(C))), 0);
}

#[test]
fn point_32_a_short_suffix_of_a_log_with_many_terms_is_cheap() {
    let mut run = LogEntries::new(LogPosition::ZERO);
    (1..=100_000).for_each(|number| run.push(t(number)));
    let asked = asked_by(|| {
        let suffix = run.since(pos(99_990, 99_990)).expect("contained");
        assert_eq!(suffix.len(), 10);
    });
    assert!(asked < 1024, "{asked} bytes for ten entries");
}
