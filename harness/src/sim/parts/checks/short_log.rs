//! A log stays short: once enough was applied since the newest snapshot, another one is taken before long, and then the log begins at
//! the one before it.
//!
//! No history shows a log that grows: the disk is full one day. At the end of a run each node has to come to a short log by itself.
//!
//! Invariant: what may hold a snapshot up counts: a disk in trouble or without room, a process that stands still, a save that failed,
//! and, for the beginning of the log, an older snapshot that is on its way to another node.

use std::time::Duration;

use noraft::NodeId;
use noraftd::protocol::peer::PeerMessage;
use noraftd::record::SnapshotId;

use crate::recording::hash::FastMap;
use crate::sim::parts::rule::{Checked, Rule, ensure};

/// How long the log of each node is.
#[derive(Debug, Default)]
pub(crate) struct ShortLog {
    /// Bytes of the committed entries up to each index.
    ends: Vec<u64>,
    nodes: FastMap<u64, Noted>,
    /// By sender and receiver: the part of a snapshot that was sent last.
    parts: FastMap<(u64, u64), (u64, u64)>,
}

/// What was seen of a process.
#[derive(Debug, Default)]
struct Noted {
    /// Where its newest snapshot is, and where the log begins.
    at: Option<(Option<u64>, u64)>,
    /// The snapshot before its newest, if this process has taken both.
    older: Option<u64>,
    /// The snapshots that could not be read since the newest was taken.
    lost: Vec<u64>,
    /// Since when its log is too long, and nothing holds it up.
    since: Option<u64>,
    /// It is too long, whatever holds it up.
    waits: bool,
    /// A save failed: not before this.
    saves_after: u64,
    /// A part of a snapshot went to another node: the log may begin where it does until then.
    sends_until: u64,
    looked: u64,
    seen: u64,
}

/// A process, and how long its log is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Logged {
    pub(crate) id: NodeId,
    /// The entry that its log begins after.
    pub(crate) base: u64,
    pub(crate) applied: u64,
    pub(crate) snapshot: Option<SnapshotId>,
    /// After so many bytes of entries it takes a snapshot, or after as many as the last one has.
    pub(crate) log_bytes: u64,
    /// It could write and read whatever it wanted.
    pub(crate) is_able: bool,
}

impl ShortLog {
    /// The next entry is committed, with a payload of so many bytes.
    pub(crate) fn committed(&mut self, bytes: u64) {
        let end = self.ends.last().copied().unwrap_or(0);
        self.ends.push(end + bytes + ENTRY_BYTES);
    }

    /// A node found no room for a snapshot.
    pub(crate) fn save_failed(&mut self, now: u64, node: NodeId) {
        self.nodes.entry(node.get()).or_default().saves_after = now + nanos(SAVES_AGAIN_AFTER);
    }

    /// A node learns that its disk has room again, and does not wait any longer.
    pub(crate) fn has_room_again(&mut self, node: NodeId) {
        self.nodes.entry(node.get()).or_default().saves_after = 0;
    }

    /// True while a node waits before it tries again to save a snapshot.
    pub(crate) fn saves_later(&self, now: u64, node: NodeId) -> bool {
        self.nodes
            .get(&node.get())
            .is_some_and(|noted| now < noted.saves_after)
    }

    /// The snapshot of `node` of the entry `index` cannot be read: if it is the newest, the one that takes its place is the first again.
    pub(crate) fn lost(&mut self, node: NodeId, index: u64) {
        self.nodes.entry(node.get()).or_default().lost.push(index);
    }

    /// The process of `node` is gone.
    pub(crate) fn ended(&mut self, node: NodeId) {
        self.nodes.remove(&node.get());
    }

    /// A message leaves.
    pub(crate) fn sent(
        &mut self,
        now: u64,
        from: NodeId,
        to: NodeId,
        timeout: Duration,
        message: &PeerMessage,
    ) {
        let PeerMessage::SnapshotChunk { snapshot, offset, .. } = message else {
            return;
        };
        let part = (snapshot.position.index.get(), *offset);
        // The same part again is no progress of the other node.
        if self.parts.insert((from.get(), to.get()), part) != Some(part) {
            let until = now + nanos(timeout * TIMEOUTS_OF_A_TRANSFER + GRACE);
            self.nodes.entry(from.get()).or_default().sends_until = until;
        }
    }

    /// True when it is time to look at a node again.
    pub(crate) fn is_due(&mut self, now: u64, node: NodeId, timeout: Duration) -> bool {
        let looked = &mut self.nodes.entry(node.get()).or_default().looked;
        let is_due = now - *looked >= nanos(timeout);
        if is_due {
            *looked = now;
        }
        is_due
    }

    /// True when a log was too long when it was looked at last.
    pub(crate) fn waits(&self, node: NodeId) -> bool {
        self.nodes.get(&node.get()).is_some_and(|noted| noted.waits)
    }

    /// Looks at a node.
    pub(crate) fn look(&mut self, now: u64, timeout: Duration, logged: &Logged) -> Checked {
        let newest = logged.snapshot.map(|snapshot| snapshot.position.index.get());
        let bytes = self.bytes_between(newest.unwrap_or(0), logged.applied);
        let noted = self.nodes.entry(logged.id.get()).or_default();
        if noted.at != Some((newest, logged.base)) {
            let before = noted.at.map_or(newest, |(before, _)| before);
            if newest != before {
                let lost = std::mem::take(&mut noted.lost);
                let is_before = |before: &u64| newest > Some(*before) && !lost.contains(before);
                noted.older = before.filter(is_before);
            }
            (noted.at, noted.since) = (Some((newest, logged.base)), None);
        }
        // A process that stood still meanwhile could do nothing.
        if now - std::mem::replace(&mut noted.seen, now) > nanos(timeout * TIMEOUTS) {
            noted.since = None;
        }
        let due = logged
            .snapshot
            .map_or(0, |snapshot| snapshot.bytes)
            .max(logged.log_bytes);
        let takes_none = bytes >= due + due / MARGIN;
        let begins_early = noted.older.is_some_and(|older| logged.base < older);
        noted.waits = takes_none || begins_early;
        let is_held = (takes_none && now < noted.saves_after) || (!takes_none && now < noted.sends_until);
        if !noted.waits || is_held || !logged.is_able {
            noted.since = None;
            return Ok(());
        }
        let waits = now - *noted.since.get_or_insert(now);
        ensure(waits <= nanos(timeout * TIMEOUTS + GRACE), Rule::ShortLog, || {
            let (node, newest) = (logged.id.get(), newest.unwrap_or(0));
            if takes_none {
                format!(
                    "n{node} has applied {bytes} bytes of entries since its snapshot of entry {newest}, takes one after {due}, \
                         and has taken none for {:?}",
                    Duration::from_nanos(waits)
                )
            } else {
                format!(
                    "the log of n{node} begins after entry {}, though its snapshots of entries {} and {newest} have been there \
                         for {:?}",
                    logged.base,
                    noted.older.unwrap_or(0),
                    Duration::from_nanos(waits)
                )
            }
        })
    }

    /// Bytes of the entries after `from`, up to `to`, as far as they are known to be committed.
    fn bytes_between(&self, from: u64, to: u64) -> u64 {
        let end = |index: u64| {
            let last = usize::try_from(index).unwrap_or(usize::MAX).min(self.ends.len());
            last.checked_sub(1).map_or(0, |at| self.ends[at])
        };
        end(to).saturating_sub(end(from))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What an entry costs in the log beside its payload.
const ENTRY_BYTES: u64 = 40;
/// One part of so many is left out, for what is on its way.
const MARGIN: u64 = 4;
/// For the jobs that a disk has to do first.
const TIMEOUTS: u32 = 4;
/// For what takes its time however short the election timeouts are: slow syncs.
const GRACE: Duration = Duration::from_millis(1200);
/// A transfer that makes no progress is given up after twenty.
const TIMEOUTS_OF_A_TRANSFER: u32 = 22;
/// A save is tried again after five seconds.
const SAVES_AGAIN_AFTER: Duration = Duration::from_millis(5600);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use noraft::{LogIndex, LogPosition, Term};

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(100);
    const IDS: [NodeId; 2] = [NodeId::new(1), NodeId::new(2)];
    const MILLI: u64 = 1_000_000;

    fn snapshot(index: u64) -> SnapshotId {
        SnapshotId {
            position: LogPosition::new(Term::new(1), LogIndex::new(index)),
            bytes: 100,
            hash: 0,
        }
    }

    fn logged(base: u64, newest: u64, applied: u64) -> Logged {
        Logged {
            id: IDS[0],
            base,
            applied,
            snapshot: Some(snapshot(newest)),
            log_bytes: 1000,
            is_able: true,
        }
    }

    /// Thirty entries of a hundred bytes each.
    fn log() -> ShortLog {
        let mut log = ShortLog::default();
        (0..30).for_each(|_| log.committed(60));
        log
    }

    /// Looks every hundred milliseconds: when it breaks the rule, if it does.
    fn look(log: &mut ShortLog, from: u64, to: u64, logged: &Logged) -> Option<u64> {
        let mut times = (from..=to).step_by(100);
        let is_broken = |millis: &u64| {
            let checked = log.look(millis * MILLI, TIMEOUT, logged);
            checked.is_err_and(|broken| broken.rule == Rule::ShortLog)
        };
        times.find(is_broken)
    }

    #[test]
    fn a_snapshot_that_is_due_is_taken_before_long() {
        let log = &mut log();
        assert_eq!(look(log, 0, 9000, &logged(0, 4, 16)), None, "not due yet");
        assert_eq!(look(log, 9000, 20_000, &logged(0, 4, 17)), Some(10_700));
        assert_eq!(
            look(log, 10_700, 12_000, &logged(4, 20, 20)),
            None,
            "it was taken"
        );
        let due = Logged {
            log_bytes: 500,
            ..logged(4, 20, 30)
        };
        let stalled = Logged {
            is_able: false,
            ..due
        };
        assert_eq!(look(log, 12_000, 13_000, &due), None);
        assert_eq!(look(log, 13_000, 13_000, &stalled), None);
        assert_eq!(look(log, 13_100, 20_000, &due), Some(14_800));
        assert_eq!(look(log, 30_000, 31_000, &due), None, "it stood still");
    }

    #[test]
    fn a_save_that_failed_is_tried_again_and_is_waited_for_meanwhile() {
        let log = &mut log();
        assert_eq!(look(log, 0, 0, &logged(0, 4, 20)), None);
        log.save_failed(0, IDS[0]);
        assert_eq!(look(log, 100, 9000, &logged(0, 4, 20)), Some(7300));
        assert!(log.waits(IDS[0]) && !log.waits(IDS[1]));
        assert!(log.saves_later(5599 * MILLI, IDS[0]) && !log.saves_later(5600 * MILLI, IDS[0]));
        log.has_room_again(IDS[0]);
        assert!(!log.saves_later(1, IDS[0]));
        log.ended(IDS[0]);
        assert!(!log.waits(IDS[0]));
    }

    #[test]
    fn the_log_begins_at_the_older_of_two_snapshots_unless_one_is_on_its_way() {
        let log = &mut log();
        assert_eq!(look(log, 0, 9000, &logged(0, 4, 10)), None);
        assert_eq!(look(log, 9000, 20_000, &logged(0, 10, 12)), Some(10_700));
        assert_eq!(look(log, 10_700, 11_000, &logged(4, 10, 12)), None);
        assert_eq!(look(log, 11_100, 19_000, &logged(4, 11, 12)), Some(12_800));
        log.lost(IDS[0], 11);
        log.lost(IDS[0], 4);
        assert_eq!(
            look(log, 12_800, 19_000, &logged(4, 12, 12)),
            None,
            "there is no other"
        );
        let part = |offset| PeerMessage::SnapshotChunk {
            term: Term::new(1),
            snapshot: snapshot(4),
            chain: None,
            offset,
            bytes: Bytes::new(),
        };
        log.sent(20_000 * MILLI, IDS[0], IDS[1], TIMEOUT, &part(0));
        log.sent(23_000 * MILLI, IDS[0], IDS[1], TIMEOUT, &part(0));
        assert_eq!(look(log, 19_100, 30_000, &logged(4, 13, 13)), Some(25_100));
    }
}
