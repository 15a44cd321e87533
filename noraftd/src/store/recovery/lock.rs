//! A directory that is this process's, and how what fails in it is named.

use std::io;
use std::sync::Arc;

use crate::store::disk::{DirLock, Disk, DiskFile};
use crate::store::format::hard_state::{self, Slots};
use crate::store::recovery::verdict::OpenError;

/// A directory that is locked by this process.
pub(in crate::store) struct Locked {
    pub(in crate::store) disk: Arc<dyn Disk>,
    pub(in crate::store) lock: Box<dyn DirLock>,
}

impl Locked {
    pub(in crate::store) fn new(disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        let lock = disk.lock().map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::Locked {
                directory: disk.describe(),
            },
            _ => failure(&*disk, "", "locking the directory")(error),
        })?;
        Ok(Self { disk, lock })
    }

    pub(in crate::store) fn list(&self) -> Result<Vec<String>, OpenError> {
        let mut names = self
            .disk
            .list()
            .map_err(failure(&*self.disk, "", "listing the directory"))?;
        names.sort();
        Ok(names)
    }

    pub(in crate::store) fn file(&self, name: &str) -> Result<Arc<dyn DiskFile>, OpenError> {
        self.disk
            .open(name)
            .map_err(failure(&*self.disk, name, "opening"))
    }
}

pub(in crate::store) fn failure<'a>(
    disk: &'a dyn Disk,
    file: &'a str,
    doing: &'static str,
) -> impl FnOnce(io::Error) -> OpenError + 'a {
    move |source| OpenError::Disk {
        directory: disk.describe(),
        file: file.to_owned(),
        doing,
        source,
    }
}

pub(in crate::store) fn read_slots(file: &dyn DiskFile, disk: &dyn Disk) -> Result<Slots, OpenError> {
    let mut slots = Slots::decode(&[]);
    file.scan(&mut |bytes| slots = Slots::decode(bytes))
        .map_err(failure(disk, hard_state::FILE, "reading"))?;
    Ok(slots)
}
