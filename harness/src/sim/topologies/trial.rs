//! One case, tried: a healthy cluster, the longest log, then the links are cut and held so for 20 election timeouts.
//!
//! Demanded where a quorum is linked pairwise, both ways: a write through each such quorum succeeds within
//! [`SERVES_WITHIN`] election timeouts of the cut, and goes on succeeding; the highest term grows by at most
//! [`TERMS_MAX`]. Demanded everywhere: a node that has not been linked both ways to a quorum for [`LEADS_WITHIN`] election
//! timeouts does not lead. (Raft thesis 6.2 and 9.6; "Raft does not Guarantee Liveness in the face of Network Faults",
//! Howard and Abraham 2020; OmniPaxos, EuroSys 2023, section 2.)
//!
//! The node that leads is whichever was elected: the topology's names are given to the nodes accordingly. Time is counted in
//! election timeouts everywhere.
//!
//! Invariant: what happens is a function of the case, the seed and the kind of trial.

use noraft::LogPosition;
use noraftd::prng::Prng;

use super::case::Case;
use super::clients::Clients;
use super::digraph::{Digraph, letter};
use super::flap::Flap;
use super::limits::{HELD, LEADS_WITHIN, SERVES_WITHIN, TERMS_MAX, TICK, TIMEOUT};
use crate::plan::{CutMode, Plan};
use crate::sim::journal::trace::Lines;
use crate::sim::parts::rule::{BrokenRule, Rule};
use crate::sim::{panics, world::World};

/// What came of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// The case.
    pub case: Case,
    /// The seed.
    pub seed: u64,
    /// What can be expected of it.
    pub kind: Kind,
    /// When a write had succeeded through every quorum (where there is none, through any node), in thousandths of an
    /// election timeout after the cut.
    pub served: Option<u64>,
    /// Whether writes still succeeded in the last [`SERVES_WITHIN`] election timeouts.
    pub serves_on: bool,
    /// Nodes through which writes succeeded.
    pub through: usize,
    /// By how much the highest term grew.
    pub terms: u64,
    /// The rule that was broken.
    pub broken: Option<BrokenRule>,
    /// Virtual time, in nanoseconds.
    pub virtual_ns: u64,
    /// The hash of everything that happened.
    pub trace_hash: u64,
}

/// What can be expected of a topology and its logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A quorum is linked pairwise: writes are demanded.
    Quorum,
    /// No quorum is, but a node is linked to one, and its log is as complete as those of a quorum that it is linked to, or
    /// will be: the leader can send to it.
    Center,
    /// Each node that is linked to a quorum lacks entries that the nodes it would need have: they deny it their votes
    /// (Raft 5.4.1), and cannot be elected themselves.
    CenterBehind,
    /// No node is linked both ways to a quorum: no entry can be committed.
    NoCenter,
}

impl Kind {
    /// Every kind, in the order of tables.
    pub const ALL: [Self; 4] = [Self::Quorum, Self::Center, Self::CenterBehind, Self::NoCenter];
}

/// A trial in progress.
struct Trial {
    world: World,
    case: Case,
    /// The links at the moment.
    graph: Digraph,
    /// The node of the world that each node of the topology is.
    nodes: Vec<usize>,
    prng: Prng,
    clients: Clients,
    flap: Option<Flap>,
    /// When the links were cut, and the highest term then.
    cut_at: u64,
    cut_in: u64,
    /// Since when each node has not been linked to a quorum.
    cut_off_since: Vec<Option<u64>>,
    kind: Kind,
    /// What is sent over a link that is cut vanishes; or its connections are reset, and there are none while it is cut.
    mode: CutMode,
}

/// Tries `case`. Where `flaps`, a link that the topology lacks comes and goes.
pub fn attempt(case: Case, seed: u64, flaps: bool, lines: Lines) -> Tried {
    let plan = plan(case.graph.nodes());
    let mut prng = Prng::new(seed).fork(FORK_TRIAL).fork(case.number as u64);
    prng = prng.fork((case.leader * case.graph.nodes() + case.longest) as u64);
    let world = World::new(&plan, prng.next_u64(), lines);
    let nodes = case.graph.nodes();
    let mut trial = Trial {
        world,
        case,
        graph: case.graph,
        nodes: Vec::new(),
        flap: flaps
            .then(|| Flap::draw(&case.graph, &mut prng.fork(FORK_FLAP)))
            .flatten(),
        prng,
        clients: Clients::new(nodes),
        cut_at: 0,
        cut_in: 0,
        cut_off_since: vec![None; nodes],
        kind: Kind::NoCenter,
        mode: CutMode::Drop,
    };
    if let Err(panic) = panics::caught(|| trial.run()) {
        trial.world.fail(Rule::NoPanic, panic);
    }
    trial.result(seed)
}

/// A small cluster with room for thousands of writes.
fn plan(nodes: usize) -> Plan {
    let text = format!("{PLAN}\n[cluster]\nnodes = {nodes}\nheartbeat = \"15ms\"\nelection = \"100ms\"\n");
    Plan::parse(&text, "topologies.toml".as_ref()).expect("the plan of topologies is valid")
}

impl Trial {
    fn run(&mut self) {
        self.world.begin_quietly();
        let is_prepared = self.elect() && self.leave_behind() && self.lengthen();
        if is_prepared {
            self.cut();
            self.hold();
            self.judge();
        }
    }

    /// Waits until a node leads and all others hold its log, and names the nodes.
    fn elect(&mut self) -> bool {
        let give_up_at = ELECTED_WITHIN * TIMEOUT;
        while self.world.leader_of_equals().is_none() {
            if self.world.now() > give_up_at {
                self.fail("no leader is elected in a cluster without faults".to_owned());
            }
            if !self.world.run_for(TICK) {
                return false;
            }
        }
        let Some(leader) = self.world.leader_of_equals() else {
            return false;
        };
        let mut others = (0..self.case.graph.nodes()).filter(|node| *node != leader);
        let node = |name: usize| {
            let other = if name == self.case.leader {
                None
            } else {
                others.next()
            };
            other.unwrap_or(leader)
        };
        self.nodes = (0..self.case.graph.nodes()).map(node).collect();
        self.clients.begin(&self.nodes);
        true
    }

    /// Now and then a node lacks entries that are committed.
    fn leave_behind(&mut self) -> bool {
        let names: Vec<usize> = (0..self.case.graph.nodes()).collect();
        let is_other = |name: &usize| *name != self.case.leader && *name != self.case.longest;
        let others: Vec<usize> = names.into_iter().filter(is_other).collect();
        let behind = self.prng.choose(&others).copied();
        let Some(behind) = behind.filter(|_| self.prng.chance(1, 2)) else {
            return true;
        };
        self.set_links(|from, to| from != behind && to != behind);
        self.write_through_leader()
    }

    /// The leader appends what reaches only one other node, or none.
    fn lengthen(&mut self) -> bool {
        let Case { leader, longest, .. } = self.case;
        self.set_links(|from, to| from != leader || to == longest);
        self.write_through_leader()
    }

    /// Less than the followers' patience passes.
    fn write_through_leader(&mut self) -> bool {
        for _ in 0..WRITES {
            self.clients.write(&mut self.world, self.case.leader);
            if !self.world.run_for(TICK) {
                return false;
            }
        }
        true
    }

    fn cut(&mut self) {
        if self.prng.chance(1, 2) {
            self.mode = CutMode::Reset;
        }
        let graph = self.graph;
        self.set_links(|from, to| graph.has(from, to));
        (self.cut_at, self.cut_in) = (self.world.now(), self.world.highest_term());
        self.kind = self.expected();
        self.clients.forget_all();
    }

    /// Clients write through every node, and the rules are looked at.
    fn hold(&mut self) {
        let until = self.cut_at + HELD * TIMEOUT;
        while self.world.now() < until {
            self.clients.look(&mut self.world);
            self.look_at_leaders();
            if let Some(graph) = self
                .flap
                .as_mut()
                .and_then(|flap| flap.look(self.world.now(), &self.graph))
            {
                self.graph = graph;
                self.set_links(|from, to| graph.has(from, to));
            }
            if !self.world.run_for(TICK) {
                return;
            }
        }
        self.clients.look(&mut self.world);
    }

    /// A node that cannot commit anything has to notice it.
    fn look_at_leaders(&mut self) {
        let now = self.world.now();
        for name in 0..self.nodes.len() {
            let since = &mut self.cut_off_since[name];
            if self.graph.reaches_quorum(name) {
                *since = None;
                continue;
            }
            let since = *since.get_or_insert(now);
            if self.world.leads(self.nodes[name]) && now - since > LEADS_WITHIN * TIMEOUT {
                return self.fail(format!(
                    "{} still leads {} election timeouts after its last link to a quorum was cut",
                    self.describe(name),
                    timeouts(now - since)
                ));
            }
        }
    }

    fn judge(&mut self) {
        if self.kind != Kind::Quorum || self.world.broken().is_some() {
            return;
        }
        let tried = self.served_within();
        let grown = self.world.highest_term() - self.cut_in;
        match tried {
            None => self.fail("no write succeeds through a quorum that is linked pairwise".to_owned()),
            Some(took) if took > SERVES_WITHIN * TIMEOUT => self.fail(format!(
                "the first write through a quorum that is linked pairwise takes {} election timeouts",
                timeouts(took)
            )),
            Some(_) if !self.serves_on() => self.fail(format!(
                "no write succeeds in the last {SERVES_WITHIN} of {HELD} election timeouts"
            )),
            Some(_) if grown > TERMS_MAX => self.fail(format!("the highest term grows by {grown}")),
            Some(_) => {}
        }
    }

    /// How long it took until a write had succeeded through each quorum, or through any node where there is none.
    fn served_within(&self) -> Option<u64> {
        let through = |names: &[usize]| {
            let first = names.iter().filter_map(|name| self.clients.first_success(*name));
            first.min().map(|at| at - self.cut_at)
        };
        let quorums = self.case.graph.quorums();
        if quorums.is_empty() {
            let all: Vec<usize> = (0..self.nodes.len()).collect();
            return through(&all);
        }
        let took: Option<Vec<u64>> = quorums.iter().map(|quorum| through(quorum)).collect();
        took?.into_iter().max()
    }

    fn serves_on(&self) -> bool {
        let late = self.cut_at + (HELD - SERVES_WITHIN) * TIMEOUT;
        (0..self.nodes.len()).any(|name| self.clients.last_success(name).is_some_and(|at| at > late))
    }

    /// What the links and the logs allow.
    fn expected(&self) -> Kind {
        let graph = &self.case.graph;
        if !graph.quorums().is_empty() {
            return Kind::Quorum;
        }
        let centers: Vec<usize> = (0..graph.nodes())
            .filter(|name| graph.reaches_quorum(*name))
            .collect();
        let log = |name: usize| self.world.last_position(self.nodes[name]);
        let is_complete = |center: &usize| {
            // The leader, which has the longest log, sends it what it lacks before it notices that it leads no quorum.
            let sends = graph.has(self.case.leader, *center);
            let will_have: LogPosition = log(if sends { self.case.leader } else { *center });
            let voters = graph.linked_to(*center).into_iter();
            voters.filter(|name| log(*name) <= will_have).count() >= graph.majority()
        };
        match (centers.is_empty(), centers.iter().any(is_complete)) {
            (true, _) => Kind::NoCenter,
            (false, true) => Kind::Center,
            (false, false) => Kind::CenterBehind,
        }
    }

    /// Opens and cuts links, by the topology's names.
    fn set_links(&mut self, is_open: impl Fn(usize, usize) -> bool) {
        for (from, to) in self.case.graph.pairs() {
            let (one, other) = (self.nodes[from], self.nodes[to]);
            let cut = (!is_open(from, to)).then_some(self.mode);
            self.world.set_link(one, other, cut);
        }
    }

    fn fail(&mut self, said: String) {
        self.world.fail(Rule::Liveness, said);
    }

    fn describe(&self, name: usize) -> String {
        format!("{} (n{})", letter(name), self.nodes[name] + 1)
    }

    fn result(self, seed: u64) -> Tried {
        let through = (0..self.nodes.len()).filter(|name| self.clients.first_success(*name).is_some());
        Tried {
            case: self.case,
            seed,
            kind: self.kind,
            served: self.served_within().map(|took| took * 1000 / TIMEOUT),
            serves_on: self.serves_on(),
            through: through.count(),
            terms: self.world.highest_term() - self.cut_in,
            virtual_ns: self.world.now(),
            trace_hash: self.world.trace_hash(),
            broken: self.world.broken().cloned(),
        }
    }
}

/// A span of virtual time, in election timeouts.
fn timeouts(ns: u64) -> String {
    format!("{:.1}", ns as f64 / TIMEOUT as f64)
}

/// An undisturbed cluster has a leader long before.
const ELECTED_WITHIN: u64 = 50;
/// Entries by which logs differ.
const WRITES: usize = 3;
const FORK_TRIAL: u64 = 0x746f_706f;
const FORK_FLAP: u64 = 0x666c_6170;

/// What all trials have in common: clocks that drift, and requests that are given up after two election timeouts.
const PLAN: &str = r#"
version = 1
name = "topologies"
time = "10s"

[clients]
count = 1

[[workload]]
kind = "register"

[sim.clock]
drift_permille = 10

[sim.node]
request_timeout = "200ms"
"#;
