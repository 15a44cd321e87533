//! What reads bytes from outside, each as a function of arbitrary bytes that must not panic.
//!
//! Each target also states what has to hold for the input, by an assertion. `make fuzz TARGET=resp` searches for
//! inputs; those that reach new code are kept in `corpus/TARGET`, and `make test` replays them.
//!
//! A checksum would stop nearly every input at the first gate. So where a format has checksums, the first byte of an
//! input says whether they are made right before the bytes are used.

mod frames;
mod histories;
mod plans;
mod resp;
mod segments;
mod snapshots;
mod sums;

/// A way to use arbitrary bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of the folder with its inputs.
    pub name: &'static str,
    /// Panics when a promise is broken.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 6] = [
    Target {
        name: "frames",
        run: frames::run,
    },
    Target {
        name: "histories",
        run: histories::run,
    },
    Target {
        name: "plans",
        run: plans::run,
    },
    Target {
        name: "resp",
        run: resp::run,
    },
    Target {
        name: "segments",
        run: segments::run,
    },
    Target {
        name: "snapshots",
        run: snapshots::run,
    },
];

/// The target with this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
