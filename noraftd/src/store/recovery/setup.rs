//! Setting up a directory with a state that comes from elsewhere: a backup, or another node.
//!
//! Invariant: from before the first file of the new store until its segment is there, a marker says which verb is at
//! work. A crash in between leaves a directory that is neither empty nor a store: an opening refuses it, and the verb,
//! run again, takes it over. (Earlier builds left no marker; a snapshot without a segment says the same.)

use std::io::{self, IoSlice};
use std::sync::Arc;

use crate::store::disk::Disk;
use crate::store::format::hard_state::{self, Slots};
use crate::store::format::segment::parse_name;
use crate::store::recovery::lock::{Locked, failure, read_slots};
use crate::store::recovery::verdict::{Finding, OpenError, Verdict};
use crate::store::snapshots;

/// What sets a directory up with a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetUp {
    /// A node of a new cluster begins with a backup.
    Restore,
    /// A member that lost what it knew begins with another node's state.
    Rejoin,
    /// A new member begins with the state of the cluster.
    Join,
}

impl SetUp {
    fn command(self) -> &'static str {
        match self {
            Self::Restore => "noraftd snapshot restore",
            Self::Rejoin => "noraftd rejoin",
            Self::Join => "noraftd serve --join",
        }
    }
}

/// A directory without a store, locked by this process until it has one.
pub struct Vacant {
    pub(in crate::store) locked: Locked,
    set_up: SetUp,
}

impl Vacant {
    /// Locks a directory, and looks whether there is no store in it, not even a broken one. What an interrupted setting
    /// up left is none. Nothing is changed.
    ///
    /// # Errors
    ///
    /// When the directory holds a store, is in use, or cannot be read.
    pub fn look(disk: Arc<dyn Disk>, set_up: SetUp) -> Result<Self, OpenError> {
        let locked = Locked::new(disk)?;
        check_vacant(&locked, Leftovers::Taken)?;
        Ok(Self { locked, set_up })
    }

    /// From now on the directory is this verb's: until the store is there, nothing else opens it.
    ///
    /// # Errors
    ///
    /// When the disk is full or fails.
    pub fn claim(&self) -> Result<(), OpenError> {
        let disk = &*self.locked.disk;
        let write = || -> io::Result<()> {
            let file = disk.create(MARKER)?;
            file.write_at(0, &[IoSlice::new(self.set_up.command().as_bytes())])?;
            file.sync_all()?;
            disk.sync_dir()
        };
        write().map_err(failure(disk, MARKER, "creating"))
    }

    /// The store is there.
    pub(in crate::store) fn finish(self) -> Result<Locked, OpenError> {
        let disk = &*self.locked.disk;
        disk.remove(MARKER)
            .and_then(|()| disk.sync_dir())
            .map_err(failure(disk, MARKER, "removing"))?;
        Ok(self.locked)
    }
}

/// Whether what an interrupted setup left may be adopted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Leftovers {
    /// By the same verb, run again.
    Taken,
    /// Not by the making of an empty store.
    Kept,
}

/// Refuses a directory with a store in it, even a broken one; but not what an interrupted making of one left.
pub(in crate::store) fn check_vacant(locked: &Locked, leftovers: Leftovers) -> Result<(), OpenError> {
    let directory = locked.disk.describe();
    let names = locked.list()?;
    let exists = |file: &str| OpenError::Exists {
        directory: directory.clone(),
        file: file.to_owned(),
    };
    if let Some(segment) = names.iter().find(|name| parse_name(name).is_some()) {
        return Err(exists(segment));
    }
    if let Some(finding) = half_begun(&names) {
        return Err(exists(&finding.file));
    }
    let slots = slots_of(locked, &names)?;
    let finding = unfinished(&names, &slots, &|| None);
    match (finding, leftovers) {
        (Some(_), Leftovers::Taken) => Ok(()),
        (Some(finding), Leftovers::Kept) => Err(OpenError::Refused { directory, finding }),
        (None, _) if slots.is_none_or(|slots| slots.is_pristine()) => Ok(()),
        (None, _) => Err(exists(hard_state::FILE)),
    }
}

fn slots_of(locked: &Locked, names: &[String]) -> Result<Option<Slots>, OpenError> {
    let is_there = names.iter().any(|name| name == hard_state::FILE);
    is_there
        .then(|| read_slots(&*locked.file(hard_state::FILE)?, &*locked.disk))
        .transpose()
}

/// Says so when a directory of these files is one whose setting up was interrupted. `read` gives the marker's text.
pub(in crate::store) fn unfinished(
    names: &[String],
    slots: &Option<Slots>,
    read: &dyn Fn() -> Option<Vec<u8>>,
) -> Option<Finding> {
    let has = |wanted: &dyn Fn(&str) -> bool| names.iter().any(|name| wanted(name));
    // A term and vote that were ever written belong to a store, whatever became of the rest.
    let is_unused = slots.is_none_or(|slots| slots.is_unused());
    let (marker, snapshot) = (
        has(&|name| name == MARKER),
        has(&|name| snapshots::parse_name(name).is_some()),
    );
    if has(&|name| parse_name(name).is_some()) || !is_unused || !(marker || snapshot) {
        return None;
    }
    let verb = read().and_then(|bytes| {
        let of = |set_up: &SetUp| bytes == set_up.command().as_bytes();
        [SetUp::Restore, SetUp::Rejoin, SetUp::Join].into_iter().find(of)
    });
    let begun = match verb {
        Some(set_up) => format!("`{}`", set_up.command()),
        None => "`noraftd snapshot restore` or `noraftd rejoin`".to_owned(),
    };
    Some(Finding {
        verdict: Verdict::SetUpUnfinished,
        file: MARKER.to_owned(),
        offset: 0,
        found: format!("{begun} was interrupted here: there is a part of a state, and no log"),
    })
}

/// Says so when the log that was is being put aside, and the one that follows it may not be there yet.
pub(in crate::store) fn half_begun(names: &[String]) -> Option<Finding> {
    names.iter().any(|name| name == BEGINS).then(|| Finding {
        verdict: Verdict::BeginningUnfinished,
        file: BEGINS.to_owned(),
        offset: 0,
        found: "`noraftd recover` was interrupted here: the log that was may not be whole any more"
            .to_owned(),
    })
}

/// The file that is there while a directory is being set up.
pub(in crate::store) const MARKER: &str = "unfinished";
/// The file that is there while a cluster begins again out of the directory, from when its state is whole.
pub(in crate::store) const BEGINS: &str = "begins-again";
