//! One replica, driven by hand: what it does about one input, and at which instant.
//!
//! It is node 1. The others are what the test says; the disk answers at once, or when the test lets it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use noraft::{LogIndex, LogPosition, NodeId, Term};
use noraftd::protocol::command::{self, Parsed, Request};
use noraftd::protocol::outcome::Outcome;
use noraftd::protocol::peer::{Features, PeerMessage};
use noraftd::record::{Abstain, Batch, BatchId, HardState, Record, RecordKind};
use noraftd::replica::event::{ConnectionId, Input, Output, RequestId, Snapshot};
use noraftd::replica::{Replica, ReplicaConfig};
use noraftd::time::{Instant, Stamp};

use super::disk::Disk;

pub(crate) struct Driven {
    pub(crate) replica: Replica,
    pub(crate) now: Instant,
    pub(crate) disk: Disk,
    /// Whether the disk answers only when it is let.
    pub(crate) is_disk_held: bool,
    /// What the disk was given and has not done.
    undone: VecDeque<Work>,
    /// The end of what each node was sent in this term, and the last round.
    sent: BTreeMap<u64, (LogPosition, u64)>,
}

#[derive(Debug)]
enum Work {
    Batch(Batch),
    Vote(HardState),
    Patch(BatchId, Vec<Record>),
    Fetch(LogIndex, LogIndex),
    Save(Box<Snapshot>),
}

/// What node 1 finds when it starts.
pub(crate) struct Setup {
    pub(crate) settings: ReplicaConfig,
    pub(crate) disk: Disk,
    voters: u64,
}

impl Setup {
    /// Of so many nodes, all voters; its log has one entry of term 1 and so many writes after it.
    pub(crate) fn new(voters: u64, writes: u64) -> Self {
        let mut settings = ReplicaConfig::new(NodeId::new(1));
        settings.members = (1..=voters).map(NodeId::new).collect();
        let first = Record::new(at(1, 1), RecordKind::Term, Stamp::default(), Bytes::new());
        let writes = (2..2 + writes).map(|index| write(1, index));
        let disk = Disk {
            hard_state: HardState {
                term: 1,
                voted_for: None,
            },
            records: std::iter::once(first).chain(writes).collect(),
            ..Disk::default()
        };
        Self {
            settings,
            disk,
            voters,
        }
    }

    pub(crate) fn start(self) -> Driven {
        let (recovered, snapshot) = self.disk.recover(self.voters);
        Driven {
            replica: Replica::recover(&self.settings, 1, recovered, snapshot),
            now: Instant::ZERO,
            disk: self.disk,
            is_disk_held: false,
            undone: VecDeque::new(),
            sent: BTreeMap::new(),
        }
    }
}

impl Driven {
    /// What it wants done about `input`, and about what the disk says to that.
    pub(crate) fn handle(&mut self, input: Input) -> Vec<Output> {
        let mut all = self.handle_one(input);
        while !self.is_disk_held
            && let Some(work) = self.undone.pop_front()
        {
            let answer = self.work(work);
            all.extend(self.handle_one(answer));
        }
        all
    }

    fn handle_one(&mut self, input: Input) -> Vec<Output> {
        self.replica.handle(self.now, Stamp::default(), input);
        let outputs: Vec<Output> = std::iter::from_fn(|| self.replica.poll()).collect();
        outputs.iter().for_each(|output| self.note(output));
        outputs
    }

    fn note(&mut self, output: &Output) {
        match output {
            Output::Persist(batch) => self.undone.push_back(Work::Batch(batch.clone())),
            Output::PersistVote(state) => self.undone.push_back(Work::Vote(*state)),
            Output::Patch { id, records } => self.undone.push_back(Work::Patch(*id, records.clone())),
            Output::Fetch { from, to, .. } => self.undone.push_back(Work::Fetch(*from, *to)),
            Output::SaveSnapshot(snapshot) => self.undone.push_back(Work::Save(snapshot.clone())),
            Output::Send {
                to,
                message: PeerMessage::Append {
                    prev, records, round, ..
                },
            } => {
                let end = records.last().map_or(*prev, |record| record.position);
                self.sent.insert(to.get(), (end, *round));
            }
            Output::Send { .. }
            | Output::Reply { .. }
            | Output::ReadSnapshot { .. }
            | Output::ReceiveSnapshot { .. } => {}
        }
    }

    fn work(&mut self, work: Work) -> Input {
        match work {
            Work::Batch(batch) => {
                self.disk.write(&batch);
                Input::Synced(batch.id)
            }
            Work::Vote(state) => {
                self.disk.vote(state);
                Input::VoteSynced
            }
            Work::Patch(id, records) => {
                self.disk.patch(&records);
                Input::Synced(id)
            }
            Work::Fetch(from, _) if self.disk.damaged.contains(&from.get()) => Input::FetchFailed { from },
            Work::Fetch(from, to) => {
                let records = self.disk.read(from, to);
                Input::Fetched { from, records }
            }
            Work::Save(snapshot) => Input::SnapshotSaved(Some(self.disk.save(*snapshot, 1000))),
        }
    }

    /// The disk does the first thing of this kind that it was given.
    fn let_disk(&mut self, is_it: impl Fn(&Work) -> bool) -> Vec<Output> {
        let first = self
            .undone
            .iter()
            .position(is_it)
            .expect("it was given to the disk");
        let work = self.undone.remove(first).expect("it was found");
        let answer = self.work(work);
        self.handle_one(answer)
    }

    /// The batch, vote or patch in flight becomes durable.
    pub(crate) fn sync(&mut self) -> Vec<Output> {
        self.let_disk(|work| matches!(work, Work::Batch(_) | Work::Vote(_) | Work::Patch(..)))
    }

    /// The disk has been given something that it has not done.
    pub(crate) fn is_disk_busy(&self) -> bool {
        !self.undone.is_empty()
    }

    /// What it wants to read is read.
    pub(crate) fn fetch(&mut self) -> Vec<Output> {
        self.let_disk(|work| matches!(work, Work::Fetch(..)))
    }

    /// Time passes, and its deadline comes if it lies there.
    pub(crate) fn pass(&mut self, time: Duration) -> Vec<Output> {
        self.now = self.now + time;
        self.handle(Input::Deadline)
    }

    pub(crate) fn hear(&mut self, from: u64, message: PeerMessage) -> Vec<Output> {
        let from = NodeId::new(from);
        self.handle(Input::Peer { from, message })
    }

    /// There is a connection to `peer`.
    pub(crate) fn connect(&mut self, peer: u64) -> Vec<Output> {
        self.handle(Input::Connected {
            peer: NodeId::new(peer),
            features: Features::SUPPORTED,
        })
    }

    pub(crate) fn term(&self) -> Term {
        self.replica.node().current_term()
    }

    /// The last position of its log.
    pub(crate) fn last(&self) -> LogPosition {
        self.replica.status().log.last_position
    }

    /// It is elected by as many of the others as it takes, from node 2 on, and these have its first entry.
    pub(crate) fn lead(&mut self) {
        let held = std::mem::replace(&mut self.is_disk_held, false);
        let voters = self.replica.status().voters.len() as u64;
        let majority = 2..=voters / 2 + 1;
        let mut said = Vec::new();
        while !said
            .iter()
            .any(|message| matches!(message, PeerMessage::PreVote { .. }))
        {
            said = messages(&self.pass(Duration::from_secs(1)));
        }
        let asked = said.iter().find_map(|message| match message {
            PeerMessage::PreVote { term, canvass, .. } => Some((*term, *canvass)),
            _ => None,
        });
        let (term, canvass) = asked.expect("it asks for pre-votes");
        for from in majority.clone() {
            let (granted, abstain) = (true, Abstain::No);
            self.hear(
                from,
                PeerMessage::PreVoted {
                    term,
                    granted,
                    abstain,
                    canvass,
                },
            );
        }
        for from in majority.clone() {
            self.hear(from, PeerMessage::Vote { term, granted: true });
        }
        assert!(self.replica.node().role().is_leader(), "it has a majority");
        self.is_disk_held = held;
        for from in majority {
            self.acknowledge(from);
        }
    }

    /// Node `from` has everything that it was sent.
    pub(crate) fn acknowledge(&mut self, from: u64) -> Vec<Output> {
        let (end, _) = self.sent[&from];
        self.acknowledge_until(from, end)
    }

    /// Node `from` has handled everything that it was sent, and its log ends at `end`.
    pub(crate) fn acknowledge_until(&mut self, from: u64, end: LogPosition) -> Vec<Output> {
        let (term, (_, round)) = (self.term(), self.sent[&from]);
        self.hear(
            from,
            PeerMessage::Appended {
                term,
                generation: 0,
                last_position: end,
                round,
            },
        )
    }

    /// Node `from`, which leads `term`, sends these entries after `prev`, of which it has committed those up to `commit`.
    pub(crate) fn append(
        &mut self,
        from: u64,
        term: u64,
        prev: LogPosition,
        records: Vec<Record>,
        commit: u64,
    ) -> Vec<Output> {
        let last = records.last().map_or(prev, |record| record.position);
        self.hear(
            from,
            PeerMessage::Append {
                term: Term::new(term),
                commit_index: LogIndex::new(commit),
                prev,
                chain: None,
                records,
                round: 1,
                last_index: last.index,
            },
        )
    }

    /// A client asks over `connection`.
    pub(crate) fn ask(&mut self, connection: u64, id: u64, words: &[&str]) -> Vec<Output> {
        self.handle(Input::Client {
            id: RequestId(id),
            connection: ConnectionId(connection),
            request: request(words),
        })
    }

    /// An operator asks for these voters.
    pub(crate) fn change(&mut self, id: u64, voters: &[u64]) -> Vec<Output> {
        self.handle(Input::ChangeVoters {
            id: RequestId(id),
            voters: voters.iter().copied().map(NodeId::new).collect(),
        })
    }
}

pub(crate) fn at(term: u64, index: u64) -> LogPosition {
    LogPosition::new(Term::new(term), LogIndex::new(index))
}

/// A write at this place.
pub(crate) fn write(term: u64, index: u64) -> Record {
    let body = request(&["SET", "k", &format!("{term}.{index}")]).body;
    Record::new(at(term, index), RecordKind::Command, Stamp::default(), body)
}

/// The first entry of a leader's term.
pub(crate) fn term_begins(term: u64, index: u64) -> Record {
    Record::new(at(term, index), RecordKind::Term, Stamp::default(), Bytes::new())
}

pub(crate) fn request(words: &[&str]) -> Request {
    let args = words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes()));
    let Ok(Parsed::Replicated(request)) = command::parse(args.collect()) else {
        panic!("{words:?} is replicated")
    };
    request
}

/// What clients are answered.
pub(crate) fn answers(outputs: &[Output]) -> Vec<(u64, Outcome)> {
    let answers = outputs.iter().filter_map(|output| match output {
        Output::Reply { id, outcome } => Some((id.0, outcome.clone())),
        _ => None,
    });
    answers.collect()
}

/// The requests that are answered.
pub(crate) fn answered(outputs: &[Output]) -> Vec<u64> {
    answers(outputs).into_iter().map(|(id, _)| id).collect()
}

/// What the other nodes are sent.
pub(crate) fn messages(outputs: &[Output]) -> Vec<PeerMessage> {
    let messages = outputs.iter().filter_map(|output| match output {
        Output::Send { message, .. } => Some(message.clone()),
        _ => None,
    });
    messages.collect()
}

/// The batches that are given to the disk.
pub(crate) fn batches(outputs: &[Output]) -> Vec<Batch> {
    let batches = outputs.iter().filter_map(|output| match output {
        Output::Persist(batch) => Some(batch.clone()),
        _ => None,
    });
    batches.collect()
}
