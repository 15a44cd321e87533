//! What a plan calls each kind of fault: the one table of their names, what they take, where they are possible, and what they mean.
//!
//! Invariant: a kind that one of the two worlds lacks says why.

use serde::{Deserialize, Serialize};

use super::arguments::{Arguments, Takes};

/// What a plan calls a kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
#[expect(missing_docs, reason = "`FaultKind` says what each of them is")]
pub enum KindName {
    Kill,
    Pause,
    Restart,
    Roll,
    Partition,
    Link,
    DiskStall,
    StallKill,
    VoteRace,
    Flap,
    Power,
    Disk,
    Clock,
    Coup,
    Voters,
    Transfer,
    Wipe,
    Mistake,
    MistakeClone,
    MistakeForeign,
    CrashAt,
    CrashLoop,
    CrashStorm,
    DiskAt,
    Damage,
    Starve,
    Quiet,
    Snapshot,
    Upgrade,
    Member,
}

/// Where a kind of fault is possible, and why not in the other world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worlds {
    /// In both.
    Both,
    /// In a simulation only, because of this.
    Simulation(&'static str),
    /// On real processes only, because of this.
    Processes(&'static str),
}

/// One kind of fault.
struct Row {
    kind: KindName,
    name: &'static str,
    takes: Takes,
    worlds: Worlds,
    /// How many nodes it takes.
    nodes_min: usize,
    /// What is done, in a sentence without its end.
    meaning: &'static str,
}

impl Row {
    const fn new(
        kind: KindName,
        name: &'static str,
        takes: Takes,
        nodes_min: usize,
        meaning: &'static str,
    ) -> Self {
        Self {
            kind,
            name,
            takes,
            worlds: Worlds::Both,
            nodes_min,
            meaning,
        }
    }

    /// Only a simulation can have it.
    const fn simulated(self, why: &'static str) -> Self {
        Self {
            worlds: Worlds::Simulation(why),
            ..self
        }
    }

    /// Only real processes can have it.
    const fn real(self, why: &'static str) -> Self {
        Self {
            worlds: Worlds::Processes(why),
            ..self
        }
    }
}

/// Every kind of fault.
const TABLE: [Row; 30] = [
    Row::new(
        KindName::Kill,
        "kill",
        Takes::Target,
        1,
        "a process is killed (SIGKILL), and started again at the end",
    ),
    Row::new(
        KindName::Pause,
        "pause",
        Takes::Target,
        1,
        "a process stands still (SIGSTOP), and goes on at the end",
    ),
    Row::new(
        KindName::Restart,
        "restart",
        Takes::Target,
        1,
        "a process is stopped in order (SIGTERM), and started with the same flags",
    )
    .real("a simulated node has no signals; what SIGTERM does to its leadership is a part of `transfer`"),
    Row::new(
        KindName::Roll,
        "roll",
        Takes::Nothing,
        3,
        "all nodes change over to another version or other settings, one after the other",
    )
    .real("a simulation has one version of the daemon in it"),
    Row::new(
        KindName::Partition,
        "partition",
        Takes::Links,
        2,
        "links between nodes are cut",
    ),
    Row::new(
        KindName::Link,
        "link",
        Takes::Effect,
        2,
        "links deliver late, twice, in another order, changed, in small parts or not at all",
    )
    .real("there, every link does so at any time, as `[sim.network]` says"),
    Row::new(
        KindName::DiskStall,
        "disk-stall",
        Takes::Target,
        1,
        "a disk does not answer for a while",
    ),
    Row::new(
        KindName::StallKill,
        "stall-kill",
        Takes::Nothing,
        2,
        "the followers' disks stall, and all nodes are killed before what is held back is written",
    )
    .real("there, `power` may hit a node between any write and its sync"),
    Row::new(
        KindName::VoteRace,
        "vote-race",
        Takes::Nothing,
        3,
        "two candidates ask one voter in the same term, and the voter is killed between the two requests",
    )
    .real("there, messages are late and nodes restart at any moment, and `crash-at` aims at votes"),
    Row::new(
        KindName::Flap,
        "flap",
        Takes::Links,
        2,
        "links are cut and healed again and again",
    ),
    Row::new(
        KindName::Power,
        "power",
        Takes::Target,
        1,
        "the power fails: what was not synced is lost, or a part of it",
    ),
    Row::new(
        KindName::Disk,
        "disk",
        Takes::Trouble,
        1,
        "calls of a disk fail, find no room, or take long",
    ),
    Row::new(
        KindName::Clock,
        "clock",
        Takes::Clocks,
        1,
        "clocks jump, stop, or run at another rate",
    ),
    Row::new(
        KindName::Coup,
        "coup",
        Takes::Mode,
        3,
        "the leader is paused and cut off, goes on while it is still cut off, and meets its successor",
    ),
    Row::new(
        KindName::Voters,
        "voters",
        Takes::Nothing,
        2,
        "the set of voters is changed",
    ),
    Row::new(
        KindName::Transfer,
        "transfer",
        Takes::Nothing,
        2,
        "the leader is asked to hand over to another node, or is stopped in order",
    ),
    Row::new(
        KindName::Wipe,
        "wipe",
        Takes::Target,
        1,
        "a node loses its data directory, and is set up again with `noraftd rejoin`",
    ),
    Row::new(
        KindName::Mistake,
        "mistake",
        Takes::Target,
        1,
        "an operator starts a node with an old copy of its data directory",
    ),
    Row::new(
        KindName::MistakeClone,
        "mistake-clone",
        Takes::Target,
        2,
        "two processes run with the same data directory",
    )
    .simulated("two real processes of one node would have to share its addresses, too"),
    Row::new(
        KindName::MistakeForeign,
        "mistake-foreign",
        Takes::Target,
        2,
        "a node is started with the data directory of another node, or as a node of another cluster",
    ),
    Row::new(
        KindName::CrashAt,
        "crash-at",
        Takes::Operations,
        1,
        "a process is killed, or loses power, in the middle of a rare operation of its disk",
    )
    .simulated("from outside, it cannot be seen which operation of its disk a process is in"),
    Row::new(
        KindName::CrashLoop,
        "crash-loop",
        Takes::Target,
        1,
        "a process is killed, and so are the next two to four, each within milliseconds of its start",
    ),
    Row::new(
        KindName::CrashStorm,
        "crash-storm",
        Takes::Target,
        1,
        "a process is killed again and again, each time within milliseconds of its start",
    ),
    Row::new(
        KindName::DiskAt,
        "disk-at",
        Takes::TroubleAt,
        1,
        "a disk gets into trouble in the middle of a rare operation",
    )
    .simulated("from outside, it cannot be seen which operation of its disk a process is in"),
    Row::new(
        KindName::Damage,
        "damage",
        Takes::Files,
        3,
        "files of a node that is down are damaged",
    )
    .real("there, disks are damaged at any time, as `[sim.disk]` says"),
    Row::new(
        KindName::Starve,
        "starve",
        Takes::Scarce,
        1,
        "a process gets too little of the processor, of memory or of file descriptors",
    )
    .real("a simulated node has no processor, memory or descriptors of its own"),
    Row::new(
        KindName::Quiet,
        "quiet",
        Takes::Nothing,
        1,
        "clients ask for nothing new for a while",
    ),
    Row::new(
        KindName::Snapshot,
        "snapshot",
        Takes::Nothing,
        1,
        "a node, or every node, is asked for one snapshot after the other, and its log begins later each time",
    ),
    Row::new(
        KindName::Upgrade,
        "upgrade",
        Takes::Target,
        1,
        "a node is started again as a version of another level, and the cluster's level rises once all support it",
    )
    .simulated("real processes change their version with `roll`, for which two programs are needed"),
    Row::new(
        KindName::Member,
        "member",
        Takes::Nothing,
        1,
        "a machine joins, or a member is promoted, removed, replaced, or moves to another address",
    ),
];

// `Member` is the last one.
const _: () = assert!(
    KindName::Member as usize + 1 == TABLE.len(),
    "every kind has a row"
);

impl KindName {
    /// Every kind.
    pub const ALL: [Self; 30] = {
        let mut all = [Self::Kill; TABLE.len()];
        let mut at = 0;
        while at < TABLE.len() {
            assert!(
                TABLE[at].kind as usize == at,
                "the rows are in the order of the kinds"
            );
            all[at] = TABLE[at].kind;
            at += 1;
        }
        all
    };

    const fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The name, such as `kill`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// What is done, in a sentence without its end.
    pub fn meaning(self) -> &'static str {
        self.row().meaning
    }

    /// Where it is possible.
    pub fn worlds(self) -> Worlds {
        self.row().worlds
    }

    /// Whether only real processes can have it.
    pub fn is_real_only(self) -> bool {
        matches!(self.worlds(), Worlds::Processes(_))
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Refuses arguments that it does not take, and the lack of one that it does.
    ///
    /// # Errors
    /// The first key that is wrong.
    pub(super) fn check(self, arguments: &Arguments) -> Result<(), String> {
        let row = self.row();
        arguments.check(row.name, row.takes)
    }

    /// How many nodes it takes.
    pub fn nodes_min(self) -> usize {
        self.row().nodes_min
    }

    /// All names, for a message.
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl TryFrom<String> for KindName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::named(&name).ok_or_else(|| {
            format!(
                "unknown kind of fault `{name}`, expected one of {}",
                Self::names()
            )
        })
    }
}

impl From<KindName> for String {
    fn from(kind: KindName) -> Self {
        kind.name().to_owned()
    }
}
