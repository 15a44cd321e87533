//! Which node may talk to this one: what its hello has to say, and what the answer to a hello of this one.
//!
//! Pure but for the record of data directories, which is behind the store's disk: the shell and the simulation ask the
//! same questions. Proof of the secret is the business of the connection (`protocol/seal.rs`, the shell), and stands
//! between the two questions: until then the other side learns only the kind of what is wrong, and its data directory
//! is not even looked up.
//!
//! Invariant: who is admitted named this cluster, this node, a member, and the data directory that this member had when
//! it was first met, with the same settings, and supports the level in force. Where it says how often it was started, no later process with that directory
//! was met, and no other one of the same number. What is remembered of it is durable before it is admitted.

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
        if !self.roll.members.contains(&hello.from) && !self.roll.gone.contains(&hello.from) {
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
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::protocol::peer::{Extensions, Starts};
    use crate::store::disk::memory::{Fault, MemDisk};

    const CLUSTER: u64 = 9;
    const ONE: NodeId = NodeId::new(1);
    const TWO: NodeId = NodeId::new(2);
    const SETTINGS: SharedSettings = SharedSettings {
        members: Some(7),
        payload_bytes_max: Some(1000),
    };

    /// Node 2, with what is on `disk`.
    fn two(disk: &MemDisk) -> Admission {
        let owner = Owner {
            cluster_id: CLUSTER,
            node_id: TWO,
        };
        let known_peers = KnownPeers::load(Arc::new(disk.clone())).unwrap();
        Admission::new(owner, SETTINGS, [ONE].into(), known_peers)
    }

    /// Node 1 with this directory to node 2.
    fn hello(incarnation: u64) -> Hello {
        Hello {
            cluster_id: CLUSTER,
            from: ONE,
            to: TWO,
            incarnation,
            extensions: Extensions::ours(SETTINGS),
        }
    }

    fn reject_of(result: Result<(), NotAdmitted>) -> Option<Reject> {
        match result {
            Ok(()) => None,
            Err(NotAdmitted::Refused(refusal)) => Some(refusal.reject),
            Err(NotAdmitted::Disk(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn a_hello_names_this_cluster_this_node_and_a_member() {
        let two = two(&MemDisk::new());
        let verdict = |hello: &Hello| two.verify(hello).err().map(|refusal| refusal.reject);
        let fit = hello(1);
        assert_eq!(verdict(&fit), None);
        let other = |change: fn(&mut Hello)| {
            let mut hello = fit.clone();
            change(&mut hello);
            verdict(&hello)
        };
        assert_eq!(other(|hello| hello.cluster_id = 8), Some(Reject::Cluster));
        assert_eq!(other(|hello| hello.to = ONE), Some(Reject::Node));
        assert_eq!(
            other(|hello| hello.from = NodeId::new(3)),
            Some(Reject::NotMember)
        );
        assert_eq!(other(|hello| hello.from = TWO), Some(Reject::NotMember));
    }

    #[test]
    fn another_directory_is_refused_also_after_a_power_cut_until_it_is_readmitted() {
        let disk = MemDisk::new();
        two(&disk).admit(&hello(1)).unwrap();
        for seed in 0..20 {
            let disk = disk.after_power_cut(seed);
            assert_eq!(reject_of(two(&disk).admit(&hello(1))), None);
            assert_eq!(reject_of(two(&disk).admit(&hello(2))), Some(Reject::Incarnation));
            two(&disk).readmit(ONE, 2).unwrap();
            let disk = disk.after_power_cut(seed);
            assert_eq!(reject_of(two(&disk).admit(&hello(2))), None);
            assert_eq!(reject_of(two(&disk).admit(&hello(1))), Some(Reject::Incarnation));
        }
        let error = two(&disk).readmit(NodeId::new(3), 2).unwrap_err().to_string();
        assert_eq!(error, "node 3 is not another member of this cluster");
    }

    #[test]
    fn a_node_that_was_removed_hears_so_and_one_never_met_has_the_directory_of_the_table() {
        let mut two = two(&MemDisk::new());
        let three = |incarnation| Hello {
            from: NodeId::new(3),
            ..hello(incarnation)
        };
        two.admit(&hello(1)).unwrap();
        two.note_roll(Roll {
            members: [NodeId::new(3)].into(),
            gone: [ONE].into(),
            incarnations: [(NodeId::new(3), 33)].into(),
        });
        assert!(two.verify(&hello(1)).is_ok(), "it has to prove itself first");
        assert_eq!(reject_of(two.admit(&hello(1))), Some(Reject::Removed));
        assert_eq!(two.known(ONE), None, "it makes room");
        assert_eq!(reject_of(two.admit(&three(34))), Some(Reject::Incarnation));
        assert_eq!(reject_of(two.admit(&three(33))), None);
        // What was met counts more than a table that may be behind.
        two.readmit(NodeId::new(3), 34).unwrap();
        assert_eq!(reject_of(two.admit(&three(34))), None);
        assert_eq!(reject_of(two.admit(&three(33))), Some(Reject::Incarnation));
    }

    /// A process of node 1, whose directory was started with these marks, the latest first.
    fn started(marks: &[u32]) -> Hello {
        let mut hello = hello(1);
        hello.extensions.starts = Some(Starts {
            count: marks.len() as u64,
            marks: marks.to_vec(),
        });
        hello
    }

    #[test]
    fn an_old_copy_of_a_directory_is_refused_however_often_it_is_started() {
        let disk = MemDisk::new();
        two(&disk).admit(&started(&[2, 1])).unwrap();
        two(&disk).admit(&started(&[4, 3, 2, 1])).unwrap();
        for seed in 0..20 {
            let disk = disk.after_power_cut(seed);
            let old = [
                &[2, 1][..],
                &[9, 2, 1],
                &[9, 9, 2, 1],
                &[9, 9, 9, 2, 1],
                &[9, 9, 9, 9, 9, 2, 1],
            ];
            for old in old {
                let reject = reject_of(two(&disk).admit(&started(old)));
                assert_eq!(reject, Some(Reject::OldCopy), "{old:?}");
            }
            let same = started(&[4, 3, 2, 1]);
            assert_eq!(reject_of(two(&disk).admit(&same)), None, "the same process");
            let later = started(&[7, 6, 5, 4, 3, 2, 1]);
            assert_eq!(reject_of(two(&disk).admit(&later)), None, "a restart");
            assert_eq!(reject_of(two(&disk).admit(&same)), Some(Reject::OldCopy));
        }
    }

    #[test]
    fn of_two_processes_with_copies_of_one_directory_only_the_first_is_heard() {
        let disk = MemDisk::new();
        let mut two = two(&disk);
        two.admit(&started(&[2, 1])).unwrap();
        assert_eq!(reject_of(two.admit(&started(&[3, 1]))), Some(Reject::OldCopy));
        assert_eq!(reject_of(two.admit(&started(&[2, 1]))), None);
        two.readmit(ONE, 1).unwrap();
        assert_eq!(reject_of(two.admit(&started(&[3]))), None, "it was set up again");
    }

    #[test]
    fn a_node_of_an_earlier_version_says_no_start_and_is_admitted() {
        let disk = MemDisk::new();
        let mut two = two(&disk);
        two.admit(&hello(1)).unwrap();
        two.admit(&started(&[2, 1])).unwrap();
        assert_eq!(reject_of(two.admit(&hello(1))), None);
        assert_eq!(reject_of(two.admit(&started(&[1]))), Some(Reject::OldCopy));
    }

    /// What is longer ago than the marks go back cannot be compared.
    #[test]
    fn a_start_beyond_the_marks_is_admitted() {
        let disk = MemDisk::new();
        let mut two = two(&disk);
        two.admit(&started(&[1])).unwrap();
        let mut later = started(&[9, 8]);
        later.extensions.starts.as_mut().unwrap().count = 100;
        assert_eq!(reject_of(two.admit(&later)), None);
    }

    #[test]
    fn who_cannot_be_written_down_is_not_admitted() {
        let disk = MemDisk::new();
        let mut two = two(&disk);
        let errno = nix::libc::EIO;
        for op in disk.operations()..disk.operations() + 4 {
            disk.arm(Some(Fault::Once { op, errno }));
            assert!(
                matches!(two.admit(&hello(1)), Err(NotAdmitted::Disk(_))),
                "operation {op}"
            );
            disk.arm(None);
        }
        assert_eq!(reject_of(two.admit(&hello(1))), None);
    }

    #[test]
    fn settings_that_differ_are_refused_on_either_side() {
        let other = SharedSettings {
            members: Some(8),
            ..SETTINGS
        };
        let disk = MemDisk::new();
        let mut wrong = hello(1);
        wrong.extensions = Extensions::ours(other);
        let reject = reject_of(two(&disk).admit(&wrong));
        assert!(matches!(reject, Some(Reject::Settings(_))), "{reject:?}");
        assert_eq!(reject_of(two(&disk).admit(&hello(2))), None, "it was not met");
        let reply = |from, settings| HelloReply {
            from,
            incarnation: 5,
            extensions: Extensions::ours(settings),
        };
        assert_eq!(
            check_reply(TWO, SETTINGS, Level::FIRST, &reply(TWO, SETTINGS)),
            Ok(())
        );
        assert_eq!(
            check_reply(TWO, SETTINGS, Level::FIRST, &reply(ONE, SETTINGS)),
            Err(Unfit::Stranger(1))
        );
        let error = check_reply(TWO, SETTINGS, Level::FIRST, &reply(TWO, other)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "has other values for what every node has to share: peers"
        );
    }
}
