//! Several nodes' answers side by side, and what they mean together.
//!
//! Invariant: a cluster is well only when every node that was asked answers, and all that vote know one leader.

use super::query::QueryError;
use crate::endpoint::Endpoint;
use crate::exit::Exit;
use crate::local::status::StatusReport;

/// What one node said, or why it said nothing.
pub(super) struct Answer {
    pub(super) address: Endpoint,
    pub(super) said: Result<(StatusReport, String), QueryError>,
}

/// What is wrong with the cluster, and the exit code for it.
pub(super) fn trouble(answers: &[Answer]) -> Option<(Exit, String)> {
    let mut reports = Vec::new();
    let mut silent = Vec::new();
    for answer in answers {
        match &answer.said {
            Ok((report, _)) => reports.push(report),
            Err(error @ QueryError::Unreachable(..)) => silent.push(error.to_string()),
            Err(error) => return Some((Exit::Failed, error.to_string())),
        }
    }
    if !silent.is_empty() {
        return Some((Exit::Unavailable, silent.join("; ")));
    }
    if let Some((report, loading)) = reports
        .iter()
        .find_map(|report| Some((report, report.view.loading?)))
    {
        let text = format!("node {} reads its data directory: {loading}", report.id);
        return Some((Exit::Loading, text));
    }
    disagreement(&reports, answers.len() == 1).map(|text| (Exit::Failed, text))
}

/// Where the reports contradict each other. A node that does not vote hears from no leader, so its view does not count.
fn disagreement(reports: &[&StatusReport], is_alone: bool) -> Option<String> {
    let first = reports.first()?;
    if let Some(other) = reports.iter().find(|report| report.cluster != first.cluster) {
        return Some(format!(
            "node {} is of cluster '{}', node {} of '{}'",
            first.id, first.cluster, other.id, other.cluster
        ));
    }
    let asked: Vec<&&StatusReport> = reports
        .iter()
        .filter(|report| is_alone || is_voter(report))
        .collect();
    let Some(first) = asked.first() else {
        return Some("none of these nodes votes".to_owned());
    };
    if let Some(lost) = asked.iter().find(|report| report.view.leader.is_none()) {
        return Some(format!("node {} knows no leader", lost.id));
    }
    let view = |report: &StatusReport| (report.view.term, report.view.leader);
    let other = asked.iter().find(|report| view(report) != view(first))?;
    Some(format!(
        "the nodes do not agree: for node {} node {} leads in term {}, for node {} node {} in term {}",
        first.id,
        first.view.leader.unwrap_or_default(),
        first.view.term,
        other.id,
        other.view.leader.unwrap_or_default(),
        other.view.term
    ))
}

fn is_voter(report: &StatusReport) -> bool {
    report.view.voters.contains(&report.id) || report.view.new_voters.contains(&report.id)
}

/// The answers as a table, a node a line.
pub(super) fn table(answers: &[Answer]) -> String {
    let head = [
        "ADDRESS",
        "NODE",
        "ROLE",
        "TERM",
        "LEADER",
        "DURABLE",
        "COMMITTED",
        "APPLIED",
        "NOTES",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(answers.iter().map(row));
    let mut widths = [0; 9];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; 9]| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(answer: &Answer) -> [String; 9] {
    let address = answer.address.to_string();
    let report = match &answer.said {
        Ok((report, _)) => report,
        Err(error) => {
            let empty = String::new;
            let prefix = format!("{address} ");
            let error = error.to_string();
            let why = error.strip_prefix(&prefix).unwrap_or(&error).to_owned();
            return [
                address,
                "?".to_owned(),
                empty(),
                empty(),
                empty(),
                empty(),
                empty(),
                empty(),
                why,
            ];
        }
    };
    [
        address,
        report.id.to_string(),
        report.view.role.clone(),
        report.view.term.to_string(),
        report
            .view
            .leader
            .map_or_else(|| "none".to_owned(), |id| id.to_string()),
        report.log.durable_index.to_string(),
        report.log.commit_index.to_string(),
        report.log.applied_index.to_string(),
        notes(report),
    ]
}

/// What is worth a look with the node itself.
fn notes(report: &StatusReport) -> String {
    let unreached: Vec<String> = report
        .connections
        .peers
        .iter()
        .filter(|peer| !peer.connected)
        .map(|peer| peer.id.to_string())
        .collect();
    let alarms: Vec<&str> = report
        .alarms
        .iter()
        .filter(|alarm| alarm.raised)
        .map(|alarm| alarm.alarm.as_str())
        .collect();
    let notes = [
        (!is_voter(report)).then(|| "does not vote".to_owned()),
        (!report.view.new_voters.is_empty()).then(|| "the voters are being changed".to_owned()),
        report.health.abstaining.then(|| "abstains".to_owned()),
        report.storage.disk_full.then(|| "its disk is full".to_owned()),
        (report.health.holes > 0).then(|| format!("{} damaged entries", report.health.holes)),
        (!alarms.is_empty()).then(|| format!("alarm {}", alarms.join(", "))),
        (!unreached.is_empty()).then(|| format!("does not reach {}", unreached.join(", "))),
    ];
    notes.into_iter().flatten().collect::<Vec<_>>().join("; ")
}
