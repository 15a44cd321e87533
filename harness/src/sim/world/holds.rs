//! What is held back for a while: what a disk has done that does not answer, and what clients would begin that rest.
//!
//! Invariant: what is held comes when the hold ends, in its order; what belongs to a process that is gone by then is dropped.

use super::World;
use crate::sim::journal::happening::{DiskHappening, Happening};
use crate::sim::parts::MILLI;
use crate::sim::parts::event::{ClientEvent, Event, NodeEvent, RunEvent};
use crate::sim::parts::phase::Phase;
use crate::workload::Part;

impl World {
    /// The disk takes what it is given, and answers when the fault ends; the rest of the node goes on.
    pub(super) fn stall(&mut self, at: usize) -> Option<String> {
        self.nodes[at].stalled.get_or_insert_default();
        self.journal.note(
            self.queue.now(),
            Happening::Disk(DiskHappening::Stalls { node: at }),
        );
        None
    }

    /// The disk answers again; says how often it did not, if it was asked at all.
    pub(super) fn end_stall(&mut self, at: usize) -> Option<String> {
        let held = self.nodes[at].stalled.take()?;
        let said = format!("the disk of n{} kept {} answers back", at + 1, held.len());
        let is_felt = !held.is_empty();
        for event in held {
            self.queue.after(0, event);
        }
        is_felt.then_some(said)
    }

    /// Keeps what a disk has done, or read, while it does not answer.
    pub(super) fn hold_by_disk(&mut self, event: Event) -> Option<Event> {
        let Event::Node {
            node,
            life,
            event:
                NodeEvent::DiskDone
                | NodeEvent::DiskRetry
                | NodeEvent::SnapshotDone
                | NodeEvent::VoteDone
                | NodeEvent::FetchDone { .. }
                | NodeEvent::SnapshotRead { .. },
        } = event
        else {
            return Some(event);
        };
        let lives = self.lives(node, life);
        match self.nodes[node].stalled.as_mut() {
            Some(held) if lives => {
                held.push(event);
                None
            }
            Some(_) | None => Some(event),
        }
    }

    /// Clients ask for nothing new; with every other `roll` those go on that only read.
    pub(super) fn begin_rest(&mut self, roll: u64) {
        let rest = &mut self.clients.rest;
        rest.lanes += 1;
        rest.reading_lanes += usize::from(lets_read(roll));
    }

    /// Keeps what clients would begin while they rest.
    pub(super) fn hold_by_rest(&mut self, event: Event) -> Option<Event> {
        let rest = &self.clients.rest;
        if rest.lanes == 0 || self.progress.phase != Phase::Disturbed {
            return Some(event);
        }
        let rests = match &event {
            Event::Client {
                client,
                event: ClientEvent::Next { .. },
            } => rest.lanes > rest.reading_lanes || self.clients.list[*client].part != Part::Reader,
            Event::Run(RunEvent::Burst { .. } | RunEvent::Commands { .. }) => true,
            Event::Client { .. }
            | Event::Node { .. }
            | Event::Link { .. }
            | Event::Lane { .. }
            | Event::Run(_) => false,
        };
        if !rests {
            return Some(event);
        }
        self.clients.rest.held.push(event);
        None
    }

    /// A lane lets the clients go on; once all do, they begin one after the other. Says what was held.
    pub(super) fn end_rest(&mut self, roll: u64) -> Option<String> {
        let rest = &mut self.clients.rest;
        rest.lanes -= 1;
        rest.reading_lanes -= usize::from(lets_read(roll));
        let count = rest.held.len();
        if rest.lanes == 0 {
            for event in std::mem::take(&mut rest.held) {
                let soon = self.nemesis.prng.below(GO_ON_WITHIN);
                self.queue.after(soon, event);
            }
        }
        (count > 0).then(|| format!("{count} clients rested"))
    }
}

fn lets_read(roll: u64) -> bool {
    roll.is_multiple_of(2)
}

/// Clients do not come back all at once.
const GO_ON_WITHIN: u64 = 5 * MILLI;
