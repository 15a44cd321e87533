//! The line that shows a person, every second, how the run goes.
//!
//! Invariant: it only looks; nothing waits for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::cluster::Cluster;
use crate::nemesis::Nemesis;
use crate::recorder::Recorder;
use crate::results::Counts;

/// Shows a line a second until it is dropped.
pub(super) async fn show(
    recorder: Arc<Recorder>,
    cluster: Arc<Cluster>,
    nemesis: Arc<Nemesis>,
    mut print: impl FnMut(String),
) {
    let mut ticks = interval(SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks.tick().await;
    let mut before = (recorder.counts(), recorder.elapsed());
    loop {
        ticks.tick().await;
        let leader = cluster.leader().await;
        let now = (recorder.counts(), recorder.elapsed());
        let figures = Figures {
            at: now.1,
            passed: now.1.saturating_sub(before.1),
            before: before.0,
            now: now.0,
            leader,
            faults: nemesis.tally(),
            in_force: nemesis.in_force(),
        };
        print(figures.line());
        before = now;
    }
}

struct Figures {
    at: Duration,
    passed: Duration,
    before: Counts,
    now: Counts,
    leader: Option<u64>,
    /// How many are over, and how many of them had an effect.
    faults: (usize, usize),
    in_force: Vec<String>,
}

impl Figures {
    fn line(&self) -> String {
        let seconds = self.passed.as_secs_f64().max(f64::EPSILON);
        let rate = |now: u64, before: u64| (now - before) as f64 / seconds;
        let errors = |counts: &Counts| counts.fail + counts.info;
        let leader = self
            .leader
            .map_or_else(|| "none".to_owned(), |id| format!("n{id}"));
        let faults = if self.in_force.is_empty() {
            "none".to_owned()
        } else {
            self.in_force.join(", ")
        };
        format!(
            "{:>4.0}s {:>6.0} op/s {:>5.0} errors/s | ok {} fail {} unknown {} | leader {leader} | \
             {} faults, {} with an effect | in force: {faults}",
            self.at.as_secs_f64(),
            rate(self.now.ok, self.before.ok),
            rate(errors(&self.now), errors(&self.before)),
            self.now.ok,
            self.now.fail,
            self.now.info,
            self.faults.0,
            self.faults.1,
        )
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_rates_totals_leader_and_faults() {
        let figures = Figures {
            at: Duration::from_secs(12),
            passed: Duration::from_secs(2),
            before: Counts {
                invoked: 0,
                ok: 1000,
                fail: 1,
                info: 0,
            },
            now: Counts {
                invoked: 0,
                ok: 3000,
                fail: 4,
                info: 1,
            },
            leader: Some(2),
            faults: (3, 3),
            in_force: vec!["kill-one(n1)".into()],
        };
        assert_eq!(
            figures.line(),
            "  12s   1000 op/s     2 errors/s | ok 3000 fail 4 unknown 1 | leader n2 | 3 faults, 3 with an effect | \
             in force: kill-one(n1)"
        );
    }
}
