//! `noraftd status`: what one node says about itself.

use std::fmt::Write;

use clap::Args;

use super::query::{QueryError, ask_status};
use super::{complain, say};
use crate::shell::board::{PeerReport, StatusReport};
use crate::shell::endpoint::Endpoint;
use crate::shell::exit::Exit;

/// Asks a node for its role, term, leader, indexes, disk and peers.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AskStatus {
    /// The node's address for clients: HOST:PORT or /path of a Unix socket.
    address: Endpoint,
    /// Print the answer as one line of JSON.
    #[arg(long)]
    json: bool,
}

impl AskStatus {
    /// Asks and prints.
    pub(super) fn run(self) -> Exit {
        match ask_status(&self.address) {
            Ok((_, json)) if self.json => say(json),
            Ok((report, _)) => say(describe(&report).trim_end()),
            Err(error) => {
                complain(&error);
                return match error {
                    QueryError::Unreachable(..) => Exit::Unavailable,
                    QueryError::Strange(..) | QueryError::Refused(..) => Exit::Failed,
                };
            }
        }
        Exit::Done
    }
}

/// The status in words.
fn describe(report: &StatusReport) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        writeln!(out, "{name:<10} {value}").expect("a string takes every line");
    };
    line(
        "node",
        format!(
            "{} of cluster '{}' (noraftd {}, pid {})",
            report.id, report.cluster, report.version, report.process_id
        ),
    );
    let abstaining = if report.lost_majority {
        ", and nobody is elected: a majority of the nodes has lost entries for certain, so what was acknowledged cannot \
         be told. `noraftd repair --from ADDRESS` gives a damaged node the state of an intact one, and lets it take part"
    } else if report.abstaining {
        ", abstaining until caught up"
    } else {
        ""
    };
    line("role", format!("{}{abstaining}", report.role));
    line("term", report.term.to_string());
    line(
        "leader",
        report
            .leader
            .map_or_else(|| "unknown".to_owned(), |id| format!("node {id}")),
    );
    line("voters", describe_voters(report));
    line(
        "log",
        format!(
            "after {} to {} (term {})",
            report.base_index, report.last_index, report.last_term
        ),
    );
    line("snapshot", describe_snapshot(report));
    let (commit, applied, durable) = (report.commit_index, report.applied_index, report.durable_index);
    line(
        "indexes",
        format!("durable {durable}, committed {commit}, applied {applied}"),
    );
    for (id, index) in &report.match_indexes {
        line("", format!("durable on node {id}: {index}"));
    }
    line("disk", describe_storage(report));
    line("recovery", report.recovery.join("; "));
    line("damage", describe_damage(report));
    line(
        "clients",
        format!(
            "{} connected, {} requests under way",
            report.clients, report.requests_under_way
        ),
    );
    line("peer auth", report.peer_auth.clone());
    for peer in &report.peers {
        line("peer", describe_peer(peer));
    }
    line("uptime", format!("{:.1} s", report.uptime_ms as f64 / 1000.0));
    out
}

fn describe_peer(peer: &PeerReport) -> String {
    let state = match (&peer.error, peer.connected) {
        (_, true) if peer.proven => "connected, proven".to_owned(),
        (_, true) => "connected".to_owned(),
        (Some(error), false) => format!("not connected: {error}"),
        (None, false) => "not connected yet".to_owned(),
    };
    format!(
        "node {} at {}: {state}; {} messages dropped",
        peer.id, peer.address, peer.dropped
    )
}

fn describe_snapshot(report: &StatusReport) -> String {
    match report.snapshot_index {
        0 => "none yet".to_owned(),
        index => format!("of entry {index}, {} bytes", report.snapshot_bytes),
    }
}

fn describe_storage(report: &StatusReport) -> String {
    let storage = &report.storage;
    let full = if storage.disk_full { ", FULL" } else { "" };
    let Some(age) = storage.last_sync_age_ms else {
        return format!("no batch yet{full}");
    };
    format!(
        "{} batches, {} entries; last sync took {} us, {age} ms ago; slowest {} us{full}",
        storage.batches, storage.entries, storage.last_sync_us, storage.max_sync_us
    )
}

fn describe_voters(report: &StatusReport) -> String {
    let is_voter = report.voters.contains(&report.id) || report.new_voters.contains(&report.id);
    let own = if is_voter {
        ""
    } else {
        "; this node is not one of them"
    };
    match &report.new_voters[..] {
        [] => format!("{}{own}", join(&report.voters)),
        new => format!("{}, becoming {}{own}", join(&report.voters), join(new)),
    }
}

fn join(ids: &[u64]) -> String {
    ids.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

const EXAMPLES: &str = "\
Examples:
  noraftd status 127.0.0.1:7701
  noraftd status /run/noraft.sock
  noraftd status 127.0.0.1:7701 --json | jq .role";

fn describe_damage(report: &StatusReport) -> String {
    let repaired = match report.repaired {
        0 => String::new(),
        count => format!(", {count} repaired since the start"),
    };
    match (report.holes, report.needs_snapshot) {
        (0, _) => format!(
            "none known{repaired}; scrub at entry {}, {} passes",
            report.storage.scrub_index, report.storage.scrub_passes
        ),
        (count, false) => format!("{count} entries are fetched from other nodes{repaired}"),
        (count, true) => format!("{count} entries, which only a snapshot of another node has{repaired}"),
    }
}
