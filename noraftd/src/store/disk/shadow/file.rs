//! One file whose unsynced sectors are in memory.
//!
//! Invariant: this process reads what it wrote, synced or not; the file on the platter has each sector as it
//! was at some write since the last sync or at that sync, and all of them as they are after a sync.
//! After a failed sync the sectors that it left out look clean and never reach the platter, as on Linux.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use super::{Shared, lock};
use crate::store::disk::DiskFile;
use crate::store::disk::trouble::Doing;
use crate::store::format::layout::{PAGE, SECTOR};

pub(super) struct ShadowFile {
    platter: Arc<dyn DiskFile>,
    /// The same file, to read the surroundings of what is written.
    around: File,
    shared: Arc<Shared>,
    cache: Mutex<Cache>,
    /// Dirty sectors that the ledger knows of.
    noted: AtomicI64,
}

struct Cache {
    /// The length as this process sees it.
    bytes: u64,
    /// The length on the platter.
    durable_bytes: u64,
    pages: BTreeMap<u64, Page>,
    /// True when the file has no name any more.
    forsaken: bool,
}

/// A page that differs from the platter.
struct Page {
    content: Box<[u8; PAGE]>,
    /// Sectors that the next sync writes, a bit each.
    dirty: u8,
    /// True when a failed sync left some of it out: it is shown, and never written.
    haunted: bool,
}

/// Bytes to be written to the platter in one go.
struct Chunk {
    offset: u64,
    bytes: Vec<u8>,
}

impl ShadowFile {
    pub(super) fn new(platter: Arc<dyn DiskFile>, path: &Path, shared: Arc<Shared>) -> io::Result<Self> {
        let bytes = platter.size()?;
        Ok(Self {
            platter,
            around: File::open(path)?,
            shared,
            cache: Mutex::new(Cache {
                bytes,
                durable_bytes: bytes,
                pages: BTreeMap::new(),
                forsaken: false,
            }),
            noted: AtomicI64::new(0),
        })
    }

    /// Nothing of it counts as lost from now on.
    pub(super) fn forsake(&self) {
        let mut cache = lock(&self.cache);
        cache.forsaken = true;
        self.note(&cache);
    }

    /// Some of it reaches the platter before the time of a real sync has passed, and the rest after: in between
    /// a cut tears it.
    fn sync(&self, attributes: bool) -> io::Result<()> {
        let fate = self.shared.begin_sync();
        let mut cache = lock(&self.cache);
        let mut chunks = cache.chunks();
        let soon = {
            let mut chance = lock(&self.shared.chance);
            chance.shuffle(&mut chunks);
            chance.between(0, chunks.len() as u64) as usize
        };
        if cache.durable_bytes < cache.bytes {
            self.platter.allocate(cache.bytes)?;
            cache.durable_bytes = cache.bytes;
        }
        let (soon, late) = chunks.split_at(soon);
        self.settle(&mut cache, soon)?;
        if fate.is_err() {
            cache.haunt();
            self.note(&cache);
            return fate;
        }
        if attributes {
            self.platter.sync_all()?;
        } else {
            self.platter.sync_data()?;
        }
        self.settle(&mut cache, late)?;
        cache.pages.retain(|_, page| page.haunted);
        Ok(())
    }

    /// Writes to the platter.
    fn settle(&self, cache: &mut Cache, chunks: &[Chunk]) -> io::Result<()> {
        for Chunk { offset, bytes } in chunks {
            self.platter.write_at(*offset, &[IoSlice::new(bytes)])?;
            cache.clean(*offset, bytes.len());
        }
        self.note(cache);
        Ok(())
    }

    /// Enters in the ledger what is dirty now.
    fn note(&self, cache: &Cache) {
        let now = if cache.forsaken { 0 } else { cache.dirty_sectors() };
        let before = self.noted.swap(now, Ordering::Relaxed);
        self.shared.ledger.sectors(now - before);
    }

    /// Reads a page as the platter has it; zeros beyond its end.
    fn page_on_platter(&self, number: u64) -> io::Result<Box<[u8; PAGE]>> {
        let mut content = Box::new([0; PAGE]);
        let mut filled = 0;
        while filled < PAGE {
            let at = number * PAGE as u64 + filled as u64;
            match self.around.read_at(&mut content[filled..], at)? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(content)
    }

    fn write_pieces(&self, cache: &mut Cache, mut offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let early = Early::draw(&self.shared);
        for piece in pieces {
            let mut rest: &[u8] = piece;
            while !rest.is_empty() {
                let room = PAGE - (offset % PAGE as u64) as usize;
                let (now, later) = rest.split_at(room.min(rest.len()));
                self.write_page(cache, offset, now, early)?;
                offset += now.len() as u64;
                rest = later;
            }
        }
        cache.bytes = cache.bytes.max(offset);
        Ok(())
    }

    /// A write that fails has written some of its sectors.
    fn write_some(&self, cache: &mut Cache, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
        let sectors = lock(&self.shared.chance).below((bytes.len() / SECTOR) as u64 + 1) as usize;
        self.write_pieces(cache, offset, &[IoSlice::new(&bytes[..sectors * SECTOR])])
    }

    fn write_page(&self, cache: &mut Cache, offset: u64, bytes: &[u8], early: Early) -> io::Result<()> {
        let (number, within) = (offset / PAGE as u64, (offset % PAGE as u64) as usize);
        if let std::collections::btree_map::Entry::Vacant(vacant) = cache.pages.entry(number) {
            vacant.insert(Page {
                content: self.page_on_platter(number)?,
                dirty: 0,
                haunted: false,
            });
        }
        // No more reaches the platter than the file has, or it would be longer after a start.
        let file_end = cache.bytes.max(offset + bytes.len() as u64);
        let page = cache.pages.get_mut(&number).expect("put there above");
        page.content[within..within + bytes.len()].copy_from_slice(bytes);
        for sector in within / SECTOR..(within + bytes.len()).div_ceil(SECTOR) {
            if early.draws(&self.shared) {
                let start = sector * SECTOR;
                let at = number * PAGE as u64 + start as u64;
                let length = within_file(at, file_end);
                self.platter
                    .write_at(at, &[IoSlice::new(&page.content[start..start + length])])?;
                page.dirty &= !(1 << sector);
                cache.durable_bytes = cache.durable_bytes.max(at + length as u64);
            } else {
                page.dirty |= 1 << sector;
            }
        }
        Ok(())
    }

    fn assembled(&self, cache: &Cache, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let end = offset
            .checked_add(length as u64)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        if end > cache.bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = Vec::with_capacity(length);
        let mut at = offset;
        while at < end {
            let (number, within) = (at / PAGE as u64, (at % PAGE as u64) as usize);
            let some = (PAGE - within).min((end - at) as usize);
            match cache.pages.get(&number) {
                Some(page) => bytes.extend_from_slice(&page.content[within..within + some]),
                None => bytes.extend_from_slice(&self.page_on_platter(number)?[within..within + some]),
            }
            at += some as u64;
        }
        Ok(bytes)
    }
}

impl DiskFile for ShadowFile {
    fn write_at(&self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let mut cache = lock(&self.cache);
        let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
        let doing = if offset + bytes as u64 > cache.bytes {
            Doing::Growing
        } else {
            Doing::Writing
        };
        let written = match self.shared.meet(doing) {
            Ok(()) => self.write_pieces(&mut cache, offset, pieces),
            Err(error) => self.write_some(&mut cache, offset, pieces).and(Err(error)),
        };
        self.note(&cache);
        written
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.shared.meet(Doing::Growing)?;
        let mut cache = lock(&self.cache);
        cache.bytes = cache.bytes.max(bytes);
        if lock(&self.shared.chance).chance(1, 2) {
            self.platter.allocate(cache.bytes)?;
            cache.durable_bytes = cache.bytes;
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync(false)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync(true)
    }

    fn forget_cached(&self) -> io::Result<()> {
        lock(&self.cache).pages.retain(|_, page| page.dirty != 0);
        self.platter.forget_cached()
    }

    fn size(&self) -> io::Result<u64> {
        Ok(lock(&self.cache).bytes)
    }

    fn scan(&self, visit: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.shared.meet(Doing::Reading)?;
        let cache = lock(&self.cache);
        if cache.is_clean() {
            return self.platter.scan(visit);
        }
        visit(&self.assembled(&cache, 0, cache.bytes as usize)?);
        Ok(())
    }

    fn view(&self, offset: u64, length: usize, visit: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.shared.meet(Doing::Reading)?;
        let cache = lock(&self.cache);
        // The platter's map keeps the length that it is made with.
        let whole = cache.durable_bytes == cache.bytes;
        if whole && !cache.touches(offset, length) {
            return self.platter.view(offset, length, visit);
        }
        visit(&self.assembled(&cache, offset, length)?);
        Ok(())
    }
}

impl Cache {
    fn is_clean(&self) -> bool {
        self.pages.is_empty() && self.durable_bytes == self.bytes
    }

    fn touches(&self, offset: u64, length: usize) -> bool {
        let last = offset.saturating_add(length as u64) / PAGE as u64;
        self.pages.range(offset / PAGE as u64..=last).next().is_some()
    }

    fn dirty_sectors(&self) -> i64 {
        self.pages
            .values()
            .map(|page| i64::from(page.dirty.count_ones()))
            .sum()
    }

    /// The platter has these bytes now; chunks consist of whole sectors, but for one in which the file ends.
    fn clean(&mut self, offset: u64, length: usize) {
        for at in (offset..offset + length as u64).step_by(SECTOR) {
            if let Some(page) = self.pages.get_mut(&(at / PAGE as u64)) {
                page.dirty &= !(1 << (at % PAGE as u64 / SECTOR as u64));
            }
        }
    }

    /// What is dirty never reaches the platter, and looks clean.
    fn haunt(&mut self) {
        for page in self.pages.values_mut() {
            page.haunted |= page.dirty != 0;
            page.dirty = 0;
        }
    }

    /// What is to be written, in stretches that a disk would take as one.
    fn chunks(&self) -> Vec<Chunk> {
        let mut chunks: Vec<Chunk> = Vec::new();
        for (number, page) in &self.pages {
            for sector in (0..PAGE / SECTOR).filter(|sector| page.dirty & (1 << sector) != 0) {
                let start = sector * SECTOR;
                let offset = number * PAGE as u64 + start as u64;
                let content = &page.content[start..start + within_file(offset, self.bytes)];
                match chunks.last_mut() {
                    Some(last)
                        if last.offset + last.bytes.len() as u64 == offset
                            && last.bytes.len() < CHUNK_BYTES_MAX =>
                    {
                        last.bytes.extend_from_slice(content);
                    }
                    Some(_) | None => chunks.push(Chunk {
                        offset,
                        bytes: content.to_vec(),
                    }),
                }
            }
        }
        chunks
    }
}

/// How many bytes of the sector at `at` belong to a file that ends at `end`.
fn within_file(at: u64, end: u64) -> usize {
    end.saturating_sub(at).min(SECTOR as u64) as usize
}

/// Which sectors of one write reach the platter at once.
#[derive(Debug, Clone, Copy)]
enum Early {
    None,
    Some,
    All,
}

impl Early {
    fn draw(shared: &Shared) -> Self {
        match lock(&shared.chance).below(8) {
            0 => Self::All,
            1..4 => Self::Some,
            _ => Self::None,
        }
    }

    fn draws(self, shared: &Shared) -> bool {
        match self {
            Self::None => false,
            Self::Some => lock(&shared.chance).chance(1, 2),
            Self::All => true,
        }
    }
}

/// A kill between two of these leaves one written and the other not.
const CHUNK_BYTES_MAX: usize = 64 << 10;
