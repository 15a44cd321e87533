//! What should be the same on all nodes: the cluster, the version, the settings.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Finding;
use super::known::Known;
use super::reach::list;

/// Nodes of other clusters, or of another beginning of this one; and one node that was named twice.
pub(super) fn clusters(known: &[Known<'_>]) -> Vec<Finding> {
    let name = |node: &Known<'_>| Some(format!("'{}'", node.status.cluster));
    let generation = |node: &Known<'_>| Some(format!("{:016x}", node.status.generation()));
    let advice =
        "ask the nodes of one cluster; where they should be of one, the directories or --cluster are wrong";
    [
        differs("cluster", "the cluster", known, name, advice),
        differs(
            "cluster",
            "the generation (`noraftd recover`)",
            known,
            generation,
            advice,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Versions and the levels that they support.
pub(super) fn versions(known: &[Known<'_>]) -> Vec<Finding> {
    let version = |node: &Known<'_>| Some(node.status.process.version.clone());
    let level = |node: &Known<'_>| Some(node.status.view.level_supported.to_string());
    let advice = "finish the upgrade: restart the others with the new version; the level rises only when all support it";
    let silent: Vec<u64> = known
        .iter()
        .filter(|node| node.vitals.is_none() && !node.hangs)
        .map(|node| node.id)
        .collect();
    let unsaid = (!silent.is_empty()).then(|| {
        let what = format!(
            "node {} does not say how it is set and how its machine is",
            list(&silent)
        );
        Finding::new(
            "version",
            silent,
            what,
            "its version may be earlier than this program: upgrade it",
        )
    });
    [
        differs("version", "the version", known, version, advice),
        differs(
            "version",
            "the highest level that is supported",
            known,
            level,
            advice,
        ),
        unsaid,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Settings that differ.
pub(super) fn settings(known: &[Known<'_>]) -> Vec<Finding> {
    let all = known.iter().filter_map(|node| node.vitals);
    let names: BTreeSet<&String> = all.flat_map(|vitals| vitals.settings.keys()).collect();
    let advice =
        "give all nodes the same, one after the other; while a cluster is switched over they may differ";
    let differing = names.into_iter().filter_map(|name| {
        let value = |node: &Known<'_>| node.vitals?.settings.get(name).cloned();
        differs("settings", name, known, value, advice)
    });
    differing.collect()
}

/// A finding when the nodes do not all say the same; those that do not say it do not count.
fn differs(
    check: &'static str,
    name: &str,
    known: &[Known<'_>],
    value: impl Fn(&Known<'_>) -> Option<String>,
    advice: &'static str,
) -> Option<Finding> {
    let mut by_value: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for node in known {
        if let Some(value) = value(node) {
            by_value.entry(value).or_default().push(node.id);
        }
    }
    if by_value.len() < 2 {
        return None;
    }
    let said = by_value
        .iter()
        .map(|(value, ids)| format!("{value} on node {}", list(ids)));
    let what = format!("{name} is {}", said.collect::<Vec<_>>().join(", "));
    let nodes: BTreeSet<u64> = by_value.into_values().flatten().collect();
    Some(Finding::new(check, nodes, what, advice))
}
