//! What `Node::handle_message` refuses, as a value.

use core::fmt;

/// Why a message was refused.
///
/// A refused message changes nothing but the term and vote it may have advanced before (Raft 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Error {
    /// The leader's log contradicts the position of the local snapshot.
    ///
    /// A snapshot holds committed entries only, so this cannot happen between correct nodes:
    /// storage was lost or mixed up. The node should be stopped.
    LocalSnapshotMismatch,

    /// The leader's log contradicts an entry that this node knows to be committed.
    ///
    /// Like [`Error::LocalSnapshotMismatch`], but above the snapshot. The node should be stopped.
    CommittedEntryMismatch,

    /// The terms of the entries fall, or exceed the term of the message that carries them.
    ///
    /// No correct leader sends that; the message should be dropped.
    MalformedEntries,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LocalSnapshotMismatch => "local snapshot position conflicts with leader log",
            Self::CommittedEntryMismatch => "locally committed entries conflict with leader log",
            Self::MalformedEntries => "terms of the received entries fall or exceed the term of the message",
        })
    }
}

impl core::error::Error for Error {}
