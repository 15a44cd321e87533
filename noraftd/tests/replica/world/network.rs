//! The links between nodes: what they lose, how long they take, and which are cut.

use std::time::Duration;

use noraft::NodeId;
use noraftd::protocol::peer::{Features, Lane, PeerMessage};
use noraftd::replica::event::Input;

use super::{Event, World};

impl World {
    /// The connection from one node to another is up.
    pub(crate) fn connect(&mut self, from: u64, to: u64) {
        self.cut.remove(&(from, to));
        let peer = NodeId::new(to);
        let features = Features::SUPPORTED.at(self.level_of(to));
        self.input(from, Input::Connected { peer, features });
        self.input(from, Input::UrgentConnected { peer });
    }

    /// One node takes another for one of the first release.
    pub(crate) fn forget_features(&mut self, at: u64, of: u64) {
        let (peer, features) = (NodeId::new(of), Features::NONE);
        self.input(at, Input::Connected { peer, features });
    }

    /// The connection from one node to another ends; the other direction has one of its own.
    pub(crate) fn disconnect(&mut self, from: u64, to: u64) {
        self.cut.insert((from, to));
        let peer = NodeId::new(to);
        self.input(from, Input::Disconnected { peer });
        self.input(from, Input::UrgentDisconnected { peer });
    }

    /// Messages of the first lane take this long from now on.
    pub(crate) fn first_lane_takes(&mut self, time: Duration) {
        self.first_lane_delay = time;
    }

    /// What is sent over the second lane from now on does not arrive.
    pub(crate) fn lose_second_lane(&mut self) {
        self.second_lane_is_dead = true;
    }

    /// What these two say to each other is lost.
    pub(crate) fn lose_between(&mut self, one: u64, other: u64) {
        self.cut.extend([(one, other), (other, one)]);
    }

    /// Cuts every link between `part` and the rest, or (one way) only those out of `part`.
    pub(crate) fn partition(&mut self, part: &[u64], one_way: bool) {
        for a in 1..=self.size {
            for b in 1..=self.size {
                if part.contains(&a) && !part.contains(&b) {
                    self.cut.insert((a, b));
                    if !one_way {
                        self.cut.insert((b, a));
                    }
                }
            }
        }
    }

    pub(crate) fn reconnect(&mut self) {
        self.cut.clear();
    }

    pub(super) fn transmit(&mut self, from: u64, to: u64, message: PeerMessage) {
        if let PeerMessage::Append { records, .. } = &message {
            self.sent_records += records.len() as u64;
        }
        self.forwards += u64::from(matches!(message, PeerMessage::Forward { .. }));
        for lane in message.lanes(true) {
            self.transmit_over(from, to, *lane, &message);
        }
    }

    fn transmit_over(&mut self, from: u64, to: u64, lane: Lane, message: &PeerMessage) {
        if lane == Lane::Urgent && self.second_lane_is_dead {
            return;
        }
        let copies = 1 + u64::from(self.prng.chance(self.faults.duplicate, 1000));
        for _ in 0..copies {
            if self.cut.contains(&(from, to)) || self.prng.chance(self.faults.loss, 1000) {
                continue;
            }
            let delay = self.prng.between(20, self.faults.delay_max.max(21));
            let last = self.last_arrival.entry((from, to, lane)).or_default();
            let mut arrival = self.now + delay * 1000;
            if lane == Lane::First {
                arrival += self.first_lane_delay.as_nanos() as u64;
            }
            *last = if self.faults.reorder {
                arrival
            } else {
                arrival.max(*last)
            };
            let at = *last;
            self.schedule_at(
                at,
                Event::Deliver {
                    to,
                    from,
                    message: message.clone(),
                },
            );
        }
    }
}
