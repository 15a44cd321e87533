//! Driving a node: the same loop as the daemon's, wait, handle, poll until nothing is left.
//!
//! Invariant: every output is carried out after the state that it comes from was checked.

use noraft::NodeId;
use noraftd::protocol::peer::{Features, Lane, PeerFrame, PeerMessage};
use noraftd::record::Batch;
use noraftd::replica::event::{Input, Output, Snapshot};
use noraftd::storage::{SnapshotJob, WriteJob};

use super::World;
use crate::plan::LANES;
use crate::sim::journal::happening::{Happening, LinkHappening, NodeHappening};
use crate::sim::parts::MICRO;
use crate::sim::parts::checks::{handing_over, kept, office};
use crate::sim::parts::event::{Event, LinkEvent, NodeEvent};
use crate::sim::parts::job::Job;
use crate::sim::parts::network::{Way, delay};
use crate::sim::parts::node::CLUSTER_ID;
use crate::sim::parts::rule::{Rule, ensure};

impl World {
    /// Handles everything that has arrived, and does what the replica wants.
    pub(super) fn round(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let Some(process) = node.process.as_mut() else {
            return;
        };
        let (now, stamp) = (
            node.clock.instant(self.queue.now()),
            node.clock.stamp(self.queue.now()),
        );
        process.round_is_due = false;
        if process.replica.deadline().is_some_and(|deadline| deadline <= now) {
            process.inbox.push(Input::Deadline);
        }
        let led = process.replica.node().role().is_leader();
        process.connections.handles(&process.inbox);
        for input in process.inbox.drain(..) {
            process.replica.handle(now, stamp, input);
        }
        let mut outputs = std::mem::take(&mut node.outputs);
        let (mut batch, mut patch, mut vote) = (None, None, None);
        while let Some(output) = process.replica.poll() {
            match output {
                // The disk has it before anything else is looked at: what it replaces is no longer certain.
                Output::Persist(new) => batch = Some(new),
                Output::PersistVote(state) => vote = Some(state),
                Output::Patch { id, records } => patch = Some(Job::Write(WriteJob::Patch { id, records })),
                other @ (Output::Fetch { .. }
                | Output::SaveSnapshot(_)
                | Output::ReadSnapshot { .. }
                | Output::ReceiveSnapshot { .. }
                | Output::Send { .. }
                | Output::Reply { .. }) => outputs.push(other),
            }
        }
        let core = process.replica.node();
        let leads = core.role().is_leader();
        self.journal.note(
            self.queue.now(),
            Happening::Node(NodeHappening::Round {
                node: at,
                replica: &process.replica,
            }),
        );
        self.journal.counters.elections += u64::from(leads && !led);
        if leads && !led {
            self.checks.answers.leads(core.id(), core.current_term().get());
            self.return_stale();
            self.leader_rose(at);
        }
        batch.into_iter().for_each(|batch| self.give_batch(at, batch));
        patch.into_iter().for_each(|patch| self.give_job(at, patch));
        vote.into_iter().for_each(|vote| self.give_vote(at, vote));
        self.observe(at);
        self.note_staleness(at);
        self.look_at_steps(at);
        self.look_at_log(at);
        for output in outputs.drain(..) {
            self.carry_out(at, output);
        }
        self.nodes[at].outputs = outputs;
        let node = &self.nodes[at];
        let writes = node
            .process
            .as_ref()
            .is_none_or(|process| !process.jobs.is_empty() || !process.votes.is_empty());
        self.checks.led.driven(node.id, writes);
        self.note_caught_up(at);
        self.schedule_wake(at);
        self.follow_table(at);
    }

    fn give_batch(&mut self, at: usize, batch: Batch) {
        let (nodes, levels) = (&self.nodes, &self.levels);
        let lacking = |level| (0..nodes.len()).find(|at| levels.of(*at) < level);
        let checked = self.checks.writing(at, &batch, lacking);
        self.check(checked);
        self.give_job(at, Job::Write(WriteJob::Persist(batch)));
    }

    fn observe(&mut self, at: usize) {
        let node = &self.nodes[at];
        let Some(process) = node.process.as_ref() else {
            return;
        };
        let core = process.replica.node();
        let durable = self.checks.durable(at, process.driver.store().hard_state(), core);
        let unread = process.replica.unread();
        self.checks
            .confirmed
            .goes_by(self.queue.now(), node.id, core.config());
        let goes_by = self.checks.config_in_force(at, core, &unread);
        let checked = self.checks.observe(at, core, &durable, unread);
        let covers = self.checks.levels.look();
        let follows = self.checks.follows(at, core);
        let (instant, election) = (
            node.clock.instant(self.queue.now()),
            self.plan.cluster.election.as_duration(),
        );
        // Giving up its office needs a sync of its own, which waits for the one that is under way.
        let leads = if process.jobs.is_empty() && process.votes.is_empty() {
            self.checks.office.check(core, instant, election)
        } else {
            Ok(())
        };
        let keeps = self.checks.sending.check(self.queue.now(), election, core);
        let remembers = self.checks.remembers(at, core, process.replica.abstains());
        let last = core.log().last_position().index;
        let applied = process.replica.machine().applied_index().get();
        let goes_on = self.checks.goes_on(at, applied);
        let misses = self
            .checks
            .misses(at, &process.replica)
            .and_then(|()| self.checks.disk_news.driven(at, &process.replica))
            .and_then(|()| self.checks.granting.driven(&process.replica));
        let hands_over = handing_over::driven(&process.replica, instant);
        let is_held = kept::check_held(at, process.replica.durable_index(), last);
        // Nodes that hold different things are what the other rules are there to find; the daemon must not find more.
        let divergence = process.replica.divergence();
        let agrees = ensure(divergence.is_none(), Rule::NodesAgree, || {
            let found = divergence.map(|divergence| divergence.to_string());
            format!("n{} says: {}", at + 1, found.unwrap_or_default())
        });
        let (has, knows) = (process.driver.room(), process.replica.room());
        let is_known = ensure(has == knows, Rule::RoomIsKnown, || {
            format!(
                "the disk of n{} has room: {has:?}; its replica goes by: {knows:?}",
                at + 1
            )
        });
        self.check(checked);
        self.check(covers);
        self.follow_commits();
        self.check(follows);
        self.check(remembers);
        self.check(keeps);
        self.check(leads);
        self.check(goes_on);
        self.check(misses);
        self.check(is_held);
        self.check(hands_over);
        self.check(is_known);
        self.check(goes_by);
        self.check(agrees);
    }

    fn carry_out(&mut self, at: usize, output: Output) {
        match output {
            Output::Persist(_) | Output::PersistVote(_) | Output::Patch { .. } => {
                unreachable!("handed to the disk before the other outputs")
            }
            Output::Fetch { from, to, bytes_max } => {
                let life = self.nodes[at].life;
                let done = Event::node(at, life, NodeEvent::FetchDone { from, to, bytes_max });
                let takes = self.read_takes(at);
                self.queue.after(takes, done);
            }
            Output::SaveSnapshot(snapshot) => {
                self.journal.counters.snapshots += 1;
                self.note_state(at, &snapshot);
                self.give_snapshot(at, SnapshotJob::Save(snapshot));
            }
            Output::ReadSnapshot {
                position,
                offset,
                bytes_max,
            } => {
                let life = self.nodes[at].life;
                let done = Event::node(
                    at,
                    life,
                    NodeEvent::SnapshotRead {
                        position,
                        offset,
                        bytes_max,
                    },
                );
                let takes = self.read_takes(at);
                self.queue.after(takes, done);
            }
            Output::ReceiveSnapshot { id, offset, bytes } => {
                let goes_on = self.checks.disk_news.given(at, id, offset);
                self.check(goes_on);
                self.give_snapshot(at, SnapshotJob::Receive { id, offset, bytes });
            }
            Output::Send { to, message } => self.send(at, to.get() as usize - 1, message),
            Output::Reply { id, outcome } => self.reply(at, id, outcome),
        }
    }

    /// A message leaves; what it promises has to be true by now.
    fn send(&mut self, from: usize, to: usize, message: PeerMessage) {
        if to >= self.nodes.len() {
            // The id was given to a machine that has not come yet.
            return;
        }
        self.journal.counters.messages += 1;
        let node = &self.nodes[from];
        // What a node says that lost its directory is heard by no other.
        if let Some(process) = node.process.as_ref().filter(|_| !node.loss.is_outcast) {
            let core = process.replica.node();
            let durable = self
                .checks
                .durable(from, process.driver.store().hard_state(), core);
            let (from, to) = (node.id, self.nodes[to].id);
            let checked = self.checks.sent(from, to, &message, &durable);
            let confirmed = self.checks.confirmed.sent(self.queue.now(), from, to, &message);
            let grants = self.checks.granting.sent(core, to, &message);
            self.checks.answers.sent(from, to, &message);
            let is_passed_on = process.connections.check(from, to, &message);
            self.checks.sending.sent(self.queue.now(), from, to, &message);
            let timeout = self.plan.cluster.election.as_duration();
            self.checks
                .short_log
                .sent(self.queue.now(), from, to, timeout, &message);
            let (now, election) = (
                node.clock.instant(self.queue.now()),
                self.plan.cluster.election.as_duration(),
            );
            let writes_for = process.writes_since.map(|since| now - since);
            let is_silent = office::check_silence(from, &message, writes_for, election);
            let is_led = self.checks.led.sent(core, now, election, &message);
            let hands_over = self.checks.handing_over.sent(&process.replica, to, &message);
            self.check(hands_over);
            self.check(is_passed_on);
            self.check(is_led);
            self.check(is_silent);
            self.check(grants);
            self.check(checked);
            self.check(confirmed);
        }
        for at in self.network.ways_of(from, to, &message) {
            self.send_over(at, message.clone());
        }
    }

    fn send_over(&mut self, at: usize, message: PeerMessage) {
        let link = self.network.link(at);
        let (from, to) = (link.from, link.to);
        let (epoch, is_open) = (link.epoch, link.is_open);
        let way = self.network.send(at, self.queue.now());
        let (way, message) = self.network.rot(way, message);
        // Without a connection nothing was sent that could come late: the next one has this number.
        if is_open {
            let share = self.network.conditions.stale_permille;
            self.network.stale.note(share, (at, epoch), &message);
            if self.network.conditions.late_round_permille > 0 {
                self.network.stale.note_echo((at, epoch), &message);
            }
        }
        self.journal.note(
            self.queue.now(),
            Happening::Link(LinkHappening::Sends {
                link: at,
                from,
                to,
                message: &message,
                way,
            }),
        );
        self.look_at_way(way);
        self.repeat_answer(from, to, &message);
        match way {
            Way::Rotten(arrives) => self.transmit_rotten((at, epoch), arrives, message),
            Way::Arrives(_) | Way::Twice(..) | Way::Garbled(_) | Way::Lost(_) | Way::Held => {
                self.transmit(at, epoch, way, message);
            }
        }
    }

    fn transmit(&mut self, link: usize, epoch: u64, way: Way, message: PeerMessage) {
        let deliver = |message| Event::link(link, epoch, LinkEvent::Deliver(Box::new(message)));
        // Replies have more shapes than all that nodes say by themselves.
        let one_in = match message {
            PeerMessage::Forwarded { .. } => CODEC_ONE_REPLY_IN,
            _ => CODEC_ONE_IN,
        };
        if self.journal.counters.messages.is_multiple_of(one_in) {
            self.check_codec(&message);
        }
        match way {
            Way::Arrives(at) => self.queue.push(at, deliver(message)),
            Way::Twice(at, again) => {
                self.queue.push(at, deliver(message.clone()));
                self.queue.push(again, deliver(message));
            }
            Way::Garbled(at) => {
                self.check_garbled(link, &message);
                self.queue.push(at, Event::link(link, epoch, LinkEvent::Garbled));
            }
            Way::Held => self.network.link(link).held.push(message),
            Way::Lost(_) | Way::Rotten(_) => {}
        }
    }

    /// What is sent is what arrives: looked at now and then, for it costs as much as the rest.
    fn check_codec(&mut self, message: &PeerMessage) {
        let mut bytes = bytes::BytesMut::new();
        message.encode(CLUSTER_ID, Features::SUPPORTED, &mut bytes);
        let decoded = PeerFrame::decode(CLUSTER_ID, &mut bytes);
        let same = matches!(&decoded, Ok(Some(PeerFrame::Message(same))) if same == message);
        let checked = ensure(same, Rule::Frames, || {
            format!("{message:?} is decoded as {decoded:?}")
        });
        self.check(checked);
    }

    /// Flipped bits must be noticed.
    fn check_garbled(&mut self, link: usize, message: &PeerMessage) {
        let mut bytes = bytes::BytesMut::new();
        message.encode(CLUSTER_ID, Features::SUPPORTED, &mut bytes);
        self.network.link(link).garble(&mut bytes);
        let taken = matches!(PeerFrame::decode(CLUSTER_ID, &mut bytes), Ok(Some(_)));
        let checked = ensure(!taken, Rule::Frames, || {
            format!("flipped bits in {message:?} go unnoticed")
        });
        self.check(checked);
    }

    /// Snapshots of one place have the same state, whichever node took or received them.
    pub(super) fn note_state(&mut self, at: usize, snapshot: &Snapshot) {
        let index = snapshot.head.base.position.index.get();
        let checked = self.checks.state(at, index, snapshot.machine.read_state_hash());
        self.check(checked);
    }

    fn note_caught_up(&mut self, at: usize) {
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        if process.is_abstaining && !process.replica.status().elections.abstaining {
            process.is_abstaining = false;
            self.give_job(at, Job::Write(WriteJob::MarkCaughtUp));
        }
    }

    pub(super) fn schedule_wake(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let (life, clock) = (node.life, node.clock);
        let Some(process) = node.process.as_mut() else {
            return;
        };
        let Some(deadline) = process.replica.deadline() else {
            return;
        };
        // The daemon's loop takes its time, too, and a deadline that has come is not handled twice at once.
        let when = clock.when(deadline, self.queue.now() + MICRO);
        if process
            .wake
            .is_none_or(|wake| when < wake || wake <= self.queue.now())
        {
            process.wake = Some(when);
            self.queue
                .push(when, Event::node(at, life, NodeEvent::Wake { at: when }));
        }
    }

    pub(super) fn wake(&mut self, at: usize, when: u64) {
        let node = &mut self.nodes[at];
        let now = node.clock.instant(self.queue.now());
        let Some(process) = node.process.as_mut() else {
            return;
        };
        if process.wake != Some(when) {
            return;
        }
        process.wake = None;
        if process.replica.deadline().is_some_and(|deadline| deadline <= now) {
            self.round(at);
        } else {
            self.schedule_wake(at);
        }
    }

    pub(super) fn deliver(&mut self, at: usize, epoch: u64, message: PeerMessage) {
        let link = self.network.link(at);
        let (from, to, current) = (link.from, link.to, link.epoch);
        if epoch == current {
            let from = self.nodes[from].id;
            self.note_arrival(from, to, &message);
            self.arrive(to, Input::Peer { from, message });
        } else {
            self.outlive(at, epoch, message);
        }
    }

    fn note_arrival(&mut self, from: NodeId, to: usize, message: &PeerMessage) {
        let to = &self.nodes[to];
        if let Some(process) = to.process.as_ref() {
            let instant = to.clock.instant(self.queue.now());
            self.checks.office.arrived(from, to.id, instant, message);
            self.checks.led.arrived(from, to.id, instant, message);
            self.checks
                .getting_on
                .arrived(self.queue.now(), from, to.id, message);
            self.checks
                .granting
                .arrived(from, process.replica.node(), message);
            self.checks.confirmed.arrived(from, to.id, message);
            self.checks.sending.arrived(from, to.id, message);
            self.checks
                .answers
                .arrived(self.queue.now(), from, to.id, message);
        }
    }

    /// The receiver closes a connection over which it cannot read; the sender makes another one.
    pub(super) fn deliver_garbled(&mut self, at: usize, epoch: u64) {
        let link = self.network.link(at);
        if epoch == link.epoch {
            link.close();
            self.dial(at);
        }
    }

    /// A link's sender tries to connect.
    pub(super) fn dial(&mut self, at: usize) {
        let takes = delay(&mut self.prng, CONNECT_US);
        let epoch = self.network.link(at).epoch;
        self.queue
            .after(takes, Event::link(at, epoch, LinkEvent::Connect));
    }

    pub(super) fn connect(&mut self, at: usize, epoch: u64) {
        let link = self.network.link(at);
        let (from, to, lane) = (link.from, link.to, link.lane);
        let may = link.epoch == epoch && !link.is_open && link.cut_mode().is_none();
        let both = self.nodes[from].process.is_some() && self.nodes[to].process.is_some();
        let both = both && self.reaches(at, from, to);
        let is_greeted = may && both && self.greet(at, from, to, lane);
        // What it learned of the other is on its disk.
        if may && both && self.carry_out_aim(to) {
            return;
        }
        if is_greeted {
            self.network.link(at).is_open = true;
            let peer = self.nodes[to].id;
            self.journal.note(
                self.queue.now(),
                Happening::Link(LinkHappening::Connects {
                    link: at,
                    from,
                    to,
                    lane,
                }),
            );
            let features = self.features_of(to);
            self.arrive(from, connected(peer, lane, features));
            self.arrive_late(at);
        }
    }

    /// A node notices that a process of `peer` is gone. If it has a connection to the next one already, it keeps that.
    pub(super) fn notice_end(&mut self, node: usize, peer: usize) {
        let id = self.nodes[peer].id;
        self.checks.led.lost(self.nodes[node].id, id);
        self.arrive(node, Input::Disconnected { peer: id });
        self.arrive(node, Input::UrgentDisconnected { peer: id });
        for lane in LANES {
            let link = self.network.lane_between(node, peer, lane);
            if self.network.link(link).is_open {
                let features = self.features_of(peer);
                self.arrive(node, connected(id, lane, features));
            }
        }
    }
}

fn connected(peer: NodeId, lane: Lane, features: Features) -> Input {
    match lane {
        Lane::First => Input::Connected { peer, features },
        Lane::Urgent => Input::UrgentConnected { peer },
    }
}

/// A connection and its greeting.
const CONNECT_US: u64 = 800;
/// Messages between two that are encoded and decoded for comparison.
const CODEC_ONE_IN: u64 = 61;
const CODEC_ONE_REPLY_IN: u64 = 3;
