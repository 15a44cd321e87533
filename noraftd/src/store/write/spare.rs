//! The next segment, made before it is needed.
//!
//! Invariant: a segment appears under its name only when it has its full size, is zero throughout and
//! durable, name included. Its zeros are written, but for the rest of a new node's first segment: a sync into blocks
//! that were never written also writes their allocation, which costs more than the data.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use crate::store::disk::shortage::is_shortage;
use crate::store::disk::{Disk, DiskFile};
use crate::store::format::segment::{file_name, temporary_name};
use crate::store::types::SpareBy;

type Made = io::Result<Arc<dyn DiskFile>>;

/// Makes segments of one size.
pub(in crate::store) struct Spares {
    disk: Arc<dyn Disk>,
    bytes: u64,
    maker: Option<Maker>,
    /// The segment that is ready.
    ready: Option<(u64, Arc<dyn DiskFile>)>,
    /// True when the last segment that was asked for could not be made.
    failed: bool,
    /// What there is to remove, where no thread does it.
    removals: Removals,
}

/// Files that nothing needs any more, in the order in which they have to go.
#[derive(Default)]
struct Removals(VecDeque<String>);

impl Removals {
    /// Removes one after the other, each durably before the next. What fails is tried again with the next that
    /// come; what is left at the end is found by the next opening.
    fn remove(&mut self, disk: &dyn Disk, names: Vec<String>) {
        self.0.extend(names);
        while let Some(name) = self.0.front() {
            let removed = match disk.remove(name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                other => other,
            };
            if removed.and_then(|()| disk.sync_dir()).is_err() {
                return;
            }
            self.0.pop_front();
        }
    }
}

/// What the thread is asked for.
enum Request {
    /// Make this segment, and give it.
    Make(u64),
    /// Remove these files, in this order.
    Remove(Vec<String>),
}

/// A thread that makes one segment a request, and takes old files away.
struct Maker {
    requests: Option<Sender<Request>>,
    made: Receiver<(u64, Made)>,
    thread: Option<JoinHandle<()>>,
    /// The number that was asked for and not answered yet.
    pending: Option<u64>,
}

impl Spares {
    /// Makes segments of `bytes` bytes in `disk`.
    pub(in crate::store) fn new(disk: Arc<dyn Disk>, bytes: u64, by: SpareBy) -> io::Result<Self> {
        let maker = match by {
            SpareBy::Caller => None,
            SpareBy::Thread => Some(Maker::start(disk.clone(), bytes)?),
        };
        Ok(Self {
            disk,
            bytes,
            maker,
            ready: None,
            failed: false,
            removals: Removals::default(),
        })
    }

    /// Takes up a segment that an earlier process made.
    pub(in crate::store) fn adopt(&mut self, number: u64, file: Arc<dyn DiskFile>) {
        self.ready = Some((number, file));
    }

    /// Asks for segment `number` ahead of need, where a thread can make it.
    pub(in crate::store) fn request(&mut self, number: u64) {
        if let Some(maker) = &mut self.maker
            && maker.pending.is_none()
            && self.ready.as_ref().is_none_or(|(ready, _)| *ready != number)
        {
            maker.request(number);
        }
    }

    /// Makes segment `number` ready ahead of need, now or in the thread; a failure shows in [`Spares::has_failed`].
    pub(in crate::store) fn prepare(&mut self, number: u64) {
        match self.maker {
            Some(_) => self.request(number),
            None => drop(self.get(number)),
        }
    }

    /// True when a segment is ready; never waits.
    pub(in crate::store) fn is_ready(&mut self) -> bool {
        if let Some(maker) = &mut self.maker
            && let Ok((number, made)) = maker.made.try_recv()
        {
            maker.pending = None;
            // A shortage of descriptors or memory says nothing about room.
            self.failed = made.as_ref().is_err_and(|error| !is_shortage(error));
            // A failure is reported to the call that needs the segment, which tries again.
            self.ready = self.ready.take().or(made.ok().map(|file| (number, file)));
        }
        self.ready.is_some()
    }

    /// True when there is no spare because the last could not be made.
    pub(in crate::store) fn has_failed(&self) -> bool {
        self.failed && self.ready.is_none()
    }

    /// Gives segment `number`, made now if need be. Until it is [`Spares::used`], it stays the spare.
    pub(in crate::store) fn get(&mut self, number: u64) -> Made {
        if let Some(maker) = &mut self.maker
            && let Some((pending, made)) = maker.wait()
            && let Ok(file) = made
        {
            self.ready = Some((pending, file));
        }
        if let Some((ready, file)) = &self.ready
            && *ready == number
        {
            return Ok(file.clone());
        }
        let made = make(&*self.disk, number, self.bytes);
        self.failed = made.as_ref().is_err_and(|error| !is_shortage(error));
        let file = made?;
        self.ready = Some((number, file.clone()));
        Ok(file)
    }

    /// Removes files that nothing needs, in this order.
    pub(in crate::store) fn remove(&mut self, names: Vec<String>) {
        match &self.maker {
            Some(maker) => maker.send(Request::Remove(names)),
            None => self.removals.remove(&*self.disk, names),
        }
    }

    /// The spare has become the segment that is written.
    pub(in crate::store) fn used(&mut self) {
        self.ready = None;
    }
}

impl Maker {
    fn start(disk: Arc<dyn Disk>, bytes: u64) -> io::Result<Self> {
        let (requests, asked) = channel::<Request>();
        let (answers, made) = channel();
        let thread = std::thread::Builder::new()
            .name("segments".to_owned())
            .spawn(move || {
                let mut removals = Removals::default();
                while let Ok(request) = asked.recv() {
                    match request {
                        Request::Remove(names) => removals.remove(&*disk, names),
                        Request::Make(number) => {
                            if answers.send((number, make(&*disk, number, bytes))).is_err() {
                                return;
                            }
                        }
                    }
                }
            })?;
        Ok(Self {
            requests: Some(requests),
            made,
            thread: Some(thread),
            pending: None,
        })
    }

    fn request(&mut self, number: u64) {
        if self
            .requests
            .as_ref()
            .is_some_and(|requests| requests.send(Request::Make(number)).is_ok())
        {
            self.pending = Some(number);
        }
    }

    fn send(&self, request: Request) {
        if let Some(requests) = &self.requests {
            // The thread ends before this does only by a panic, which it printed.
            let _ = requests.send(request);
        }
    }

    /// The segment that is being made, if one is.
    fn wait(&mut self) -> Option<(u64, Made)> {
        self.pending.take()?;
        self.made.recv().ok()
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by it; there is nothing to undo.
            let _ = thread.join();
        }
    }
}

/// Makes segment `number`: blank, durable, under its name.
fn make(disk: &dyn Disk, number: u64, bytes: u64) -> Made {
    let file = fill(disk, number, bytes)?;
    publish(disk, number)?;
    Ok(file)
}

/// Makes segment `number` under its temporary name: blank and durable.
pub(in crate::store) fn fill(disk: &dyn Disk, number: u64, bytes: u64) -> Made {
    prepare(disk, number, bytes, bytes)
}

/// The same, soon: the room for it is taken, which reads as zeros, but only its start is written. Syncs behind that
/// cost more. For the segment that a node waits for before it serves a client.
pub(in crate::store) fn fill_start(disk: &dyn Disk, number: u64, bytes: u64) -> Made {
    prepare(disk, number, bytes, bytes.min(START_BYTES))
}

fn prepare(disk: &dyn Disk, number: u64, bytes: u64, zeros: u64) -> Made {
    let temporary = temporary_name(number);
    let file = disk.create(&temporary)?;
    let filled = file.allocate(bytes).and_then(|()| write_zeros(&*file, zeros));
    if filled.is_err() {
        // Gives back the room; where even this fails, the next opening removes the file.
        let _ = disk.remove(&temporary);
    }
    filled.map(|()| file)
}

/// Gives segment `number` its name, durably.
pub(in crate::store) fn publish(disk: &dyn Disk, number: u64) -> io::Result<()> {
    disk.rename(&temporary_name(number), &file_name(number))?;
    disk.sync_dir()
}

fn write_zeros(file: &dyn DiskFile, bytes: u64) -> io::Result<()> {
    let mut unsynced = 0;
    let mut at = 0;
    while at < bytes {
        let length = (bytes - at).min(ZEROS.len() as u64);
        file.write_at(at, &[IoSlice::new(&ZEROS[..length as usize])])?;
        at += length;
        unsynced += length;
        if unsynced >= ZEROS_PER_SYNC {
            file.sync_data()?;
            unsynced = 0;
        }
    }
    file.sync_all()?;
    // The zeros are never read, and a direct write has to take them out of the cache page by page.
    file.forget_cached()
}

/// Large enough that the cost of a call does not show.
static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// What a new node writes until its next segment is ready, and not more than a few ten milliseconds of writing.
const START_BYTES: u64 = 4 << 20;

/// Small enough that a batch's sync, which waits behind this one on the disk, is not held up for long.
const ZEROS_PER_SYNC: u64 = 4 << 20;
