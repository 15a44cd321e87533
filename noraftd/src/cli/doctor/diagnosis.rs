//! From what the nodes have answered to what is wrong.

use super::Examined;
use super::agreement;
use super::finding::Finding;
use super::known::Known;
use super::machines;
use super::reach;
use crate::local::status::AlarmReport;

/// Everything that is wrong, what matters most first.
pub(super) fn diagnose(all: &[Examined]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = all.iter().filter_map(unanswered).collect();
    let (loading, known): (Vec<Known<'_>>, Vec<Known<'_>>) = all
        .iter()
        .filter_map(Known::of)
        .partition(|node| node.status.view.loading.is_some());
    findings.extend(loading.iter().map(still_loading));
    findings.extend(agreement::clusters(&known));
    findings.extend(reach::majority(&known));
    findings.extend(reach::links(&known));
    findings.extend(known.iter().flat_map(damage));
    findings.extend(known.iter().filter_map(machines::hanging));
    findings.extend(known.iter().filter_map(machines::room));
    findings.extend(known.iter().filter_map(machines::disk));
    findings.extend(machines::clocks(&known));
    findings.extend(known.iter().filter_map(machines::files));
    findings.extend(agreement::versions(&known));
    findings.extend(agreement::settings(&known));
    findings.extend(known.iter().flat_map(alarms));
    findings
}

fn unanswered(node: &Examined) -> Option<Finding> {
    let error = node.status.as_ref().err()?;
    Some(Finding::new(
        "answer",
        [],
        error.to_string(),
        "start the node where it does not run (its log says why it stopped); look at the way there, and at --tls, where it does",
    ))
}

fn still_loading(node: &Known<'_>) -> Finding {
    let progress = node.status.view.loading.unwrap_or_default();
    Finding::new(
        "loading",
        [node.id],
        format!("node {} reads its data directory: {progress}", node.id),
        "wait until it has, and ask again",
    )
}

/// What keeps a node from its full part.
fn damage(node: &Known<'_>) -> Vec<Finding> {
    let (id, health) = (node.id, &node.status.health);
    let mut findings = Vec::new();
    if let Some(divergence) = &health.divergence {
        let what = format!("node {id}: {divergence}");
        let advice = "keep a copy of the directories that differ, and find out which one is wrong before anything is repaired";
        findings.push(Finding::new("divergence", [id], what, advice).with_page("divergence"));
    }
    if health.holes > 0 {
        let what = format!(
            "node {id}: {} entries of its log are damaged on its disk and not repaired yet",
            health.holes
        );
        let advice = match health.needs_snapshot {
            false => "let the other nodes run: they give them back; look after the disk",
            true => {
                "no other log has them: a leader sends a snapshot, so see that there is a leader; look after the disk"
            }
        };
        findings.push(Finding::new("damage", [id], what, advice));
    }
    if health.lost_majority {
        let what =
            format!("node {id}: no leader can be elected, for a majority of the nodes has lost entries");
        let advice = "give the damaged nodes the state of an intact one: `noraftd repair --from ADDRESS`";
        findings.push(Finding::new("damage", [id], what, advice));
    } else if health.abstaining {
        let what = format!(
            "node {id} abstains from elections until it has caught up, for its log was damaged at its end"
        );
        findings.push(Finding::new(
            "damage",
            [id],
            what,
            "see that there is a leader: the node catches up with it by itself",
        ));
    }
    findings
}

/// Alarms that are raised, and those that are over and that no operator has cleared.
fn alarms(node: &Known<'_>) -> Vec<Finding> {
    let finding = |alarm: &AlarmReport| {
        let (id, name, detail) = (node.id, &alarm.alarm, &alarm.detail);
        let (what, advice) = match alarm.raised {
            true => (
                format!("node {id}: alarm {name}: {detail}"),
                "do what the runbook says of it",
            ),
            false => (
                format!("node {id}: alarm {name} is over and not cleared: {detail}"),
                "find out what it was (`noraftd events`), then clear it: SIGUSR2 to the node",
            ),
        };
        Finding::new("alarm", [id], what, advice).with_page(name)
    };
    node.status.alarms.iter().map(finding).collect()
}

#[cfg(test)]
mod tests;
