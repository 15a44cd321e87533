//! `noraftd member`: which nodes a cluster has, and changes of them while it runs.
//!
//! Invariant: it says that a change is done only when the configuration is in force that was wanted.

use std::fmt::Write;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::query::{QueryError, ask_for_members, ask_to_change_members};
use super::tls_flags::TlsFlags;
use super::{complain, order, say};
use crate::endpoint::Endpoint;
use crate::exit::Exit;
use crate::local::members::{MemberReport, MembersReport};
use crate::shell::clock;

/// Lists and changes the members of a running cluster.
///
/// From level 1 on (see `noraftd upgrade`) the members and their addresses are a table in the replicated state. Each verb
/// takes the address of any node. A change is refused while another one is under way, and where fewer than a quorum of the
/// voters that would be left follow the leader. A new machine joins by itself: `noraftd serve --join ADDR`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Member {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Shows each member: addresses, role, how far it is, when the leader heard from it, level, version, data directory.
    List {
        #[command(flatten)]
        at: At,
        /// Print the answer as one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Expects a machine that is to join: it gets an id, which `noraftd serve --join ADDR --id ID` takes.
    Add {
        #[command(flatten)]
        at: At,
        /// Where the other nodes will reach it.
        #[arg(long, value_name = "ADDR")]
        peer: Endpoint,
        /// It stays a learner, which receives the log and does not vote.
        #[arg(long)]
        learner: bool,
    },
    /// Makes a voter of a learner that has caught up.
    Promote {
        #[command(flatten)]
        at: At,
        /// The learner.
        id: u64,
        #[command(flatten)]
        force: Force,
    },
    /// Removes a member, permanently: its id is never used again, and its process stops.
    Remove {
        #[command(flatten)]
        at: At,
        /// The member.
        id: u64,
        #[command(flatten)]
        force: Force,
    },
    /// Removes a voter and makes a voter of a learner, at once: no failure less is survived in between.
    Replace {
        #[command(flatten)]
        at: At,
        /// The voter.
        old: u64,
        /// The learner, which has joined and caught up.
        new: u64,
        #[command(flatten)]
        force: Force,
    },
    /// Changes where a member is reached. The other nodes connect to it there at once.
    SetAddress {
        #[command(flatten)]
        at: At,
        /// The member.
        id: u64,
        /// Where the other nodes reach it.
        #[arg(long, value_name = "ADDR", required_unless_present = "client")]
        peer: Option<Endpoint>,
        /// Where clients reach it.
        #[arg(long, value_name = "ADDR")]
        client: Option<Endpoint>,
    },
}

#[derive(Debug, Args)]
struct At {
    /// The address for clients of any node: HOST:PORT or /path of a Unix socket.
    address: Endpoint,
    /// The file with the peer secret, which the node wants to be proven.
    #[arg(long, value_name = "FILE")]
    peer_secret_file: Option<PathBuf>,
    #[command(flatten)]
    tls: TlsFlags,
}

#[derive(Debug, Args)]
struct Force {
    /// Although fewer than a quorum of the voters that would be left follow the leader. Nothing is written then until more
    /// of them are there
    #[arg(long)]
    force: bool,
}

impl Force {
    fn word(&self) -> &'static str {
        if self.force { "1" } else { "0" }
    }
}

impl Member {
    /// Asks, and says what came of it.
    pub(super) fn run(self) -> Exit {
        let done = match self.verb {
            Verb::List { at, json } => list(&at, json),
            Verb::Add { at, peer, learner } => add(&at, &peer, learner),
            Verb::Promote { at, id, force } => {
                let words = ["PROMOTE", &id.to_string(), force.word()];
                change(&at, &words, |report| is_voter(report, id)).map(|()| format!("node {id} votes"))
            }
            Verb::Remove { at, id, force } => {
                let words = ["REMOVE", &id.to_string(), force.word()];
                change(&at, &words, |report| is_removed(report, id)).map(|()| format!("node {id} is removed"))
            }
            Verb::Replace { at, old, new, force } => {
                let words = ["REPLACE", &old.to_string(), &new.to_string(), force.word()];
                let is_done = |report: &MembersReport| is_removed(report, old) && is_voter(report, new);
                change(&at, &words, is_done).map(|()| format!("node {new} votes, and node {old} is removed"))
            }
            Verb::SetAddress { at, id, peer, client } => {
                let text =
                    |address: Option<Endpoint>| address.map_or("-".to_owned(), |address| address.to_string());
                let words = ["ADDRESS", &id.to_string(), &text(peer), &text(client)];
                ask(&at, &words).map(|_| format!("node {id} has another address"))
            }
        };
        match done {
            Ok(text) => {
                say(text.trim_end());
                Exit::Done
            }
            Err(exit) => exit,
        }
    }
}

fn add(at: &At, peer: &Endpoint, learner: bool) -> Result<String, Exit> {
    let stays = if learner { "1" } else { "0" };
    let id = ask(at, &["ADD", &peer.to_string(), "-", stays])?;
    Ok(format!("node {id} is expected"))
}

fn is_voter(report: &MembersReport, id: u64) -> bool {
    report
        .members
        .iter()
        .any(|member| member.id == id && member.role == "voter")
}

fn is_removed(report: &MembersReport, id: u64) -> bool {
    report.removed.contains(&id) && report.members.iter().all(|member| member.id != id)
}

/// Gives the order; what the node answers.
fn ask(at: &At, words: &[&str]) -> Result<i64, Exit> {
    order::give(
        &at.address,
        at.peer_secret_file.as_deref(),
        &at.tls,
        |address| ask_to_change_members(address, words),
        |refusal| match refusal.starts_with("INDEFINITE") {
            true => {
                "; `noraftd member list` shows what came of it, and it does no harm to ask again".to_owned()
            }
            false => String::new(),
        },
    )
}

/// Gives the order, and waits until the configuration has followed.
fn change(at: &At, words: &[&str], is_done: impl Fn(&MembersReport) -> bool) -> Result<(), Exit> {
    ask(at, words)?;
    let mut known = vec![at.address.clone()];
    let deadline = clock::now() + FOLLOWS_WITHIN;
    while clock::now() < deadline {
        for report in known
            .clone()
            .iter()
            .filter_map(|address| ask_for_members(address).ok())
        {
            if is_done(&report.0) && !report.0.changing {
                return Ok(());
            }
            // The node that was asked may be the one that leaves.
            let others = report
                .0
                .members
                .iter()
                .filter_map(|member| member.client_address.parse().ok());
            let others: Vec<Endpoint> = others.filter(|address| !known.contains(address)).collect();
            known.extend(others);
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a tool that asks again has nothing else to wait for"
        )]
        thread::sleep(ASK_AGAIN);
    }
    complain(format_args!(
        "the change is written down and not in force after {FOLLOWS_WITHIN:?}: the cluster goes on with it, see `noraftd member list`"
    ));
    Err(Exit::Failed)
}

/// What the leader says, or else the node that was asked.
fn list(at: &At, json: bool) -> Result<String, Exit> {
    let failed = |error: QueryError| {
        complain(&error);
        error.exit()
    };
    at.tls.use_them().map_err(|error| {
        complain(&error);
        Exit::Config
    })?;
    let (mut report, mut text) = ask_for_members(&at.address).map_err(failed)?;
    let leader = report.leader.filter(|leader| *leader != report.id);
    let leader = leader.and_then(|leader| {
        let row = report.members.iter().find(|member| member.id == leader)?;
        ask_for_members(&row.client_address.parse().ok()?).ok()
    });
    if let Some((of_leader, its_text)) =
        leader.filter(|(of_leader, _)| of_leader.leader == Some(of_leader.id))
    {
        (report, text) = (of_leader, its_text);
    }
    Ok(if json { text } else { table(&report) })
}

/// A line a member.
fn table(report: &MembersReport) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(report.members.iter().map(|member| cells(member, report.leader)));
    let widths: Vec<usize> = (0..HEADINGS.len())
        .map(|at| rows.iter().map(|row| row[at].len()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in &rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if !report.written {
        out.push_str("there is no membership table: these are the settings of the node that was asked\n");
    }
    if report.changing {
        out.push_str("a change is under way\n");
    }
    if !report.removed.is_empty() {
        let ids: Vec<String> = report.removed.iter().map(u64::to_string).collect();
        let _ = writeln!(out, "removed: {}", ids.join(", "));
    }
    out
}

fn cells(member: &MemberReport, leader: Option<u64>) -> [String; HEADINGS.len()] {
    fn or_dash(text: Option<impl ToString>) -> String {
        text.map(|text| text.to_string())
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| "-".to_owned())
    }
    let role = match leader == Some(member.id) {
        true => "leader".to_owned(),
        false => member.role.clone(),
    };
    [
        member.id.to_string(),
        role,
        or_dash(Some(&member.peer_address)),
        or_dash(Some(&member.client_address)),
        or_dash(member.match_index),
        or_dash(member.lag),
        or_dash(member.last_contact_ms.map(|ms| format!("{ms}ms"))),
        or_dash(member.level_supported),
        or_dash(member.version.as_ref()),
        or_dash(member.incarnation.as_ref()),
    ]
}

const HEADINGS: [&str; 10] = [
    "node",
    "role",
    "peers at",
    "clients at",
    "match",
    "lag",
    "contact",
    "level",
    "version",
    "directory",
];

/// A change of the configuration takes two round trips, and more where a leader is to be elected.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_millis(50);

const EXAMPLES: &str = "\
Examples:
  Which nodes there are:
    noraftd member list 10.0.0.1:7601
  Node 3's machine is dead; the new one has joined as node 4:
    noraftd member replace 10.0.0.1:7601 3 4 --peer-secret-file /etc/noraft.secret
  Node 2 moves:
    noraftd member set-address 10.0.0.1:7601 2 --peer 10.0.0.5:7701 \\
        --peer-secret-file /etc/noraft.secret";
