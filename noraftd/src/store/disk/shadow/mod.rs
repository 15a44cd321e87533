//! A testing aid: a directory that loses, when its process is killed, what was not synced.
//!
//! SIGKILL alone loses nothing, because the kernel keeps what was written and writes it back. Here the files
//! of the real directory are the platter, and this process's memory is the cache: a write stays in memory
//! (`file.rs`) until the file is synced, a change of names until the directory is. To kill the process is
//! to pull the plug. So that a cut leaves more than clean edges, the seed lets single sectors, sizes and the
//! oldest changes of names reach the platter early, as a disk may at any time.
//!
//! Invariant: what a successful sync covered is in the real directory before it returns; everything else may
//! be missing there in part, but only as `store/disk/memory` says too: by sectors of 512 bytes, and of the
//! names the oldest changes stay first. Only this module knows that it is there: the store above is the
//! production's, and so are the calls below.
//!
//! Another process may put the disk into trouble meanwhile (`control.rs`): calls fail or take long, and the ledger counts them.
//!
//! Stricter than most file systems: syncing a new file does not make its name durable.

mod control;
mod file;
mod ledger;
mod options;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::prng::Prng;
use crate::store::disk::trouble::{Doing, Trouble};
use crate::store::disk::{DirLock, Disk, DiskFile, RealDisk};
pub use control::{CONTROL_FILE, Control, Order};
use file::ShadowFile;
use ledger::Ledger;
pub use ledger::{LEDGER_FILE, Unsynced, disturbed_calls};
pub use options::{ShadowOptions, ShadowOptionsError};

/// A directory of the operating system whose unsynced changes die with this process.
pub struct ShadowDisk {
    platter: RealDisk,
    path: std::path::PathBuf,
    shared: Arc<Shared>,
    names: Mutex<Option<Names>>,
}

/// What all files of the directory have in common.
struct Shared {
    options: ShadowOptions,
    chance: Mutex<Prng>,
    ledger: Ledger,
    control: Control,
    syncs: AtomicU64,
}

/// The names as this process sees them, and how they became so.
#[derive(Default)]
struct Names {
    live: BTreeMap<String, Option<Arc<ShadowFile>>>,
    /// Changes that the platter may lack, oldest first.
    pending: Vec<Change>,
    orphans_made: u64,
}

/// One change of names.
#[derive(Debug)]
enum Change {
    /// A new file, which the platter holds under `orphan`, is called `name`.
    Link {
        orphan: String,
        name: String,
    },
    Rename {
        from: String,
        to: String,
    },
    Remove(String),
}

impl ShadowDisk {
    /// The directory at `path`, which must exist.
    ///
    /// # Errors
    ///
    /// When it does not, is not a directory, or cannot be written.
    pub fn open(path: &Path, options: ShadowOptions) -> io::Result<Self> {
        let platter = RealDisk::open(path)?;
        let (ledger, before) = Ledger::open(path)?;
        if let Some(lost) = before.filter(|lost| lost.is_some()) {
            tracing::warn!("the shadow disk lost {lost} when the last process ended");
        }
        let chance = Prng::new(options.seed).fork(ledger.life());
        Ok(Self {
            platter,
            path: path.to_path_buf(),
            shared: Arc::new(Shared {
                options,
                chance: Mutex::new(chance),
                ledger,
                control: Control::open(path)?,
                syncs: AtomicU64::new(0),
            }),
            names: Mutex::new(None),
        })
    }

    /// Reads the names once; what has no name on the platter was lost by a cut.
    fn load(&self) -> io::Result<()> {
        let mut names = lock(&self.names);
        if names.is_some() {
            return Ok(());
        }
        let mut live = BTreeMap::new();
        for name in self.platter.list()? {
            if name.starts_with(ORPHAN_PREFIX) {
                self.platter.remove(&name)?;
            } else if ![LEDGER_FILE, CONTROL_FILE].contains(&name.as_str()) {
                live.insert(name, None);
            }
        }
        *names = Some(Names {
            live,
            ..Names::default()
        });
        Ok(())
    }

    fn with_names<T>(&self, action: impl FnOnce(&mut Names) -> io::Result<T>) -> io::Result<T> {
        self.load()?;
        let mut names = lock(&self.names);
        let done = action(names.as_mut().expect("loaded above and never taken back"))?;
        Ok(done)
    }

    fn attach(&self, on_platter: &str) -> io::Result<Arc<ShadowFile>> {
        let file = self.platter.open(on_platter)?;
        let path = self.path.join(on_platter);
        Ok(Arc::new(ShadowFile::new(file, &path, Arc::clone(&self.shared))?))
    }

    fn file(&self, names: &mut Names, name: &str) -> io::Result<Arc<ShadowFile>> {
        let entry = names.live.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        if let Some(file) = entry {
            return Ok(Arc::clone(file));
        }
        // It has not changed its name in this process, or it would be attached.
        Ok(Arc::clone(entry.insert(self.attach(name)?)))
    }

    /// Notes a change; now and then the oldest changes become durable by themselves.
    fn change(&self, names: &mut Names, change: Change) -> io::Result<()> {
        names.pending.push(change);
        self.shared.ledger.names(1);
        let early = {
            let mut chance = lock(&self.shared.chance);
            let some = chance.chance(1, 4);
            if some {
                chance.between(1, names.pending.len() as u64)
            } else {
                0
            }
        };
        self.settle(names, early as usize)
    }

    /// Makes the `count` oldest changes on the platter.
    fn settle(&self, names: &mut Names, count: usize) -> io::Result<()> {
        for change in names.pending.drain(..count) {
            match change {
                Change::Link { orphan, name } => self.platter.rename(&orphan, &name)?,
                Change::Rename { from, to } => self.platter.rename(&from, &to)?,
                Change::Remove(name) => self.platter.remove(&name)?,
            }
            self.shared.ledger.names(-1);
        }
        Ok(())
    }
}

impl Disk for ShadowDisk {
    fn describe(&self) -> String {
        self.platter.describe()
    }

    fn lock(&self) -> io::Result<Box<dyn DirLock>> {
        let lock = self.platter.lock()?;
        self.load()?;
        Ok(lock)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.with_names(|names| Ok(names.live.keys().cloned().collect()))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.with_names(|names| Ok(self.file(names, name)? as Arc<dyn DiskFile>))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.shared.meet(Doing::Growing)?;
        self.with_names(|names| {
            let orphan = format!("{ORPHAN_PREFIX}{}", names.orphans_made);
            names.orphans_made += 1;
            drop(self.platter.create(&orphan)?);
            let file = self.attach(&orphan)?;
            names.live.insert(name.to_owned(), Some(Arc::clone(&file)));
            let name = name.to_owned();
            self.change(names, Change::Link { orphan, name })?;
            Ok(file as Arc<dyn DiskFile>)
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.shared.meet(Doing::Writing)?;
        self.with_names(|names| {
            let file = self.file(names, from)?;
            names.live.remove(from);
            names.live.insert(to.to_owned(), Some(file));
            let (from, to) = (from.to_owned(), to.to_owned());
            self.change(names, Change::Rename { from, to })
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.shared.meet(Doing::Writing)?;
        self.with_names(|names| {
            let gone = names.live.remove(name).ok_or(io::ErrorKind::NotFound)?;
            // What was not written of a file without a name is no loss.
            gone.iter().for_each(|file| file.forsake());
            self.change(names, Change::Remove(name.to_owned()))
        })
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.shared.begin_sync()?;
        self.with_names(|names| self.settle(names, names.pending.len()))?;
        self.platter.sync_dir()
    }
}

impl Shared {
    /// Takes the time of a slow disk, and fails where the options say so.
    fn begin_sync(&self) -> io::Result<()> {
        if !self.options.sync_delay.is_zero() {
            pause(self.options.sync_delay);
        }
        let at = self.syncs.fetch_add(1, Ordering::Relaxed) + 1;
        if self.options.fail_sync == Some(at) {
            return Err(nix::errno::Errno::EIO.into());
        }
        self.meet(Doing::Syncing)
    }

    /// A call begins: it fails, or takes its time, where the disk is in such trouble.
    fn meet(&self, doing: Doing) -> io::Result<()> {
        let Some(Order { trouble, delay }) = self.control.order() else {
            return Ok(());
        };
        if trouble == Trouble::Slow && doing == Doing::Syncing {
            self.ledger.disturbed();
            pause(delay);
        }
        match trouble.strike(doing, &mut lock(&self.chance)) {
            None => Ok(()),
            Some(errno) => {
                self.ledger.disturbed();
                Err(errno.into())
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the delay of a disk that is slow on purpose"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Files of the platter that no durable name leads to.
const ORPHAN_PREFIX: &str = "shadow-orphan-";

#[cfg(test)]
mod tests;
