//! Term and vote in a file of their own: no peer can give them back.
//!
//! Invariants: a slot lies in one sector, so an interrupted write leaves it old or new; the slot that holds
//! the newest state is never the one that is written, until the other holds it durably, too. The same state is in
//! the log's stream: the newest valid copy of either wins. Terms never fall, and in a term no vote comes before a vote;
//! between two votes of a term (a follower takes its leader for its vote) the LSN of the batch decides.
//!
//! The file has two pages, one slot at the front of each:
//!
//! | bytes | field |
//! |-|-|
//! | 0..8 | magic `nrafthst` |
//! | 8..12 | format version, 1 |
//! | 12..16 | flags; bit 0: there is a vote |
//! | 16..24 | cluster id |
//! | 24..32 | node id |
//! | 32..40 | incarnation id |
//! | 40..48 | LSN of the batch that carries the same state; zero at the beginning |
//! | 48..56 | term |
//! | 56..64 | vote |
//! | 64..68 | crc of bytes 0..64 |

use noraft::NodeId;

use crate::record::HardState;
use crate::store::format::codec::{Fields, NUMBER_MAX, crc, put};
use crate::store::format::layout::{FORMAT_VERSION, PAGE};
use crate::store::types::{Identity, Owner};

/// One copy of the hard state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Slot {
    pub(in crate::store) identity: Identity,
    /// The batch that carries it.
    pub(in crate::store) lsn: u64,
    pub(in crate::store) hard_state: HardState,
}

/// Why a slot cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum SlotFault {
    /// Not what was written.
    Damaged,
    /// Intact, but of this other version.
    Version(u32),
}

/// Rises with each change of the state, but for a change of the vote within a term.
pub(in crate::store) fn progress(state: HardState) -> (u64, bool) {
    (state.term, state.voted_for.is_some())
}

impl Slot {
    /// The newest has the greatest.
    fn age(&self) -> ((u64, bool), u64) {
        (progress(self.hard_state), self.lsn)
    }

    /// True when this is older than a state that the stream holds in the batch `lsn`.
    pub(in crate::store) fn is_before(&self, lsn: u64, state: HardState) -> bool {
        self.hard_state != state && self.age() < (progress(state), lsn)
    }

    /// The slot as a page.
    pub(in crate::store) fn encode(&self) -> [u8; PAGE] {
        let mut page = [0; PAGE];
        put(&mut page, 0, &MAGIC);
        put(&mut page, 8, &FORMAT_VERSION.to_le_bytes());
        put(
            &mut page,
            12,
            &u32::from(self.hard_state.voted_for.is_some()).to_le_bytes(),
        );
        put(&mut page, 16, &self.identity.owner.cluster_id.to_le_bytes());
        put(&mut page, 24, &self.identity.owner.node_id.get().to_le_bytes());
        put(&mut page, 32, &self.identity.incarnation.to_le_bytes());
        put(&mut page, 40, &self.lsn.to_le_bytes());
        put(&mut page, 48, &self.hard_state.term.to_le_bytes());
        put(
            &mut page,
            56,
            &self.hard_state.voted_for.unwrap_or(0).to_le_bytes(),
        );
        let sum = crc(0, &page[..SLOT_BYTES - 4]);
        put(&mut page, SLOT_BYTES - 4, &sum.to_le_bytes());
        page
    }

    fn decode(file: &[u8], number: usize) -> Result<Self, SlotFault> {
        let start = number * PAGE;
        let slot = file.get(start..start + SLOT_BYTES).ok_or(SlotFault::Damaged)?;
        let fields = Fields(slot);
        if slot[..8] != MAGIC || fields.u32(SLOT_BYTES - 4) != crc(0, &slot[..SLOT_BYTES - 4]) {
            return Err(SlotFault::Damaged);
        }
        if fields.u32(8) != FORMAT_VERSION {
            return Err(SlotFault::Version(fields.u32(8)));
        }
        if fields.u64(40) > NUMBER_MAX {
            return Err(SlotFault::Damaged);
        }
        let voted_for = (fields.u32(12) & FLAG_VOTED != 0).then_some(fields.u64(56));
        let owner = Owner {
            cluster_id: fields.u64(16),
            node_id: NodeId::new(fields.u64(24)),
        };
        Ok(Self {
            identity: Identity {
                owner,
                incarnation: fields.u64(32),
            },
            lsn: fields.u64(40),
            hard_state: HardState {
                term: fields.u64(48),
                voted_for,
            },
        })
    }
}

/// What the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Slots(pub(in crate::store) [Result<Slot, SlotFault>; 2]);

impl Slots {
    /// Reads the file's bytes; a missing file has none.
    pub(in crate::store) fn decode(file: &[u8]) -> Self {
        Self([Slot::decode(file, 0), Slot::decode(file, 1)])
    }

    /// The newest valid slot and its number.
    pub(in crate::store) fn newest(&self) -> Option<(usize, Slot)> {
        let valid = self
            .0
            .iter()
            .enumerate()
            .filter_map(|(number, slot)| Some((number, slot.ok()?)));
        valid.max_by_key(|(_, slot)| slot.age())
    }

    /// What the slot beside `number` holds.
    pub(in crate::store) fn beside(&self, number: usize) -> Option<HardState> {
        self.0[1 - number].ok().map(|slot| slot.hard_state)
    }

    /// The number of the slot that is not valid, when the other is.
    pub(in crate::store) fn broken(&self) -> Option<usize> {
        match self.0 {
            [Err(_), Ok(_)] => Some(0),
            [Ok(_), Err(_)] => Some(1),
            [Ok(_), Ok(_)] | [Err(_), Err(_)] => None,
        }
    }

    /// True when there is one state to be read, not two that were written in turn: a newer one may be gone.
    pub(in crate::store) fn is_single(&self) -> bool {
        match self.0 {
            [Ok(one), Ok(other)] => one.lsn == other.lsn && one.lsn > 0,
            [Err(_), Ok(_)] | [Ok(_), Err(_)] | [Err(_), Err(_)] => true,
        }
    }

    /// True when nothing but the making of the file has happened, in no term.
    pub(in crate::store) fn is_pristine(&self) -> bool {
        let is_empty =
            |slot: &Result<Slot, SlotFault>| slot.is_ok_and(|slot| slot.hard_state == HardState::default());
        self.is_unused() && self.0.iter().all(is_empty)
    }

    /// True when nothing but the making of the file has happened.
    pub(in crate::store) fn is_unused(&self) -> bool {
        self.0.iter().all(|slot| slot.is_ok_and(|slot| slot.lsn == 0))
    }
}

/// The file's name.
pub const FILE: &str = "hard_state";
/// Its name while it is made.
pub(in crate::store) const TEMPORARY: &str = "hard_state.tmp";
const MAGIC: [u8; 8] = *b"nrafthst";
/// Bytes of a slot, at the front of its page.
pub const SLOT_BYTES: usize = 68;
const FLAG_VOTED: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(lsn: u64) -> Slot {
        let owner = Owner {
            cluster_id: 1,
            node_id: NodeId::new(2),
        };
        let hard_state = HardState {
            term: lsn + 1,
            voted_for: lsn.is_multiple_of(2).then_some(9),
        };
        Slot {
            identity: Identity {
                owner,
                incarnation: 3,
            },
            lsn,
            hard_state,
        }
    }

    #[test]
    fn slots_survive_encoding_and_the_newest_wins() {
        let file = [slot(4).encode(), slot(7).encode()].concat();
        let slots = Slots::decode(&file);
        assert_eq!(slots.0, [Ok(slot(4)), Ok(slot(7))]);
        assert_eq!(slots.newest(), Some((1, slot(7))));
    }

    #[test]
    fn every_flipped_bit_of_a_slot_is_seen() {
        for bit in 0..SLOT_BYTES * 8 {
            let mut file = [slot(4).encode(), slot(7).encode()].concat();
            file[PAGE + bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Slots::decode(&file).newest(), Some((0, slot(4))), "bit {bit}");
            assert_eq!(Slots::decode(&file).broken(), Some(1), "bit {bit}");
        }
    }

    #[test]
    fn a_missing_or_short_file_has_no_valid_slot() {
        assert_eq!(Slots::decode(&[]).newest(), None);
        assert_eq!(Slots::decode(&slot(1).encode()[..SLOT_BYTES - 1]).newest(), None);
    }
}
