//! The frame around everything that nodes say to each other.

use bytes::{Bytes, BytesMut};

/// Most bytes of a frame's body: the largest payload or reply, and as much again for what goes with it.
pub const FRAME_BODY_BYTES_MAX: usize = 32 << 20;

/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 20;

/// The version of the frame and of every body in it.
pub const VERSION: u8 = 1;

/// One frame, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the body is.
    pub kind: u8,
    /// The sender's cluster.
    pub cluster_id: u64,
    /// The body; shares the memory of the buffer it was read into.
    pub body: Bytes,
}

/// Bytes that are no frame for us. The connection cannot be used any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The body would exceed [`FRAME_BODY_BYTES_MAX`].
    #[error("a frame of {bytes} bytes exceeds the limit of {FRAME_BODY_BYTES_MAX} bytes")]
    Oversize {
        /// The announced size.
        bytes: usize,
    },
}

/// Takes the next whole frame from the front of `buffer`; `None` when more bytes are needed.
///
/// # Errors
///
/// When the bytes are not a frame of this version.
pub fn decode(buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
    let _ = buffer;
    todo!()
}
