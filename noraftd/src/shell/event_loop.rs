//! The loop that owns the replica: wait, handle, poll until nothing is left, write.
//!
//! Invariant: what is ready is handled before anything is written, so a round costs each connection one write at
//! most, and what arrived during a sync shares the next one. A round is bounded: in inputs (`inbox`), in bytes of
//! replies (`replica/reads.rs`) and in bytes written to each connection (`outgoing`); connections come in between.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use noraft::NodeId;
use tokio::time::{Instant as TokioInstant, Sleep, sleep_until};

use super::alarms;
use super::clients::Clients;
use super::clock;
use super::data_directory::note_removed;
use super::inbox::Inbox;
use super::membership::Membership;
use super::notices::Notices;
use super::peers::Peers;
use super::signals::{Signals, Wish};
use super::storage::Storage;
use crate::exit::Exit;
use crate::local::events::Event;
use crate::replica::Replica;
use crate::replica::event::{Input, Output};
use crate::storage::{Fetch, SnapshotJob};
use crate::time::Instant;

/// The parts of a running node, and the loop that moves everything between them.
pub(super) struct EventLoop {
    replica: Rc<RefCell<Replica>>,
    inbox: Rc<Inbox>,
    storage: Storage,
    peers: Rc<Peers>,
    clients: Rc<Clients>,
    membership: Membership,
    /// Says so when this node was removed from the cluster.
    is_removed: bool,
    /// What is handled in this round.
    inputs: Vec<Input>,
    /// More has arrived than one round takes.
    is_behind: bool,
    /// True from `Persist` until `Synced`.
    is_syncing: bool,
    notices: Notices,
    /// The last leader that was known.
    last_leader: Option<NodeId>,
    timer: Timer,
}

impl EventLoop {
    /// A loop over a replica that has handled nothing yet.
    pub(super) fn new(
        replica: Rc<RefCell<Replica>>,
        inbox: Rc<Inbox>,
        storage: Storage,
        peers: Rc<Peers>,
        clients: Rc<Clients>,
        membership: Membership,
    ) -> Self {
        let notices = Notices::new(&replica.borrow());
        Self {
            replica,
            inbox,
            storage,
            peers,
            clients,
            membership,
            is_removed: false,
            inputs: Vec::new(),
            is_behind: false,
            is_syncing: false,
            notices,
            last_leader: None,
            timer: Timer::default(),
        }
    }

    /// Serves until a signal asks the process to stop, or the node was removed.
    pub(super) async fn serve(&mut self, signals: &mut Signals) {
        self.inputs.push(Input::Deadline);
        self.round();
        loop {
            tokio::select! {
                biased;
                wish = signals.next() => match wish {
                    Wish::Stop(name) => {
                        self.clients.node().journal.note(&Event::Stops { signal: name });
                        return;
                    }
                    Wish::Reload => self.clients.node().reload(),
                    Wish::ClearAlarms => alarms::clear(&self.clients.node().observed.alarms),
                    Wish::Report => tracing::info!("SIGUSR1: status {}", self.clients.status_json()),
                },
                () = self.something() => self.round(),
            }
            if self.is_removed {
                return;
            }
        }
    }

    /// Lets another node lead, if this one does, so that no election is needed once it is gone. Clients are served meanwhile.
    pub(super) async fn hand_over(&mut self) {
        self.clients.node().observed.is_leaving.set(true);
        let time = self.clients.node().config.time.clone();
        let leads = |replica: &Rc<RefCell<Replica>>| replica.borrow().node().role().is_leader();
        let has_led = leads(&self.replica);
        for _ in 0..HAND_OVERS {
            if !leads(&self.replica) {
                break;
            }
            self.inputs.push(Input::Transfer { id: None, to: None });
            self.round();
            let patience = TokioInstant::now() + 2 * time.election_timeout;
            while self.replica.borrow().transfer().is_some() && self.next_round_until(patience).await {}
        }
        if has_led && !leads(&self.replica) {
            // The others have to hear it, or they ask this node for something when it is gone.
            let end = TokioInstant::now() + 2 * time.heartbeat;
            while self.next_round_until(end).await {}
        }
    }

    /// Takes leave: refuses new requests, answers those under way, and marks an orderly stop.
    pub(super) async fn stop(mut self) -> Exit {
        self.clients.stop();
        let patience = TokioInstant::now() + STOP_PATIENCE;
        while self.clients.under_way() > 0 && self.next_round_until(patience).await {}
        self.clients.give_up_all();
        self.clients.flush();
        let patience = TokioInstant::now() + SYNC_PATIENCE;
        while self.is_syncing {
            // What the sync allows the replica to promise may still leave.
            if !self.next_round_until(patience).await {
                tracing::error!("the disk does not take the last batch: stopping without it");
                return Exit::Disk;
            }
        }
        self.storage.stop();
        if self.is_removed {
            Exit::Removed
        } else {
            Exit::Done
        }
    }

    async fn next_round_until(&mut self, end: TokioInstant) -> bool {
        let came = tokio::time::timeout_at(end, self.something()).await.is_ok();
        if came {
            self.round();
        }
        came
    }

    /// Waits until there is something to do.
    async fn something(&mut self) {
        let deadline = self.replica.borrow().deadline().map(clock::to_tokio);
        if self.is_behind || deadline.is_some_and(|deadline| deadline <= TokioInstant::now()) {
            // There is more to do at once, but connections have their turn first. No timer: one that is set in the past
            // has fired before anything waits for it.
            return tokio::task::yield_now().await;
        }
        self.timer.expect(deadline);
        tokio::select! {
            biased;
            input = self.storage.done() => self.inputs.push(input),
            () = self.inbox.woken() => {}
            () = self.timer.fired() => {}
        }
    }

    /// Handles everything that is there, does what the replica wants, and writes.
    fn round(&mut self) {
        self.inputs.extend(self.storage.try_done());
        self.is_behind = self.inbox.take(&mut self.inputs);
        let (now, wall) = (clock::now(), clock::wall());
        let replica = Rc::clone(&self.replica);
        let mut replica = replica.borrow_mut();
        if replica.deadline().is_some_and(|deadline| deadline <= now) {
            self.inputs.push(Input::Deadline);
        }
        for input in self.inputs.drain(..) {
            self.is_syncing &= !matches!(input, Input::Synced(_));
            replica.handle(now, wall, input);
        }
        let applied = replica.machine().applied_index();
        while let Some(output) = replica.poll() {
            self.carry_out(output);
        }
        let from_peers = &self.clients.node().from_peers;
        from_peers.note_term(replica.node().current_term());
        from_peers.note_level(replica.machine().level());
        let events = self.notices.look(&mut replica);
        self.notice_changes(&replica, &events);
        let has_applied = replica.machine().applied_index() > applied;
        drop(replica);
        self.peers.flush();
        self.clients.flush();
        self.note_round(now, has_applied);
    }

    fn note_round(&self, started: Instant, has_applied: bool) {
        let took = clock::now() - started;
        let loops = &self.clients.node().observed.loops;
        loops.rounds.observe(took);
        if has_applied {
            loops.applying.observe(took);
        }
    }

    /// Notes what has happened, and reports to the disk that the node has caught up.
    fn notice_changes(&mut self, replica: &Replica, events: &[Event]) {
        let (term, applied) = (replica.node().current_term(), replica.machine().applied_index());
        self.clients
            .node()
            .journal
            .note_position(term.get(), applied.get());
        if let Some(index) = replica.unknown_entry() {
            tracing::error!(
                "entry {} is of a level that this version does not support: start a later version of noraftd with this directory",
                index.get()
            );
            Exit::UnknownEntry.now();
        }
        for event in events {
            if let Event::Leads { leader, .. } = event {
                self.count_leader(*leader);
            }
            if *event == Event::CaughtUp {
                self.storage.caught_up();
            }
            self.clients.node().journal.note(event);
        }
        self.clients.note_leader(replica.leader());
        self.membership.follow(replica);
        self.notice_removal(replica);
    }

    fn count_leader(&mut self, leader: NodeId) {
        if self.last_leader.replace(leader) != Some(leader) {
            let changes = &self.clients.node().observed.loops.leader_changes;
            changes.set(changes.get() + 1);
        }
    }

    /// A node that was removed serves no more, and does not start again.
    fn notice_removal(&mut self, replica: &Replica) {
        if self.is_removed {
            return;
        }
        let Some(source) = self.membership.removed_says(replica) else {
            return;
        };
        let event = Event::Removed {
            source: source.clone(),
        };
        self.clients.node().journal.note(&event);
        let directory = &self.clients.node().config.data_dir;
        if let Err(error) = note_removed(directory, &format!("{source} says so\n")) {
            // The next start hears it from the others again.
            tracing::warn!("cannot write that down: {error}");
        }
        self.is_removed = true;
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Persist(batch) => {
                self.is_syncing = true;
                self.storage.persist(batch);
            }
            Output::PersistVote(hard_state) => self.storage.vote(hard_state),
            Output::Patch { id, records } => {
                self.is_syncing = true;
                self.storage.patch(id, records);
            }
            Output::Fetch { from, to, bytes_max } => self.storage.fetch(Fetch { from, to, bytes_max }),
            Output::SaveSnapshot(snapshot) => self.storage.handle_snapshot(SnapshotJob::Save(snapshot)),
            Output::ReadSnapshot {
                position,
                offset,
                bytes_max,
            } => self.storage.handle_snapshot(SnapshotJob::Read {
                position,
                offset,
                bytes_max,
            }),
            Output::ReceiveSnapshot { id, offset, bytes } => {
                self.storage
                    .handle_snapshot(SnapshotJob::Receive { id, offset, bytes });
            }
            Output::Send { to, message } => self.peers.send(to, &message),
            Output::Reply { id, outcome } => self.clients.answer(id, &outcome),
        }
    }
}

/// Wakes the loop at a deadline, or before it.
///
/// Invariant: reset only when the deadline has come nearer, or when it has fired. A follower's deadline
/// moves away with every message; a timer that followed it would cost a write to an eventfd each time.
#[derive(Debug, Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn expect(&mut self, deadline: Option<TokioInstant>) {
        let Some(deadline) = deadline else { return };
        match &mut self.0 {
            None => self.0 = Some(Box::pin(sleep_until(deadline))),
            Some(sleep) if sleep.is_elapsed() || deadline < sleep.deadline() => {
                sleep.as_mut().reset(deadline);
            }
            Some(_) => {}
        }
    }

    /// Waits; forever while nothing is expected.
    async fn fired(&mut self) {
        match &mut self.0 {
            Some(sleep) if !sleep.is_elapsed() => sleep.await,
            Some(_) | None => std::future::pending().await,
        }
    }
}

/// Where one voter does not take over, another one may.
const HAND_OVERS: u32 = 2;
/// How long a stopping node tries to answer what was asked before.
const STOP_PATIENCE: Duration = Duration::from_secs(1);
/// How long a stopping node waits for its disk.
const SYNC_PATIENCE: Duration = Duration::from_secs(5);
