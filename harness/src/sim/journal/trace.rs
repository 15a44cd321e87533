//! The trace of a run: a hash of everything that happened, and, where lines are wanted, a line an event.
//!
//! Invariant: whether lines are kept changes nothing else: a run that fails is run again for its report.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::io::Write;

use super::happening::Happening;

/// What becomes of the lines.
pub enum Lines {
    /// They are not read, so they are not made.
    None,
    /// The last so many are kept.
    Last(usize),
    /// All are written.
    To(Box<dyn Write>),
}

/// A trace in the making.
pub(crate) struct Trace {
    hash: TraceHash,
    events: u64,
    lines: Lines,
    last: VecDeque<String>,
}

impl Trace {
    pub(crate) fn new(lines: Lines) -> Self {
        Self {
            hash: TraceHash(SEED),
            events: 0,
            lines,
            last: VecDeque::new(),
        }
    }

    /// Adds what has happened: its numbers to the hash, its words to the lines.
    pub(crate) fn note(&mut self, now: u64, happening: &Happening<'_>) {
        self.events += 1;
        self.hash.write_u64(now);
        happening.hash(&mut self.hash);
        let (lines, last) = (&mut self.lines, &mut self.last);
        match lines {
            Lines::None => {}
            Lines::Last(count) => {
                if last.len() == *count {
                    last.pop_front();
                }
                last.push_back(line(now, happening));
            }
            // Who closed the pipe has read enough.
            Lines::To(out) => drop(writeln!(out, "{}", line(now, happening))),
        }
    }

    /// The hash of everything so far.
    pub(crate) fn hash(&self) -> u64 {
        self.hash.finish()
    }

    /// Events so far.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// The lines that were kept.
    pub(crate) fn last(self) -> Vec<String> {
        self.last.into()
    }
}

/// A hash in which every bit of a number reaches every bit.
struct TraceHash(u64);

impl Hasher for TraceHash {
    /// One step of SplitMix64's finaliser.
    fn write_u64(&mut self, number: u64) {
        let mut z = (self.0 ^ number).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z ^= z >> 31;
        self.0 = z.wrapping_mul(0x94d0_49bb_1331_11eb).rotate_left(17);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn line(now: u64, happening: &Happening<'_>) -> String {
    format!("{:>12.6}  {happening}", now as f64 / 1e9)
}

const SEED: u64 = 0x7472_6163_6500_0001;
