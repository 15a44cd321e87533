//! The disk: an image, the blocks that were written over it, and what was written and flushed in order.
//!
//! Invariant: a write is in the log before the kernel hears that it was done; a flush, before the kernel hears of it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::blocks::{BLOCK, Block, Blocks};
use super::log::{Event, Log};

/// A disk.
#[derive(Debug)]
pub(super) struct Volume {
    base: File,
    size: u64,
    blocks: Blocks,
    log: Option<Vec<Event>>,
    forgets: bool,
}

impl Volume {
    /// A disk that holds `base`. One that `forgets` says that it flushed, and did not.
    pub(super) fn over(base: File, forgets: bool) -> io::Result<Self> {
        Ok(Self {
            size: base.metadata()?.len(),
            base,
            blocks: Blocks::new(),
            log: Some(Vec::new()),
            forgets,
        })
    }

    /// In bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Writes and flushes so far.
    pub(super) fn events(&self) -> usize {
        self.log.as_ref().map_or(0, Vec::len)
    }

    /// Ends the log.
    pub(super) fn take_log(&mut self) -> Log {
        Log::new(self.log.take().unwrap_or_default())
    }

    /// From now on it holds these blocks over its image.
    pub(super) fn put(&mut self, blocks: Blocks) {
        self.blocks = blocks;
    }

    /// Reads what is there, up to the end of the disk.
    pub(super) fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let length = length.min(usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX));
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let at = offset + bytes.len() as u64;
            let within = (at % BLOCK as u64) as usize;
            let take = (BLOCK - within).min(length - bytes.len());
            let block = self.block(at / BLOCK as u64)?;
            bytes.extend_from_slice(&block[within..within + take]);
        }
        Ok(bytes)
    }

    fn block(&self, number: u64) -> io::Result<Block> {
        match self.blocks.get(&number) {
            Some(block) => Ok(Arc::clone(block)),
            None => {
                let mut bytes = [0; BLOCK];
                self.base.read_exact_at(&mut bytes, number * BLOCK as u64)?;
                Ok(Arc::from(bytes.as_slice()))
            }
        }
    }

    /// Writes; what covers a block in part keeps the other part of it.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = Vec::new();
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let (number, within) = (at / BLOCK as u64, (at % BLOCK as u64) as usize);
            let take = (BLOCK - within).min(data.len() - done);
            let part = &data[done..done + take];
            let block = if take == BLOCK {
                Arc::from(part)
            } else {
                let mut bytes = self.block(number)?.to_vec();
                bytes[within..within + take].copy_from_slice(part);
                Arc::from(bytes)
            };
            written.push((number, block));
            done += take;
        }
        for (number, block) in &written {
            self.blocks.insert(*number, Arc::clone(block));
        }
        if let Some(log) = &mut self.log {
            log.push(Event::Write(written));
        }
        Ok(())
    }

    /// What was written before stays.
    pub(super) fn flush(&mut self) {
        if let Some(log) = self.log.as_mut().filter(|_| !self.forgets) {
            log.push(Event::Flush);
        }
    }

    /// Writes the whole disk into a file, without its zeros.
    pub(super) fn write_image(&self, file: &File) -> io::Result<()> {
        file.set_len(self.size)?;
        for number in 0..self.size / BLOCK as u64 {
            let block = self.block(number)?;
            if block.iter().any(|byte| *byte != 0) {
                file.write_all_at(&block, number * BLOCK as u64)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(blocks: u64) -> Volume {
        let base = tempfile::tempfile().unwrap();
        base.set_len(blocks * BLOCK as u64).unwrap();
        base.write_all_at(b"below", 10).unwrap();
        Volume::over(base, false).unwrap()
    }

    #[test]
    fn what_is_written_is_read_across_blocks_and_over_the_image() {
        let mut volume = volume(3);
        assert_eq!(volume.read(10, 5).unwrap(), b"below");
        volume.write(12, b"N").unwrap();
        assert_eq!(volume.read(10, 5).unwrap(), b"beNow");
        let across = BLOCK as u64 - 2;
        volume.write(across, b"four").unwrap();
        assert_eq!(volume.read(across - 1, 6).unwrap(), b"\0four\0");
        assert_eq!(volume.read(3 * BLOCK as u64 - 1, 9).unwrap(), [0]);
        assert_eq!(volume.events(), 2);
    }

    #[test]
    fn an_image_is_what_the_disk_holds() {
        let mut volume = volume(4);
        volume.write(2 * BLOCK as u64, b"here").unwrap();
        let image = tempfile::tempfile().unwrap();
        volume.write_image(&image).unwrap();
        let again = Volume::over(image, false).unwrap();
        let all = 4 * BLOCK;
        assert_eq!(again.read(0, all).unwrap(), volume.read(0, all).unwrap());
    }
}
