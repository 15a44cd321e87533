//! `noraftd doctor`: what is wrong with a cluster, and what to do.
//!
//! Invariant: it changes nothing; what it says of a node follows from what the nodes have answered (`diagnosis`), so the same answers give the
//! same findings.

mod agreement;
mod diagnosis;
mod finding;
mod known;
mod machines;
mod reach;

use std::sync::LazyLock;
use std::thread;

use clap::Args;
use serde::Serialize;

use self::diagnosis::diagnose;
use self::finding::Finding;
use super::query::{QueryError, ask_for_vitals, ask_status};
use super::tls_flags::TlsFlags;
use super::{complain, say};
use crate::endpoint::Endpoint;
use crate::exit::Exit;
use crate::local::status::StatusReport;
use crate::local::vitals::VitalsReport;
use crate::shell::clock;

/// Asks nodes how they are, and names what is wrong, and what to do.
///
/// It looks for nodes that do not answer, a missing majority, links that work in one direction only, clocks that differ, disks that sync too slowly
/// or are nearly full, settings and versions that differ, low limits of open files, damage, and alarms. Name all nodes: what differs between
/// nodes is seen only between those that are asked.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = LONG_EXAMPLES.as_str())]
pub(super) struct Doctor {
    /// The nodes' addresses for clients: HOST:PORT or /path of a Unix socket.
    #[arg(required = true, value_name = "ADDR")]
    addresses: Vec<Endpoint>,
    /// Print the findings as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tls: TlsFlags,
}

/// What one node said.
struct Examined {
    address: Endpoint,
    status: Result<StatusReport, QueryError>,
    /// What an earlier version does not say, nor one that reads its directory.
    vitals: Result<VitalsReport, QueryError>,
    /// How far its wall clock is ahead of the one here, in milliseconds, and by how much that may be wrong.
    clock: (i64, u64),
}

impl Doctor {
    /// Asks, and prints what was found.
    pub(super) fn run(self) -> Exit {
        if let Err(error) = self.tls.use_them() {
            complain(error);
            return Exit::Config;
        }
        let examined = examine_all(&self.addresses);
        let findings = diagnose(&examined);
        say(match self.json {
            true => as_json(&examined, &findings),
            false => as_text(&examined, &findings),
        });
        let answers = examined.iter().all(|node| node.status.is_ok());
        match (answers, findings.is_empty()) {
            (false, _) => Exit::Unavailable,
            (true, false) => Exit::Failed,
            (true, true) => Exit::Done,
        }
    }
}

/// All at the same time: their clocks are compared.
fn examine_all(addresses: &[Endpoint]) -> Vec<Examined> {
    thread::scope(|scope| {
        let asked: Vec<_> = addresses
            .iter()
            .map(|address| scope.spawn(move || examine(address)))
            .collect();
        let answers = asked.into_iter().map(|asked| match asked.join() {
            Ok(answer) => answer,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        answers.collect()
    })
}

fn examine(address: &Endpoint) -> Examined {
    let status = ask_status(address).map(|(status, _)| status);
    let before = clock::unix_micros();
    let vitals = ask_for_vitals(address);
    let after = clock::unix_micros();
    // The answer was made at some time in between.
    let (middle, doubt) = (
        before.midpoint(after) / 1000,
        after.saturating_sub(before) / 2000 + 1,
    );
    let wall = vitals.as_ref().map_or(middle, |vitals| vitals.wall_ms);
    Examined {
        address: address.clone(),
        status,
        vitals,
        clock: (signed(wall).saturating_sub(signed(middle)), doubt),
    }
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

fn as_text(examined: &[Examined], findings: &[Finding]) -> String {
    let mut text: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    let count = examined.len();
    text.push_str(&match findings.len() {
        0 => format!("{count} nodes asked: nothing is wrong"),
        found => format!("{count} nodes asked: {found} findings"),
    });
    text
}

fn as_json(examined: &[Examined], findings: &[Finding]) -> String {
    #[derive(Serialize)]
    struct Asked {
        address: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        vitals: Option<VitalsReport>,
    }
    let asked = examined.iter().map(|node| Asked {
        address: node.address.to_string(),
        id: node.status.as_ref().ok().map(|status| status.id),
        vitals: node.vitals.as_ref().ok().cloned(),
    });
    let asked: Vec<Asked> = asked.collect();
    serde_json::json!({ "is_well": findings.is_empty(), "findings": findings, "nodes": asked }).to_string()
}

const EXAMPLES: &str = "\
Examples:
  noraftd doctor 10.0.0.1:7601 10.0.0.2:7601 10.0.0.3:7601
  noraftd doctor 127.0.0.1:7601
  noraftd doctor 10.0.0.1:7601 10.0.0.2:7601 --json | jq '.findings[].check'";

static LONG_EXAMPLES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{EXAMPLES}\n\nExit codes:\n  0   every node answers, and nothing is wrong\n  1   something is wrong\n  64  the command line is \
         wrong\n  69  a node does not answer; what is wrong with the others is said all the same"
    )
});
