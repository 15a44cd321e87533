//! Replies of the state machine: the shared error texts, and the limit on how large a reply may become.
//!
//! Invariant: a reply fits a frame between nodes, whatever the state and the request are.

use bytes::Bytes;

use crate::protocol::resp::Reply;
use crate::record::PAYLOAD_BYTES_MAX;

/// Most bytes of one reply, counting 40 to 50 bytes for each of its elements as well. Room for the largest value or stream entry with
/// all its parts; three quarters of a frame.
pub const REPLY_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + (8 << 20);

/// Counts what a reply takes, so that one request cannot make the node gather gigabytes.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
}

/// The reply grew beyond [`REPLY_BYTES_MAX`].
#[derive(Debug)]
pub(super) struct TooLarge;

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            left: REPLY_BYTES_MAX,
        }
    }

    /// Takes room for one element of `bytes` bytes.
    pub(super) fn element(&mut self, bytes: usize) -> Result<(), TooLarge> {
        let taken = bytes.saturating_add(ELEMENT_BYTES);
        self.left = self.left.checked_sub(taken).ok_or(TooLarge)?;
        Ok(())
    }

    /// Takes room for a string and makes it.
    pub(super) fn bulk(&mut self, bytes: Bytes) -> Result<Reply, TooLarge> {
        self.element(bytes.len())?;
        Ok(Reply::Bulk(bytes))
    }
}

/// The reply, or the error that it is too large.
pub(super) fn within_budget(reply: Result<Reply, TooLarge>) -> Reply {
    reply.unwrap_or_else(|TooLarge| {
        let text =
            format!("ERR the reply would be larger than {REPLY_BYTES_MAX} bytes; ask for less (COUNT)");
        Reply::Error(text)
    })
}

/// What a scan found, and where it goes on.
pub(super) fn scanned(next: u64, found: impl Iterator<Item = Bytes>) -> Reply {
    let mut budget = Budget::new();
    let items: Result<Vec<Reply>, TooLarge> = found.map(|item| budget.bulk(item)).collect();
    let cursor = Reply::Bulk(Bytes::from(next.to_string()));
    within_budget(items.map(|items| Reply::Array(vec![cursor, Reply::Array(items)])))
}

pub(super) fn wrong_type() -> Reply {
    Reply::Error("WRONGTYPE Operation against a key holding the wrong kind of value".to_owned())
}

/// The length of something in memory, as a reply.
pub(super) fn length(n: usize) -> Reply {
    Reply::Integer(i64::try_from(n).expect("nothing in memory has more than 2^63 elements"))
}

/// What an element takes besides its bytes: its place in memory, and more than its header on the wire.
const ELEMENT_BYTES: usize = size_of::<Reply>();
