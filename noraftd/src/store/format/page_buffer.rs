//! A growing buffer that a disk can take bytes from directly.
//!
//! Invariant: from [`MAPPED_BYTES_MIN`] bytes on, the first byte lies on a page boundary of memory, and what is put in
//! after [`PageBuffer::clear`] lies elsewhere than what was there before. Where the disk is a thread of a virtual
//! machine's monitor, it reads the bytes into the cache of its own core, and a writer that overwrites them at once has
//! to take every line back: for 300 KB that was measured to cost as much as the sync itself.

use std::ops::{Deref, DerefMut};

use memmap2::{Advice, MmapMut};

use crate::store::format::layout::DIRECT_BYTES_MIN;
use crate::store::format::layout::PAGE;

/// Bytes that are added at the end, and forgotten all at once.
#[derive(Debug, Default)]
pub(in crate::store) struct PageBuffer {
    room: Room,
    /// The part of the room that is in use.
    start: usize,
    length: usize,
}

#[derive(Debug)]
enum Room {
    Small(Vec<u8>),
    Mapped(MmapMut),
}

impl Default for Room {
    fn default() -> Self {
        Self::Small(Vec::new())
    }
}

impl Room {
    fn new(bytes: usize) -> Self {
        let small = |_| Self::Small(vec![0; bytes]);
        if bytes < MAPPED_BYTES_MIN {
            return small(());
        }
        MmapMut::map_anon(bytes.max(MAP_BYTES_MIN)).map_or_else(|_| small(()), Self::advised)
    }

    /// A huge page goes to the disk as one piece; where there are none, so be it.
    fn advised(map: MmapMut) -> Self {
        let _ = map.advise(Advice::HugePage);
        Self::Mapped(map)
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Small(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Small(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

impl PageBuffer {
    /// Forgets all bytes, and keeps their room.
    pub(in crate::store) fn clear(&mut self) {
        if let Room::Mapped(map) = &self.room {
            let next = (self.start + self.length).next_multiple_of(PAGE);
            let has_as_much = next + self.length <= map.len();
            self.start = if has_as_much { next } else { 0 };
        }
        self.length = 0;
    }

    /// Adds bytes at the end.
    pub(in crate::store) fn extend_from_slice(&mut self, bytes: &[u8]) {
        let length = self.length + bytes.len();
        if self.start + length > self.room.bytes().len() {
            self.make_room(length);
        }
        let end = self.start + length;
        self.room.bytes_mut()[end - bytes.len()..end].copy_from_slice(bytes);
        self.length = length;
    }

    #[cold]
    fn make_room(&mut self, length: usize) {
        if length <= self.room.bytes().len() {
            let held = self.start..self.start + self.length;
            self.room.bytes_mut().copy_within(held, 0);
        } else {
            let mut room = Room::new(length.max(2 * self.length));
            room.bytes_mut()[..self.length].copy_from_slice(self);
            self.room = room;
        }
        self.start = 0;
    }
}

impl Deref for PageBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.room.bytes()[self.start..self.start + self.length]
    }
}

impl DerefMut for PageBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.room.bytes_mut()[self.start..self.start + self.length]
    }
}

/// Smaller ones are never written directly, and a simulation has thousands of them.
const MAPPED_BYTES_MIN: usize = DIRECT_BYTES_MIN / 2;
/// Two huge pages; a dozen batches of a thousand small entries.
const MAP_BYTES_MIN: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_was_added_and_large_ones_begin_on_a_page() {
        for step in [1, 7, 4096, 100_000, 1 << 20, 3 << 20] {
            let mut buffer = PageBuffer::default();
            let mut last = None;
            for round in 0..20 {
                let mut expected = Vec::new();
                while expected.len() < 2 * DIRECT_BYTES_MIN + round * 1000 {
                    let piece: Vec<u8> = (0..step).map(|n| (n + expected.len() + round) as u8).collect();
                    buffer.extend_from_slice(&piece);
                    expected.extend_from_slice(&piece);
                    buffer[0] ^= 1;
                    expected[0] ^= 1;
                }
                assert!(*buffer == expected[..], "steps of {step}, round {round}");
                let at = buffer.as_ptr().addr();
                assert_eq!(at % PAGE, 0, "steps of {step}, round {round}");
                let fits_twice = 2 * expected.len() + PAGE <= MAP_BYTES_MIN;
                assert!(
                    !fits_twice || last != Some(at),
                    "steps of {step}, round {round}: overwritten at once"
                );
                last = Some(at);
                buffer.clear();
                assert!(buffer.is_empty());
            }
        }
    }
}
