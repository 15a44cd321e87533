//! Bytes on their way out of one socket.
//!
//! Invariant: bytes leave in the order they were appended. The event loop writes what the socket takes,
//! once a round, and not more than [`WRITE_BYTES`] of it; a task of its own takes over until the rest is drained.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use bytes::{Buf, BytesMut};
use nix::sys::socket::Shutdown;
use tokio::sync::Notify;

use super::sockets::WriteHalf;

/// The outgoing side of a connection.
#[derive(Debug)]
pub(super) struct Outgoing {
    socket: Option<WriteHalf>,
    bytes: RefCell<BytesMut>,
    is_draining: Cell<bool>,
    is_closed: Cell<bool>,
    /// Bytes that have left.
    written: Cell<u64>,
    changed: Notify,
}

impl Outgoing {
    /// Nothing to write yet.
    pub(super) fn new(socket: WriteHalf) -> Rc<Self> {
        Rc::new(Self::over(Some(socket)))
    }

    /// Goes nowhere: for tests of what does not write.
    #[cfg(test)]
    pub(super) fn detached() -> Rc<Self> {
        Rc::new(Self::over(None))
    }

    fn over(socket: Option<WriteHalf>) -> Self {
        Self {
            socket,
            bytes: RefCell::default(),
            is_draining: Cell::default(),
            is_closed: Cell::default(),
            written: Cell::default(),
            changed: Notify::new(),
        }
    }

    /// Lets `write` append bytes; they leave with the next [`Self::flush`].
    pub(super) fn append(&self, write: impl FnOnce(&mut BytesMut)) {
        if !self.is_closed() {
            write(&mut self.bytes.borrow_mut());
        }
    }

    /// Bytes that have not left.
    pub(super) fn len(&self) -> usize {
        self.bytes.borrow().len()
    }

    /// Bytes that have left since the connection began.
    pub(super) fn written(&self) -> u64 {
        self.written.get()
    }

    /// True once the connection has ended; nothing is kept or written any more.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// Ends the connection in both directions: its reader sees the end.
    pub(super) fn close(&self) {
        self.is_closed.set(true);
        *self.bytes.borrow_mut() = BytesMut::new();
        if let Some(socket) = &self.socket {
            socket.shutdown(Shutdown::Both);
        }
        self.changed.notify_one();
    }

    /// Ends this direction only.
    pub(super) fn end(&self) {
        if let Some(socket) = &self.socket {
            socket.shutdown(Shutdown::Write);
        }
    }

    /// Waits until [`Self::len`] has become zero or the connection was closed, since the last call.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Writes what the socket takes now; the rest follows as soon as it takes more.
    pub(super) fn flush(self: &Rc<Self>) {
        if self.is_draining.get() || self.is_closed() {
            return;
        }
        if self.write_some() != Progress::Done {
            self.is_draining.set(true);
            tokio::task::spawn_local(Rc::clone(self).drain());
        }
    }

    async fn drain(self: Rc<Self>) {
        loop {
            match self.write_some() {
                Progress::Done => break,
                progress => self.wait(progress).await,
            }
        }
        self.is_draining.set(false);
        self.changed.notify_one();
    }

    /// Waits until it makes sense to write on: the socket takes more, or the others have had their turn.
    pub(super) async fn wait(&self, after: Progress) {
        match (after, &self.socket) {
            (Progress::Full, Some(socket)) => {
                if socket.writable().await.is_err() {
                    self.close();
                }
            }
            (Progress::Full | Progress::More | Progress::Done, _) => tokio::task::yield_now().await,
        }
    }

    /// Writes what the socket takes now, and not too much of it.
    pub(super) fn write_some(&self) -> Progress {
        let mut bytes = self.bytes.borrow_mut();
        let Some(socket) = &self.socket else {
            bytes.clear();
            return Progress::Done;
        };
        let mut left = WRITE_BYTES;
        while !bytes.is_empty() {
            if left == 0 {
                return Progress::More;
            }
            let some = bytes.get(..left).unwrap_or(&bytes);
            match socket.try_write(some) {
                Ok(written) => {
                    left -= written.min(left);
                    self.written.set(self.written.get() + written as u64);
                    if written == bytes.len() {
                        reuse(&mut bytes);
                    } else {
                        bytes.advance(written);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Full,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    drop(bytes);
                    self.close();
                    return Progress::Done;
                }
            }
        }
        Progress::Done
    }
}

/// How far a write came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing is left to write.
    Done,
    /// The socket takes no more for now.
    Full,
    /// It may take more, but others wait for their turn.
    More,
}

/// What one connection writes at once: about a tenth of a millisecond.
const WRITE_BYTES: usize = 256 << 10;

/// Keeps an emptied buffer for the next round, unless one large reply has made it large.
fn reuse(bytes: &mut BytesMut) {
    bytes.clear();
    if bytes.capacity() > KEPT_BYTES_MAX {
        *bytes = BytesMut::new();
    }
}

/// An idle connection holds at most this much.
const KEPT_BYTES_MAX: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::sockets::Stream;
    use crate::shell::test_support::run;
    use bytes::BufMut;
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;

    #[test]
    fn bytes_beyond_the_sockets_buffer_follow_in_order() {
        run(async {
            let (here, mut there) = UnixStream::pair().expect("a pair");
            let (_read, write) = Stream::Unix(here).into_split();
            let outgoing = Outgoing::new(write);
            let sent: Vec<u8> = (0..4 << 20).map(|n| (n % 251) as u8).collect();
            for part in sent.chunks(100_000) {
                outgoing.append(|out| out.put_slice(part));
                outgoing.flush();
            }
            assert!(outgoing.len() > 0, "more than the socket takes");
            let mut received = vec![0; sent.len()];
            there.read_exact(&mut received).await.expect("everything arrives");
            assert!(received == sent);
            while outgoing.len() > 0 {
                outgoing.changed().await;
            }
        });
    }

    #[test]
    fn closing_ends_both_directions_and_keeps_nothing() {
        run(async {
            let (here, mut there) = UnixStream::pair().expect("a pair");
            let (mut read, write) = Stream::Unix(here).into_split();
            let outgoing = Outgoing::new(write);
            outgoing.append(|out| out.put_slice(b"lost"));
            outgoing.close();
            outgoing.append(|out| out.put_slice(b"ignored"));
            outgoing.flush();
            assert_eq!(outgoing.len(), 0);
            assert_eq!(there.read(&mut [0; 8]).await.expect("the end"), 0);
            assert_eq!(read.read(&mut [0; 8]).await.expect("the end"), 0);
        });
    }

    #[test]
    fn a_write_to_a_connection_that_ended_closes_it() {
        run(async {
            let (here, there) = UnixStream::pair().expect("a pair");
            let (_read, write) = Stream::Unix(here).into_split();
            drop(there);
            let outgoing = Outgoing::new(write);
            outgoing.append(|out| out.put_slice(b"unread"));
            outgoing.flush();
            assert!(outgoing.is_closed());
        });
    }
}
