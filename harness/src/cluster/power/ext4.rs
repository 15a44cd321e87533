//! A file system of a node's own, whose power can be cut.
//!
//! Invariant: its mount exists only in the mount namespace of this harness and its children, so the kernel undoes
//! it, and gives the loop device back, when the last of them is gone, whatever ended them.
//!
//! What it is not: the loop device has no cache of its own, so what the file system has sent to the device is
//! durable, with or without a flush behind it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::syncfs;

use crate::cluster::kernel;

/// An ext4 in a file.
#[derive(Debug)]
pub struct Ext4 {
    image: PathBuf,
    mount_point: PathBuf,
    /// The root directory while it is mounted.
    mounted: Mutex<Option<File>>,
}

/// Files whose unsynced pages a cut has taken, to be counted when nothing writes any more.
#[derive(Debug)]
pub(crate) struct Victims(Vec<File>);

impl Victims {
    /// Bytes that were in the page cache alone, in the units that the kernel keeps them in: at most so many.
    pub(crate) fn lost_bytes(&self) -> u64 {
        self.0.iter().filter_map(kernel::dirty_bytes).sum()
    }
}

/// Gives this process mounts of its own. Call it before any other thread is started: they share its mounts then.
///
/// # Errors
///
/// When the system does not let us: it takes root.
pub fn private_mounts() -> Result<(), Errno> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let nothing: Option<&str> = None;
    mount(
        nothing,
        "/",
        nothing,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        nothing,
    )?;
    MOUNTS_ARE_PRIVATE.store(true, Ordering::Relaxed);
    Ok(())
}

impl Ext4 {
    /// Makes a file system in the folder `home` and mounts it there.
    pub(super) fn make(home: &Path) -> Result<Self, String> {
        let home = home.canonicalize().map_err(|error| error.to_string())?;
        let ext4 = Self::at(home.join("disk.img"), home.join("disk"))?;
        Self::format(&ext4.image, IMAGE_BYTES)
            .and_then(|()| fs::create_dir_all(&ext4.mount_point))
            .map_err(|error| format!("{}: {error}", ext4.image.display()))?;
        ext4.mount()?;
        Ok(ext4)
    }

    /// The file system in the file `image`, which is mounted at `mount_point` when it is wanted.
    pub(crate) fn at(image: PathBuf, mount_point: PathBuf) -> Result<Self, String> {
        if !MOUNTS_ARE_PRIVATE.load(Ordering::Relaxed) {
            return Err("it takes root, to have mounts of one's own".to_owned());
        }
        Ok(Self {
            image,
            mount_point,
            mounted: Mutex::new(None),
        })
    }

    /// Makes an empty file system in a sparse file of `bytes`.
    pub(crate) fn format(image: &Path, bytes: u64) -> io::Result<()> {
        File::create(image)?.set_len(bytes)?;
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(image)).map_err(io::Error::other)
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.mount_point.join("data")
    }

    /// Mounts it, unless it is: what the journal holds is recovered.
    pub(crate) fn mount(&self) -> Result<(), String> {
        let mut mounted = self.lock();
        if mounted.is_some() {
            return Ok(());
        }
        let mut command = Command::new("mount");
        command.args(["-t", "ext4", "-o", MOUNT_OPTIONS]);
        run(command.arg(&self.image).arg(&self.mount_point))?;
        let root = File::open(&self.mount_point).map_err(|error| error.to_string())?;
        *mounted = Some(root);
        Ok(())
    }

    /// True while the store makes a segment.
    pub(in crate::cluster) fn makes_segment(&self) -> bool {
        let names = fs::read_dir(self.data_dir()).into_iter().flatten().flatten();
        names.map(|entry| entry.file_name()).any(|name| {
            let name = name.to_string_lossy();
            name.starts_with("segment-") && name.ends_with(".tmp")
        })
    }

    /// The files that are written at the moment.
    pub(crate) fn victims(&self) -> Victims {
        let mut paths = Vec::new();
        list(&self.data_dir(), &mut paths);
        paths.sort();
        let is_segment = |path: &&PathBuf| path.to_string_lossy().contains("segment-");
        let (segments, others): (Vec<&PathBuf>, Vec<&PathBuf>) = paths.iter().partition(is_segment);
        let newest = segments.into_iter().rev().take(SEGMENTS_WRITTEN_MAX);
        Victims(
            others
                .into_iter()
                .chain(newest)
                .filter_map(|path| File::open(path).ok())
                .collect(),
        )
    }

    /// Writes everything that is not written yet.
    pub(super) fn sync(&self) -> io::Result<()> {
        match &*self.lock() {
            Some(root) => Ok(syncfs(root)?),
            None => Err(Errno::ENODEV.into()),
        }
    }

    /// Cuts the power: from now on nothing is written.
    pub(crate) fn shut_down(&self) -> Result<(), Errno> {
        match &*self.lock() {
            Some(root) => kernel::shut_down(root),
            None => Err(Errno::ENODEV),
        }
    }

    /// Forgets what was not written. No process may have a file open.
    pub(crate) fn unmount(&self) -> Result<(), Errno> {
        let mut mounted = self.lock();
        if mounted.take().is_none() {
            return Ok(());
        }
        for _ in 0..UNMOUNT_TRIES {
            match umount2(&self.mount_point, MntFlags::empty()) {
                // The last files of a killed process are closed a moment after it was reaped.
                Err(Errno::EBUSY) => pause(),
                other => return other,
            }
        }
        Err(Errno::EBUSY)
    }

    fn lock(&self) -> MutexGuard<'_, Option<File>> {
        self.mounted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files in a folder and those below. What is not there, or any more, has nothing to lose.
fn list(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => list(&entry.path(), paths),
            Ok(kind) if kind.is_file() && paths.len() < FILES_MAX => paths.push(entry.path()),
            Ok(_) | Err(_) => {}
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{name}: {}",
        said.lines().next().unwrap_or("failed").trim()
    ))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a few milliseconds in which all nodes are down anyway"
)]
fn pause() {
    sleep(Duration::from_millis(2));
}

/// Nothing is mounted where it would stay when this process ends.
static MOUNTS_ARE_PRIVATE: AtomicBool = AtomicBool::new(false);

/// Sparse; a run of minutes writes a fraction of it.
const IMAGE_BYTES: u64 = 8 << 30;
/// No commit of the journal but those that a sync asks for.
const MOUNT_OPTIONS: &str = "loop,noatime,commit=900";
/// The front, a spare, and one that is being made.
const SEGMENTS_WRITTEN_MAX: usize = 3;
/// Enough to tell whether anything is lost.
const FILES_MAX: usize = 500;
const UNMOUNT_TRIES: usize = 100;
