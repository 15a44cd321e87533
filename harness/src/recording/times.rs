//! Times of a history's events, at half the memory.
//!
//! Invariant: runs of `RUN` events share a base; each event keeps its distance from it in units of
//! two to the power of the run's shift nanoseconds. A run of up to four seconds is exact; a longer one
//! loses less than a billionth of its length, which no explanation shows.

/// Times in nanoseconds, by event.
#[derive(Clone, Debug, Default)]
pub struct Times {
    distances: Vec<u32>,
    runs: Vec<Run>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    base: u64,
    shift: u32,
}

/// Events in a run.
const RUN: usize = 64;

impl Times {
    /// Bytes for each event, rounded up.
    pub(crate) const BYTES_EACH: usize = size_of::<u32>() + size_of::<Run>() / RUN + 1;

    /// Adds the time of the next event. Time does not go back: an earlier one counts as the same.
    pub fn push(&mut self, time_ns: u64) {
        let at = self.distances.len();
        if at.is_multiple_of(RUN) {
            self.runs.push(Run {
                base: time_ns,
                shift: 0,
            });
        }
        let Some(run) = self.runs.last_mut() else {
            return;
        };
        let distance = time_ns.saturating_sub(run.base);
        while distance >> run.shift > u64::from(u32::MAX) {
            run.shift += 1;
            let start = at - at % RUN;
            self.distances[start..]
                .iter_mut()
                .for_each(|distance| *distance >>= 1);
        }
        self.distances.push((distance >> run.shift) as u32);
    }

    /// The time of event number `at`.
    pub fn get(&self, at: usize) -> Option<u64> {
        let run = self.runs.get(at / RUN)?;
        let distance = u64::from(*self.distances.get(at)?);
        Some(run.base + (distance << run.shift))
    }

    /// The time of the last event.
    pub fn last(&self) -> Option<u64> {
        self.get(self.len().checked_sub(1)?)
    }

    /// Events with a time.
    pub fn len(&self) -> usize {
        self.distances.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.distances.is_empty()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.distances.capacity()
    }

    pub(crate) fn reserve_exact(&mut self, more: usize) {
        self.distances.reserve_exact(more);
        self.runs.reserve_exact(more / RUN + 1);
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.distances.shrink_to_fit();
        self.runs.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back() {
        let given: Vec<u64> = (0..200).map(|i| 10 + i * 7_000_000).collect();
        let mut times = Times::default();
        given.iter().for_each(|time| times.push(*time));
        let back: Vec<u64> = (0..times.len()).filter_map(|at| times.get(at)).collect();
        assert_eq!(back, given);
        assert_eq!((times.last(), times.get(200)), (given.last().copied(), None));
    }

    #[test]
    fn hours_within_a_run_come_back_to_the_microsecond() {
        let hour = 3_600_000_000_000;
        let mut times = Times::default();
        (0..3).for_each(|i| times.push(i * hour));
        for i in 0..3 {
            let back = times.get(i as usize).unwrap();
            assert!(back.abs_diff(i * hour) < 4000, "{back}");
        }
    }
}
