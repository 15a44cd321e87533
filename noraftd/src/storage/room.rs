//! How much room the disk has, as the replica has to know it.
//!
//! Invariant: what was reported last is what the replica goes by; a change is reported until the caller says that it was
//! passed on.

use crate::replica::event::Room;
use crate::store::StoreStats;

/// The room as it is, and as it was reported.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RoomWatch {
    now: Room,
    reported: Room,
}

impl RoomWatch {
    pub(super) fn get(self) -> Room {
        self.now
    }

    pub(super) fn set(&mut self, room: Room) {
        self.now = room;
    }

    /// The change that was not passed on yet.
    pub(super) fn news(self) -> Option<Room> {
        (self.now != self.reported).then_some(self.now)
    }

    pub(super) fn note_reported(&mut self, room: Room) {
        self.reported = room;
    }
}

/// Without a spare segment, what is left of the last one is for what is on its way, and then for elections.
pub(super) fn room_of(stats: &StoreStats) -> Room {
    if !stats.spare_failed || stats.room_bytes > stats.segment_bytes / LOW_ROOM_DIVISOR {
        Room::Plenty
    } else if stats.room_bytes > stats.segment_bytes / SPENT_ROOM_DIVISOR {
        Room::Low
    } else {
        Room::Spent
    }
}

/// The last quarter of a segment takes what is on its way when the next one cannot be made,
const LOW_ROOM_DIVISOR: u64 = 4;
/// and the last sixteenth the first entries of new leaders.
const SPENT_ROOM_DIVISOR: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_runs_out_only_when_the_next_segment_cannot_be_made() {
        let stats = |room_bytes, spare_failed| StoreStats {
            room_bytes,
            spare_failed,
            segment_bytes: 1600,
            ..StoreStats::default()
        };
        assert_eq!(room_of(&stats(0, false)), Room::Plenty);
        assert_eq!(room_of(&stats(401, true)), Room::Plenty);
        assert_eq!(room_of(&stats(400, true)), Room::Low);
        assert_eq!(room_of(&stats(101, true)), Room::Low);
        assert_eq!(room_of(&stats(100, true)), Room::Spent);
    }

    #[test]
    fn a_change_is_news_until_it_was_passed_on() {
        let mut watch = RoomWatch::default();
        assert_eq!(watch.news(), None);
        watch.set(Room::Low);
        assert_eq!(watch.news(), Some(Room::Low));
        watch.set(Room::Spent);
        assert_eq!(watch.news(), Some(Room::Spent));
        watch.note_reported(Room::Spent);
        assert_eq!((watch.news(), watch.get()), (None, Room::Spent));
        watch.set(Room::Plenty);
        assert_eq!(watch.news(), Some(Room::Plenty));
    }
}
