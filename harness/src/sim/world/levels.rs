//! Programs of other levels: nodes are started again with them, and an operator has the level raised.
//!
//! Invariant: what a node says of itself, and what it does, is what its program supports.

use noraftd::level::Level;
use noraftd::protocol::command::Request;
use noraftd::protocol::outcome::Outcome;
use noraftd::protocol::peer::Features;
use noraftd::replica::event::{ConnectionId, Input, RequestId};

use super::World;
use crate::sim::journal::happening::{Happening, LevelHappening};
use crate::sim::parts::crash::Crash;

impl World {
    /// The fault's node is killed, and comes back with the program that is wanted; or all have it, and the level is raised.
    pub(super) fn upgrade(&mut self, lane: usize) {
        for at in self.targets(lane) {
            if !self.levels.lag(at) {
                continue;
            }
            let Some(seen) = self.take_down(at, Crash::Kill) else {
                continue;
            };
            let level = self.levels.change(at);
            self.note_level(LevelHappening::Changes { node: at, level });
            self.add_evidence(lane, format!("{seen}, and comes back at level {level}"));
        }
        if self.levels.is_time_to_raise() {
            self.raise_level(lane);
        }
    }

    /// Nodes that have the program which is wanted are left alone while others have not.
    pub(super) fn prefer_laggards(&self, running: &mut Vec<u64>) {
        let lags = |id: &u64| self.levels.lag(*id as usize - 1);
        if running.iter().any(lags) {
            running.retain(lags);
        }
    }

    /// Any node may be asked, and passes it on.
    pub(super) fn raise_level(&mut self, lane: usize) {
        let up: Vec<usize> = (0..self.nodes.len())
            .filter(|at| self.nodes[*at].process.is_some() && self.levels.of(*at) == Level::SUPPORTED)
            .collect();
        let leader = self.leader().filter(|leader| up.contains(leader));
        let any = self.nemesis.prng.choose(&up).copied();
        let is_any = self.nemesis.prng.chance(1, ANY_ONE_IN);
        let Some(at) = leader.filter(|_| !is_any).or(any) else {
            return;
        };
        let id = self.levels.ask(lane);
        self.note_level(LevelHappening::Asks { node: at, id });
        let request = Request::to_raise(Level::SUPPORTED);
        let connection = ConnectionId(id.0);
        self.arrive(
            at,
            Input::Client {
                id,
                connection,
                request,
            },
        );
    }

    /// A node says what came of it.
    pub(super) fn raise_answered(&mut self, at: usize, id: RequestId, outcome: &Outcome) {
        self.note_level(LevelHappening::Answers {
            node: at,
            id,
            outcome,
        });
        let is_refused = matches!(outcome, Outcome::Refused(_));
        let lane = self.levels.answered(id, is_refused);
        if let (Some(lane), Outcome::Done(_)) = (lane, outcome) {
            self.add_evidence(lane, format!("the level was raised to {}", Level::SUPPORTED));
        }
    }

    fn note_level(&mut self, happening: LevelHappening<'_>) {
        self.journal.note(self.queue.now(), Happening::Level(happening));
    }

    /// What a node at the other end of a connection announces.
    pub(super) fn features_of(&self, at: usize) -> Features {
        let process = self.nodes[at].process.as_ref();
        let level = process.map_or(self.levels.of(at), |process| process.greeter.level());
        Features::SUPPORTED.at(level)
    }
}

/// Of the raises, one in so many is asked of any node.
const ANY_ONE_IN: u64 = 3;
