//! How far a hunt is, and how long the rest will take.

use nix::sys::resource::{UsageWho, getrusage};

/// What is done of what there is to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Progress {
    /// Plans of the unmutated daemon, and bugs in each of their worlds.
    pub(super) done: usize,
    /// Of how many.
    pub(super) all: usize,
    /// What the processors spent before.
    begun_at: f64,
}

impl Progress {
    pub(super) fn new(all: usize) -> Self {
        Self {
            done: 0,
            all,
            begun_at: cpu_seconds_of_children(),
        }
    }

    /// Another one is done: a line for a person.
    pub(super) fn step(&mut self) -> String {
        self.done += 1;
        self.words(cpu_seconds_of_children() - self.begun_at)
    }

    /// The rest is taken to cost as much for each as what is done.
    fn words(&self, spent: f64) -> String {
        let (done, all) = (self.done, self.all);
        let more = spent / done.max(1) as f64 * all.saturating_sub(done) as f64;
        format!("{done}/{all}, {spent:.0} CPU s, about {more:.0} more")
    }
}

/// Builds and hunts are other processes, which have ended.
fn cpu_seconds_of_children() -> f64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0.0, |usage| {
        [usage.user_time(), usage.system_time()]
            .iter()
            .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
            .sum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_costs_what_each_cost_so_far() {
        let progress = |done| Progress {
            done,
            all: 20,
            begun_at: 0.0,
        };
        assert_eq!(progress(5).words(100.0), "5/20, 100 CPU s, about 300 more");
        assert_eq!(progress(20).words(400.0), "20/20, 400 CPU s, about 0 more");
        assert_eq!(progress(0).words(0.0), "0/20, 0 CPU s, about 0 more");
    }
}
