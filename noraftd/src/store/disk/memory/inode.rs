//! A file in memory: what the page cache shows, and the way back to what the platter has.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;

use crate::prng::Prng;
use crate::store::format::layout::{SECTOR, is_zero};

#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    pub(super) live: Vec<u8>,
    pub(super) durable_length: usize,
    /// What unsynced writes replaced, oldest first.
    pub(super) undo: Vec<Undo>,
    /// What the platter has in sectors that a failed sync left out. The page cache calls them clean, so no
    /// later sync writes them unless they are written again.
    pub(super) left_out: BTreeMap<usize, [u8; SECTOR]>,
    /// Room was taken up to here, without a gap: writes into it need no more, however full the disk is.
    pub(super) room_until: usize,
    /// Nothing but zeros is in it.
    pub(super) is_blank: bool,
    /// One more than there are open files.
    handles: Arc<()>,
}

/// Whole sectors as they were before a write.
#[derive(Debug, Clone)]
pub(super) struct Undo {
    pub(super) sector: usize,
    pub(super) sectors: usize,
    /// Shorter than the sectors where the file ended before; what is missing read as zeros.
    pub(super) old: Vec<u8>,
}

impl Inode {
    /// A file whose bytes are all durable.
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self {
            durable_length: bytes.len(),
            room_until: bytes.len(),
            live: bytes,
            ..Self::default()
        }
    }

    /// No file has it open.
    pub(super) fn close(&mut self) {
        self.handles = Arc::default();
    }

    /// Kept by a file while it is open.
    pub(super) fn handle(&self) -> Arc<()> {
        Arc::clone(&self.handles)
    }

    pub(super) fn is_open(&self) -> bool {
        Arc::strong_count(&self.handles) > 1
    }

    /// True when the platter has what the page cache shows.
    pub(super) fn is_clean(&self) -> bool {
        self.undo.is_empty() && self.left_out.is_empty()
    }

    /// True when a write up to byte `end` needs room that was not taken yet.
    pub(super) fn needs_room(&self, end: usize) -> bool {
        end > self.room_until
    }

    /// Takes room for `bytes` bytes, and makes the file that long; an empty one in the memory of `spare`.
    pub(super) fn allocate(&mut self, bytes: usize, spare: Vec<u8>) {
        if self.live.is_empty() {
            self.live = spare;
            self.live.clear();
        }
        self.grow(bytes);
        self.room_until = self.room_until.max(bytes);
    }

    /// From now on it is this, durably.
    pub(super) fn overwrite(&mut self, bytes: Vec<u8>) {
        self.durable_length = self.durable_length.min(bytes.len());
        self.room_until = self.room_until.max(bytes.len());
        (self.live, self.is_blank) = (bytes, false);
    }

    /// Writes `length` bytes of `pieces` from `at` on.
    pub(super) fn write(&mut self, at: usize, pieces: &[IoSlice<'_>], length: usize) {
        if at <= self.room_until {
            self.room_until = self.room_until.max(at + length);
        }
        if length == 0 {
            return;
        }
        let (first, end) = (at / SECTOR, (at + length).div_ceil(SECTOR));
        let old_end = (end * SECTOR).min(self.live.len());
        // Zeros need not be remembered. A file that was never written or synced holds nothing else.
        let is_new = self.durable_length == 0 && self.undo.is_empty();
        let old = self.live.get(first * SECTOR..old_end);
        let old = old.filter(|old| !is_new && !is_zero(old));
        self.undo.push(Undo {
            sector: first,
            sectors: end - first,
            old: old.unwrap_or_default().to_vec(),
        });
        self.grow(at + length);
        self.is_blank &= pieces.iter().all(|piece| is_zero(piece));
        if self.is_blank {
            return;
        }
        let mut rest = &mut self.live[at..at + length];
        for piece in pieces {
            let taken = piece.len().min(rest.len());
            let (now, later) = rest.split_at_mut(taken);
            now.copy_from_slice(&piece[..taken]);
            rest = later;
        }
    }

    /// Writes past the cache, of all sectors those that `part` draws, or all: they are durable, and so is the length.
    pub(super) fn write_durably(
        &mut self,
        at: usize,
        pieces: &[IoSlice<'_>],
        length: usize,
        part: Option<&mut Prng>,
    ) {
        if length == 0 {
            return;
        }
        let (first, end) = (at / SECTOR, (at + length).div_ceil(SECTOR));
        self.durable_length = self.durable_length.max(at + length);
        // What the cache has of these sectors goes to the disk first.
        let before = std::mem::take(&mut self.undo);
        self.undo = before
            .into_iter()
            .flat_map(|undo| undo.outside(first, end))
            .collect();
        self.write(at, pieces, length);
        let Some(written) = self.undo.pop() else { return };
        let is_there = part.map_or_else(|| vec![true; end - first], |prng| some_sectors(end - first, prng));
        for (offset, is_there) in is_there.into_iter().enumerate() {
            if is_there {
                self.left_out.remove(&(first + offset));
            } else {
                self.put(first + offset, &written.old_sector(offset));
            }
        }
    }

    /// The file has at least this length; what is new reads as zeros.
    fn grow(&mut self, length: usize) {
        self.is_blank |= self.live.is_empty();
        if self.live.len() < length {
            self.live.resize(length, 0);
        }
    }

    pub(super) fn sync(&mut self) {
        for write in self.undo.drain(..) {
            for sector in write.sector..write.sector + write.sectors {
                self.left_out.remove(&sector);
            }
        }
        self.durable_length = self.live.len();
    }

    /// Clean pages are dropped: from now on the file shows what the platter has.
    pub(super) fn forget_cached(&mut self) {
        for (sector, old) in std::mem::take(&mut self.left_out) {
            self.put(sector, &old);
        }
    }

    /// A sync that fails leaves some sectors out, and forgets that they are to be written (as Linux does).
    pub(super) fn fail_sync(&mut self, prng: &mut Prng) {
        for write in std::mem::take(&mut self.undo) {
            for offset in 0..write.sectors {
                if prng.chance(1, 2) {
                    let old = write.old_sector(offset);
                    self.left_out.entry(write.sector + offset).or_insert(old);
                }
            }
        }
        self.durable_length = self.live.len();
    }
}

/// Which of `count` sectors are written when a write past the cache ends early: a disk takes them in any order.
fn some_sectors(count: usize, prng: &mut Prng) -> Vec<bool> {
    let border = prng.below(count as u64 + 1) as usize;
    let way = prng.below(4);
    (0..count)
        .map(|sector| match way {
            0 => sector < border,
            1 => sector >= border,
            2 => sector != border,
            _ => prng.chance(1, 2),
        })
        .collect()
}
