//! Node 1 of several, driven by hand: its disk answers at once, the others say what a test lets them say.

use bytes::Bytes;
use noraft::{Log, LogEntries, LogEntry, LogIndex, LogPosition, NodeId, Term};
use noraftd::chain::Chain;
use noraftd::protocol::command::{self, Parsed, Request};
use noraftd::protocol::outcome::Outcome;
use noraftd::protocol::peer::{Features, PeerMessage};
use noraftd::record::{Abstain, HardState, Hole, Record, RecordKind, genesis_config};
use noraftd::recovered::Recovered;
use noraftd::replica::event::{ConnectionId, Input, Output, Received, RequestId, Snapshot};
use noraftd::replica::{Replica, ReplicaConfig};
use noraftd::time::{Instant, Stamp};

use super::SECOND;

/// What it finds on its disk when it starts.
pub(crate) struct Found {
    pub(crate) abstain: Abstain,
    /// Entries whose payloads cannot be read.
    pub(crate) holes: Vec<u64>,
    /// Decides its random timeouts, and what it calls this process.
    pub(crate) seed: u64,
    /// A snapshot is taken after so many bytes of log.
    pub(crate) snapshot_after: u64,
}

impl Default for Found {
    fn default() -> Self {
        Self {
            abstain: Abstain::No,
            holes: Vec::new(),
            seed: 1,
            snapshot_after: u64::MAX,
        }
    }
}

pub(crate) struct Alone {
    pub(crate) replica: Replica,
    now: Instant,
    holes: Vec<u64>,
    /// What it can read of its log: the two entries that it started with. Later ones are in memory.
    pub(crate) disk: Vec<Record>,
    /// What its clients were answered.
    pub(crate) replies: Vec<(u64, Outcome)>,
    /// Snapshots that it wanted to save. Its disk has no room for any.
    pub(crate) saves: usize,
    /// What it receives when it has received a snapshot.
    pub(crate) incoming: Option<Snapshot>,
}

/// The last entry of the log that it starts with, a command.
pub(crate) const TAIL: LogPosition = LogPosition {
    term: Term::new(1),
    index: LogIndex::new(2),
};

pub(crate) fn at(term: u64, index: u64) -> LogPosition {
    LogPosition::new(Term::new(term), LogIndex::new(index))
}

impl Alone {
    pub(crate) fn new(voters: u64, abstain: Abstain) -> Self {
        Self::start(
            voters,
            Found {
                abstain,
                ..Found::default()
            },
        )
    }

    /// In term 1, with two entries; connected to everyone.
    pub(crate) fn start(voters: u64, found: Found) -> Self {
        let config = genesis_config((1..=voters).map(NodeId::new));
        let entries = [LogEntry::Term(Term::new(1)), LogEntry::Command];
        let hole = |index| Hole {
            position: at(1, index),
            kind: None,
            payload_crc: None,
        };
        let recovered = Recovered {
            hard_state: HardState {
                term: 1,
                voted_for: Some(1),
            },
            log: Log::new(config, LogEntries::from_iter(LogPosition::ZERO, entries)),
            abstain: found.abstain,
            holes: found.holes.iter().copied().map(hole).collect(),
            chain: Chain::after(LogIndex::ZERO, None),
            stamp: noraftd::time::Stamp::default(),
        };
        let mut settings = ReplicaConfig::new(NodeId::new(1));
        settings.members = (1..=voters).map(NodeId::new).collect();
        settings.snapshots.log_bytes = found.snapshot_after;
        let mut alone = Self {
            replica: Replica::recover(&settings, found.seed, recovered, None),
            now: Instant::ZERO,
            holes: found.holes,
            disk: [(1, RecordKind::Term), (2, RecordKind::Command)]
                .map(|(index, kind)| Record::new(at(1, index), kind, Stamp::default(), Bytes::new()))
                .into(),
            replies: Vec::new(),
            saves: 0,
            incoming: None,
        };
        for peer in (2..=voters).map(NodeId::new) {
            let features = Features::SUPPORTED;
            alone.handle(Input::Connected { peer, features });
        }
        alone
    }

    /// What it says to the others about `input`.
    pub(crate) fn handle(&mut self, input: Input) -> Vec<PeerMessage> {
        let (mut said, mut inputs) = (Vec::new(), vec![input]);
        while let Some(input) = inputs.pop() {
            self.replica.handle(self.now, Stamp::default(), input);
            while let Some(output) = self.replica.poll() {
                match output {
                    Output::Persist(batch) => inputs.push(Input::Synced(batch.id)),
                    Output::PersistVote(_) => inputs.push(Input::VoteSynced),
                    Output::Send { message, .. } => said.push(message),
                    Output::Reply { id, outcome } => self.replies.push((id.0, outcome)),
                    Output::SaveSnapshot(_) => {
                        self.saves += 1;
                        inputs.push(Input::SnapshotSaved(None));
                    }
                    Output::ReceiveSnapshot { id, .. } => {
                        let snapshot = self.incoming.take().expect("a test says what it receives");
                        let received = Received::Whole(Box::new(snapshot));
                        inputs.push(Input::SnapshotReceived { id, received });
                    }
                    Output::Fetch { from, to, .. } => inputs.push(self.fetched(from, to)),
                    Output::Patch { .. } | Output::ReadSnapshot { .. } => {}
                }
            }
        }
        said
    }

    fn fetched(&self, from: LogIndex, to: LogIndex) -> Input {
        if self.holes.contains(&from.get()) {
            return Input::FetchFailed { from };
        }
        let is_wanted = |record: &&Record| (from..=to).contains(&record.position.index);
        let records = self.disk.iter().filter(is_wanted).cloned().collect();
        Input::Fetched { from, records }
    }

    /// Its election timeout passes.
    pub(crate) fn time_out(&mut self) -> Vec<PeerMessage> {
        self.wait(2)
    }

    pub(crate) fn wait(&mut self, seconds: u32) -> Vec<PeerMessage> {
        self.now = self.now + SECOND * seconds;
        self.handle(Input::Deadline)
    }

    pub(crate) fn hear(&mut self, from: u64, message: PeerMessage) -> Vec<PeerMessage> {
        let from = NodeId::new(from);
        self.handle(Input::Peer { from, message })
    }

    /// A heartbeat of the leader of `term`, whose log goes on after `prev` and ends at `last_index`.
    pub(crate) fn hear_leader(
        &mut self,
        from: u64,
        term: u64,
        prev: LogPosition,
        last_index: u64,
    ) -> Vec<PeerMessage> {
        let message = PeerMessage::Append {
            term: Term::new(term),
            commit_index: LogIndex::ZERO,
            prev,
            chain: None,
            records: Vec::new(),
            round: 1,
            last_index: LogIndex::new(last_index),
        };
        self.hear(from, message)
    }

    /// Is elected in the next term by node 2.
    pub(crate) fn lead(&mut self) -> u64 {
        let said = self.time_out();
        let term = self.replica.status().term + 1;
        self.hear(2, grant_of(term, canvass(&said)));
        let vote = PeerMessage::Vote {
            term: Term::new(term),
            granted: true,
        };
        self.hear(2, vote);
        assert!(self.replica.node().role().is_leader(), "it is elected");
        term
    }

    /// A client of its own asks.
    pub(crate) fn ask(&mut self, id: u64, words: &[&str]) -> Vec<PeerMessage> {
        self.handle(Input::Client {
            id: RequestId(id),
            connection: ConnectionId(id),
            request: request(words),
        })
    }

    pub(crate) fn last_index(&self) -> u64 {
        self.replica.status().log.last_position.index.get()
    }
}

pub(crate) fn request(words: &[&str]) -> Request {
    let args = words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes()));
    match command::parse(args.collect()) {
        Ok(Parsed::Replicated(request)) => request,
        _ => panic!("{words:?} is replicated"),
    }
}

/// A grant for `term` that answers `canvass`; zero from a node that does not count them.
pub(crate) fn grant_of(term: u64, canvass: u64) -> PeerMessage {
    PeerMessage::PreVoted {
        term: Term::new(term),
        granted: true,
        abstain: Abstain::No,
        canvass,
    }
}

/// The number of the canvass that is being asked for.
pub(crate) fn canvass(said: &[PeerMessage]) -> u64 {
    let mut asked = said.iter().filter_map(|message| match message {
        PeerMessage::PreVote { canvass, .. } => Some(*canvass),
        _ => None,
    });
    asked.next().expect("it asks for pre-votes")
}

pub(crate) fn asks_for_votes(said: &[PeerMessage]) -> bool {
    said.iter()
        .any(|message| matches!(message, PeerMessage::RequestVote { .. }))
}
