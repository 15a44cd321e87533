//! What a frontier reports: the order it found, or where it got stuck.

use super::checkpoint::Configuration;
use super::engine::Frontier;
use crate::checker::trail::Step;
use crate::checker::violation::{STUCK_STATES_MAX, Stuck};

impl<const W: usize> Frontier<'_, W> {
    pub(super) fn stuck(&self, i: u32, frontier: &[Configuration<W>]) -> Stuck {
        let id = |call: u32| self.task.calls[call as usize].id;
        let mut values: Vec<(u32, u32)> = frontier.iter().map(|one| (one.value, one.trail)).collect();
        values.sort_unstable();
        values.dedup_by_key(|(value, _)| *value);
        let mut after: Vec<Option<u32>> = values
            .iter()
            .map(|(_, trail)| self.trail.last_change(*trail).map(id))
            .collect();
        after.sort_unstable();
        after.reverse();
        after.truncate(STUCK_STATES_MAX);
        Stuck {
            op: id(i),
            after,
            states: values.len() as u32,
            core: None,
        }
    }

    pub(super) fn witness(&self) -> Vec<u32> {
        let last = self
            .frontier
            .first()
            .expect("a frontier that is not stuck has a configuration")
            .trail;
        let mut order = Vec::new();
        let (mut before, mut since) = (Vec::new(), Vec::new());
        for (call, step) in self.trail.back(last) {
            let id = self.task.calls[call as usize].id;
            match step {
                Step::Before => before.push(id),
                Step::Read | Step::Swap => since.push(id),
                Step::Change => {
                    order.append(&mut before);
                    order.append(&mut since);
                    since.push(id);
                }
            }
        }
        order.append(&mut before);
        order.append(&mut since);
        order
    }
}
