//! Which node may talk to this one: what its hello has to say, and what the answer to a hello of this one.
//!
//! Pure but for the record of data directories, which is behind the store's disk: the shell and the simulation ask the
//! same questions. Proof of the secret is the business of the connection (`protocol/seal.rs`, the shell), and stands
//! between the two questions: until then the other side learns only the kind of what is wrong, and its data directory
//! is not even looked up.
//!
//! Invariant: who is admitted named this cluster, its generation, this node, a member, and the data directory that this member had when
//! it was first met, with the same settings, and supports the level in force. Where it says how often it was started, no later process with that directory
//! was met, and no other one of the same number. What is remembered of it is durable before it is admitted. An id behind all that
//! the membership table knows is taken for a member that joined since.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use noraft::NodeId;

use crate::level::Level;
use crate::protocol::peer::{Differences, Hello, HelloReply, Reject, SharedSettings};
use crate::store::{KnownPeer, KnownPeers, Owner, Start};

/// Decides which of the other nodes this node listens to.
pub struct Admission {
    owner: Owner,
    settings: SharedSettings,
    /// The level in force, as far as this node knows.
    level: Level,
    roll: Roll,
    /// The data directory that each member had when it was first met.
    known_peers: KnownPeers,
}

impl Admission {
    /// For a node that is `owner`, whose members beside itself are `members`, and that met `known_peers` before.
    pub fn new(
        owner: Owner,
        settings: SharedSettings,
        members: BTreeSet<NodeId>,
        known_peers: KnownPeers,
    ) -> Self {
        Self {
            owner,
            settings,
            level: Level::FIRST,
            roll: Roll {
                members,
                ..Roll::default()
            },
            known_peers,
        }
    }

    /// This level is in force: who does not support it is turned away from now on.
    pub fn note_level(&mut self, level: Level) {
        self.level = self.level.max(level);
    }

    /// These are the members from now on.
    pub fn note_roll(&mut self, roll: Roll) {
        self.known_peers.forget(&roll.gone);
        self.roll = roll;
    }

    /// What can be said of a hello whose sender has proven nothing.
    ///
    /// # Errors
    ///
    /// When its sender is turned away.
    pub fn verify(&self, hello: &Hello) -> Result<(), Refusal> {
        let Owner { cluster_id, node_id } = self.owner;
        if hello.cluster_id != cluster_id {
            let found = hello.cluster_id;
            let detail = format!("it belongs to cluster {found:016x}");
            return Err(Refusal::of(hello, Reject::Cluster, detail));
        }
        if hello.to != node_id {
            let meant = hello.to.get();
            return Err(Refusal::of(hello, Reject::Node, format!("it means node {meant}")));
        }
        let (own, theirs) = (self.settings, hello.extensions.settings);
        if own.generation != theirs.generation {
            // Before anything else is said: whether it was removed is not for a node of another history to hear.
            let detail = format!(
                "it is of generation {:016x}, this cluster is of {:016x}",
                theirs.generation, own.generation
            );
            let differences = own.differences(theirs);
            return Err(Refusal::of(hello, Reject::Settings(differences), detail));
        }
        let is_known = |roll: &Roll| roll.members.contains(&hello.from) || roll.gone.contains(&hello.from);
        // A node says its version only where members are a table, which this one may have lost, or never had.
        let is_in_a_table = self.roll.has_table || hello.extensions.version.is_some();
        let may_be_later = is_in_a_table && self.roll.may_be_later(hello.from);
        if !is_known(&self.roll) && !may_be_later {
            let detail = "it is not a member of the cluster";
            return Err(Refusal::of(hello, Reject::NotMember, detail));
        }
        Ok(())
    }

    /// Looks whether this member, with this directory and these settings, is one to listen to.
    ///
    /// # Errors
    ///
    /// When its sender is turned away, or what is new of it cannot be made durable.
    pub fn admit(&mut self, hello: &Hello) -> Result<(), NotAdmitted> {
        if self.roll.gone.contains(&hello.from) {
            let detail = "it was removed from the cluster";
            return Err(Refusal::of(hello, Reject::Removed, detail).into());
        }
        let differences = self.settings.differences(hello.extensions.settings);
        if !differences.is_empty() {
            let detail = format!("what every node has to share differs: {differences}");
            return Err(Refusal::of(hello, Reject::Settings(differences), detail).into());
        }
        let level = hello.extensions.features.level();
        if level < self.level {
            let detail = format!(
                "it supports level {level}, and the cluster is at level {}",
                self.level
            );
            return Err(Refusal::of(hello, Reject::Level(self.level), detail).into());
        }
        match self.known_peers.get(hello.from) {
            Some(known) if hello.incarnation != known.incarnation => {
                let detail = format!(
                    "its data directory is {:016x}, on record is {:016x}: it was replaced, and forgot what it voted",
                    hello.incarnation, known.incarnation
                );
                Err(Refusal::of(hello, Reject::Incarnation, detail).into())
            }
            Some(known) => self.admit_start(hello, known),
            // Once for each node, so the caller may wait for the disk.
            None => self.admit_unmet(hello),
        }
    }

    /// A node that this one has never met: the membership table knows its directory, where there is one.
    fn admit_unmet(&mut self, hello: &Hello) -> Result<(), NotAdmitted> {
        let incarnation = self.roll.incarnations.get(&hello.from);
        if let Some(incarnation) = incarnation.filter(|known| **known != hello.incarnation) {
            let detail = format!(
                "its data directory is {:016x}, that of this member is {incarnation:016x}",
                hello.incarnation
            );
            return Err(Refusal::of(hello, Reject::Incarnation, detail).into());
        }
        Ok(self.known_peers.admit(hello.from, peer_of(hello))?)
    }

    /// Looks whether the process is the one that was met last with this directory, or a later one. A node of an earlier
    /// version does not say.
    fn admit_start(&mut self, hello: &Hello, known: KnownPeer) -> Result<(), NotAdmitted> {
        let Some(starts) = &hello.extensions.starts else {
            return Ok(());
        };
        let is_known_process = match known.start {
            None => false,
            Some(latest) => {
                let since = starts.count.checked_sub(latest.count).map(usize::try_from);
                let is_later = match since {
                    None => false,
                    Some(since) => since
                        .ok()
                        .and_then(|since| starts.marks.get(since))
                        .is_none_or(|mark| *mark == latest.mark),
                };
                if !is_later {
                    let detail = format!(
                        "it says that this is start {} of its data directory, and that start {} was another one than the one that \
                         was met: the directory is an old copy, or a second process has the same",
                        starts.count, latest.count
                    );
                    return Err(Refusal::of(hello, Reject::OldCopy, detail).into());
                }
                starts.count == latest.count
            }
        };
        if !is_known_process {
            // Once for each start of a node.
            self.known_peers.admit(hello.from, peer_of(hello))?;
        }
        Ok(())
    }

    /// The data directory of each node that this one has met.
    pub fn met(&self) -> BTreeMap<NodeId, u64> {
        self.known_peers.incarnations()
    }

    /// What this node has met of a member.
    pub fn known(&self, member: NodeId) -> Option<KnownPeer> {
        self.known_peers.get(member)
    }

    /// Accepts another data directory of a member from now on, and the one it had no more. Durable when this returns.
    ///
    /// # Errors
    ///
    /// When it is no member, or the disk fails.
    pub fn readmit(&mut self, node: NodeId, incarnation: u64) -> Result<(), NotReadmitted> {
        if !self.roll.members.contains(&node) {
            return Err(NotReadmitted::NotMember(node.get()));
        }
        let peer = KnownPeer {
            incarnation,
            start: None,
        };
        Ok(self.known_peers.admit(node, peer)?)
    }
}

/// Which nodes there are, and were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roll {
    /// The other members.
    pub members: BTreeSet<NodeId>,
    /// The nodes that were removed, and are in no configuration any more.
    pub gone: BTreeSet<NodeId>,
    /// The data directories of members, as far as the membership table knows them.
    pub incarnations: BTreeMap<NodeId, u64>,
    /// The highest id that is known to be in use.
    pub highest: Option<NodeId>,
    /// Whether there is a membership table; without one, the settings name every node.
    pub has_table: bool,
}

impl Roll {
    /// True for a node that may have joined after all that is known here. A node that was away while members joined, and others
    /// left, may be in reach of no other node. Ids are given one after the other, and never again.
    fn may_be_later(&self, node: NodeId) -> bool {
        let later = self
            .highest
            .and_then(|highest| node.get().checked_sub(highest.get()));
        later.is_some_and(|later| (1..=LATER_MAX).contains(&later))
    }
}

/// Ids that may have been given while a node was away: who has proven nothing else must not fill the record of directories.
const LATER_MAX: u64 = 64;

/// What a node says of data directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The node.
    pub from: NodeId,
    /// Its own directory.
    pub incarnation: u64,
    /// Those of the nodes that it has met.
    pub met: BTreeMap<NodeId, u64>,
}

impl Claim {
    /// The first member whose directory is another one than `table` has.
    pub fn contradicts(&self, table: impl IntoIterator<Item = (NodeId, u64)>) -> Option<NodeId> {
        let claimed = |id: NodeId| match id == self.from {
            true => Some(self.incarnation),
            false => self.met.get(&id).copied(),
        };
        let differs = |(id, written): &(NodeId, u64)| claimed(*id).is_some_and(|claimed| claimed != *written);
        table.into_iter().find(differs).map(|(id, _)| id)
    }
}

/// The directories of which all that is claimed is the same: what a node that is set up again has to know of the others. The
/// state that it begins with may be older than what they know of each other: of a node that was set up again itself, and has not
/// been able to have that written down yet, its membership table has the directory that was lost. And a node that runs with a
/// directory that no other one knows is not believed.
pub fn agreed(claims: &[Claim]) -> BTreeMap<NodeId, u64> {
    let mut claimed: BTreeMap<NodeId, BTreeSet<u64>> = BTreeMap::new();
    for claim in claims {
        let own = (&claim.from, &claim.incarnation);
        for (node, incarnation) in claim.met.iter().chain([own]) {
            claimed.entry(*node).or_default().insert(*incarnation);
        }
    }
    let only = |(node, of): (NodeId, BTreeSet<u64>)| {
        of.first()
            .copied()
            .filter(|_| of.len() == 1)
            .map(|one| (node, one))
    };
    claimed.into_iter().filter_map(only).collect()
}

/// What the sender says of itself that is remembered.
fn peer_of(hello: &Hello) -> KnownPeer {
    let starts = hello.extensions.starts.as_ref();
    let start = starts.and_then(|starts| {
        let mark = *starts.marks.first()?;
        Some(Start {
            count: starts.count,
            mark,
        })
    });
    KnownPeer {
        incarnation: hello.incarnation,
        start,
    }
}

/// Looks whether the consent of `peer` to a hello comes from the node that was meant, with these settings, in a version
/// that supports the level in force.
///
/// # Errors
///
/// With what is wrong.
pub fn check_reply(
    peer: NodeId,
    settings: SharedSettings,
    level: Level,
    reply: &HelloReply,
) -> Result<(), Unfit> {
    if reply.from != peer {
        return Err(Unfit::Stranger(reply.from.get()));
    }
    if reply.extensions.features.level() < level {
        return Err(Unfit::Level(level));
    }
    let differences = settings.differences(reply.extensions.settings);
    if differences.is_empty() {
        Ok(())
    } else {
        Err(Unfit::Settings(differences))
    }
}

/// A node is turned away: its own log says `detail`, the node hears `reject`.
#[derive(Debug, thiserror::Error)]
#[error("node {from} is refused: {detail}")]
pub struct Refusal {
    /// Which node it says it is.
    pub from: u64,
    /// The kind of what is wrong, which a stranger may know.
    pub reject: Reject,
    /// The rest of it.
    pub detail: String,
}

impl Refusal {
    /// The sender of `hello` is turned away.
    pub fn of(hello: &Hello, reject: Reject, detail: impl Into<String>) -> Self {
        Self {
            from: hello.from.get(),
            reject,
            detail: detail.into(),
        }
    }
}

/// Why a member is not admitted.
#[derive(Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// It is turned away.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What is new of it could not be made durable.
    #[error(transparent)]
    Disk(#[from] io::Error),
}

/// Why another data directory of a node is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum NotReadmitted {
    /// There is no such node.
    #[error("node {0} is not another member of this cluster")]
    NotMember(u64),
    /// It could not be made durable.
    #[error("cannot write it down: {0}")]
    Disk(#[from] io::Error),
}

/// Why the answer to a hello leads to no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Another node than the one that was meant.
    #[error("is node {0}: check the addresses of the members")]
    Stranger(u64),
    /// Its version does not support the level in force.
    #[error("does not support level {0}, which the cluster is at: start a later version of noraftd there")]
    Level(Level),
    /// Settings that have to be equal are not.
    #[error("has other values for what every node has to share: {0}")]
    Settings(Differences),
}

#[cfg(test)]
mod tests;
