//! Who is heard gets on: a leader that hears a majority of its voters commits what it has, and a follower that hears its leader
//! and is heard by it comes to have what is committed.
//!
//! The end of a run does not show it, for a next leader begins again, and most runs have one before they end.
//!
//! A part of a snapshot that arrives is a step; but a snapshot that is begun again and again, each time another one before the last was
//! whole, is none.
//!
//! Invariant: a step of any kind counts, and so does whatever may hold one up: a disk that works or has no room, a snapshot that found
//! none a moment ago, a process that stands still, a connection over which nothing came for an election timeout.

use std::time::Duration;

use noraft::NodeId;
use noraftd::protocol::peer::PeerMessage;

use crate::recording::hash::FastMap;
use crate::sim::parts::rule::{Checked, Rule, ensure};

/// How far two nodes, or a leader and its majority, are.
#[derive(Debug, Default)]
pub(crate) struct GettingOn {
    /// By sender and receiver: when something arrived last, and which part of a snapshot.
    arrived: FastMap<(u64, u64), (u64, Part)>,
    /// By leader and follower: how many snapshots were begun after another one, since the follower was at this.
    begun: FastMap<(u64, u64), (Steps, u32)>,
    /// By leader and follower, and by leader alone: how far they were when they last took a step, and when that was.
    stuck: FastMap<(u64, Option<u64>), (Steps, u64)>,
    /// By leader: when it was last looked at.
    looked: FastMap<u64, u64>,
    /// By leader: since when it has heard a majority, and when it was last seen to.
    hears: FastMap<u64, (u64, u64)>,
}

/// The entry that a snapshot is of, and where the part begins.
type Part = (u64, u64);

/// What changes with each step; equal means that none was taken.
pub(crate) type Steps = Vec<u64>;

/// A node that leads, and what of it the others need.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leading {
    pub(crate) id: NodeId,
    pub(crate) term: u64,
    pub(crate) commit: u64,
    pub(crate) last: u64,
    /// It could write and read whatever it wanted.
    pub(crate) is_able: bool,
    /// Committed entries are missing on its disk: it has to get them first.
    pub(crate) misses_committed: bool,
    /// When the first of the reads came that wait for it.
    pub(crate) reads_wait_since: Option<u64>,
    /// What was damaged anywhere, on disks and on its way, for which a snapshot may have to be sent again.
    pub(crate) damages: u64,
}

/// One of its followers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Following {
    pub(crate) id: NodeId,
    /// Which of its processes, so to say.
    pub(crate) life: u64,
    /// The last index that is durable there and acknowledged.
    pub(crate) has: u64,
    /// It could write whatever it was sent, and its leader could send it.
    pub(crate) is_able: bool,
}

impl GettingOn {
    /// A message of `from` arrives at `to`.
    pub(crate) fn arrived(&mut self, now: u64, from: NodeId, to: NodeId, message: &PeerMessage) {
        if !carries_on(message) {
            return;
        }
        let last = self.arrived.entry((from.get(), to.get())).or_default();
        last.0 = now;
        if let PeerMessage::SnapshotChunk { snapshot, offset, .. } = message {
            let position = snapshot.position.index.get();
            if last.1.0 != position {
                self.begun.entry((from.get(), to.get())).or_default().1 += 1;
            }
            last.1 = (position, *offset);
        }
    }

    /// True when it is time to look at a leader again.
    pub(crate) fn is_due(&mut self, now: u64, leader: NodeId, timeout: Duration) -> bool {
        let last = self.looked.entry(leader.get()).or_insert(0);
        let is_due = now - *last >= nanos(timeout) / LOOKS_IN_A_TIMEOUT;
        if is_due {
            *last = now;
        }
        is_due
    }

    /// `leader` is no leader, or no longer.
    pub(crate) fn leads_not(&mut self, leader: NodeId) {
        if self.looked.remove(&leader.get()).is_some() {
            self.stuck.retain(|(of, _), _| *of != leader.get());
            self.hears.remove(&leader.get());
        }
    }

    /// Looks at a leader and at its followers; `sets` are the voters that have to agree.
    pub(crate) fn look(
        &mut self,
        now: u64,
        timeout: Duration,
        leader: &Leading,
        followers: &[Following],
        sets: &[Vec<NodeId>],
    ) -> Checked {
        let able: Vec<&Following> = followers
            .iter()
            .filter(|follower| {
                leader.is_able
                    && !leader.misses_committed
                    && follower.is_able
                    && self.is_linked(now, timeout, leader.id, follower.id)
            })
            .collect();
        for follower in followers {
            let is_held = follower.has >= leader.commit || !able.iter().any(|able| able.id == follower.id);
            self.count_begun(leader, follower);
            let steps = (!is_held).then(|| self.steps(leader, follower));
            let key = (leader.id.get(), Some(follower.id.get()));
            let is_stuck = self.is_stuck(now, timeout, key, steps);
            ensure(!is_stuck, Rule::GetsOn, || {
                format!(
                    "n{} and its leader n{} hear each other, and it has entries up to {}, where {} are committed, and gets no more",
                    follower.id.get(),
                    leader.id.get(),
                    follower.has,
                    leader.commit
                )
            })?;
        }
        let agrees = |id: &&NodeId| **id == leader.id || able.iter().any(|able| able.id == **id);
        let has_majority = sets
            .iter()
            .all(|set| set.iter().filter(agrees).count() > set.len() / 2);
        self.look_at_reads(now, timeout, leader, has_majority && leader.is_able)?;
        let waits = has_majority && leader.last > leader.commit;
        let steps = waits.then(|| {
            let of_followers = able.iter().flat_map(|follower| self.steps(leader, follower));
            std::iter::once(leader.commit).chain(of_followers).collect()
        });
        let is_stuck = self.is_stuck(now, timeout, (leader.id.get(), None), steps);
        ensure(!is_stuck, Rule::GetsOn, || {
            format!(
                "the leader n{} hears a majority, has entries up to {}, and commits none after {}",
                leader.id.get(),
                leader.last,
                leader.commit
            )
        })
    }

    /// Reads wait for no write: a leader that hears a majority answers them.
    fn look_at_reads(&mut self, now: u64, timeout: Duration, leader: &Leading, hears: bool) -> Checked {
        if !hears {
            self.hears.remove(&leader.id.get());
            return Ok(());
        }
        let (hears_since, seen) = self.hears.entry(leader.id.get()).or_insert((now, now));
        // A leader that was paused meanwhile was not driven, and could answer nothing.
        if now - *seen > nanos(timeout) {
            *hears_since = now;
        }
        *seen = now;
        let hears_since = *hears_since;
        let waits = leader
            .reads_wait_since
            .map_or(0, |since| now - since.max(hears_since));
        ensure(
            waits <= nanos(timeout * TIMEOUTS_OF_READS + GRACE_OF_READS),
            Rule::GetsOn,
            || {
                format!(
                    "the leader n{} hears a majority, and has not answered a read for {:?}",
                    leader.id.get(),
                    Duration::from_nanos(waits)
                )
            },
        )
    }

    fn is_linked(&self, now: u64, timeout: Duration, one: NodeId, other: NodeId) -> bool {
        [(one, other), (other, one)].iter().all(|(from, to)| {
            let last = self.arrived.get(&(from.get(), to.get()));
            last.is_some_and(|(last, _)| now - last <= nanos(timeout))
        })
    }

    /// Begins to count again where the follower, its leader or what is damaged is not as it was.
    fn count_begun(&mut self, leader: &Leading, follower: &Following) {
        let begun = self
            .begun
            .entry((leader.id.get(), follower.id.get()))
            .or_default();
        let is_at = vec![leader.term, follower.life, follower.has, leader.damages];
        if begun.0 != is_at {
            *begun = (is_at, 0);
        }
    }

    fn steps(&self, leader: &Leading, follower: &Following) -> Steps {
        let link = (leader.id.get(), follower.id.get());
        let begins_again = self.begun.get(&link).is_some_and(|(_, begun)| *begun > BEGUN_MAX);
        let part = self.arrived.get(&link).filter(|_| !begins_again);
        let (position, offset) = part.map_or((0, 0), |(_, part)| *part);
        vec![
            leader.term,
            follower.id.get(),
            follower.life,
            follower.has,
            position,
            offset,
        ]
    }

    /// True when the same `steps` were seen for too long. `None`: nothing is waited for.
    fn is_stuck(
        &mut self,
        now: u64,
        timeout: Duration,
        key: (u64, Option<u64>),
        steps: Option<Steps>,
    ) -> bool {
        let Some(steps) = steps else {
            self.stuck.remove(&key);
            return false;
        };
        let (before, since) = self.stuck.entry(key).or_insert_with(|| (steps.clone(), now));
        if *before != steps {
            (*before, *since) = (steps, now);
        }
        now - *since > nanos(timeout * TIMEOUTS + GRACE)
    }
}

/// What the log travels with. Pulses and votes have a connection of their own, which may work while the other does not.
fn carries_on(message: &PeerMessage) -> bool {
    match message {
        PeerMessage::Append { .. }
        | PeerMessage::Appended { .. }
        | PeerMessage::SnapshotChunk { .. }
        | PeerMessage::SnapshotReply { .. } => true,
        PeerMessage::RequestVote { .. }
        | PeerMessage::Vote { .. }
        | PeerMessage::PreVote { .. }
        | PeerMessage::PreVoted { .. }
        | PeerMessage::Forward { .. }
        | PeerMessage::Forwarded { .. }
        | PeerMessage::RepairRequest { .. }
        | PeerMessage::Repair { .. }
        | PeerMessage::Compare { .. }
        | PeerMessage::Compared { .. }
        | PeerMessage::Pulse { .. }
        | PeerMessage::Pulsed { .. }
        | PeerMessage::TimeoutNow { .. } => false,
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Two or three are what a lost message costs; a snapshot is given up after some more, and begun again.
const TIMEOUTS: u32 = 10;
/// For what takes its time however short the election timeouts are: a slow read, a connection that is made again.
const GRACE: Duration = Duration::from_millis(500);
const LOOKS_IN_A_TIMEOUT: u64 = 4;
/// Reads are refused at the latest when a second is over, so this has to be less: a round or two that are lost.
const TIMEOUTS_OF_READS: u32 = 5;
const GRACE_OF_READS: Duration = Duration::from_millis(250);
/// A snapshot may be replaced by a newer one before it is sent, and once more where it is damaged; not without end.
const BEGUN_MAX: u32 = 4;

#[cfg(test)]
mod tests {
    use noraft::{LogIndex, LogPosition, Term};

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(100);
    const MILLI: u64 = 1_000_000;
    const IDS: [NodeId; 3] = [NodeId::new(1), NodeId::new(2), NodeId::new(3)];

    struct Case {
        rule: GettingOn,
        leader: Leading,
        followers: [Following; 2],
    }

    impl Case {
        fn new(commit: u64, last: u64, has: [u64; 2]) -> Self {
            let follower = |at: usize| Following {
                id: IDS[at + 1],
                life: 1,
                has: has[at],
                is_able: true,
            };
            Self {
                rule: GettingOn::default(),
                leader: Leading {
                    id: IDS[0],
                    term: 2,
                    commit,
                    last,
                    is_able: true,
                    misses_committed: false,
                    reads_wait_since: None,
                    damages: 0,
                },
                followers: [follower(0), follower(1)],
            }
        }

        /// All hear each other, and are looked at.
        fn look(&mut self, millis: u64) -> Checked {
            let append = PeerMessage::Append {
                term: Term::new(2),
                commit_index: LogIndex::new(self.leader.commit),
                prev: LogPosition::new(Term::new(2), LogIndex::new(4)),
                chain: None,
                records: Vec::new(),
                round: 1,
                last_index: LogIndex::new(9),
            };
            for other in &IDS[1..] {
                self.rule.arrived(millis * MILLI, IDS[0], *other, &append);
                self.rule.arrived(millis * MILLI, *other, IDS[0], &append);
            }
            self.rule.look(
                millis * MILLI,
                TIMEOUT,
                &self.leader,
                &self.followers,
                &[IDS.to_vec()],
            )
        }
    }

    #[test]
    fn a_follower_that_is_sent_nothing_is_noticed() {
        let mut case = Case::new(9, 9, [9, 4]);
        assert!(case.look(0).is_ok() && case.look(1500).is_ok());
        let broken = case.look(1501).unwrap_err();
        assert_eq!(broken.rule, Rule::GetsOn);
        assert!(
            broken.detail.starts_with("n3 and its leader n1"),
            "{}",
            broken.detail
        );
    }

    #[test]
    fn pulses_show_no_way_for_the_log() {
        let mut case = Case::new(9, 9, [9, 4]);
        assert!(case.look(0).is_ok());
        let pulse = PeerMessage::Pulse {
            term: Term::new(2),
            pulse: 1,
            last_index: LogIndex::new(9),
        };
        for millis in [1000, 2000] {
            for (from, to) in [(IDS[0], IDS[2]), (IDS[2], IDS[0])] {
                case.rule.arrived(millis * MILLI, from, to, &pulse);
            }
            let (leader, sets) = (case.leader, [IDS.to_vec()]);
            let looked = case
                .rule
                .look(millis * MILLI, TIMEOUT, &leader, &case.followers, &sets);
            assert!(looked.is_ok());
        }
    }

    #[test]
    fn each_step_counts_and_so_does_what_may_hold_one_up() {
        let mut case = Case::new(9, 9, [9, 4]);
        assert!(case.look(0).is_ok());
        case.followers[1].has = 5;
        assert!(case.look(1500).is_ok() && case.look(2500).is_ok());
        case.followers[1].is_able = false;
        assert!(case.look(3500).is_ok());
        case.followers[1].is_able = true;
        assert!(case.look(3600).is_ok() && case.look(5000).is_ok());
        let part = PeerMessage::SnapshotChunk {
            term: Term::new(2),
            snapshot: noraftd::record::SnapshotId {
                position: LogPosition::new(Term::new(1), LogIndex::new(8)),
                bytes: 6,
                hash: 0,
            },
            chain: None,
            offset: 3,
            bytes: bytes::Bytes::from_static(b"abc"),
        };
        case.rule.arrived(5000 * MILLI, IDS[0], IDS[2], &part);
        assert!(case.look(5100).is_ok() && case.look(6600).is_ok());
        assert!(case.look(6601).is_err());
    }

    #[test]
    fn a_snapshot_that_is_begun_again_and_again_is_no_step() {
        let mut case = Case::new(9, 9, [9, 4]);
        let part = |index, offset| PeerMessage::SnapshotChunk {
            term: Term::new(2),
            snapshot: noraftd::record::SnapshotId {
                position: LogPosition::new(Term::new(1), LogIndex::new(index)),
                bytes: 6,
                hash: 0,
            },
            chain: None,
            offset,
            bytes: bytes::Bytes::from_static(b"abc"),
        };
        let mut broken = None;
        for (number, millis) in (0..30_u64).zip((0..).step_by(200)) {
            let message = part(100 + number / 2, number % 2 * 3);
            case.rule.arrived(millis * MILLI, IDS[0], IDS[2], &message);
            broken = broken.or(case.look(millis).err().map(|_| number));
        }
        assert_eq!(
            broken,
            Some(18),
            "the sixth one is begun with part 10, and then no step comes for 1.5 s"
        );
        let mut case = Case::new(9, 9, [9, 4]);
        for (number, millis) in (0..30_u64).zip((0..).step_by(200)) {
            case.rule
                .arrived(millis * MILLI, IDS[0], IDS[2], &part(100, number * 3));
            assert!(case.look(millis).is_ok(), "one snapshot, part by part");
        }
    }

    #[test]
    fn a_read_that_waits_for_a_write_is_noticed() {
        let mut case = Case::new(9, 9, [9, 9]);
        assert!(case.look(0).is_ok());
        case.leader.reads_wait_since = Some(0);
        assert!((50..=750).step_by(100).all(|millis| case.look(millis).is_ok()));
        let broken = case.look(751).unwrap_err();
        assert!(
            broken.detail.contains("has not answered a read"),
            "{}",
            broken.detail
        );
        let mut case = Case::new(9, 9, [9, 9]);
        case.leader.reads_wait_since = Some(0);
        assert!(case.look(5000).is_ok(), "it hears a majority only now");
        assert!(case.look(6000).is_ok(), "it was paused");
    }

    #[test]
    fn a_leader_that_commits_nothing_is_noticed_while_it_hears_a_majority() {
        let mut case = Case::new(4, 9, [4, 9]);
        case.followers[0].is_able = false;
        assert!(case.look(0).is_ok());
        assert!(
            case.look(3001)
                .unwrap_err()
                .detail
                .contains("commits none after 4")
        );
        case.followers[1].is_able = false;
        assert!(
            case.look(3002).is_ok() && case.look(9000).is_ok(),
            "it has no majority"
        );
        case.rule.leads_not(IDS[0]);
        assert!(case.look(9000 + 1501).is_ok(), "a term begins");
    }
}
