//! Kinds of faults, each with its arguments.
//!
//! Invariant: [`FaultKind::parts`] and [`FaultKind::of`] undo each other.

use noraftd::protocol::peer::Lane;
use serde::{Deserialize, Serialize};

use super::arguments::Arguments;
use super::name::KindName;
use super::{
    ClockChange, CutMode, DiskTrouble, FileDamage, LANES, LinkEffect, RareOperations, Scarce, Shape, Target,
};

/// A fault, apart from how often and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// SIGKILL, and a restart at the end.
    Kill(Target),
    /// SIGSTOP, and SIGCONT at the end.
    Pause(Target),
    /// SIGTERM, and a start with the same flags at the end, one node after the other.
    Restart(Target),
    /// Every node is stopped and started in its next form, one after the other: from the old program to the new one, back
    /// to the old one, which opens what the new one has written, forward to the new one that accepts peers with and without
    /// the secret, then to the new one that requires it, and to and fro between these. With `--noraftd-old`.
    Roll,
    /// Links between nodes are cut. Clients still reach every node.
    Partition(Shape, CutMode),
    /// Links between nodes carry what is sent, but not as it was sent. Both connections of two nodes are hit.
    Link(Shape, LinkEffect),
    /// The disk does not answer for a while: its jobs wait, while the rest of the node continues.
    DiskStall(Target),
    /// The followers' disks are stalled, then all nodes are killed at once, and the followers are started before
    /// the leader: a node that acknowledges what it has not written loses it. The duration is that of the stall; it must be
    /// below the election timeout, or there is no leader by then.
    StallKill,
    /// Two candidates ask one voter for its vote in the same term, and the voter is killed between the two
    /// requests: a voter that forgets its vote in a restart elects two leaders of one term. The duration is how long the two
    /// candidates stay apart after the race. It needs three nodes or more, and an odd number: of five, each candidate has one beside it.
    VoteRace,
    /// Links between nodes are cut and healed again and again.
    Flap(Shape, CutMode),
    /// The power fails until the end: a part of what was not synced is lost. For real processes, the cluster's `power`
    /// says how.
    Power(Target),
    /// The disk is in trouble: its calls fail, or take long. A node that ends because of it is started again meanwhile. Of real processes,
    /// the disk is a shadow store.
    Disk(Target, DiskTrouble),
    /// The clocks jump, run at another rate, stop or do all that in turn; the time that they have gained or lost stays. No lease rests on a
    /// clock, so whatever clocks do, nothing wrong may be served.
    Clock(Target, ClockChange),
    /// The leader is paused and isolated at the same time. Halfway it continues, still isolated, while another node may
    /// lead; clients still reach it.
    Coup(CutMode),
    /// The leader is asked to make some of the nodes the voters, drawn at random (in a simulation now and then another
    /// node is asked). Before the end all nodes are made voters again.
    Voters,
    /// The leader is asked to hand over to another voter, which is drawn half of the time (in a simulation now and then another node is
    /// asked); every third time it is stopped with SIGTERM instead, which hands over too, and is started at the end.
    Transfer,
    /// SIGKILL, and the data directory is lost, where at most a minority of the disks is damaged with it and every other
    /// node has met the directory (else it is only the kill). Half of the nodes are started all the same, with an empty
    /// directory: no other node may listen to them. After the end the operator sets them up again with `noraftd rejoin`.
    Wipe(Target),
    /// SIGKILL, and an operator's mistake: the first one that strikes a node only takes a copy of its data directory; after that
    /// the copy is put in the place of the directory, where `wipe` might take it away, and the node is started with it. No
    /// other node may listen to it. After the end the operator sets it up again with `noraftd rejoin`.
    Mistake(Target),
    /// SIGKILL, and two processes with the same data directory, the node and a copy of it. Where the node says hello first, the
    /// copy does so again and again, with some starts of its own, to every node that has met the node: none may listen to
    /// it. Else, where `wipe` might take the directory away, the copy is met by all others, and none may listen to
    /// the node; after the end the operator sets it up again with `noraftd rejoin`.
    MistakeClone(Target),
    /// SIGKILL, and the node is started with the data directory of another node, or as a node of another cluster: that has to be
    /// refused, and to leave every file as it was.
    MistakeForeign(Target),
    /// The process is killed, or loses power, in the middle of a rare operation of its disk: which of these it is, is drawn
    /// first, so that the rarest is met as often as the most frequent. What hardly ever comes by itself is brought about: the node
    /// is cut off for the first half, or an entry of it is damaged. It is down for a moment, and the fault is over; where none
    /// comes, it is gone at the end.
    CrashAt(Target, RareOperations),
    /// The process is killed, or loses power, and so are the next two to four, each within milliseconds of its start or
    /// while it reads its disk.
    CrashLoop(Target),
    /// The process is killed, or loses power, again and again, each time within milliseconds of its start or while it reads its
    /// disk, until the end: what is kept of each start has to stay within bounds.
    CrashStorm(Target),
    /// The disk gets into trouble in the middle of a rare operation, which is chosen and brought about as for `crash-at`, and stays
    /// in it until the end.
    DiskAt(Target, DiskTrouble, RareOperations),
    /// SIGKILL, and files of the node are damaged before it is started again. It has to come back and repair them, or, where no other node
    /// can give back what was damaged, to refuse to start. The voters are not changed meanwhile. (The simulation damages disks as its
    /// `[sim.disk]` says.)
    Damage(Target, FileDamage),
    /// A process gets too little of what it runs on: it has to go on slowly, or to refuse, until the end. One that ends because of it is
    /// started again.
    Starve(Target, Scarce),
    /// Clients ask for nothing new; every other time those go on that only read. What nodes have to do by themselves must not wait
    /// for the next request.
    Quiet,
    /// A node that is drawn, or one time in four every node, is asked for a snapshot again and again until the end: its log begins later and
    /// later. No process is in its hand, so that whatever else happens may happen in the middle.
    Snapshot,
    /// The process is killed, and started again as a version that supports another level. All nodes go forward, one after the other, now
    /// and then back before the level may have risen, and forward again; then an operator has the leader raise the level.
    Upgrade(Target),
    /// An operator changes the membership table: a new machine joins, with an id that was reserved for it or without one, and is made
    /// a voter at once or on an order; a member is removed, replaced by a learner, or moves to another address. What may have been done is
    /// asked for again where the rest follows from it. A node that was removed hears of it and stays out. At most six ids are given.
    Member,
}

impl FaultKind {
    /// The fault of this kind with these arguments; `None` when it lacks one.
    pub(super) fn of(kind: KindName, arguments: &Arguments) -> Option<Self> {
        let Arguments {
            target,
            shape,
            effect,
            mode,
            trouble,
            operations,
            change,
            damage,
            scarce,
        } = *arguments;
        Some(match kind {
            KindName::Kill => Self::Kill(target?),
            KindName::Pause => Self::Pause(target?),
            KindName::Restart => Self::Restart(target?),
            KindName::Roll => Self::Roll,
            KindName::Partition => Self::Partition(shape?, mode?),
            KindName::Link => Self::Link(shape?, effect?),
            KindName::DiskStall => Self::DiskStall(target?),
            KindName::StallKill => Self::StallKill,
            KindName::VoteRace => Self::VoteRace,
            KindName::Flap => Self::Flap(shape?, mode?),
            KindName::Power => Self::Power(target?),
            KindName::Disk => Self::Disk(target?, trouble?),
            KindName::Clock => Self::Clock(target?, change.unwrap_or_default()),
            KindName::Coup => Self::Coup(mode?),
            KindName::Voters => Self::Voters,
            KindName::Transfer => Self::Transfer,
            KindName::Wipe => Self::Wipe(target?),
            KindName::Mistake => Self::Mistake(target?),
            KindName::MistakeClone => Self::MistakeClone(target?),
            KindName::MistakeForeign => Self::MistakeForeign(target?),
            KindName::CrashAt => Self::CrashAt(target?, operations?),
            KindName::CrashLoop => Self::CrashLoop(target?),
            KindName::CrashStorm => Self::CrashStorm(target?),
            KindName::DiskAt => Self::DiskAt(target?, trouble?, operations?),
            KindName::Damage => Self::Damage(target?, damage.unwrap_or_default()),
            KindName::Starve => Self::Starve(target?, scarce?),
            KindName::Quiet => Self::Quiet,
            KindName::Snapshot => Self::Snapshot,
            KindName::Upgrade => Self::Upgrade(target?),
            KindName::Member => Self::Member,
        })
    }

    /// Its kind and arguments.
    fn parts(self) -> (KindName, Arguments) {
        let none = Arguments::default();
        let on = |target| Arguments {
            target: Some(target),
            ..none
        };
        let cut = |shape, mode| Arguments {
            shape: Some(shape),
            mode: Some(mode),
            ..none
        };
        let troubled = |shape, effect| Arguments {
            shape: Some(shape),
            effect: Some(effect),
            ..none
        };
        let on_disk = |target, trouble| Arguments {
            trouble: Some(trouble),
            ..on(target)
        };
        let clocks = |target, change| Arguments {
            change: Some(change),
            ..on(target)
        };
        let files = |target, damage| Arguments {
            damage: Some(damage),
            ..on(target)
        };
        let starved = |target, scarce| Arguments {
            scarce: Some(scarce),
            ..on(target)
        };
        let at = |arguments, operations| Arguments {
            operations: Some(operations),
            ..arguments
        };
        match self {
            Self::Kill(target) => (KindName::Kill, on(target)),
            Self::Pause(target) => (KindName::Pause, on(target)),
            Self::Restart(target) => (KindName::Restart, on(target)),
            Self::Roll => (KindName::Roll, none),
            Self::Partition(shape, mode) => (KindName::Partition, cut(shape, mode)),
            Self::Link(shape, effect) => (KindName::Link, troubled(shape, effect)),
            Self::DiskStall(target) => (KindName::DiskStall, on(target)),
            Self::StallKill => (KindName::StallKill, none),
            Self::VoteRace => (KindName::VoteRace, none),
            Self::Flap(shape, mode) => (KindName::Flap, cut(shape, mode)),
            Self::Power(target) => (KindName::Power, on(target)),
            Self::Disk(target, trouble) => (KindName::Disk, on_disk(target, trouble)),
            Self::Clock(target, change) => (KindName::Clock, clocks(target, change)),
            Self::Coup(mode) => {
                let mode = Some(mode);
                (KindName::Coup, Arguments { mode, ..none })
            }
            Self::Voters => (KindName::Voters, none),
            Self::Transfer => (KindName::Transfer, none),
            Self::Wipe(target) => (KindName::Wipe, on(target)),
            Self::Mistake(target) => (KindName::Mistake, on(target)),
            Self::MistakeClone(target) => (KindName::MistakeClone, on(target)),
            Self::MistakeForeign(target) => (KindName::MistakeForeign, on(target)),
            Self::CrashAt(target, operations) => (KindName::CrashAt, at(on(target), operations)),
            Self::CrashLoop(target) => (KindName::CrashLoop, on(target)),
            Self::CrashStorm(target) => (KindName::CrashStorm, on(target)),
            Self::DiskAt(on, trouble, when) => (KindName::DiskAt, at(on_disk(on, trouble), when)),
            Self::Damage(target, damage) => (KindName::Damage, files(target, damage)),
            Self::Starve(target, scarce) => (KindName::Starve, starved(target, scarce)),
            Self::Quiet => (KindName::Quiet, none),
            Self::Snapshot => (KindName::Snapshot, none),
            Self::Upgrade(target) => (KindName::Upgrade, on(target)),
            Self::Member => (KindName::Member, none),
        }
    }

    /// What a plan calls its kind.
    pub fn kind(self) -> KindName {
        self.parts().0
    }

    /// Which of the two connections between nodes it cuts.
    pub fn lanes(self) -> &'static [Lane] {
        self.parts().1.shape.map_or(&LANES, Shape::lanes)
    }

    /// The fault's name in histories and reports, such as `kill-leader`.
    pub fn name(self) -> String {
        let (kind, arguments) = self.parts();
        let words = [
            Some(kind.name()),
            arguments.effect.map(LinkEffect::name),
            arguments.trouble.map(DiskTrouble::name),
            arguments.scarce.map(Scarce::name),
            arguments.change.and_then(ClockChange::suffix),
            arguments.damage.and_then(FileDamage::suffix),
            arguments.target.map(Target::name),
            arguments.shape.map(Shape::name),
            arguments.mode.map(CutMode::name),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join("-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::RareOperation;

    #[test]
    fn a_fault_is_made_of_its_parts() {
        let all = Arguments {
            target: Some(Target::Leader),
            shape: Some(Shape::Halves),
            effect: Some(LinkEffect::Tear),
            mode: Some(CutMode::Stall),
            trouble: Some(DiskTrouble::Full),
            operations: RareOperations::try_from(vec![RareOperation::Patch]).ok(),
            change: Some(ClockChange::Freeze),
            damage: Some(FileDamage::Stale),
            scarce: Some(Scarce::Memory),
        };
        let names: Vec<String> = KindName::ALL
            .into_iter()
            .map(|kind| {
                let fault = FaultKind::of(kind, &all).unwrap();
                let (same, arguments) = fault.parts();
                assert_eq!((same, kind.check(&arguments)), (kind, Ok(())));
                assert_eq!(FaultKind::of(kind, &arguments), Some(fault));
                fault.name()
            })
            .collect();
        let expected = "kill-leader pause-leader restart-leader roll partition-halves-stall link-tear-halves disk-stall-leader stall-kill \
                        vote-race flap-halves-stall power-leader disk-full-leader clock-freeze-leader coup-stall voters transfer wipe-leader \
                        mistake-leader mistake-clone-leader mistake-foreign-leader crash-at-leader crash-loop-leader crash-storm-leader \
                        disk-at-full-leader damage-stale-leader starve-memory-leader quiet snapshot upgrade-leader member";
        assert_eq!(names.join(" "), expected);
    }

    #[test]
    fn a_key_that_a_kind_does_not_take_is_refused() {
        let mode = Arguments {
            mode: Some(CutMode::Drop),
            ..Arguments::default()
        };
        let on_node = Arguments {
            target: Some(Target::One),
            ..mode
        };
        let unknown = "unknown field `mode` of a fault of kind `kill`";
        assert_eq!(KindName::Kill.check(&on_node), Err(unknown.to_owned()));
        let missing = "missing field `shape` of a fault of kind `flap`";
        assert_eq!(KindName::Flap.check(&mode), Err(missing.to_owned()));
    }
}
