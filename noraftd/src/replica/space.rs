//! How much room the disk has, what a leader without room does about it, and what is tried again when there is room.

use noraft::Term;

use crate::time::Instant;

use super::Replica;
use super::event::Room;

#[derive(Debug, Default)]
pub(super) struct Space {
    /// What the disk has left.
    room: Room,
    /// The term in which this leader keeps silent, and until when.
    silent: Option<(Term, Instant)>,
}

impl Space {
    /// As it was last reported.
    pub(super) fn room(&self) -> Room {
        self.room
    }

    /// True when new entries may be proposed.
    pub(super) fn is_plenty(&self) -> bool {
        self.room == Room::Plenty
    }
}

impl Replica {
    /// A leader that can take no more proposals lets the others elect, once: one of them may have room.
    pub(super) fn on_room(&mut self, room: Room) {
        let runs_low = self.space.is_plenty() && room != Room::Plenty;
        if runs_low && self.is_leader() {
            let until = self.now + 2 * self.config.election_timeout;
            self.space.silent = Some((self.node.current_term(), until));
        }
        if room == Room::Plenty {
            self.snapshots.on_room_again();
        }
        self.space.room = room;
    }

    /// True while this leader sends no heartbeats for want of room.
    pub(super) fn is_silent(&self) -> bool {
        self.space
            .silent
            .is_some_and(|(term, until)| term == self.node.current_term() && self.now < until)
    }
}
