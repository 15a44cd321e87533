//! What is said of this node to those who watch: how long requests take by command, its metrics, and whether it is ready.
//!
//! Invariant: watching changes nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::Clients;
use crate::histogram::Histogram;
use crate::local::facts::ClientFacts;
use crate::local::figures::{FollowerFigures, ProcessFigures, RunningFigures, Scrape};
use crate::local::metrics::render;
use crate::local::readiness::{Condition, Running, checks, is_ready};
use crate::protocol::command::table::CommandSpec;
use crate::replica::event::{Divergence, Status};
use crate::shell::clock;

/// How long requests take, by command: those that the replica answers.
#[derive(Debug, Default)]
pub(super) struct CommandDurations(RefCell<BTreeMap<&'static str, Rc<Histogram>>>);

impl CommandDurations {
    /// A request with this command took so long.
    pub(super) fn note(&self, command: &'static str, took: Duration) {
        self.0.borrow_mut().entry(command).or_default().observe(took);
    }

    fn all(&self) -> Vec<(&'static str, Rc<Histogram>)> {
        let all = self.0.borrow();
        all.iter()
            .map(|(name, histogram)| (*name, Rc::clone(histogram)))
            .collect()
    }
}

/// The name of a command as metrics have it: one that the table has, so that clients cannot invent labels.
pub(super) fn name_of(args: &[Bytes]) -> &'static str {
    let spec = args.first().and_then(|name| CommandSpec::find(name));
    spec.map_or(OTHER, |spec| spec.name)
}

impl Clients {
    /// What decides whether requests should be sent here.
    pub(in crate::shell) fn condition(&self) -> Condition {
        Condition::Running(self.running(&self.node.replica.borrow().status()))
    }

    fn running(&self, status: &Status) -> Running {
        let (node, log) = (&self.node, &status.log);
        let replica = node.replica.borrow();
        Running {
            withdrawn: self.withdrawn(status),
            leader: status.leader.map(|id| id.get()),
            is_full: node.figures.is_full(),
            in_flight: node.figures.in_flight(clock::now()),
            is_disk_slow: status.elections.disk_too_slow,
            election_timeout: node.config.time.election_timeout,
            lag_entries: log.commit_index.get().saturating_sub(log.applied_index.get()),
            clock_offset_ms: replica.clock_offset_ms(clock::wall()),
        }
    }

    /// Why requests are not taken here, if they are not.
    fn withdrawn(&self, status: &Status) -> Option<&'static str> {
        if self.node.observed.is_leaving.get() {
            return Some("the node stops");
        }
        match status.damage.divergence {
            Some(Divergence::Here { .. } | Divergence::Undecided { .. }) => {
                Some("the nodes hold different things, and this one serves no client")
            }
            Some(Divergence::Elsewhere { .. }) | None => None,
        }
    }

    /// What `/metrics` says.
    pub(in crate::shell) fn metrics(&self, process: &ProcessFigures) -> String {
        let node = &self.node;
        let report = node.report(self.counts());
        let replica = node.replica.borrow();
        let status = replica.status();
        let running = self.running(&status);
        let (commands, counts) = (self.commands.all(), self.counts());
        let (clock_offset_ms, is_ready) = (
            running.clock_offset_ms,
            is_ready(&checks(&Condition::Running(running))),
        );
        render(&Scrape {
            report: &report,
            process,
            running: Some(RunningFigures {
                counts: replica.counts(),
                loops: &node.observed.loops,
                disk: [&node.figures.syncs, &node.figures.waits],
                commands: commands
                    .iter()
                    .map(|(name, histogram)| (*name, &**histogram))
                    .collect(),
                clients: ClientFacts {
                    connected: counts.connected,
                    most: node.clients_max,
                    accepted: counts.accepted,
                    answered: counts.answered,
                },
                buffers: [&self.input, &self.output, &self.kept].map(|budget| budget.used() as u64),
                keys: (
                    replica.machine().key_count() as u64,
                    replica.machine().expiring_count() as u64,
                ),
                clock_offset_ms,
                alarms: node.observed.alarms.borrow().figures(),
                is_ready,
                followers: followers(&status),
                resent: replica
                    .resent()
                    .into_iter()
                    .map(|(id, count)| (id.get(), count))
                    .collect(),
                sent: node.peers.sent(),
            }),
        })
    }
}

/// What a leader knows of the others.
fn followers(status: &Status) -> Vec<FollowerFigures> {
    let last = status.log.last_position.index.get();
    let known = status
        .followers
        .match_indexes
        .iter()
        .filter(|_| status.role.is_leader());
    let figures = known.map(|(id, index)| FollowerFigures {
        id: id.get(),
        lag_entries: last.saturating_sub(index.get()),
        is_heard: status.followers.heard.contains(id),
    });
    figures.collect()
}

/// What commands are called that the table does not have: the project's own, and mistakes.
const OTHER: &str = "other";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_the_name_of_its_row_and_clients_invent_none() {
        let name = |word: &str| name_of(&[Bytes::copy_from_slice(word.as_bytes())]);
        assert_eq!(
            [name("GeT"), name("set"), name("NORAFT.INDEX"), name("get\"}")],
            ["get", "set", OTHER, OTHER]
        );
        assert_eq!(name_of(&[]), OTHER);
    }
}
