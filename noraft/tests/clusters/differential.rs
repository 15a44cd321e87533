//! The same calls for our node and for the reference implementation, compared after each.
//!
//! Every server of a small cluster is a pair; what ours sends is delivered to both of the receiver. A
//! sequence ends at the first difference that [`documented`] knows: there the crate is deliberately
//! better. Any other difference is a failure.
mod sides;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::support::rng::Rng;
use crate::support::{env_number, for_each_seed};
use sides::{Act, Call, Config, Entry, Msg, Run, View, ours, theirs};

/// A server in both implementations.
struct Pair {
    id: u64,
    ours: ours::Side,
    theirs: theirs::Side,
    view: View,
}

/// Why a sequence stopped before its last call.
enum Stop {
    /// A difference that is meant, by its name.
    Documented(&'static str),
    Different(String),
}

impl Pair {
    fn start(id: u64) -> Self {
        let (mut ours, theirs) = (ours::Side::start(id), theirs::Side::start(id));
        let view = ours.call(&Call::Status((0, 0)));
        Self {
            id,
            ours,
            theirs,
            view,
        }
    }

    fn call(&mut self, call: &Call) -> Result<(), Stop> {
        let before = self.view.clone();
        let (mine, other) = (self.ours.call(call), self.theirs.call(call));
        self.view = mine.clone();
        if mine == other {
            return Ok(());
        }
        Err(documented(self.id, call, &before, &mine, &other).map_or_else(
            || {
                let states = format!("before {before:#?}\nours {mine:#?}\nreference {other:#?}");
                Stop::Different(format!("server {} differs after {call:?}\n{states}", self.id))
            },
            Stop::Documented,
        ))
    }

    fn drain(&mut self) -> Vec<Act> {
        self.ours.drain();
        self.theirs.drain();
        std::mem::take(&mut self.view.actions)
    }

    fn pending_anchor(&self) -> Option<u64> {
        self.view.actions.iter().find_map(|action| match action {
            Act::Append(run) => Some(run.prev.1),
            Act::Timer
            | Act::SaveTerm
            | Act::SaveVote
            | Act::Broadcast(_)
            | Act::Send(..)
            | Act::Snapshot(_) => None,
        })
    }
}

/// The deliberate differences; each is recognised by what both sides did, as narrowly as that can be said.
fn documented(id: u64, call: &Call, before: &View, ours: &View, theirs: &View) -> Option<&'static str> {
    let same_but = |change: &dyn Fn(&mut View)| {
        let (mut a, mut b) = (ours.clone(), theirs.clone());
        change(&mut a);
        change(&mut b);
        a == b
    };
    let is_message = |wanted: fn(&Msg) -> bool| matches!(call, Call::Message(msg) if wanted(msg));
    let of_append_call = is_message(|msg| matches!(msg, Msg::AppendCall { .. }));
    let of_append_reply = is_message(|msg| matches!(msg, Msg::AppendReply { .. }));
    let of_vote_call = is_message(|msg| matches!(msg, Msg::VoteCall { .. }));
    let without_sends = |view: &mut View| {
        view.actions
            .retain(|action| !matches!(action, Act::Send(..) | Act::Snapshot(_)));
    };
    if of_append_reply && before.role == "Leader" && same_but(&without_sends) && probes_lower(ours, theirs) {
        return Some("the leader probes below all terms the follower cannot share");
    }
    let removed = |view: &View| match call {
        Call::Message(Msg::AppendReply { from, .. }) => {
            !view.peers.contains(from) && before.peers.contains(from)
        }
        _ => false,
    };
    if removed(ours)
        && removed(theirs)
        && same_but(&without_sends)
        && ours.actions.len() < theirs.actions.len()
    {
        return Some("a node whose removal its own reply decides is sent nothing");
    }
    let cut_deeper = theirs.log.entries.starts_with(&ours.log.entries) && ours.log.prev == theirs.log.prev;
    let without_log = |view: &mut View| {
        without_sends(view);
        view.log.entries.clear();
        view.config = Config::default();
        view.peers.clear();
    };
    if of_append_call
        && cut_deeper
        && ours.log.entries.len() as u64 + ours.log.prev.1 >= before.commit
        && same_but(&without_log)
    {
        return Some("the follower cuts all terms that the leader cannot have");
    }
    let retired = before.role == "Leader" && ours.role == "Follower" && ours.term == before.term;
    if retired && ours.vote == Some(id) && theirs.vote.is_none() && same_but(&|view| view.vote = None) {
        return Some("a removed leader keeps its vote");
    }
    if of_vote_call && same_but(&without_sends) && keeps_granted(before, ours, theirs) {
        return Some("a granted vote is not overwritten by a refusal");
    }
    if *call == Call::Timeout && !before.config.voters.contains(&id) && ours.role != "Follower" {
        return Some("a leader on its way out may be elected until its removal is committed");
    }
    None
}

/// Sends that differ are empty calls, ours anchored lower, or a snapshot instead.
fn probes_lower(ours: &View, theirs: &View) -> bool {
    let probe = |view: &View| {
        let anchor = |action: &Act| match action {
            Act::Send(to, Msg::AppendCall { run, .. }) if run.entries.is_empty() => Some((*to, run.prev.1)),
            _ => None,
        };
        view.actions.iter().filter_map(anchor).collect::<BTreeMap<_, _>>()
    };
    let (mine, other) = (probe(ours), probe(theirs));
    let snapshot = |to: &u64| ours.actions.contains(&Act::Snapshot(*to));
    let lower = |(to, index): (&u64, &u64)| mine.get(to).map_or_else(|| snapshot(to), |at| at <= index);
    !other.is_empty() && other.iter().all(lower)
}

fn keeps_granted(before: &View, ours: &View, theirs: &View) -> bool {
    let differing = |action: &&Act| !theirs.actions.contains(action);
    let granted = |action: &Act| matches!(action, Act::Send(_, Msg::VoteReply { granted: true, .. }));
    let mut kept = ours.actions.iter().filter(differing).peekable();
    kept.peek().is_some() && kept.all(|action| granted(action) && before.actions.contains(action))
}

/// A cluster of pairs.
struct Cluster {
    rng: Rng,
    pairs: Vec<Pair>,
    /// Sender, receiver, what is delivered.
    network: Vec<(u64, u64, Call)>,
    calls: u64,
    /// Of 100 messages, so many are lost.
    loss: u64,
    /// Of 100 calls, so many are timeouts that would else be proposals.
    unrest: u64,
}

const SERVERS: u64 = 4;

impl Cluster {
    fn new(seed: u64) -> Result<Self, Stop> {
        let mut rng = Rng::new(seed);
        let voters = (0..rng.within(1, SERVERS)).collect();
        let mut pairs: Vec<Pair> = (0..SERVERS).map(Pair::start).collect();
        pairs[0].call(&Call::Create(voters))?;
        let (loss, unrest) = (rng.below(5) * 10, rng.below(8));
        Ok(Self {
            rng,
            pairs,
            network: Vec::new(),
            calls: 0,
            loss,
            unrest,
        })
    }

    fn step(&mut self) -> Result<(), Stop> {
        self.calls += 1;
        let at = usize::try_from(self.rng.below(SERVERS)).expect("small");
        let view = &self.pairs[at].view;
        let tail = view.log.prev.1 + view.log.entries.len() as u64;
        let call = match self.rng.below(100) {
            0..2 => return self.partition(),
            2..46 => return self.deliver(),
            46..70 => return self.drain(at),
            choice @ 70..83 if choice < 72 + self.unrest => Call::Timeout,
            70..83 => Call::Propose,
            83..86 => Call::Heartbeat,
            86..89 => Call::ProposeConfig(self.some_config(at)),
            89..91 => return self.compact(at),
            91..93 => Call::Message(self.forged(at)),
            93..95 => Call::Disruptive(self.forged(at)),
            95..98 => Call::Status((self.rng.below(view.term + 2), self.rng.below(tail + 3))),
            _ => {
                self.drain(at)?;
                Call::Restart
            }
        };
        self.pairs[at].call(&call)
    }

    fn drain(&mut self, at: usize) -> Result<(), Stop> {
        let (from, peers) = (self.pairs[at].id, self.pairs[at].view.peers.clone());
        for action in self.pairs[at].drain() {
            match action {
                Act::Timer | Act::SaveTerm | Act::SaveVote | Act::Append(_) => {}
                Act::Broadcast(msg) => {
                    self.network
                        .extend(peers.iter().map(|peer| (from, *peer, Call::Message(msg.clone()))));
                }
                Act::Send(to, msg) => self.network.push((from, to, Call::Message(msg))),
                Act::Snapshot(to) => {
                    let view = &self.pairs[at].view;
                    let snapshot = Call::Snapshot(view.log.prev, view.snapshot_config.clone());
                    self.network.push((from, to, snapshot));
                }
            }
        }
        Ok(())
    }

    fn deliver(&mut self) -> Result<(), Stop> {
        let Some(last) = (self.network.len() as u64).checked_sub(1) else {
            return Ok(());
        };
        let index = if self.rng.chance(60) {
            0
        } else {
            self.rng.within(0, last)
        };
        let index = usize::try_from(index).expect("below a length");
        let (_, to, call) = if self.rng.chance(10) {
            self.network[index].clone()
        } else {
            self.network.remove(index)
        };
        if self.rng.chance(self.loss) || to >= SERVERS {
            return Ok(());
        }
        self.hand_over(to, &call)
    }

    fn hand_over(&mut self, to: u64, call: &Call) -> Result<(), Stop> {
        let at = usize::try_from(to).expect("small");
        self.avoid_lower_anchor(at, call)?;
        self.pairs[at].call(call)
    }

    /// Some servers are cut off while the others elect and agree; then logs diverge.
    fn partition(&mut self) -> Result<(), Stop> {
        let cut: BTreeSet<u64> = (0..SERVERS).filter(|_| self.rng.chance(30)).collect();
        for _ in 0..self.rng.below(4) {
            for pair in &mut self.pairs {
                pair.call(&Call::Propose)?;
            }
        }
        let candidate = usize::try_from(self.rng.below(SERVERS)).expect("small");
        self.pairs[candidate].call(&Call::Timeout)?;
        for _ in 0..12 {
            (0..self.pairs.len()).try_for_each(|at| self.drain(at))?;
            for (from, to, call) in std::mem::take(&mut self.network) {
                if to < SERVERS && !cut.contains(&from) && !cut.contains(&to) {
                    self.hand_over(to, &call)?;
                }
            }
        }
        Ok(())
    }

    /// A call anchored below a queued append makes the reference lose entries, or panic in debug builds
    /// (ours replaces what is queued): the queue is emptied before.
    fn avoid_lower_anchor(&mut self, at: usize, call: &Call) -> Result<(), Stop> {
        let Call::Message(Msg::AppendCall { run, .. }) = call else {
            return Ok(());
        };
        let lower = self.pairs[at]
            .pending_anchor()
            .is_some_and(|anchor| run.prev.1 < anchor);
        if lower { self.drain(at) } else { Ok(()) }
    }

    /// Compacts a log somewhere at or below its commit index.
    fn compact(&mut self, at: usize) -> Result<(), Stop> {
        let view = &self.pairs[at].view;
        let index = self.rng.within(view.log.prev.1, view.commit);
        let (mut term, mut config) = (view.log.prev.0, view.snapshot_config.clone());
        let covered = usize::try_from(index - view.log.prev.1).expect("small");
        for entry in view.log.entries.iter().take(covered) {
            match entry {
                Entry::Term(next) => term = *next,
                Entry::Config(next) => config = next.clone(),
                Entry::Command => {}
            }
        }
        self.pairs[at].call(&Call::Snapshot((term, index), config))
    }

    fn some_config(&mut self, at: usize) -> Config {
        let mut config = self.pairs[at].view.config.clone();
        let other = self.rng.below(SERVERS);
        match self.rng.below(4) {
            0 => _ = config.non_voters.insert(other),
            1 => _ = config.voters.insert(other),
            _ => {
                config.new_voters = config.voters.clone();
                if !config.new_voters.remove(&other) {
                    config.new_voters.insert(other);
                }
                config.non_voters.remove(&other);
            }
        }
        config
    }

    /// A forged message, of a kind that cannot break a promise: late, from a stranger, or of an
    /// unknown candidate.
    fn forged(&mut self, at: usize) -> Msg {
        let view = &self.pairs[at].view;
        let from = SERVERS + self.rng.below(3);
        let tail = view.log.prev.1 + view.log.entries.len() as u64;
        match self.rng.below(4) {
            0 => Msg::VoteCall {
                from,
                term: view.term + self.rng.below(2),
                last: (self.rng.below(view.term + 2), self.rng.below(tail + 3)),
            },
            1 => Msg::VoteReply {
                from,
                term: view.term,
                granted: self.rng.chance(80),
            },
            2 => Msg::AppendReply {
                from,
                term: view.term,
                last: (view.term, self.rng.below(tail + 2)),
            },
            _ => Msg::AppendCall {
                from,
                term: view.term.saturating_sub(1),
                commit: view.commit,
                run: Run {
                    prev: (view.log.prev.0, tail),
                    entries: vec![Entry::Command],
                },
            },
        }
    }
}

#[test]
fn the_reference_agrees() {
    let steps = env_number("NORAFT_STEPS").unwrap_or(160);
    let ends: RefCell<BTreeMap<&str, u64>> = RefCell::default();
    for_each_seed("differential", "the_reference_agrees", 3000, |seed| {
        let run = || {
            let mut cluster = Cluster::new(seed)?;
            (0..steps).try_for_each(|_| cluster.step())
        };
        let end = match run() {
            Ok(()) => "in agreement",
            Err(Stop::Documented(name)) => name,
            Err(Stop::Different(reason)) => return Err(reason),
        };
        *ends.borrow_mut().entry(end).or_default() += 1;
        Ok(())
    });
    let ends = ends.into_inner();
    println!("sequences of at most {steps} calls ended: {ends:#?}");
    let agreed = ends.get("in agreement").copied().unwrap_or(0);
    assert!(
        agreed * 4 > ends.values().sum::<u64>() * 3,
        "most sequences must run to their end"
    );
}
