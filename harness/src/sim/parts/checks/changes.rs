//! Who asks for other voters gets its answer when the committed configuration says so.
//!
//! The answer permits what only then is safe: the nodes that were removed may be stopped for good. A refusal permits to ask for others:
//! what was begun for the refused ones must not be committed later.

use std::collections::{BTreeMap, BTreeSet};

use noraft::{ClusterConfig, NodeId};

use super::Checks;
use crate::sim::parts::rule::{Checked, Rule, ensure};

/// Changes of voters that are not answered, by request.
#[derive(Default)]
pub(crate) struct Changes {
    open: BTreeMap<u64, Change>,
    /// Entries that begin a change, by index and term: who wrote them first.
    begun: BTreeMap<(u64, u64), Beginning>,
}

struct Change {
    /// Who was asked.
    at: usize,
    voters: BTreeSet<NodeId>,
    /// Another one for the same voters was open there meanwhile: which of the two was begun is not known.
    is_alike: bool,
    /// What was committed when it was asked for.
    since: u64,
}

/// An entry that begins a change.
struct Beginning {
    /// The request that it answers, if that is certain.
    request: Option<u64>,
    /// That request was refused for good.
    is_refused: bool,
}

impl Checks {
    /// Somebody asks for these voters.
    pub(crate) fn asks_for_voters(&mut self, at: usize, request: u64, voters: &BTreeSet<NodeId>) {
        let mut change = Change {
            at,
            voters: voters.clone(),
            is_alike: false,
            since: self.committed.len() as u64,
        };
        let open = self.changes.open.values_mut();
        for other in open.filter(|other| other.at == at && other.voters == *voters) {
            (other.is_alike, change.is_alike) = (true, true);
        }
        self.changes.open.insert(request, change);
    }

    /// A node writes a configuration that begins a change; who writes it first leads its term.
    pub(super) fn begins_change(&mut self, at: usize, position: (u64, u64), config: &ClusterConfig) {
        if config.new_voters.is_empty() {
            return;
        }
        let open = self.changes.open.iter();
        let mut asked = open
            .filter(|(_, change)| change.at == at && change.voters == config.new_voters && !change.is_alike);
        // From the table's beginning on, what it wants is begun, and nothing else.
        let request = asked
            .next()
            .map(|(request, _)| *request)
            .filter(|_| !self.members.has_begun());
        let is_refused = false;
        self.changes
            .begun
            .entry(position)
            .or_insert(Beginning { request, is_refused });
    }

    /// A node refuses a change for good: what was begun for it is never committed.
    pub(crate) fn voters_refused(&mut self, request: u64) -> Checked {
        let mut of_it = Vec::new();
        for (position, beginning) in &mut self.changes.begun {
            if beginning.request == Some(request) {
                beginning.is_refused = true;
                of_it.push(*position);
            }
        }
        of_it
            .into_iter()
            .filter(|(index, term)| self.committed_term(*index) == Some(*term))
            .try_for_each(|(index, term)| self.begin_committed(index, term))
    }

    /// An entry is committed.
    pub(super) fn begin_committed(&self, index: u64, term: u64) -> Checked {
        let begun = self.changes.begun.get(&(index, term));
        let is_refused = begun.is_some_and(|beginning| beginning.is_refused);
        ensure(!is_refused, Rule::RefusedIsNotDone, || {
            format!(
                "entry {index} of term {term} changes the voters, was refused as never begun, and is committed"
            )
        })
    }

    /// A node answers; `is_done` is what it says.
    pub(crate) fn voters_answered(&mut self, at: usize, request: u64, is_done: bool) -> Checked {
        let Some(Change { voters, since, .. }) = self.changes.open.remove(&request) else {
            return Ok(());
        };
        let is_asked = |config: &ClusterConfig| config.voters == voters && config.new_voters.is_empty();
        let is_so = !is_done || self.committed_since(since).any(is_asked);
        ensure(is_so, Rule::VotersAreCommitted, || {
            format!(
                "n{} says that the voters are {voters:?}; committed since that was asked are {:?}",
                at + 1,
                self.committed_since(since).collect::<Vec<_>>()
            )
        })
    }

    /// A node said that the voters are `voters`, so that another node may be stopped and wiped: no configuration that is
    /// committed last, or may be committed after it, names that one.
    pub(crate) fn is_needed_no_more(&self, at: usize, removed: NodeId, voters: &BTreeSet<NodeId>) -> Checked {
        let needs = self.needed_in(removed);
        ensure(needs.is_none(), Rule::VotersAreCommitted, || {
            format!(
                "n{} says that the voters are {voters:?}, so n{} may be stopped for good; it is needed in {needs:?}",
                at + 1,
                removed.get()
            )
        })
    }

    /// True while a configuration that counts, or may count, names the node.
    pub(crate) fn is_needed(&self, node: NodeId) -> bool {
        self.needed_in(node).is_some()
    }

    /// A configuration that counts, or may count, and names the node.
    pub(super) fn needed_in(&self, node: NodeId) -> Option<&ClusterConfig> {
        self.deciding_configs().find(|config| config.contains(node))
    }

    /// The configuration that is committed last, and those that may be committed after it: what a leader of an earlier term
    /// wrote is in no log beside the last committed entry.
    fn deciding_configs(&self) -> impl Iterator<Item = &ClusterConfig> {
        let last = self.last_committed_config();
        let committed = last.map_or(&self.genesis, |position| &self.configs[&position]);
        let (end, term) = (
            self.committed.len() as u64,
            self.committed.last().map_or(0, |last| last.term),
        );
        let later = self.configs.range((end + 1, 0)..);
        let may_follow = later.filter(move |((_, other), _)| *other >= term);
        std::iter::once(committed).chain(may_follow.map(|(_, config)| config))
    }

    /// The configuration in force at `index`, and those committed after it; the last first.
    fn committed_since(&self, index: u64) -> impl Iterator<Item = &ClusterConfig> {
        let is_committed = |(index, term): &(u64, u64)| {
            let entry = self.committed.get((*index as usize).wrapping_sub(1));
            entry.is_some_and(|entry| entry.term == *term)
        };
        let committed = self
            .configs
            .iter()
            .filter(move |(position, _)| is_committed(position));
        let genesis = std::iter::once((0, &self.genesis));
        let all = genesis.chain(committed.map(|((index, _), config)| (*index, config)));
        let all: Vec<(u64, &ClusterConfig)> = all.collect();
        let in_force = all.iter().rposition(|(at, _)| *at <= index).unwrap_or(0);
        all.into_iter().skip(in_force).rev().map(|(_, config)| config)
    }
}

#[cfg(test)]
mod tests {
    use noraftd::record::{RecordKind, genesis_config};

    use super::*;
    use crate::sim::parts::checks::EntryIdentity;

    fn ids(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId::new).collect()
    }

    fn commit(checks: &mut Checks, voters: &[u64], new_voters: &[u64]) {
        let index = checks.committed.len() as u64 + 1;
        let mut config = genesis_config(ids(voters));
        config.new_voters = ids(new_voters);
        checks.configs.insert((index, 1), config);
        checks.committed.push(EntryIdentity {
            term: 1,
            kind: RecordKind::Config,
            stamp: 0,
            body: index,
            bytes: 0,
        });
    }

    #[test]
    fn an_answer_comes_when_the_configuration_is_committed() {
        let mut checks = Checks::new(3);
        let asked = |checks: &mut Checks| checks.asks_for_voters(0, 5, &ids(&[1, 2]));
        let answer = |checks: &mut Checks| checks.voters_answered(0, 5, true);

        asked(&mut checks);
        let broken = answer(&mut checks).expect_err("nothing is committed");
        assert_eq!(broken.rule, Rule::VotersAreCommitted);
        asked(&mut checks);
        commit(&mut checks, &[1, 2, 3], &[1, 2]);
        answer(&mut checks).expect_err("the joint configuration is");
        asked(&mut checks);
        commit(&mut checks, &[1, 2], &[]);
        answer(&mut checks).expect("it is committed");

        asked(&mut checks);
        answer(&mut checks).expect("it is in force already");
        commit(&mut checks, &[1, 2], &[2, 3]);
        commit(&mut checks, &[2, 3], &[]);
        asked(&mut checks);
        answer(&mut checks).expect_err("other voters were committed before it was asked for");
        asked(&mut checks);
        checks
            .voters_answered(0, 5, false)
            .expect("a refusal says nothing of the voters");
    }

    /// What was asked for was committed once, and is so no more, or not for long.
    #[test]
    fn a_node_that_is_still_named_may_not_be_stopped() {
        let mut checks = Checks::new(3);
        let three = NodeId::new(3);
        let stop = |checks: &Checks| checks.is_needed_no_more(0, three, &ids(&[1, 2]));
        let broken = stop(&checks).expect_err("all nodes are voters at first");
        assert_eq!(broken.rule, Rule::VotersAreCommitted);
        commit(&mut checks, &[1, 2, 3], &[1, 2]);
        stop(&checks).expect_err("it still decides with the others");
        commit(&mut checks, &[1, 2], &[]);
        stop(&checks).expect("it is in no configuration that counts");

        let mut joint = genesis_config(ids(&[1, 2]));
        joint.new_voters = ids(&[2, 3]);
        checks.configs.insert((3, 0), joint.clone());
        stop(&checks).expect("no log holds this beside the committed one");
        checks.configs.insert((3, 1), joint);
        stop(&checks).expect_err("it may be committed next");
    }

    #[test]
    fn the_first_configuration_is_committed() {
        let mut checks = Checks::new(3);
        checks.asks_for_voters(0, 5, &ids(&[1, 2, 3]));
        checks
            .voters_answered(0, 5, true)
            .expect("all nodes are voters from the start");
    }

    #[test]
    fn what_was_written_and_not_committed_does_not_count() {
        let mut checks = Checks::new(3);
        checks.asks_for_voters(0, 5, &ids(&[1]));
        checks.configs.insert((1, 1), genesis_config(ids(&[1])));
        checks
            .voters_answered(0, 5, true)
            .expect_err("it may be replaced by another entry");
    }

    #[test]
    fn what_was_refused_as_never_begun_is_not_committed() {
        let begun = |checks: &mut Checks| {
            checks.asks_for_voters(0, 5, &ids(&[1, 2]));
            let mut config = genesis_config(ids(&[1, 2, 3]));
            config.new_voters = ids(&[1, 2]);
            checks.begins_change(0, (1, 4), &config);
            checks.begins_change(1, (1, 4), &config);
        };
        let broken = |checked: Checked| checked.err().map(|broken| broken.rule);
        let mut checks = Checks::new(3);
        begun(&mut checks);
        assert_eq!(broken(checks.voters_refused(5)), None);
        assert_eq!(broken(checks.begin_committed(1, 4)), Some(Rule::RefusedIsNotDone));
        assert_eq!(broken(checks.begin_committed(1, 3)), None, "another one");
        let mut checks = Checks::new(3);
        checks.asks_for_voters(0, 4, &ids(&[1, 2]));
        begun(&mut checks);
        assert_eq!(broken(checks.voters_refused(5)), None);
        assert_eq!(
            broken(checks.begin_committed(1, 4)),
            None,
            "it may be that of the other request"
        );
    }
}
