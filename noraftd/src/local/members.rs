//! What `NORAFT.MEMBERS` answers, as data: the daemon writes it, `noraftd member` and the tests read it.
//!
//! Invariant: the JSON only ever gains fields.

use serde::{Deserialize, Serialize};

/// The members of a cluster, as one node knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembersReport {
    /// The node that says so.
    pub id: u64,
    /// The leader of the current term, when known.
    pub leader: Option<u64>,
    /// True when there is a membership table; without one the members are those of the node's settings.
    pub written: bool,
    /// True while the configuration in force is not what the table wants.
    pub changing: bool,
    /// The members, by id.
    pub members: Vec<MemberReport>,
    /// The ids of nodes that were removed.
    pub removed: Vec<u64>,
}

/// One member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberReport {
    /// Its id.
    pub id: u64,
    /// `voter`; `learner`, which receives the log and does not vote; `joining`, a learner until it has caught up;
    /// `expected`, before it has joined; `leaving`, until the configuration is without it.
    pub role: String,
    /// Where the other nodes reach it; empty when that is not known.
    pub peer_address: String,
    /// Where clients reach it; empty when that is not known.
    pub client_address: String,
    /// The last entry known to be durable there; only the leader knows.
    pub match_index: Option<u64>,
    /// Entries that it lacks; only the leader knows.
    pub lag: Option<u64>,
    /// Milliseconds since it answered the leader; only the leader knows.
    pub last_contact_ms: Option<u64>,
    /// The highest level that it supports, while the node that says so is connected to it.
    pub level_supported: Option<u8>,
    /// Its version, likewise.
    pub version: Option<String>,
    /// Names its data directory, once that is known.
    pub incarnation: Option<String>,
}
