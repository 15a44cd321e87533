//! A disk that never syncs: shows what the store adds to the system calls, apart from the disk.

use std::io::{self, IoSlice};
use std::sync::Arc;

use noraftd::store::disk::{DirLock, Disk, DiskFile, RealDisk};

/// A disk that never syncs.
pub(crate) struct Unsynced(pub(crate) RealDisk);

struct UnsyncedFile(Arc<dyn DiskFile>);

impl Disk for Unsynced {
    fn describe(&self) -> String {
        self.0.describe()
    }
    fn lock(&self) -> io::Result<Box<dyn DirLock>> {
        self.0.lock()
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(UnsyncedFile(self.0.open(name)?)))
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(UnsyncedFile(self.0.create(name)?)))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for UnsyncedFile {
    fn write_at(&self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        self.0.write_at(offset, pieces)
    }
    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.0.allocate(bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn forget_cached(&self) -> io::Result<()> {
        self.0.forget_cached()
    }
    fn scan(&self, visit: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.0.scan(visit)
    }
    fn view(&self, offset: u64, length: usize, visit: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.0.view(offset, length, visit)
    }
}
