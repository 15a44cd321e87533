//! Bytes on their way in.
//!
//! Invariant: an idle connection stays small, a busy one reads much at once; and after each full read the
//! others get their turn.

use bytes::BytesMut;
use tokio::io::AsyncReadExt;

use super::endpoint::ReadHalf;

/// A buffer that grows while reads fill it, so that idle connections stay small.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    pub(super) bytes: BytesMut,
    room: usize,
}

impl Default for ReadBuffer {
    fn default() -> Self {
        Self {
            bytes: BytesMut::new(),
            room: ROOM_MIN,
        }
    }
}

impl ReadBuffer {
    /// Reads once; zero bytes mean the end.
    pub(super) async fn read(&mut self, from: &mut ReadHalf) -> std::io::Result<usize> {
        self.bytes.reserve(self.room);
        let offered = self.bytes.capacity() - self.bytes.len();
        let count = from.read_buf(&mut self.bytes).await?;
        if count == offered {
            self.room = (2 * self.room).min(ROOM_MAX);
            // More is there: let the event loop have what came first.
            tokio::task::yield_now().await;
        }
        Ok(count)
    }
}

/// One read of an idle connection.
const ROOM_MIN: usize = 4 << 10;
/// One read of a busy connection: a socket buffer's worth.
const ROOM_MAX: usize = 128 << 10;
