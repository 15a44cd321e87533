//! Bytes on their way in.
//!
//! Invariant: an idle connection stays small, a busy one reads much at once; and after each full read the
//! others get their turn. What clients have sent and has not been parsed yet is charged to one budget of them all,
//! but for the first [`FREE_BYTES`] of each; when that is spent, it stays in their sockets.

use bytes::BytesMut;
use tokio::io::AsyncReadExt;

use super::budget::Charge;
use super::sockets::ReadHalf;

/// A buffer that grows while reads fill it, so that idle connections stay small.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    pub(super) bytes: BytesMut,
    room: usize,
    charge: Option<Charge>,
}

impl Default for ReadBuffer {
    fn default() -> Self {
        Self {
            bytes: BytesMut::new(),
            room: ROOM_MIN,
            charge: None,
        }
    }
}

impl ReadBuffer {
    /// A buffer whose bytes are part of a budget.
    pub(super) fn charged(charge: Charge) -> Self {
        Self {
            charge: Some(charge),
            ..Self::default()
        }
    }

    /// Waits until the budget has room for another read; to be called before each.
    pub(super) async fn until_room(&self) {
        self.settle();
        if let Some(charge) = self.charge.as_ref().filter(|_| self.bytes.len() > FREE_BYTES) {
            charge.has_room(self.room).await;
        }
    }

    /// Reads once; zero bytes mean the end.
    pub(super) async fn read(&mut self, from: &mut ReadHalf) -> std::io::Result<usize> {
        self.bytes.reserve(self.room);
        let offered = self.bytes.capacity() - self.bytes.len();
        let count = from.read_buf(&mut self.bytes).await?;
        self.settle();
        if count == offered {
            self.room = (2 * self.room).min(ROOM_MAX);
            // More is there: let the event loop have what came first.
            tokio::task::yield_now().await;
        }
        Ok(count)
    }

    /// Charges what is here now.
    fn settle(&self) {
        if let Some(charge) = &self.charge {
            charge.set(self.bytes.len().saturating_sub(FREE_BYTES));
        }
    }
}

/// One read of an idle connection.
const ROOM_MIN: usize = 4 << 10;
/// One read of a busy connection: a socket buffer's worth.
const ROOM_MAX: usize = 128 << 10;
/// What each connection may hold whatever the others do, so that small commands never wait.
const FREE_BYTES: usize = 16 << 10;
