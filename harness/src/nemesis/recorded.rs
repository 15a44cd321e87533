//! The file `schedule.jsonl`: what the nemesis decided, what that hit, and when; and a schedule read back, to be
//! carried out again.
//!
//! | `step` | a line for | fields |
//! |-|-|-|
//! | `begin` | a fault that is carried out | the decision (`lane`, `k`, `calm`, `fault`, `duration`, `roll`), `at_ns`, `targets`, and `leader`, if there was one |
//! | `skip` | a decision that found no target, and not later either | the decision, `at_ns` |
//! | `end` | a fault that is healed | `lane`, `k`, `at_ns` |
//!
//! Times are nanoseconds since the run began, as in the histories.
//!
//! Invariant: a lane's faults are carried out in the order of its lines, each as late as it was, on the nodes that it
//! hit. Which node leads differs from run to run, so nodes are the same up to who leads: where n2 led then and n3
//! leads now, the two have changed places.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::schedule::{Decision, Lane};
use super::target::Targets;

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum ScheduleLine {
    /// A fault is carried out.
    Begin(Scheduled),
    /// A decision found no target.
    Skip {
        /// What was decided.
        #[serde(flatten)]
        decision: Decision,
        /// When, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_ns: Option<u64>,
    },
    /// A fault is healed.
    End {
        /// Of which lane.
        lane: usize,
        /// Its place in the lane.
        k: u64,
        /// When.
        at_ns: u64,
    },
}

/// A fault that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// What was decided.
    #[serde(flatten)]
    pub decision: Decision,
    /// When its targets were chosen.
    pub at_ns: u64,
    /// The nodes and links that it hit.
    pub targets: Targets,
    /// Who led then, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<u64>,
}

/// Why a schedule cannot be carried out again.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// The file could not be read.
    #[error("{path}: {error}")]
    Io {
        /// File.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// A line is none of a schedule.
    #[error("{path}:{line}: {problem}")]
    Malformed {
        /// File.
        path: String,
        /// Line, from 1.
        line: usize,
        /// What was expected.
        problem: String,
    },
}

/// The faults of a run, in the order in which they began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    /// The faults.
    pub faults: Vec<Scheduled>,
}

impl Schedule {
    /// Reads the file at `path`. A last line that is not whole, of a run that was killed, is left out.
    ///
    /// # Errors
    /// When it cannot be read, or is not a schedule with targets and times.
    pub fn load(path: &Path) -> Result<Self, ScheduleError> {
        let name = || path.display().to_string();
        let text =
            std::fs::read_to_string(path).map_err(|error| ScheduleError::Io { path: name(), error })?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut faults = Vec::new();
        for (at, line) in whole.lines().enumerate() {
            let parsed = serde_json::from_str(line).map_err(|error| ScheduleError::Malformed {
                path: name(),
                line: at + 1,
                problem: format!("expected a step of a schedule, with targets and times: {error}"),
            })?;
            match parsed {
                ScheduleLine::Begin(scheduled) => faults.push(scheduled),
                ScheduleLine::Skip { .. } | ScheduleLine::End { .. } => {}
            }
        }
        faults.sort_by_key(|scheduled| scheduled.at_ns);
        Ok(Self { faults })
    }

    /// As the file has it.
    pub fn to_text(&self) -> String {
        let faults = self.faults.iter().cloned();
        faults
            .map(|scheduled| ScheduleLine::Begin(scheduled).to_text())
            .collect()
    }

    /// The faults of each lane, in order.
    pub fn lanes(&self) -> Vec<Vec<Scheduled>> {
        let mut lanes: BTreeMap<usize, Vec<Scheduled>> = BTreeMap::new();
        for scheduled in &self.faults {
            lanes
                .entry(scheduled.decision.lane)
                .or_default()
                .push(scheduled.clone());
        }
        lanes.into_values().collect()
    }
}

impl ScheduleLine {
    /// The line, with its end.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("a step has a JSON form") + "\n"
    }
}

impl Scheduled {
    /// The nodes and links that it has to hit in a cluster that `leader` leads.
    pub(crate) fn targets_under(&self, leader: Option<u64>) -> Targets {
        let swapped = |node: u64| match (self.leader, leader) {
            (Some(then), Some(now)) if node == then => now,
            (Some(then), Some(now)) if node == now => then,
            _ => node,
        };
        let Targets {
            nodes,
            links,
            impaired,
        } = &self.targets;
        Targets {
            nodes: nodes.iter().copied().map(swapped).collect(),
            links: links
                .iter()
                .map(|(from, to)| (swapped(*from), swapped(*to)))
                .collect(),
            impaired: impaired.iter().copied().map(swapped).collect(),
        }
    }

    /// The nodes that it names.
    pub fn nodes(&self) -> impl Iterator<Item = u64> {
        let links = self.targets.links.iter().flat_map(|(from, to)| [*from, *to]);
        self.targets.nodes.iter().copied().chain(links)
    }
}

/// What one lane of the nemesis carries out.
#[derive(Debug, Clone)]
pub enum Sequence {
    /// Decisions of a seed, without end.
    Drawn(Lane),
    /// Faults of an earlier run.
    Recorded(Vec<Scheduled>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{CutMode, FaultKind, Shape, Span, Target};

    fn scheduled(lane: usize, k: u64, at_ns: u64, fault: FaultKind, targets: Targets) -> Scheduled {
        Scheduled {
            decision: Decision {
                lane,
                k,
                calm: Span::from_millis(250),
                fault,
                duration: Span::from_millis(1500),
                roll: u64::MAX - 1,
            },
            at_ns,
            targets,
            leader: Some(2),
        }
    }

    fn faults() -> Vec<Scheduled> {
        let kill = Targets {
            nodes: vec![2],
            links: Vec::new(),
            impaired: vec![2],
        };
        let cut = Targets {
            nodes: Vec::new(),
            links: vec![(1, 2), (2, 1), (2, 3)],
            impaired: vec![2],
        };
        vec![
            scheduled(0, 0, 5, FaultKind::Kill(Target::Leader), kill),
            scheduled(
                1,
                0,
                7,
                FaultKind::Partition(Shape::IsolateLeader, CutMode::Drop),
                cut,
            ),
        ]
    }

    #[test]
    fn a_schedule_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schedule.jsonl");
        let schedule = Schedule { faults: faults() };
        let mut text = schedule.to_text();
        let decision = faults()[0].decision.clone();
        let at_ns = Some(9);
        text += &ScheduleLine::Skip { decision, at_ns }.to_text();
        let end = ScheduleLine::End {
            lane: 0,
            k: 0,
            at_ns: 11,
        };
        text += &end.to_text();
        // A line that was being written when the harness was killed.
        text += "{\"step\":\"beg";
        std::fs::write(&path, text).unwrap();
        let read = Schedule::load(&path).unwrap();
        assert_eq!(read, schedule);
        assert_eq!(read.lanes().len(), 2);
    }

    #[test]
    fn a_schedule_without_targets_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schedule.jsonl");
        let decision = serde_json::to_string(&faults()[0].decision).unwrap();
        std::fs::write(&path, format!("{decision}\n")).unwrap();
        let error = Schedule::load(&path).unwrap_err().to_string();
        assert!(
            error.contains("schedule.jsonl:1: ") && error.contains("step"),
            "{error}"
        );
    }

    #[test]
    fn the_leader_of_then_and_the_leader_of_now_change_places() {
        let [kill, cut] = <[Scheduled; 2]>::try_from(faults()).unwrap();
        assert_eq!(kill.targets_under(Some(3)).nodes, [3]);
        let moved = cut.targets_under(Some(3));
        assert_eq!(moved.links, [(1, 3), (3, 1), (3, 2)]);
        assert_eq!(moved.impaired, [3]);
        assert_eq!(cut.targets_under(Some(2)), cut.targets);
        assert_eq!(cut.targets_under(None), cut.targets);
    }
}
