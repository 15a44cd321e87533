//! What arrives although its connection is gone, what rots before it is sent, and numbers that are nearly those of before.
//!
//! Invariant: only where the plan asks for it; else nothing more is drawn.

use bytes::BytesMut;
use noraftd::prng::Prng;
use noraftd::protocol::peer::{Features, Lane, PeerError, PeerFrame, PeerMessage};

use super::World;
use crate::sim::journal::happening::{Happening, LinkHappening};
use crate::sim::parts::MILLI;
use crate::sim::parts::crossing::Fate;
use crate::sim::parts::event::{Event, LinkEvent};
use crate::sim::parts::node::CLUSTER_ID;
use crate::sim::parts::rule::Rule;

impl World {
    /// A message arrives whose connection is gone.
    pub(super) fn outlive(&mut self, at: usize, epoch: u64, message: PeerMessage) {
        let share = self.network.conditions.cross_permille;
        let is_open = self.network.link(at).is_open;
        match self
            .network
            .crossing
            .outlives(share, (at, epoch), message, is_open)
        {
            Fate::Lost | Fate::Waits => {}
            Fate::Arrives(message) => self.cross(at, 0, message),
        }
    }

    /// A connection was made: what is left of the one before arrives over it, some of it elections later.
    pub(super) fn arrive_late(&mut self, at: usize) {
        let election = self.plan.cluster.election.as_millis() * MILLI;
        for (after, message) in self.network.crossing.connected(at, LATE_TIMEOUTS * election) {
            self.cross(at, after, message);
        }
    }

    /// A message arrives over a later connection than it was sent on.
    fn cross(&mut self, at: usize, after: u64, message: PeerMessage) {
        let link = self.network.link(at);
        let (from, to, epoch) = (link.from, link.to, link.epoch);
        self.journal.counters.links.crossed += 1;
        self.journal.note(
            self.queue.now(),
            Happening::Link(LinkHappening::Crosses {
                link: at,
                from,
                to,
                message: &message,
            }),
        );
        self.look_at_crossing();
        let delivered = LinkEvent::Deliver(Box::new(message));
        self.queue.after(after, Event::link(at, epoch, delivered));
    }

    /// Nothing that was sent before outlives the directory of a node.
    pub(super) fn forget_crossing(&mut self, node: usize) {
        for at in self.network.of(node) {
            let next = self.network.link(at).epoch + 1;
            self.network.crossing.forget(at, next);
        }
    }

    /// A process of this node begins, and abstains: no connection leads to it yet, and no leader is heard that spoke before.
    pub(super) fn forget_log_ends(&mut self, node: usize) {
        for at in self.network.of(node) {
            let link = self.network.link(at);
            if link.to == node {
                let next = link.epoch;
                self.network.crossing.forget_log_ends(at, next);
            }
        }
    }

    /// A message is sent. If it passes a request on with a number that an earlier process used, the answer that this one got
    /// arrives.
    pub(super) fn repeat_answer(&mut self, from: usize, to: usize, message: &PeerMessage) {
        let share = self.network.conditions.repeat_permille;
        if share == 0 {
            return;
        }
        let over = self.network.lane_between(from, to, Lane::First);
        let life = self.nodes[to].life;
        self.network.crossing.note_answer(over, life, message);
        let PeerMessage::Forward { id, .. } = message else {
            return;
        };
        let (back, asks) = (
            self.network.lane_between(to, from, Lane::First),
            (self.nodes[from].life, *id),
        );
        let earlier = self.network.crossing.answer_to_earlier(share, back, asks);
        if let Some(answer) = earlier.filter(|_| self.network.link(back).is_open) {
            self.journal.counters.links.repeated += 1;
            self.cross(back, 0, answer);
        }
    }

    /// An entry, or a part of a snapshot, rots before the frame is made: an entry has to be refused where it arrives; a
    /// snapshot shows what it is when it is whole.
    pub(super) fn transmit_rotten(&mut self, (link, epoch): (usize, u64), arrives: u64, rotten: PeerMessage) {
        let mut bytes = BytesMut::new();
        rotten.encode(CLUSTER_ID, Features::SUPPORTED, &mut bytes);
        let is_part = matches!(rotten, PeerMessage::SnapshotChunk { .. });
        let event = match PeerFrame::decode(CLUSTER_ID, &mut bytes) {
            Ok(Some(PeerFrame::Message(part))) if is_part => {
                self.journal.counters.links.rotten_parts += 1;
                LinkEvent::Deliver(Box::new(part))
            }
            Err(PeerError::Malformed(_)) if !is_part => {
                self.journal.counters.links.rotten += 1;
                LinkEvent::Garbled
            }
            other => {
                let said = format!("an entry has rotted in {rotten:?}, which is taken for {other:?}");
                return self.fail(Rule::Frames, said);
            }
        };
        self.queue.push(arrives, Event::link(link, epoch, event));
    }

    /// What decides the draws of a process that starts.
    pub(super) fn draw_seed(&mut self, at: usize) -> u64 {
        let (drawn, mut alike) = (self.prng.next_u64(), self.alike(at, FORK_BOOT));
        let of_node = self.nemesis.drawn.entry(at).or_default();
        of_node.seed(drawn, alike.as_mut())
    }

    /// The number of a new directory.
    pub(super) fn draw_incarnation(&mut self, at: usize) -> u64 {
        let (drawn, mut alike) = (self.prng.next_u64(), self.alike(at, FORK_INCARNATION));
        let of_node = self.nemesis.drawn.entry(at).or_default();
        of_node.incarnation(drawn, alike.as_mut())
    }

    /// Decides how the next number of a node differs from the one before, if it is to be nearly the same.
    fn alike(&mut self, at: usize, purpose: u64) -> Option<Prng> {
        let share = self.plan.sim.node.alike_permille;
        let label = purpose ^ ((at as u64) << 32) ^ self.nodes[at].life;
        let mut prng = Prng::new(self.plan.seed.unwrap_or_default()).fork(label);
        let is_alike = share > 0 && self.nodes[at].life > 0 && prng.chance(share, 1000);
        self.journal.counters.processes.alike += u64::from(is_alike);
        is_alike.then_some(prng)
    }
}

/// How long after a connection was made something of the one before may arrive, in election timeouts.
const LATE_TIMEOUTS: u64 = 3;
/// Separate the draws of numbers that are nearly those of before.
const FORK_BOOT: u64 = 0x0062_6f6f_7400_0000;
const FORK_INCARNATION: u64 = 0x696e_6361_0000_0000;
