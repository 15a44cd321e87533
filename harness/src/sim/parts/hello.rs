//! How a simulated process introduces itself to the others, and which of them it listens to: the daemon's own policy
//! (`noraftd::admission`), with the record of data directories on the node's disk.
//!
//! Invariant: what a process knows of the others' directories is what its disk says.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use noraft::NodeId;
use noraftd::admission::{Admission, Claim, NotAdmitted, Unfit, check_reply};
use noraftd::level::Level;
use noraftd::protocol::peer::{Extensions, Hello, HelloReply, Lane, Reject, SharedSettings, Starts};
use noraftd::store::disk::Disk;
use noraftd::store::{Identity, KnownPeers, genesis, start_count};

/// One end of every greeting of a process.
pub(crate) struct Greeter {
    identity: Identity,
    level: Level,
    starts: Option<Starts>,
    settings: SharedSettings,
    pub(crate) admission: Admission,
}

/// What every process with one directory says of itself, or with a copy of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Card {
    pub(crate) identity: Identity,
    /// What it says of its segments, if anything.
    pub(crate) payload_bytes_max: Option<u64>,
    /// The highest level that its program supports.
    pub(crate) level: Level,
}

impl Card {
    /// A process with the directory, or with a copy of it, which is on `disk`, in a cluster of `nodes`; `mark` is its own.
    ///
    /// # Errors
    ///
    /// When the record of directories cannot be read, or is lost.
    pub(crate) fn greeter(
        self,
        disk: Arc<dyn Disk>,
        nodes: &BTreeSet<NodeId>,
        mark: u32,
    ) -> io::Result<Greeter> {
        let Self { identity, level, .. } = self;
        let starts = start_count::count_start(&*disk, mark)?;
        let known_peers = KnownPeers::load(disk)?;
        if known_peers.is_lost() {
            return Err(io::Error::other(
                "the record of the other nodes' directories is lost, and was not damaged",
            ));
        }
        let settings = SharedSettings {
            // A node that joins knows nothing of the beginning.
            members: nodes
                .contains(&identity.owner.node_id)
                .then(|| genesis::hash(nodes)),
            payload_bytes_max: self.payload_bytes_max,
            generation: 0,
        };
        let mut others = nodes.clone();
        others.remove(&identity.owner.node_id);
        Ok(Greeter {
            identity,
            level,
            starts: starts.map(|starts| Starts {
                count: starts.count,
                marks: starts.marks,
            }),
            settings,
            admission: Admission::new(identity.owner, settings, others, known_peers),
        })
    }
}

impl NoConnection {
    /// True when the other node says that this one was removed.
    pub(crate) fn is_removed(&self) -> bool {
        let Self::NotAdmitted(NotAdmitted::Refused(refusal)) = self else {
            return false;
        };
        refusal.reject == Reject::Removed
    }
}

/// Why two nodes have no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoConnection {
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    #[error("the other node {0}")]
    Unfit(#[from] Unfit),
}

impl Greeter {
    /// What another process with a copy of the same directory says of itself, apart from its starts.
    pub(crate) fn card(&self) -> Card {
        Card {
            identity: self.identity,
            payload_bytes_max: self.settings.payload_bytes_max,
            level: self.level,
        }
    }

    /// What it says of data directories.
    pub(crate) fn claim(&self) -> Claim {
        Claim {
            from: self.identity.owner.node_id,
            incarnation: self.identity.incarnation,
            met: self.admission.met(),
        }
    }

    /// Names its directory.
    pub(crate) fn incarnation(&self) -> u64 {
        self.identity.incarnation
    }

    /// The highest level that its program supports.
    pub(crate) fn level(&self) -> Level {
        self.level
    }

    fn extensions(&self) -> Extensions {
        let ours = Extensions::ours(self.settings);
        Extensions {
            features: ours.features.at(self.level),
            ..ours
        }
    }

    /// True when this process has met that one, and no other of its node since.
    pub(crate) fn has_met(&self, other: &Self) -> bool {
        let latest = other.starts.as_ref();
        let start = latest.and_then(|starts| Some((starts.count, *starts.marks.first()?)));
        let known = self.admission.known(other.identity.owner.node_id);
        known.is_some_and(|known| {
            let met = known.start.map(|start| (start.count, start.mark));
            known.incarnation == other.identity.incarnation && met == start && start.is_some()
        })
    }

    /// Dials `acceptor`: each has to find the other fit, and this one knows that `level` is in force. What is new is on the acceptor's disk when this returns.
    pub(crate) fn greet(&self, acceptor: &mut Self, lane: Lane, level: Level) -> Result<(), NoConnection> {
        let to = acceptor.identity.owner.node_id;
        let hello = Hello {
            cluster_id: self.identity.owner.cluster_id,
            from: self.identity.owner.node_id,
            to,
            incarnation: self.identity.incarnation,
            extensions: Extensions {
                starts: self.starts.clone(),
                version: (level >= Level::FLUSH).then(|| "simulated".to_owned()),
                ..self.extensions().on(lane)
            },
        };
        acceptor.admission.verify(&hello).map_err(NotAdmitted::from)?;
        acceptor.admission.admit(&hello)?;
        let reply = HelloReply {
            from: to,
            incarnation: acceptor.identity.incarnation,
            extensions: acceptor.extensions(),
        };
        Ok(check_reply(to, self.settings, level, &reply)?)
    }
}
