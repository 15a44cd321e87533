//! An ext4 file system on the disk.
//!
//! Invariant: as in the ext4 tier of power cuts, its mounts exist only in the mount namespace of this harness and its children, so
//! nothing of it is left when the last of them is gone.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use fuser::{BackgroundSession, Config, MountOption, Session};

use super::CrashPointsError;
use super::blocks::Blocks;
use super::log::Log;
use super::served::{FILE, Served};
use super::volume::Volume;
use crate::cluster::power::{Ext4, NotPossible};
use crate::plan::PowerTier;

/// Where a node's directory is.
#[derive(Debug)]
pub(super) struct Ground {
    served: Served,
    ext4: Ext4,
    session: BackgroundSession,
}

impl Ground {
    /// Makes the file system, in `folder`.
    pub(super) fn lay(folder: &Path, forgets: bool) -> Result<Self, CrashPointsError> {
        let not_possible = |why: String| NotPossible {
            tier: PowerTier::Ext4,
            why,
        };
        let said = |error: io::Error| not_possible(error.to_string());
        let folder = folder.canonicalize().map_err(said)?;
        let (base, fuse, mount_point) = (folder.join("base.img"), folder.join("fuse"), folder.join("disk"));
        Ext4::format(&base, DISK_BYTES).map_err(said)?;
        fs::create_dir_all(&fuse).map_err(said)?;
        fs::create_dir_all(&mount_point).map_err(said)?;
        let volume = File::open(&base).and_then(|base| Volume::over(base, forgets));
        let served = Served::new(volume.map_err(said)?);
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("crash-points".to_owned()), MountOption::RW];
        let session = Session::new(served.clone(), &fuse, &config).and_then(Session::spawn);
        let session = session.map_err(|error| not_possible(format!("FUSE: {error}")))?;
        let ext4 = Ext4::at(fuse.join(FILE), mount_point).map_err(not_possible)?;
        Ok(Self {
            served,
            ext4,
            session,
        })
    }

    pub(super) fn data_dir(&self) -> PathBuf {
        self.ext4.data_dir()
    }

    pub(super) fn mount(&self) -> Result<(), String> {
        self.ext4.mount()
    }

    pub(super) fn unmount(&self) -> Result<(), String> {
        let unmounted = self.ext4.unmount();
        unmounted.map_err(|errno| format!("the file system cannot be unmounted: {errno}"))
    }

    /// Writes and flushes so far.
    pub(super) fn events(&self) -> usize {
        self.served.volume().events()
    }

    pub(super) fn take_log(&self) -> Log {
        self.served.volume().take_log()
    }

    /// The disk is as a crash left it. The file system must not be mounted.
    pub(super) fn put(&self, blocks: Blocks) {
        self.served.volume().put(blocks);
    }

    pub(super) fn write_image(&self, path: &Path) -> io::Result<()> {
        self.served.volume().write_image(&File::create(path)?)
    }

    /// Takes it away.
    pub(super) fn leave(self) {
        // What stays mounted goes with the namespace.
        let _ = self.ext4.unmount();
        let _ = self.session.umount_and_join();
    }
}

/// Sparse: what a run of seconds writes is far less.
const DISK_BYTES: u64 = 512 << 20;
