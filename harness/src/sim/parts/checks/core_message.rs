//! The core's part of a message between nodes.

use noraft::{LogEntries, Message, NodeGeneration, NodeId};
use noraftd::protocol::peer::PeerMessage;

/// The core's part of a message between nodes.
pub(super) fn core_message(from: NodeId, message: &PeerMessage) -> Option<Message> {
    Some(match message {
        PeerMessage::RequestVote {
            term, last_position, ..
        } => Message::RequestVoteCall {
            from,
            term: *term,
            last_position: *last_position,
        },
        PeerMessage::Vote { term, granted } => Message::RequestVoteReply {
            from,
            term: *term,
            vote_granted: *granted,
        },
        PeerMessage::Append {
            term,
            commit_index,
            prev,
            ..
        } => Message::AppendEntriesCall {
            from,
            term: *term,
            commit_index: *commit_index,
            entries: LogEntries::new(*prev),
        },
        PeerMessage::Appended {
            term,
            generation,
            last_position,
            ..
        } => Message::AppendEntriesReply {
            from,
            term: *term,
            generation: NodeGeneration::new(*generation),
            last_position: *last_position,
        },
        PeerMessage::PreVote { .. }
        | PeerMessage::PreVoted { .. }
        | PeerMessage::Forward { .. }
        | PeerMessage::Forwarded { .. }
        | PeerMessage::SnapshotChunk { .. }
        | PeerMessage::SnapshotReply { .. }
        | PeerMessage::RepairRequest { .. }
        | PeerMessage::Repair { .. }
        | PeerMessage::Pulse { .. }
        | PeerMessage::Pulsed { .. }
        | PeerMessage::TimeoutNow { .. }
        | PeerMessage::Compare { .. }
        | PeerMessage::Compared { .. } => return None,
    })
}
