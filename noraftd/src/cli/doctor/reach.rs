//! Which nodes reach which: a majority of the voters, a leader, links in both directions.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Finding;
use super::known::Known;
use crate::local::status::PeerReport;

/// A majority that is missing, or a leader.
pub(super) fn majority(known: &[Known<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for node in known {
        let view = &node.status.view;
        let sets = [&view.voters, &view.new_voters]
            .into_iter()
            .filter(|voters| voters.contains(&node.id));
        for voters in sets {
            let missing: Vec<u64> = voters
                .iter()
                .copied()
                .filter(|id| *id != node.id && !is_connected(node, *id))
                .collect();
            let (reached, all) = (voters.len() - missing.len(), voters.len());
            if reached * 2 > all {
                continue;
            }
            let what = format!(
                "node {} reaches {reached} of {all} voters, and no majority without node {}: nothing is written, and no leader is elected",
                node.id,
                list(&missing)
            );
            let advice = "start the missing nodes, or mend the links to them; where they are gone permanently: `noraftd recover`";
            findings.push(Finding::new("majority", [node.id], what, advice));
        }
    }
    let lost = known
        .iter()
        .filter(|node| is_voter(node) && node.status.view.leader.is_none());
    let lost: Vec<u64> = lost.map(|node| node.id).collect();
    if findings.is_empty() && !lost.is_empty() {
        let what = format!("node {} knows no leader, and reaches a majority", list(&lost));
        let advice = "ask again in a second; where it stays so, look at the log of each node for why elections fail, and at its disk";
        findings.push(Finding::new("leader", lost, what, advice));
    }
    findings
}

/// Links that work in one direction only, and those that do not work.
pub(super) fn links(known: &[Known<'_>]) -> Vec<Finding> {
    let answered: BTreeMap<u64, &Known<'_>> = known.iter().map(|node| (node.id, node)).collect();
    let mut findings = Vec::new();
    let mut cut: BTreeMap<u64, Vec<(u64, &PeerReport)>> = BTreeMap::new();
    for node in known {
        for peer in node
            .status
            .connections
            .peers
            .iter()
            .filter(|peer| !peer.connected)
        {
            match answered.get(&peer.id) {
                Some(other) if is_connected(other, node.id) => findings.push(one_way(node.id, peer)),
                // Said once, of the lower id.
                Some(_) if peer.id < node.id => {}
                Some(_) | None => cut.entry(peer.id).or_default().push((node.id, peer)),
            }
        }
    }
    findings.extend(cut.into_iter().map(|(id, from)| no_contact(id, &from)));
    findings
}

fn one_way(from: u64, to: &PeerReport) -> Finding {
    let what = format!(
        "node {from} does not reach node {} at {}{}, but is reached by it: the link works in one direction only",
        to.id,
        to.address,
        why(to)
    );
    let advice = "look at firewall, routes and names on the way from the one to the other, and at the address that it has for it";
    Finding::new("link", [from, to.id], what, advice).with_page("no-contact")
}

fn no_contact(to: u64, from: &[(u64, &PeerReport)]) -> Finding {
    let ids: Vec<u64> = from.iter().map(|(id, _)| *id).collect();
    let first = from
        .first()
        .map(|(_, peer)| format!(" at {}{}", peer.address, why(peer)));
    let what = format!(
        "node {} does not reach node {to}{}",
        list(&ids),
        first.unwrap_or_default()
    );
    let advice =
        "start the node, or mend the link; where it is gone permanently, remove it: `noraftd member remove`";
    let nodes = ids.into_iter().chain([to]);
    Finding::new("contact", nodes.collect::<BTreeSet<u64>>(), what, advice).with_page("no-contact")
}

fn why(peer: &PeerReport) -> String {
    peer.error
        .as_ref()
        .map(|error| format!(" ({error})"))
        .unwrap_or_default()
}

fn is_connected(node: &Known<'_>, to: u64) -> bool {
    let mut peers = node.status.connections.peers.iter();
    peers.any(|peer| peer.id == to && peer.connected)
}

fn is_voter(node: &Known<'_>) -> bool {
    let view = &node.status.view;
    view.voters.contains(&node.id) || view.new_voters.contains(&node.id)
}

/// Ids, as a sentence has them.
pub(super) fn list(ids: &[u64]) -> String {
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    ids.join(", ")
}
