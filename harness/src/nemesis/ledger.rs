//! What the nemesis has in force, and what became of everything it did.
//!
//! Invariant: a node's process is in the hands of one fault at a time, and the nodes that all faults
//! together impair never exceed the plan's budget.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::schedule::Decision;
use super::target::{Circumstances, Targets, choose};
use crate::op::{EventKind, HistoryEvent};
use crate::plan::FaultKind;
use crate::results::FaultResult;

/// Shared by all lanes.
#[derive(Debug)]
pub(crate) struct FaultLedger {
    impaired_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    in_force: BTreeMap<u64, (String, Targets)>,
    results: Vec<FaultResult>,
    skipped: u64,
}

/// The right to carry out one fault.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) targets: Targets,
}

impl FaultLedger {
    pub(crate) fn new(impaired_max: usize) -> Self {
        Self {
            impaired_max,
            state: Mutex::default(),
        }
    }

    /// Chooses targets among what no other fault holds; `None` when there are too few, or the budget is spent.
    pub(crate) fn claim(
        &self,
        fault: FaultKind,
        roll: u64,
        running: &[u64],
        nodes: &[u64],
        leader: Option<u64>,
    ) -> Option<Claim> {
        let mut state = self.lock();
        let circumstances = Circumstances {
            nodes: nodes.to_vec(),
            free: state.free(running),
            leader,
        };
        let targets = choose(fault, roll, &circumstances)
            .filter(|targets| state.impaired_with(targets) <= self.impaired_max)?;
        Some(state.grant(fault, targets))
    }

    /// Takes these targets, of a fault that was carried out before; `None` while another fault holds one of them.
    pub(crate) fn claim_again(&self, fault: FaultKind, targets: Targets, running: &[u64]) -> Option<Claim> {
        let mut state = self.lock();
        let free = state.free(running);
        let is_free = targets.nodes.iter().all(|node| free.contains(node));
        is_free.then(|| state.grant(fault, targets))
    }

    /// Takes one more node for a fault in force, unless it has it; false while another one does.
    pub(crate) fn hold(&self, claim: &Claim, node: u64) -> bool {
        let mut state = self.lock();
        if let Some((_, targets)) = state.in_force.get(&claim.id)
            && targets.nodes.contains(&node)
        {
            return true;
        }
        let is_free = !state.held().contains(&node);
        if is_free && let Some((_, targets)) = state.in_force.get_mut(&claim.id) {
            targets.nodes.push(node);
        }
        is_free
    }

    /// The fault has no more to do with a node that it took besides.
    pub(crate) fn let_go(&self, claim: &Claim, node: u64) {
        if let Some((_, targets)) = self.lock().in_force.get_mut(&claim.id) {
            targets.nodes.retain(|held| *held != node);
        }
    }

    /// Whether no fault has the node in hand.
    pub(crate) fn is_free(&self, node: u64) -> bool {
        !self.lock().held().contains(&node)
    }

    /// A decision could not be carried out.
    pub(crate) fn skip(&self) {
        self.lock().skipped += 1;
    }

    pub(crate) fn release(&self, claim: &Claim, result: FaultResult) {
        let mut state = self.lock();
        state.in_force.remove(&claim.id);
        state.results.push(result);
    }

    /// The fault could not be carried out here.
    pub(crate) fn give_up(&self, claim: &Claim) {
        let mut state = self.lock();
        state.in_force.remove(&claim.id);
        state.skipped += 1;
    }

    /// The faults in force, with their targets.
    pub(crate) fn in_force(&self) -> Vec<String> {
        self.lock()
            .in_force
            .values()
            .map(|(name, targets)| describe(name, targets))
            .collect()
    }

    /// What became of every fault so far, in the order of their ends.
    pub(crate) fn results(&self) -> Vec<FaultResult> {
        self.lock().results.clone()
    }

    /// Decisions that could not be carried out.
    pub(crate) fn skipped(&self) -> u64 {
        self.lock().skipped
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn grant(&mut self, fault: FaultKind, targets: Targets) -> Claim {
        self.next_id += 1;
        let (id, name) = (self.next_id, fault.name());
        self.in_force.insert(id, (name.clone(), targets.clone()));
        Claim { id, name, targets }
    }

    /// Those of the running nodes that no fault holds.
    fn free(&self, running: &[u64]) -> Vec<u64> {
        let held = self.held();
        running
            .iter()
            .copied()
            .filter(|node| !held.contains(node))
            .collect()
    }

    fn held(&self) -> BTreeSet<u64> {
        self.in_force
            .values()
            .flat_map(|(_, targets)| targets.nodes.iter().copied())
            .collect()
    }

    fn impaired_with(&self, more: &Targets) -> usize {
        let already = self.in_force.values().flat_map(|(_, targets)| &targets.impaired);
        already.chain(&more.impaired).collect::<BTreeSet<_>>().len()
    }
}

/// A step of a fault, as every history has it.
pub(crate) fn step(
    kind: EventKind,
    decision: &Decision,
    claim: &Claim,
    evidence: Option<&str>,
) -> HistoryEvent {
    let Targets { nodes, links, .. } = &claim.targets;
    let nodes: Vec<String> = nodes.iter().map(|node| format!("n{node}")).collect();
    let links: Vec<String> = links.iter().map(|(from, to)| format!("n{from}>n{to}")).collect();
    let mut details = json!({ "lane": decision.lane, "k": decision.k });
    for (name, list) in [("nodes", nodes), ("links", links)] {
        if !list.is_empty() {
            details[name] = json!(list);
        }
    }
    if kind != EventKind::FaultBegin {
        details["evidence"] = evidence.map_or(Value::Null, Value::from);
    }
    HistoryEvent::fault(kind, claim.name.clone(), details)
}

/// A fault and its targets, short: `kill-leader(n2)`, `partition-one-way-in-drop(n1>n3 n2>n3)`.
pub(crate) fn describe(name: &str, targets: &Targets) -> String {
    let nodes = targets.nodes.iter().map(|node| format!("n{node}"));
    let links = targets.links.iter().map(|(from, to)| format!("n{from}>n{to}"));
    let targets: Vec<String> = nodes.chain(links).collect();
    if targets.is_empty() {
        return name.to_owned();
    }
    format!("{name}({})", targets.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{CutMode, Shape, Target};

    const NODES: [u64; 3] = [1, 2, 3];

    fn result(claim: &Claim) -> FaultResult {
        FaultResult {
            fault: claim.name.clone(),
            from_ns: 0,
            to_ns: None,
            kind: "kill".to_owned(),
            evidence: None,
            why: None,
            lost: None,
        }
    }

    #[test]
    fn a_node_is_in_one_hand_at_a_time() {
        let ledger = FaultLedger::new(3);
        let claim = |target| ledger.claim(FaultKind::Kill(target), 1, &NODES, &NODES, Some(2));
        let first = claim(Target::Leader).unwrap();
        assert_eq!(first.targets.nodes, [2]);
        assert_eq!(ledger.in_force(), ["kill-leader(n2)"]);
        let second = claim(Target::All).unwrap();
        assert_eq!(second.targets.nodes, [1, 3]);
        assert!(claim(Target::One).is_none());
        ledger.skip();
        ledger.release(&first, result(&first));
        assert_eq!(claim(Target::One).unwrap().targets.nodes, [2]);
        assert_eq!((ledger.results().len(), ledger.skipped()), (1, 1));
    }

    #[test]
    fn a_fault_takes_nodes_besides_and_lets_them_go() {
        let ledger = FaultLedger::new(3);
        let claim = |fault| ledger.claim(fault, 1, &NODES, &NODES, Some(2));
        let (kill, member) = (
            claim(FaultKind::Kill(Target::Leader)).unwrap(),
            claim(FaultKind::Member).unwrap(),
        );
        assert!(!ledger.hold(&member, 2), "it is killed");
        assert!(ledger.hold(&member, 4) && ledger.hold(&member, 4));
        assert!(!ledger.hold(&kill, 4) && !ledger.is_free(4));
        ledger.let_go(&member, 4);
        assert!(ledger.hold(&kill, 4));
        ledger.release(&kill, result(&kill));
        assert!(ledger.is_free(4) && ledger.is_free(2));
    }

    #[test]
    fn a_fault_of_an_earlier_run_waits_for_its_targets() {
        let ledger = FaultLedger::new(3);
        let kill = FaultKind::Kill(Target::Leader);
        let first = ledger.claim(kill, 1, &NODES, &NODES, Some(2)).unwrap();
        let again = |running: &[u64]| ledger.claim_again(kill, first.targets.clone(), running);
        assert!(again(&NODES).is_none(), "n2 is in the hands of the first");
        ledger.release(&first, result(&first));
        assert!(again(&[1, 3]).is_none(), "n2 is down");
        assert_eq!(again(&NODES).unwrap().targets.nodes, [2]);
    }

    #[test]
    fn the_budget_counts_every_impaired_node_once() {
        let ledger = FaultLedger::new(1);
        let isolate = FaultKind::Partition(Shape::IsolateLeader, CutMode::Drop);
        assert!(ledger.claim(isolate, 1, &NODES, &NODES, Some(2)).is_some());
        let pause = |leader| ledger.claim(FaultKind::Pause(Target::Leader), 1, &NODES, &NODES, Some(leader));
        assert!(pause(1).is_none(), "a second node would be impaired");
        assert!(pause(2).is_some(), "the same node is impaired already");
    }
}
