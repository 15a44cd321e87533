//! A hard limit on what a check may use; going over it is an answer (`unknown`), never a crash.
//!
//! Invariant: what is held is charged before it grows. All parts of one check share one budget, so
//! parallel parts cannot exceed it together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Memory.
    Memory,
    /// Steps of a search.
    Steps,
    /// Time, or the caller lost interest.
    Cancelled,
}

impl Limit {
    /// What ran out, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "the memory budget",
            Self::Steps => "the step budget",
            Self::Cancelled => "the time budget",
        }
    }
}

/// Memory, steps, and a way to stop; clones share the memory and the stop.
#[derive(Clone, Debug)]
pub struct Budget {
    shared: Arc<Shared>,
    memory_bytes_max: u64,
    steps_max: u64,
}

#[derive(Debug, Default)]
struct Shared {
    held_bytes: AtomicU64,
    cancelled: AtomicBool,
}

/// Memory a check may hold by default.
pub const MEMORY_BYTES_DEFAULT: u64 = 2 << 30;
/// Steps a search may take by default.
pub const STEPS_DEFAULT: u64 = 2_000_000_000;

impl Default for Budget {
    fn default() -> Self {
        Self::new(MEMORY_BYTES_DEFAULT, STEPS_DEFAULT)
    }
}

impl Budget {
    /// A budget of `memory_bytes_max` for all parts together, and `steps_max` for each search.
    pub fn new(memory_bytes_max: u64, steps_max: u64) -> Self {
        Self {
            shared: Arc::default(),
            memory_bytes_max,
            steps_max,
        }
    }

    /// The same memory and stop, with `steps_max` steps.
    #[must_use]
    pub fn with_steps(&self, steps_max: u64) -> Self {
        Self {
            steps_max,
            ..self.clone()
        }
    }

    /// Steps a search may take.
    pub fn steps_max(&self) -> u64 {
        self.steps_max
    }

    /// Makes every part stop soon, with [`Limit::Cancelled`].
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::Relaxed);
    }

    /// Fails once cancelled.
    ///
    /// # Errors
    /// [`Limit::Cancelled`].
    pub fn check_cancelled(&self) -> Result<(), Limit> {
        if self.shared.cancelled.load(Ordering::Relaxed) {
            Err(Limit::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Starts to account for one part.
    pub(crate) fn meter(&self) -> Meter {
        Meter {
            budget: self.clone(),
            held_bytes: 0,
            steps: 0,
        }
    }
}

/// Accounts for one part; gives everything back when dropped.
#[derive(Debug)]
pub(crate) struct Meter {
    budget: Budget,
    held_bytes: u64,
    steps: u64,
}

/// How often a long step looks at the cancel flag and its memory.
pub(crate) const STEPS_PER_LOOK: u64 = 1024;

impl Meter {
    /// Declares that this part now holds `bytes` in all.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), Limit> {
        let bytes = bytes as u64;
        let shared = &self.budget.shared.held_bytes;
        if bytes <= self.held_bytes {
            shared.fetch_sub(self.held_bytes - bytes, Ordering::Relaxed);
            self.held_bytes = bytes;
            return Ok(());
        }
        let more = bytes - self.held_bytes;
        let before = shared.fetch_add(more, Ordering::Relaxed);
        self.held_bytes = bytes;
        if before + more > self.budget.memory_bytes_max {
            Err(Limit::Memory)
        } else {
            Ok(())
        }
    }

    /// Counts a step; true when it is time to look at memory with [`Meter::hold`].
    #[inline]
    pub(crate) fn step(&mut self) -> Result<bool, Limit> {
        self.steps += 1;
        if !self.steps.is_multiple_of(STEPS_PER_LOOK) {
            return Ok(false);
        }
        self.budget.check_cancelled()?;
        if self.steps > self.budget.steps_max {
            Err(Limit::Steps)
        } else {
            Ok(true)
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.budget
            .shared
            .held_bytes
            .fetch_sub(self.held_bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_the_memory_and_give_it_back() {
        let budget = Budget::new(100, u64::MAX);
        let mut one = budget.meter();
        assert_eq!(one.hold(60), Ok(()));
        let mut two = budget.meter();
        assert_eq!(two.hold(60), Err(Limit::Memory));
        drop(two);
        assert_eq!(one.hold(100), Ok(()));
        assert_eq!(one.hold(10), Ok(()));
        assert_eq!(budget.meter().hold(90), Ok(()));
    }

    #[test]
    fn cancelling_reaches_every_clone() {
        let budget = Budget::default();
        budget.clone().cancel();
        let mut meter = budget.meter();
        let stopped = (0..=STEPS_PER_LOOK).find_map(|_| meter.step().err());
        assert_eq!(stopped, Some(Limit::Cancelled));
    }
}
