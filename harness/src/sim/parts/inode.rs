//! A file in memory: what the page cache shows, and the way back to what the platter has.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;

use noraftd::prng::Prng;
use noraftd::store::layout::SECTOR;

#[derive(Debug, Clone, Default)]
pub(crate) struct Inode {
    pub(crate) live: Vec<u8>,
    pub(crate) durable_length: usize,
    /// What unsynced writes replaced, oldest first.
    pub(crate) undo: Vec<Undo>,
    /// What the platter has in sectors that a failed sync left out. The page cache calls them clean, so no
    /// later sync writes them unless they are written again.
    pub(crate) left_out: BTreeMap<usize, [u8; SECTOR]>,
    /// Room was taken up to here, without a gap: writes into it need no more, however full the disk is.
    pub(crate) room_until: usize,
    /// Nothing but zeros is in it.
    pub(crate) is_blank: bool,
    /// One more than there are open files.
    pub(crate) handles: Arc<()>,
}

/// Whole sectors as they were before a write.
#[derive(Debug, Clone)]
pub(crate) struct Undo {
    pub(crate) sector: usize,
    pub(crate) sectors: usize,
    /// Shorter than the sectors where the file ended before; what is missing read as zeros.
    pub(crate) old: Vec<u8>,
}

impl Inode {
    /// Writes `length` bytes of `pieces` from `at` on.
    pub(crate) fn write(&mut self, at: usize, pieces: &[IoSlice<'_>], length: usize) {
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

    /// The file has at least this length; what is new reads as zeros.
    pub(crate) fn grow(&mut self, length: usize) {
        self.is_blank |= self.live.is_empty();
        if self.live.len() < length {
            self.live.resize(length, 0);
        }
    }

    pub(crate) fn sync(&mut self) {
        for write in self.undo.drain(..) {
            for sector in write.sector..write.sector + write.sectors {
                self.left_out.remove(&sector);
            }
        }
        self.durable_length = self.live.len();
    }

    /// Clean pages are dropped: from now on the file shows what the platter has.
    pub(crate) fn forget_cached(&mut self) {
        for (sector, old) in std::mem::take(&mut self.left_out) {
            self.put(sector, &old);
        }
    }

    /// A sync that fails leaves some sectors out, and forgets that they are to be written (as Linux does).
    pub(crate) fn fail_sync(&mut self, prng: &mut Prng) {
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

pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // Folding lets the compiler use wide registers; an early exit at every byte would not.
    let is_blank = |part: &[u8]| part.iter().fold(0, |all, byte| all | byte) == 0;
    bytes.chunks(SECTOR).all(is_blank)
}
