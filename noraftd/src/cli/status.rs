//! `noraftd status`: what nodes say about themselves.

use std::fmt::Write;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use clap::Args;

use super::query::ask_status;
use super::status_table::{Answer, table, trouble};
use super::tls_flags::TlsFlags;
use super::{complain, say};
use crate::endpoint::Endpoint;
use crate::exit::Exit;
use crate::local::status::{AlarmReport, PeerReport, StatusReport};
use crate::shell::clock;
use crate::units::parse_time;

/// Asks nodes for their role, term, leader, indexes, disk and peers.
///
/// A single node is shown in full, several as a table. All is well when every node answers and all voters know the same
/// leader.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = LONG_EXAMPLES.as_str())]
pub(super) struct AskStatus {
    /// The nodes' addresses for clients: HOST:PORT or /path of a Unix socket.
    #[arg(required = true, value_name = "ADDR")]
    addresses: Vec<Endpoint>,
    /// Print each answer as one line of JSON.
    #[arg(long)]
    json: bool,
    /// Ask again until all is well, at most for this long, as in 30s.
    #[arg(long, value_name = "TIME", value_parser = parse_wait)]
    wait: Option<Duration>,
    #[command(flatten)]
    tls: TlsFlags,
}

fn parse_wait(text: &str) -> Result<Duration, String> {
    parse_time(text).ok_or_else(|| "expected a time, as in 500ms or 30s".to_owned())
}

impl AskStatus {
    /// Asks and prints.
    pub(super) fn run(self) -> Exit {
        if let Err(error) = self.tls.use_them() {
            complain(error);
            return Exit::Config;
        }
        let deadline = self.wait.map(|wait| clock::now() + wait);
        let answers = loop {
            let answers = ask_all(&self.addresses);
            if trouble(&answers).is_none() || deadline.is_none_or(|deadline| clock::now() >= deadline) {
                break answers;
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "a tool that asks again has nothing else to wait for"
            )]
            thread::sleep(ASK_AGAIN);
        };
        self.show(&answers);
        match trouble(&answers) {
            None => Exit::Done,
            Some((exit, text)) => {
                complain(text);
                exit
            }
        }
    }

    fn show(&self, answers: &[Answer]) {
        match (self.json, answers) {
            (true, _) => {
                for answer in answers {
                    match &answer.said {
                        Ok((_, json)) => say(json),
                        Err(error) => say(serde_json::json!({
                            "address": answer.address.to_string(),
                            "error": error.to_string(),
                        })),
                    }
                }
            }
            (false, [alone]) => {
                if let Ok((report, _)) = &alone.said {
                    say(describe(report).trim_end());
                }
            }
            (false, several) => say(table(several)),
        }
    }
}

/// All at the same time: one that does not answer takes no longer than several.
fn ask_all(addresses: &[Endpoint]) -> Vec<Answer> {
    let ask = |address: &Endpoint| Answer {
        address: address.clone(),
        said: ask_status(address),
    };
    thread::scope(|scope| {
        let asked: Vec<_> = addresses
            .iter()
            .map(|address| scope.spawn(move || ask(address)))
            .collect();
        let answers = asked.into_iter().map(|asked| match asked.join() {
            Ok(answer) => answer,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        answers.collect()
    })
}

/// What keeps the node from taking its full part.
fn standing(report: &StatusReport) -> String {
    if let Some(divergence) = &report.health.divergence {
        return format!(", DIVERGED: {divergence}");
    }
    let abstaining = if report.health.lost_majority {
        ", and no leader can be elected: a majority of the nodes is known to have lost entries, so acknowledged entries \
         can no longer be determined. `noraftd repair --from ADDRESS` gives a damaged node the state of an intact one, \
         after which it takes part again"
    } else if report.health.abstaining {
        ", abstaining until caught up"
    } else {
        ""
    };
    abstaining.to_owned()
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
            report.id, report.cluster, report.process.version, report.process.process_id
        ),
    );
    if let Some(generation) = &report.generation {
        let text = format!("begun again with `noraftd recover`: generation {generation}");
        line("cluster", text);
    }
    if let Some(loading) = report.view.loading {
        line("role", format!("loading: it reads its data directory, {loading}"));
        return out;
    }
    let slow = if report.health.disk_too_slow {
        ", on a disk that syncs too slowly for its election timeout"
    } else {
        ""
    };
    line("role", format!("{}{}{slow}", report.view.role, standing(report)));
    line("term", report.view.term.to_string());
    let leader = report.view.leader.map(|id| format!("node {id}"));
    line("leader", leader.unwrap_or_else(|| "unknown".to_owned()));
    line("level", describe_level(report));
    line("voters", describe_voters(report));
    line("log", describe_log(report));
    line("snapshot", describe_snapshot(report));
    let (commit, applied, durable) = (
        report.log.commit_index,
        report.log.applied_index,
        report.log.durable_index,
    );
    line(
        "indexes",
        format!("durable {durable}, committed {commit}, applied {applied}"),
    );
    if let Some(unsure) = describe_unsure(report) {
        line("", unsure);
    }
    for (id, index) in &report.match_indexes {
        line("", format!("durable on node {id}: {index}"));
    }
    line("disk", describe_storage(report));
    line("recovery", report.recovery.join("; "));
    line("damage", describe_damage(report));
    for alarm in &report.alarms {
        line("alarm", describe_alarm(alarm));
    }
    line(
        "clients",
        format!(
            "{} connected, {} requests under way",
            report.connections.clients, report.connections.requests_under_way
        ),
    );
    line("peer auth", report.connections.peer_auth.clone());
    for peer in &report.connections.peers {
        line("peer", describe_peer(peer));
    }
    line(
        "uptime",
        format!("{:.1} s", report.process.uptime_ms as f64 / 1000.0),
    );
    out
}

fn describe_alarm(alarm: &AlarmReport) -> String {
    match alarm.raised {
        true => format!("{}: {}", alarm.alarm, alarm.detail),
        false => format!(
            "{} is over, and not cleared (SIGUSR2): {}",
            alarm.alarm, alarm.detail
        ),
    }
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

/// The level in force, and what keeps it from being higher.
fn describe_level(report: &StatusReport) -> String {
    let (level, supported) = (report.view.level, report.view.level_supported);
    let behind: Vec<String> = report
        .connections
        .peers
        .iter()
        .filter(|peer| peer.level_supported.is_some_and(|level| level < supported))
        .map(|peer| peer.id.to_string())
        .collect();
    match behind.is_empty() {
        _ if level >= supported => level.to_string(),
        true => format!("{level}; this version supports {supported}: `noraftd upgrade` raises it"),
        false => format!(
            "{level}; this version supports {supported}, and node {} does not",
            behind.join(", ")
        ),
    }
}

/// What is durable beyond what is known to be committed.
fn describe_unsure(report: &StatusReport) -> Option<String> {
    let (durable, commit) = (report.log.durable_index, report.log.commit_index);
    let count = durable.checked_sub(commit).filter(|count| *count > 0)?;
    let first = commit + 1;
    Some(format!(
        "{count} entries ({first} to {durable}) are durable here and not known to be committed: without a leader, \
         this node cannot know which of them were acknowledged"
    ))
}

fn describe_log(report: &StatusReport) -> String {
    let log = &report.log;
    format!(
        "after {} to {} (term {})",
        report.directory.base_index, log.last_index, log.last_term
    )
}

fn describe_snapshot(report: &StatusReport) -> String {
    match report.directory.snapshot_index {
        0 => "none yet".to_owned(),
        index => format!("of entry {index}, {} bytes", report.directory.snapshot_bytes),
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
    let is_voter = report.view.voters.contains(&report.id) || report.view.new_voters.contains(&report.id);
    let own = if is_voter {
        ""
    } else {
        "; this node is not one of them"
    };
    match &report.view.new_voters[..] {
        [] => format!("{}{own}", join(&report.view.voters)),
        new => format!("{}, becoming {}{own}", join(&report.view.voters), join(new)),
    }
}

fn join(ids: &[u64]) -> String {
    ids.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

const ASK_AGAIN: Duration = Duration::from_millis(100);

const EXAMPLES: &str = "\
Examples:
  noraftd status 127.0.0.1:7601
  noraftd status /run/noraft.sock
  noraftd status 127.0.0.1:7601 --json | jq .role
  noraftd status 10.0.0.1:7601 10.0.0.2:7601 10.0.0.3:7601 --wait 30s";

static LONG_EXAMPLES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{EXAMPLES}\n\nExit codes:\n  0   every node answers, and all voters know the same leader\n  1   they know \
         none, or disagree; or something other than noraftd answers\n  64  the command line is wrong\n  69  a node does not answer"
    )
});

fn describe_damage(report: &StatusReport) -> String {
    let repaired = match report.health.repaired {
        0 => String::new(),
        count => format!(", {count} repaired since the start"),
    };
    match (report.health.holes, report.health.needs_snapshot) {
        (0, _) => format!(
            "none known{repaired}; scrub at entry {}, {} passes",
            report.storage.scrub_index, report.storage.scrub_passes
        ),
        (count, false) => format!("{count} entries are fetched from other nodes{repaired}"),
        (count, true) => format!("{count} entries, which only a snapshot of another node has{repaired}"),
    }
}
