//! What is checked after every event, on the true state: nothing that a node believes is taken for granted.
//!
//! Invariant: every disk's content is known from what its store acknowledged and what it gives back, never
//! from the replica's own idea of it. From that follow, beside the invariants of the core:
//!
//! | rule | in words |
//! |-|-|
//! | committed on a majority | when a node's commit index rises, a majority of the voters' disks hold that entry; of a joint configuration, both majorities |
//! | configuration in force | a node goes by the last configuration that its log holds, and by no other |
//! | committed permanently | the entry at a committed index is the same on every node, for the whole run |
//! | written once | no command is committed twice |
//! | what is refused is not done | a write, or a change of the voters, that was refused is not committed, neither before nor later (`once`, `changes`) |
//! | grants | a vote or pre-vote goes to a log that ends where its giver's does or later; a leader gives no pre-vote; a vote is refused for a reason (`granting`) |
//! | leads a majority | a leader that has not heard a majority for three election timeouts, or over the connection of the log for twenty-three, leads no more (`office`) |
//! | a stalled leader is silent | a leader whose disk has not answered for an election timeout says nothing that keeps it in office (`office`) |
//! | who hands over is at rest | a leader that has a voter campaign has committed all it has, and answers no read until it is over (`handing_over`) |
//! | pre-vote | a node that campaigns was granted the pre-vote by majorities, or ordered to by its leader |
//! | acknowledged | a write that was acknowledged to a client is committed |
//! | synced is kept | what a store acknowledged is there after any crash, and reads back as it was written |
//! | the nodes agree | no node finds that its state or its log differs from another's (`replica/agreement.rs`) |
//! | what commands mean | where commands are drawn: each is understood, answered and carried out as a second implementation says (`semantics.rs`) |
//! | reads are current | a read is answered with the state at an index between what was committed when it came and now (`reads`) |
//! | reads are as young as they say | a read that may be old is answered with a state that has what was committed before its bound, and no earlier one than its connection saw (`staleness`, `parts/stale_readers`) |
//! | blocks are whole | what is moved between accounts, each time in a block that depends on what was read, leaves their sum as it was (`parts/transactors`) |
//! | reads are confirmed | since a read came, its leader has heard from a majority of its voters that they follow it (`confirmed`) |
//! | what is asked is answered | what a client asks by the process that it came to; what that passes on by the leader it was meant for (`answers`) |
//! | voters are committed | who asked for other voters is answered when the committed configuration has them, and no other node is needed any more (`changes`) |
//! | follows in its term | who accepted entries of a term's leader is no candidate in it (`following`) |
//! | durable is on disk | what a store calls durable would survive any loss of power, and is in the log (`kept`) |
//! | twice on disk | what no other node can give back is there twice (`kept`) |
//! | of two copies of a directory one is heard | who has met a process with a directory listens to no other one with a copy of it (`world/twins`) |
//! | a directory of another node is refused | and every file of it stays as it was (`world/twins`) |
//! | abstains until it remembers | what damage took from a node's disk, and is committed, is in its log when its vote counts again (`remembering`) |
//! | who is heard gets on | a leader that hears a majority commits, and a follower that hears its leader comes to have what is committed (`getting_on`) |
//! | who hears its leader does not campaign | a node asks for no pre-vote within an election timeout of what the leader of its term said (`led`) |
//! | a majority has a leader | where a majority of the voters lacks nothing, one of them leads before long (`led`) |
//! | a log stays short | once enough was applied since a snapshot, the next one is taken before long, and the log begins later (`short_log`) |
//! | what is sent is kept | a log does not begin later while an older snapshot is on its way to another node (`sending`) |
//! | passed on over a connection | a request is passed on to a node that there is a connection to (`connections.rs`) |
//! | what is found damaged is missed | an entry that a node cannot read is one that it misses (`disk_news`) |
//! | what is received goes on where it ended | a snapshot in parts is written where what is there of it ends (`disk_news`) |
//! | what is missed is in the log | of each entry that a node misses, its log holds the position |
//! | a state goes on | the state of a process never goes back to that of an earlier index |
//! | the level covers what is appended | an entry that takes a level is appended when that is in force, and a level is raised when all members support it (`levels`) |
//! | a level that is known is not refused | who asks after a level was acknowledged to somebody is not refused for it (`levels`) |
//! | ids are not reused | an id is one machine's permanently, and a node that was removed is no member again (`members`) |
//! | who was removed is out | a node that hears of its removal was removed, and no configuration that counts needs it (`members`) |
//! | equal states | nodes that applied the same index have the same state, and so have snapshots of it |

mod answers;
mod beginnings;
mod campaigns;
mod changes;
mod committed;
mod confirmed;
mod core_message;
mod disk_news;
mod following;
pub(crate) mod getting_on;
mod granting;
pub(crate) mod handing_over;
mod identity;
pub(crate) mod kept;
mod led;
mod levels;
mod loss;
mod members;
pub(crate) mod office;
mod once;
mod process;
pub(crate) mod reads;
mod remembering;
mod sending;
pub(crate) mod short_log;
mod staleness;
mod voting;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use noraft::invariants::{Durable, Invariants};
use noraft::{ClusterConfig, LogIndex, LogPosition, Node, NodeId};
use noraftd::level::Level;
use noraftd::protocol::peer::PeerMessage;
use noraftd::record::{Append, Batch, HardState, Record, RecordKind, decode_config, genesis_config};
use noraftd::recovered::Recovered;
use noraftd::replica::Replica;

use self::answers::Answers;
use self::campaigns::Grants;
use self::changes::Changes;
use self::confirmed::Confirmed;
use self::core_message::core_message;
use self::disk_news::DiskNews;
use self::getting_on::GettingOn;
use self::granting::Granting;
use self::handing_over::HandingOver;
pub(crate) use self::identity::body_hash;
use self::identity::{EntryIdentity, identity};
use self::led::Led;
use self::levels::Levels;
use self::members::Table;
use self::office::Office;
use self::once::Once;
use self::reads::Reads;
use self::sending::Sending;
use self::short_log::ShortLog;
use self::staleness::Staleness;
use super::rule::{Broken, Checked, Rule, ensure};

/// Watches one cluster for one run.
pub(crate) struct Checks {
    invariants: Invariants,
    /// What each disk certainly holds, by index.
    disks: Vec<Vec<EntryIdentity>>,
    /// What damage took from each disk: the terms of entries that were durable there once.
    taken: Vec<BTreeMap<u64, u64>>,
    /// Every entry that was ever given to a disk, by term and index.
    entries: BTreeMap<(u64, u64), EntryIdentity>,
    /// Every configuration among them, by index and term.
    configs: BTreeMap<(u64, u64), ClusterConfig>,
    genesis: ClusterConfig,
    /// Entries that the batch in flight leaves as they are, where one is.
    untouched: Vec<Option<u64>>,
    committed: Vec<EntryIdentity>,
    once: Once,
    grants: Grants,
    pub(crate) granting: Granting,
    pub(crate) disk_news: DiskNews,
    pub(crate) handing_over: HandingOver,
    pub(crate) office: Office,
    pub(crate) led: Led,
    pub(crate) getting_on: GettingOn,
    pub(crate) short_log: ShortLog,
    pub(crate) sending: Sending,
    /// The hash of the state after an index, where a snapshot was taken or installed.
    states: BTreeMap<u64, u64>,
    /// What was last observed of each node; an event that changes none of it needs no check.
    seen: Vec<Option<Seen>>,
    /// Reads of clients.
    pub(crate) reads: Reads,
    pub(crate) staleness: Staleness,
    pub(crate) confirmed: Confirmed,
    /// What nodes pass on.
    pub(crate) answers: Answers,
    changes: Changes,
    pub(crate) levels: Levels,
    pub(crate) members: Table,
    /// The highest term in which each node has accepted entries of the leader.
    followed: Vec<u64>,
    /// Which nodes abstained when they were last driven.
    abstained: Vec<bool>,
    /// How far the state of each process was when it was last driven.
    applied: Vec<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    term: u64,
    vote: Option<u64>,
    leads: bool,
    commit: u64,
    last: (u64, u64),
    durable: Durable,
    matched: Vec<u64>,
    unread: Vec<LogIndex>,
}

impl Checks {
    #[cfg(test)]
    pub(crate) fn new(nodes: usize) -> Self {
        Self::with_room(nodes, nodes)
    }

    /// For a cluster that begins with the first nodes, in which there may be so many in all.
    pub(crate) fn with_room(first: usize, nodes: usize) -> Self {
        let genesis = genesis_config((1..=first as u64).map(NodeId::new));
        Self {
            invariants: Invariants::from_config(genesis.clone()),
            genesis,
            disks: vec![Vec::new(); nodes],
            taken: vec![BTreeMap::new(); nodes],
            entries: BTreeMap::new(),
            configs: BTreeMap::new(),
            untouched: vec![None; nodes],
            committed: Vec::new(),
            once: Once::default(),
            grants: Grants::default(),
            granting: Granting::default(),
            disk_news: DiskNews::default(),
            handing_over: HandingOver::default(),
            office: Office::default(),
            led: Led::default(),
            getting_on: GettingOn::default(),
            short_log: ShortLog::default(),
            sending: Sending::default(),
            states: BTreeMap::new(),
            seen: vec![None; nodes],
            reads: Reads::default(),
            staleness: Staleness::default(),
            confirmed: Confirmed::default(),
            answers: Answers::default(),
            changes: Changes::default(),
            levels: Levels::default(),
            members: Table::default(),
            followed: vec![0; nodes],
            abstained: vec![false; nodes],
            applied: vec![0; nodes],
        }
    }

    /// A node's disk begins to write `batch`; `lacking` says which node does not support a level.
    pub(crate) fn writing(
        &mut self,
        at: usize,
        batch: &Batch,
        lacking: impl Fn(Level) -> Option<usize>,
    ) -> Checked {
        let mut covered = Ok(());
        for record in batch.append.iter().flat_map(|append| &append.records) {
            let position = (record.position.term.get(), record.position.index.get());
            if let Entry::Vacant(place) = self.entries.entry(position) {
                place.insert(identity(record));
                covered = covered.and_then(|()| self.levels.written(position, record, &lacking));
            }
            self.reads.written(record);
            if let (RecordKind::Config, Some(config)) = (record.kind, decode_config(&record.payload)) {
                self.begins_change(at, (position.1, position.0), &config);
                self.configs.insert((position.1, position.0), config);
            }
        }
        let by_append = batch.append.as_ref().map(|append| self.kept_by(at, append));
        let by_base = batch.base.as_ref().map(|base| self.kept_by_base(at, base));
        self.untouched[at] = by_append.into_iter().chain(by_base).min();
        covered
    }

    /// True when the disk of a node certainly holds the entry at `position`.
    pub(crate) fn holds(&self, at: usize, position: LogPosition) -> bool {
        let held = self.disks[at].get((position.index.get() as usize).wrapping_sub(1));
        held.is_some_and(|held| held.term == position.term.get())
    }

    /// What of `node` would survive a crash now.
    pub(crate) fn durable(&self, at: usize, hard_state: HardState, node: &Node) -> Durable {
        let held = self.disks[at].len() as u64;
        let untouched = self.untouched[at].unwrap_or(held);
        let synced = held.min(untouched).min(node.log().last_position().index.get());
        Durable {
            term: hard_state.term(),
            voted_for: hard_state.voted_for(),
            synced: LogIndex::new(synced),
        }
    }

    /// A node was driven; `unread` are the entries of its log that may be configurations and cannot be read.
    pub(crate) fn observe(
        &mut self,
        at: usize,
        node: &Node,
        durable: &Durable,
        unread: Vec<LogIndex>,
    ) -> Checked {
        let last = node.log().last_position();
        let leads = node.role().is_leader();
        let matched = |id| node.follower_match_index(id).map_or(0, LogIndex::get);
        let now = Seen {
            term: node.current_term().get(),
            vote: node.voted_for().map(NodeId::get),
            leads,
            commit: node.commit_index().get(),
            last: (last.term.get(), last.index.get()),
            durable: *durable,
            matched: if leads {
                node.peers().map(matched).collect()
            } else {
                Vec::new()
            },
            unread,
        };
        if self.seen[at].as_ref() == Some(&now) {
            return Ok(());
        }
        let before = self.seen[at].as_ref().map_or(0, |seen| seen.commit);
        // What a node that has just started did before is not known.
        let campaigns_in = self.seen[at].as_ref().map_or(now.term, |seen| seen.term);
        if node.role().is_candidate() && now.term > campaigns_in {
            self.grants.check(node)?;
        }
        let commit = now.commit;
        self.invariants.unread(node.id(), now.unread.iter().copied());
        self.seen[at] = Some(now);
        self.invariants.observe(node, durable).map_err(invariant)?;
        if commit > before {
            self.check_majority(at, node)?;
        }
        self.take_commits(at, node.id(), commit.min(durable.synced.get()))
    }

    /// A node was rebuilt from its disk. `tail` are the entries on it beyond those that were certain.
    pub(crate) fn restarted(
        &mut self,
        at: usize,
        replica: &Replica,
        recovered: &Recovered,
        tail: &[Record],
        is_damaged: bool,
    ) -> Checked {
        let node = replica.node();
        (self.seen[at], self.untouched[at]) = (None, None);
        self.applied[at] = 0;
        self.invariants.unread(node.id(), replica.unread());
        let base = recovered.log.snapshot_position();
        if base.index.get() > self.disks[at].len() as u64 {
            self.rebase(at, base)?;
        }
        let kept = self.first_unsure(at, recovered);
        if kept < self.disks[at].len() as u64 && is_damaged && recovered.abstain.abstains() {
            // It forgot what it acknowledged, and says so.
            for (index, entry) in (kept + 1..).zip(self.disks[at].drain(kept as usize..)) {
                self.taken[at].insert(index, entry.term);
            }
            self.invariants.wiped(node.id());
        }
        let certain = self.disks[at].len() as u64;
        let found = recovered.last_position().index.get();
        let last_is_same = certain <= base.index.get()
            || recovered
                .log
                .entries()
                .get_term(LogIndex::new(certain))
                .map(noraft::Term::get)
                == self.disks[at].last().map(|last| last.term);
        ensure(found >= certain && last_is_same, Rule::SyncedIsKept, || {
            format!(
                "n{} comes back with entries up to {found}; {certain} were synced",
                at + 1
            )
        })?;
        for index in certain.max(base.index.get()) + 1..=found {
            let found = self.found(recovered, tail, index);
            let entry = found.ok_or_else(|| {
                let said = format!(
                    "n{} comes back with entry {index}, which was never written",
                    at + 1
                );
                Broken {
                    rule: Rule::SyncedIsKept,
                    detail: said,
                }
            })?;
            self.disks[at].push(entry);
        }
        self.invariants.restarted(node).map_err(invariant)
    }

    /// What a node found at `index`: an entry that it can read, or one whose place it knows.
    fn found(&self, recovered: &Recovered, tail: &[Record], index: u64) -> Option<EntryIdentity> {
        let read = tail.binary_search_by_key(&index, |record| record.position.index.get());
        if let Ok(at) = read {
            return tail.get(at).map(identity);
        }
        let term = recovered.log.entries().get_term(LogIndex::new(index))?;
        self.entries.get(&(term.get(), index)).copied()
    }

    /// The last index up to which a node has come back with what its disk certainly held.
    pub(crate) fn first_unsure(&self, at: usize, recovered: &Recovered) -> u64 {
        let base = recovered.log.snapshot_position().index.get();
        let term = |index| recovered.log.entries().get_term(LogIndex::new(index));
        let held = (1..).zip(&self.disks[at]);
        let same = |(index, entry): &(u64, &EntryIdentity)| {
            *index <= base || term(*index).map(noraft::Term::get) == Some(entry.term)
        };
        held.take_while(same).count() as u64
    }

    /// The highest index that the disk of a node certainly holds.
    pub(crate) fn certain(&self, at: usize) -> u64 {
        self.disks[at].len() as u64
    }

    /// A store acknowledged a batch.
    pub(crate) fn synced(&mut self, at: usize, batch: &Batch) -> Checked {
        self.untouched[at] = None;
        if let Some(base) = &batch.base {
            self.rebase(at, base.position)?;
        }
        let Some(Append { prev, records }) = &batch.append else {
            return Ok(());
        };
        for record in records {
            ensure(record.is_intact(), Rule::IntactPayloads, || {
                format!(
                    "n{} writes entry {:?} with a payload that is not its own",
                    at + 1,
                    record.position
                )
            })?;
        }
        let disk = &mut self.disks[at];
        disk.truncate(prev.index.get() as usize);
        disk.extend(records.iter().map(identity));
        Ok(())
    }

    /// A node was killed while `batch` was being written: of what it replaces nothing is certain.
    pub(crate) fn interrupted(&mut self, at: usize, batch: &Batch) {
        self.untouched[at] = None;
        if let Some(base) = &batch.base {
            let kept = self.kept_by_base(at, base);
            self.disks[at].truncate(kept as usize);
        }
        if let Some(append) = &batch.append {
            let kept = self.kept_by(at, append);
            self.disks[at].truncate(kept as usize);
        }
    }

    /// Entries of a disk that an append leaves as they are.
    fn kept_by(&self, at: usize, append: &Append) -> u64 {
        let prev = append.prev.index.get();
        let held = self.disks[at].get(prev as usize..).unwrap_or_default();
        let same = held.iter().zip(&append.records);
        prev + same
            .take_while(|(held, record)| **held == identity(record))
            .count() as u64
    }

    /// Entries were read back.
    pub(crate) fn fetched<'a>(&self, at: usize, records: impl Iterator<Item = &'a Record>) -> Checked {
        for record in records {
            let index = record.position.index.get();
            let held = self.disks[at].get(index as usize - 1);
            ensure(held == Some(&identity(record)), Rule::SyncedIsKept, || {
                format!(
                    "n{} reads entry {index} back as another one than was written",
                    at + 1
                )
            })?;
        }
        Ok(())
    }

    /// A message leaves.
    pub(crate) fn sent(
        &mut self,
        from: NodeId,
        to: NodeId,
        message: &PeerMessage,
        durable: &Durable,
    ) -> Checked {
        self.grants.note(from, to, message);
        if let PeerMessage::Pulse { term, .. } | PeerMessage::Pulsed { term, .. } = message {
            ensure(*term == durable.term, Rule::Pulses, || {
                format!(
                    "n{} sends {message:?}, and {durable:?} is on its disk",
                    from.get()
                )
            })?;
        }
        self.note_following(from, message);
        match core_message(from, message) {
            Some(message) => self.invariants.sent(to, &message, durable).map_err(invariant),
            None => Ok(()),
        }
    }

    /// A client's write, with this body, is acknowledged.
    pub(crate) fn acknowledged(&self, body: u64) -> Checked {
        self.once.acknowledge(body)
    }

    /// A client's write, with this body, is refused for good.
    pub(crate) fn refused(&mut self, body: u64) -> Checked {
        self.once.refuse(body)
    }

    /// A client asks for a command that may have the bytes of another one.
    pub(crate) fn may_be_committed(&mut self, body: u64) {
        self.once.ask(body);
    }

    /// Leaders append this command by themselves, as often as they like.
    pub(crate) fn may_be_committed_often(&mut self, body: u64) {
        self.once.allow(body);
    }
}

fn invariant(violation: noraft::invariants::Violation) -> Broken {
    Broken {
        rule: Rule::Core(violation.invariant),
        detail: violation.detail,
    }
}
