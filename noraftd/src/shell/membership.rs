//! The membership table as this process uses it: the addresses it connects to, the nodes it admits, and what it keeps on disk.
//!
//! Without a table, `--peer` says who the others are. From the table's beginning on its rows do, and the configuration in the
//! log, which may have a node for a moment longer.
//!
//! Invariant: what this node asks for is asked again until the table says it; each request does no harm twice.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use noraft::{ClusterConfig, NodeId};

use super::clock;
use super::inbox::Inbox;
use super::journal::Journal;
use super::node_info::NodeInfo;
use super::peer_listener::PeerListener;
use super::peers::Peers;
use super::places::Places;
use crate::admission::Roll;
use crate::endpoint::Endpoint;
use crate::local::events::{Event, MemberEvent};
use crate::machine::Members;
use crate::protocol::command::{Addresses, Member, MemberChange, Part, Request};
use crate::replica::event::{ConnectionId, Input, RequestId};
use crate::replica::{Ahead, Replica};
use crate::time::Instant;

/// See the module.
pub(super) struct Membership {
    own: Own,
    /// The other nodes, as the settings name them.
    flags: BTreeMap<NodeId, Endpoint>,
    places: Rc<Places>,
    peers: Rc<Peers>,
    from_peers: Rc<PeerListener>,
    inbox: Rc<Inbox>,
    journal: Journal,
    seen: Option<Seen>,
    addresses: BTreeMap<NodeId, Endpoint>,
    gone: BTreeSet<NodeId>,
    asked_at: Option<Instant>,
    has_said: bool,
}

/// This node, as it knows itself.
struct Own {
    id: NodeId,
    incarnation: u64,
    addresses: Addresses,
}

/// What was followed last.
struct Seen {
    members: Members,
    config: ClusterConfig,
    is_settled: bool,
    places: u64,
    ahead: Ahead,
}

impl Membership {
    /// Nothing was followed yet.
    pub(super) fn new(node: &NodeInfo, places: &Rc<Places>, inbox: &Rc<Inbox>) -> Self {
        let config = &node.config.peers;
        let peer = config.advertise.as_ref().map(Endpoint::to_string);
        let own = Own {
            id: node.config.id,
            incarnation: node.incarnation,
            addresses: Addresses {
                peer: peer.unwrap_or_default(),
                client: node.addresses.announced.clone().unwrap_or_default(),
            },
        };
        Self {
            own,
            flags: config.others.clone(),
            places: Rc::clone(places),
            peers: Rc::clone(&node.peers),
            from_peers: Rc::clone(&node.from_peers),
            inbox: Rc::clone(inbox),
            journal: node.journal.clone(),
            seen: None,
            addresses: BTreeMap::new(),
            gone: BTreeSet::new(),
            asked_at: None,
            has_said: false,
        }
    }

    /// Does what has become due since the last round.
    pub(super) fn follow(&mut self, replica: &Replica) {
        let (members, config) = (replica.members(), replica.node().config());
        let ahead = replica.members_ahead();
        if self.seen.as_ref().is_none_or(|seen| seen.ahead != *ahead) {
            self.hear_of(ahead, replica.members());
        }
        let (is_settled, places) = (replica.settled_config().is_some(), self.places.version());
        let is_same = self.seen.as_ref().is_some_and(|seen| {
            seen.members.is_same(members)
                && seen.config == *config
                && seen.is_settled == is_settled
                && seen.places == places
                && seen.ahead == *ahead
        });
        if !is_same {
            let seen = Seen {
                members: members.clone(),
                config: config.clone(),
                is_settled,
                places,
                ahead: ahead.clone(),
            };
            self.note_changes(&seen);
            self.take_over(&seen);
            self.seen = Some(seen);
        }
        self.write_down(replica);
    }

    /// Says what is another way than it was.
    fn note_changes(&self, seen: &Seen) {
        let Some(before) = &self.seen else { return };
        let changes = member_events(&before.members, &seen.members);
        changes.iter().for_each(|event| self.journal.note(event));
        let (was, is) = (&before.config, &seen.config);
        if (&was.voters, &was.new_voters) != (&is.voters, &is.new_voters) {
            self.journal.note(&Event::Voters {
                voters: is.voters.iter().copied().collect(),
                new_voters: is.new_voters.iter().copied().collect(),
            });
        }
    }

    /// Nodes may be where the log says last, though that is not applied yet.
    fn hear_of(&self, ahead: &Ahead, applied: &Members) {
        let said = ahead.said(applied);
        let others = said.iter().filter(|said| said.id != self.own.id);
        let last: BTreeMap<NodeId, &str> = others
            .map(|said| (said.id, said.addresses.peer.as_str()))
            .collect();
        last.iter().for_each(|(id, peer)| self.places.hear(*id, peer));
    }

    /// Says who knows that this node was removed, once that is so for good.
    pub(super) fn removed_says(&self, replica: &Replica) -> Option<String> {
        let own = self.own.id;
        let is_out = |config: &ClusterConfig| config.unique_nodes().all(|id| id != own);
        let knows = replica.members().removed().contains(&own)
            && !replica.node().role().is_leader()
            && replica.settled_config().is_some_and(is_out);
        let by_log = knows.then(|| "its own log".to_owned());
        let by_other = |node: NodeId| format!("node {}", node.get());
        by_log.or_else(|| self.places.removed_says().map(by_other))
    }

    fn take_over(&mut self, seen: &Seen) {
        let others: BTreeSet<NodeId> = seen
            .config
            .unique_nodes()
            .filter(|id| *id != self.own.id)
            .collect();
        self.addresses = self.addresses_of(&seen.members, &others);
        self.peers.follow(&self.addresses);
        let clients = seen
            .members
            .iter()
            .map(|row| (row.id, row.addresses.client.clone()));
        let known = clients.filter(|(_, address)| !address.is_empty());
        self.peers.note_client_addresses(known.collect());
        // A node that was given no address at all hears from the others, or from its log, where they are.
        let expects = |_: &NodeId| !self.flags.is_empty() || !seen.members.is_empty();
        self.peers.notice_unknown(others.iter().copied().filter(expects));
        if seen.is_settled {
            let is_out = |id: &&NodeId| !others.contains(id) && **id != self.own.id;
            self.gone = seen.members.removed().iter().filter(is_out).copied().collect();
        }
        self.from_peers.note_roll(self.roll(seen, others));
        // What this process was started with is where it is: it may have moved before the table says so, and the table says so only once
        // it is reached.
        let row = seen.members.get(self.own.id).map(|row| &row.addresses.peer);
        let known = [Some(&self.own.addresses.peer), row];
        let own = known.into_iter().flatten().find(|peer| !peer.is_empty()).cloned();
        self.places.set_own(own);
        self.say_what_is_ignored(&seen.members);
    }

    fn addresses_of(&self, members: &Members, others: &BTreeSet<NodeId>) -> BTreeMap<NodeId, Endpoint> {
        // Without a table as far as it is applied: the log may have a configuration with nodes that have joined since.
        let mut addresses = match members.is_empty() {
            true => self.flags.clone(),
            false => BTreeMap::new(),
        };
        let rows = members.iter().filter(|row| row.id != self.own.id);
        for row in rows {
            let written = row.addresses.peer.parse().ok();
            addresses.extend(written.or_else(|| self.fallback(row.id)).map(|at| (row.id, at)));
        }
        for id in others {
            if !addresses.contains_key(id) {
                addresses.extend(self.fallback(*id).map(|at| (*id, at)));
            }
        }
        // They joined while this node was away, and were admitted.
        for (id, at) in self.places.heard_behind(self.highest(members, others)) {
            addresses.entry(id).or_insert(at);
        }
        addresses
    }

    /// Where a node may be reached of which the table does not say it.
    fn fallback(&self, id: NodeId) -> Option<Endpoint> {
        let known = self.flags.get(&id).or_else(|| self.addresses.get(&id));
        known.cloned().or_else(|| self.places.heard(id))
    }

    /// The highest id that is known to be in use.
    fn highest(&self, members: &Members, others: &BTreeSet<NodeId>) -> NodeId {
        match members.is_empty() {
            true => {
                let known = self.flags.keys().chain(others);
                known.copied().max().unwrap_or(self.own.id).max(self.own.id)
            }
            false => members.highest(),
        }
    }

    fn roll(&self, seen: &Seen, others: BTreeSet<NodeId>) -> Roll {
        let members = &seen.members;
        let ahead = seen.ahead.said(members).into_iter();
        let ahead = ahead.filter_map(|said| Some((said.id, said.incarnation?)));
        let highest = self.highest(members, &others);
        let ids = match (members.is_empty(), self.flags.is_empty()) {
            (true, false) => self.flags.keys().copied().chain(others).collect(),
            (true, true) => others,
            (false, _) => {
                let rows = members.iter().map(|row| row.id);
                rows.chain(others).filter(|id| *id != self.own.id).collect()
            }
        };
        Roll {
            members: ids,
            gone: self.gone.clone(),
            incarnations: members.directories().chain(ahead).collect(),
            highest: Some(highest),
            has_table: !members.is_empty(),
        }
    }

    fn say_what_is_ignored(&mut self, members: &Members) {
        if members.is_empty() || self.has_said {
            return;
        }
        let differs = |(id, flag): (&NodeId, &Endpoint)| {
            let written = members.get(*id).map(|row| row.addresses.peer.clone());
            match written {
                Some(written) if written.parse().is_ok_and(|at: Endpoint| at == *flag) => None,
                Some(written) => Some(format!("node {} is at {written}", id.get())),
                None => Some(format!("node {} is no member", id.get())),
            }
        };
        let ignored: Vec<String> = self.flags.iter().filter_map(differs).collect();
        if !ignored.is_empty() {
            tracing::info!(
                "--peer is ignored, for the members are written down in the log: {}",
                ignored.join(", ")
            );
        }
        self.has_said = true;
    }

    /// Has the table begin, or say of this node what it does not know.
    fn write_down(&mut self, replica: &Replica) {
        let Some(change) = self.missing(replica) else {
            return;
        };
        let now = clock::now();
        if self
            .asked_at
            .is_some_and(|at| now.saturating_since(at) < ASK_AGAIN)
        {
            return;
        }
        self.asked_at = Some(now);
        self.inbox.push(Input::Client {
            id: NOT_ANSWERED,
            connection: OWN,
            request: Request::to_change_members(&change),
        });
    }

    fn missing(&self, replica: &Replica) -> Option<MemberChange> {
        if replica.wants_members() {
            return Some(MemberChange::Begin(self.first_rows(replica.node().config())));
        }
        let row = replica.members().get(self.own.id)?;
        let lacks = |written: &str, known: &str| written.is_empty() && !known.is_empty();
        let is_missing = row.incarnation != self.own.incarnation
            || lacks(&row.addresses.peer, &self.own.addresses.peer)
            || lacks(&row.addresses.client, &self.own.addresses.client);
        (is_missing && replica.leader().is_some()).then(|| MemberChange::Announce {
            id: self.own.id,
            incarnation: self.own.incarnation,
            addresses: self.own.addresses.clone(),
        })
    }

    /// The members as this leader knows them. A node of the settings that does not vote is a learner.
    fn first_rows(&self, config: &ClusterConfig) -> Vec<Member> {
        let ids: BTreeSet<NodeId> = config.unique_nodes().chain(self.flags.keys().copied()).collect();
        let row = |id: NodeId| {
            let part = match config.voters.contains(&id) {
                true => Part::Voter,
                false => Part::Learner,
            };
            if id == self.own.id {
                let (incarnation, addresses) = (self.own.incarnation, self.own.addresses.clone());
                return Member {
                    id,
                    part,
                    incarnation,
                    addresses,
                };
            }
            let peer = self.addresses.get(&id).map(Endpoint::to_string);
            Member {
                id,
                part,
                incarnation: self.from_peers.incarnation_of(id).unwrap_or(0),
                addresses: Addresses {
                    peer: peer.unwrap_or_default(),
                    client: self.peers.client_address(id).unwrap_or_default(),
                },
            }
        };
        ids.into_iter().map(row).collect()
    }
}

/// What became of each row.
fn member_events(before: &Members, now: &Members) -> Vec<Event> {
    let mut events = Vec::new();
    let mut note = |id, change| events.push(Event::Member { id, change });
    for row in now.iter() {
        let (part, address) = (part_word(row.part), &row.addresses.peer);
        let Some(was) = before.get(row.id) else {
            let address = address.clone();
            note(row.id, MemberEvent::Added { part, address });
            continue;
        };
        if was.part != row.part {
            note(row.id, MemberEvent::Part(part));
        }
        if was.addresses.peer != *address {
            note(row.id, MemberEvent::Moved(address.clone()));
        }
    }
    let gone = before.iter().filter(|row| now.get(row.id).is_none());
    gone.for_each(|row| note(row.id, MemberEvent::Removed));
    events
}

fn part_word(part: Part) -> &'static str {
    match part {
        Part::Learner => "learner",
        Part::Joining => "learner until it has caught up",
        Part::Voter => "voter",
    }
}

/// Longer than a write takes.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// The name of requests that no client waits for.
const NOT_ANSWERED: RequestId = RequestId(u64::MAX);
/// Clients count up from 1.
const OWN: ConnectionId = ConnectionId(u64::MAX);
