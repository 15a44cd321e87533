//! Scenarios in files: commands, each followed by what it leads to, indented.
//!
//! `UPDATE_SCENARIOS=1` rewrites the results; a change of behaviour then shows as a diff to be read. Every
//! command also has all invariants checked.
//!
//! | command | meaning |
//! |-|-|
//! | `cluster 1 2 3 [spare 4]` | servers; the first one founds a cluster of those before `spare` and wins |
//! | `campaign 1` | the election timer of 1 fires |
//! | `propose 1 [n]`, `heartbeat 1` | at a leader |
//! | `change 1 +4 -2` | voters, by joint consensus |
//! | `learner 1 +4` or `-4` | non-voters |
//! | `deliver [1->2 or n]` | all messages until none is left; those of one link once; the first n |
//! | `drop 1->2`, `duplicate 1->2` | messages under way on a link |
//! | `isolate 3`, `heal` | nothing from or to 3; everything again |
//! | `shorten 1->2 n` | append calls under way keep n entries, as an integrator may do |
//! | `hold 2`, `release 2` | the actions of 2 stay queued; they are executed |
//! | `crash 2`, `restart 2`, `wipe 2` | a crash loses what is not written; a wipe everything |
//! | `snapshot 1 [index]` | at the commit index, or at an index |
//! | `status`, `log 1`, `outcome 1 2.4` | every server in a line; a log; the commit status of a position |
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use noraft::{ClusterConfig, LogEntries, LogEntry, LogIndex, LogPosition, Message, Node, NodeId, Role, Term};

use crate::support::cluster::{Cluster, Envelope, id};
use crate::support::server::Payload;

/// A delivery that has not come to an end by then never will.
const DELIVERIES_MAX: usize = 2000;

#[test]
fn scenarios_lead_where_their_files_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let entries = std::fs::read_dir(&directory).expect("the directory of scenarios");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(
        files.len() >= 12,
        "scenarios are missing from {}",
        directory.display()
    );
    let update = std::env::var_os("UPDATE_SCENARIOS").is_some();
    for file in files {
        let written = std::fs::read_to_string(&file).expect("a scenario");
        let found = play(&written).unwrap_or_else(|reason| panic!("{}: {reason}", file.display()));
        if update {
            std::fs::write(&file, found).expect("write a scenario");
        } else {
            assert_eq!(
                found,
                written,
                "{} (UPDATE_SCENARIOS=1 rewrites it)",
                file.display()
            );
        }
    }
}

/// Plays the commands of a scenario; gives it back with the results found.
fn play(written: &str) -> Result<String, String> {
    let mut found = String::new();
    let mut scene: Option<Scene> = None;
    for line in written.lines().filter(|line| !line.starts_with("  ")) {
        found.push_str(line);
        found.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let verb = words.next().unwrap_or_default();
        let words: Vec<&str> = words.collect();
        if verb == "cluster" {
            scene = Some(Scene::found(&words)?);
        } else {
            let scene = scene.as_mut().ok_or("a scenario starts with a cluster")?;
            scene
                .command(verb, &words)
                .map_err(|reason| format!("{line}: {reason}"))?;
        }
        for result in scene.iter_mut().flat_map(|scene| scene.results.drain(..)) {
            writeln!(found, "  {result}").map_err(|error| error.to_string())?;
        }
    }
    Ok(found)
}

struct Scene {
    cluster: Cluster,
    held: BTreeSet<NodeId>,
    results: Vec<String>,
}

type Done = Result<(), String>;

impl Scene {
    fn found(words: &[&str]) -> Result<Self, String> {
        let ids: Vec<NodeId> = words
            .iter()
            .filter(|word| **word != "spare")
            .map(|word| server(word))
            .collect::<Result<_, _>>()?;
        let voters = words
            .iter()
            .position(|word| *word == "spare")
            .unwrap_or(ids.len());
        let mut scene = Self {
            cluster: Cluster::of_servers(0, ids.iter().copied()),
            held: BTreeSet::new(),
            results: Vec::new(),
        };
        let (first, voters) = (*ids.first().ok_or("no server")?, ids[..voters].to_vec());
        scene.act(first, |node| _ = node.create_cluster(&voters))?;
        scene.deliver_all()?;
        scene.act(first, |node| _ = node.heartbeat())?;
        scene.deliver_all()?;
        scene.results.clear();
        scene.status();
        Ok(scene)
    }

    fn command(&mut self, verb: &str, words: &[&str]) -> Done {
        let first = words.first().copied().unwrap_or_default();
        let second = words.get(1).copied().unwrap_or_default();
        match verb {
            "campaign" => self.act_and_report(server(first)?, Node::handle_election_timeout),
            "heartbeat" => self.act_and_report(server(first)?, |node| _ = node.heartbeat()),
            "propose" => {
                let count = if second.is_empty() { 1 } else { number(second)? };
                (0..count).try_for_each(|_| self.propose(server(first)?, Node::propose_command))?;
                self.report_sent(server(first)?)
            }
            "change" => {
                let (adding, removing) = (signed(words, '+')?, signed(words, '-')?);
                self.propose(server(first)?, |node| {
                    node.propose_config(node.config().to_joint_consensus(&adding, &removing))
                })?;
                self.report_sent(server(first)?)
            }
            "learner" => {
                let (adding, removing) = (signed(words, '+')?, signed(words, '-')?);
                self.propose(server(first)?, |node| {
                    let mut config = node.config().clone();
                    config.non_voters.extend(adding);
                    config.non_voters.retain(|id| !removing.contains(id));
                    node.propose_config(config)
                })?;
                self.report_sent(server(first)?)
            }
            "deliver" if first.is_empty() => self.deliver_all(),
            "deliver" if first.contains("->") => self.deliver_link(link(first)?),
            "deliver" => (0..number(first)?).try_for_each(|_| self.deliver_at(0)),
            "drop" | "duplicate" => self.tamper(verb, link(first)?),
            "shorten" => self.shorten(link(first)?, number(second)?),
            "isolate" => self.isolate(server(first)?),
            "heal" => {
                self.cluster.links.cut.clear();
                Ok(())
            }
            "hold" => {
                self.held.insert(server(first)?);
                Ok(())
            }
            "release" => {
                self.held.remove(&server(first)?);
                self.settle(server(first)?)?;
                self.report_sent(server(first)?)
            }
            "crash" => {
                self.cluster.crash(server(first)?);
                Ok(())
            }
            "restart" | "wipe" => self.bring_back(verb, server(first)?),
            "snapshot" => self.snapshot(server(first)?, second),
            "status" => {
                self.status();
                Ok(())
            }
            "log" => self.log(server(first)?),
            "outcome" => self.outcome(server(first)?, position(second)?),
            _ => Err(format!("no command {verb}")),
        }
    }

    /// Calls a node, executes its actions, and notes what has changed.
    fn act(&mut self, id: NodeId, call: impl FnOnce(&mut Node)) -> Done {
        let before = self.face(id);
        self.cluster
            .call(id, call)
            .map_err(|violation| violation.to_string())?;
        self.settle(id)?;
        self.report_change(id, &before);
        Ok(())
    }

    fn act_and_report(&mut self, id: NodeId, call: impl FnOnce(&mut Node)) -> Done {
        self.act(id, call)?;
        self.report_sent(id)
    }

    fn propose(&mut self, id: NodeId, call: impl FnOnce(&mut Node) -> LogPosition) -> Done {
        let mut at = LogPosition::INVALID;
        self.act(id, |node| at = call(node))?;
        let result = if at.is_invalid() {
            "refused".into()
        } else {
            format!("at {}", short(at))
        };
        self.results.push(result);
        Ok(())
    }

    /// Executes the actions of a server, unless they are held.
    fn settle(&mut self, id: NodeId) -> Done {
        if self.held.contains(&id) {
            return Ok(());
        }
        self.cluster.sync(id).map_err(|violation| violation.to_string())
    }

    /// Reports the messages under way from a server.
    fn report_sent(&mut self, from: NodeId) -> Done {
        let sent = self
            .cluster
            .network
            .iter()
            .filter(|envelope| envelope.from == from)
            .map(line);
        self.results.extend(sent);
        Ok(())
    }

    fn deliver_all(&mut self) -> Done {
        for _ in 0..DELIVERIES_MAX {
            if self.cluster.network.is_empty() {
                return Ok(());
            }
            self.deliver_at(0)?;
        }
        Err("messages do not come to an end".into())
    }

    fn deliver_link(&mut self, (from, to): (NodeId, NodeId)) -> Done {
        let on_link = |envelope: &Envelope| envelope.from == from && envelope.to == to;
        for _ in 0..self
            .cluster
            .network
            .iter()
            .filter(|envelope| on_link(envelope))
            .count()
        {
            let at = self
                .cluster
                .network
                .iter()
                .position(on_link)
                .ok_or("no message on the link")?;
            self.deliver_at(at)?;
        }
        Ok(())
    }

    fn deliver_at(&mut self, at: usize) -> Done {
        if at >= self.cluster.network.len() {
            return Err("no message is under way".into());
        }
        let envelope = self.cluster.network.remove(at);
        self.results.push(line(&envelope));
        let before = self.face(envelope.to);
        self.cluster
            .deliver(&envelope)
            .map_err(|violation| violation.to_string())?;
        self.settle(envelope.to)?;
        self.report_change(envelope.to, &before);
        Ok(())
    }

    fn tamper(&mut self, verb: &str, (from, to): (NodeId, NodeId)) -> Done {
        let on_link = |envelope: &&Envelope| envelope.from == from && envelope.to == to;
        let touched: Vec<Envelope> = self.cluster.network.iter().filter(on_link).cloned().collect();
        self.results.extend(
            touched
                .iter()
                .map(|envelope| format!("{verb} {}", line(envelope))),
        );
        match verb {
            "drop" => self.cluster.network.retain(|envelope| !on_link(&envelope)),
            _ => self.cluster.network.extend(touched),
        }
        Ok(())
    }

    fn shorten(&mut self, (from, to): (NodeId, NodeId), count: u64) -> Done {
        let count = usize::try_from(count).map_err(|error| error.to_string())?;
        let on_link = self
            .cluster
            .network
            .iter_mut()
            .filter(|envelope| envelope.from == from && envelope.to == to);
        for envelope in on_link {
            if let Payload::Raft(Message::AppendEntriesCall { entries, .. }) = &mut envelope.payload {
                entries.truncate(count);
            }
            self.results.push(line(envelope));
        }
        Ok(())
    }

    fn isolate(&mut self, id: NodeId) -> Done {
        for other in self.cluster.ids() {
            self.cluster.links.cut.extend([(id, other), (other, id)]);
        }
        self.cluster
            .network
            .retain(|envelope| envelope.from != id && envelope.to != id);
        Ok(())
    }

    fn bring_back(&mut self, verb: &str, id: NodeId) -> Done {
        self.held.remove(&id);
        let result = if verb == "wipe" {
            self.cluster.wipe(id)
        } else {
            self.cluster.restart(id)
        };
        result.map_err(|violation| violation.to_string())?;
        let face = self.face(id);
        self.results.push(face);
        self.settle(id)
    }

    fn snapshot(&mut self, id: NodeId, index: &str) -> Done {
        let commit_index = self.cluster.commit_index(id).ok_or("is down")?;
        let index = if index.is_empty() {
            commit_index
        } else {
            LogIndex::new(number(index)?)
        };
        let taken = self
            .cluster
            .snapshot(id, index)
            .map_err(|violation| violation.to_string())?;
        self.results
            .push(if taken { "taken".into() } else { "refused".into() });
        Ok(())
    }

    fn log(&mut self, id: NodeId) -> Done {
        let node = self.cluster.node(id).ok_or("is down")?;
        let log = node.log();
        let start = format!(
            "after {} {}",
            short(log.snapshot_position()),
            config(log.snapshot_config())
        );
        self.results.push(format!("{start}: {}", run(log.entries())));
        Ok(())
    }

    fn outcome(&mut self, id: NodeId, at: LogPosition) -> Done {
        let node = self.cluster.node(id).ok_or("is down")?;
        self.results
            .push(format!("{:?}", node.get_commit_status(at)).to_lowercase());
        Ok(())
    }

    fn status(&mut self) {
        for id in self.cluster.ids() {
            let face = self.face(id);
            self.results.push(face);
        }
    }

    /// A server in one line.
    fn face(&self, id: NodeId) -> String {
        let Some(node) = self.cluster.node(id) else {
            return format!("{} is down", id.get());
        };
        let role = match node.role() {
            Role::Leader => "leader",
            Role::Follower => "follower",
            Role::Candidate => "candidate",
        };
        let vote = node
            .voted_for()
            .map_or("none".into(), |vote| vote.get().to_string());
        format!(
            "{} {role} of term {}, vote {vote}, log to {}, commit {}, {}",
            id.get(),
            node.current_term().get(),
            short(node.log().last_position()),
            node.commit_index().get(),
            config(node.config())
        )
    }

    fn report_change(&mut self, id: NodeId, before: &str) {
        let face = self.face(id);
        if face != before {
            self.results.push(format!("  {face}"));
        }
    }
}

fn line(envelope: &Envelope) -> String {
    let link = format!("{}->{}", envelope.from.get(), envelope.to.get());
    let what = match &envelope.payload {
        Payload::Snapshot {
            position,
            config: held,
            ..
        } => format!("snapshot to {} {}", short(*position), config(held)),
        Payload::Raft(Message::RequestVoteCall {
            term, last_position, ..
        }) => {
            format!("vote call, term {}, log to {}", term.get(), short(*last_position))
        }
        Payload::Raft(Message::RequestVoteReply {
            term, vote_granted, ..
        }) => {
            format!(
                "vote reply, term {}, {}",
                term.get(),
                if *vote_granted { "granted" } else { "refused" }
            )
        }
        Payload::Raft(Message::AppendEntriesCall {
            term,
            commit_index,
            entries,
            ..
        }) => {
            let (prev, commit) = (short(entries.prev_position()), commit_index.get());
            format!(
                "append call, term {}, commit {commit}, after {prev}: {}",
                term.get(),
                run(entries)
            )
        }
        Payload::Raft(Message::AppendEntriesReply {
            term, last_position, ..
        }) => {
            format!(
                "append reply, term {}, log to {}",
                term.get(),
                short(*last_position)
            )
        }
    };
    format!("{link} {what}")
}

fn short(position: LogPosition) -> String {
    format!("{}.{}", position.term.get(), position.index.get())
}

fn run(entries: &LogEntries) -> String {
    let entry = |(position, entry): (LogPosition, LogEntry)| match entry {
        LogEntry::Term(_) => format!("{}:term", short(position)),
        LogEntry::ClusterConfig(new) => format!("{}:{}", short(position), config(&new)),
        LogEntry::Command => format!("{}:command", short(position)),
    };
    let entries: Vec<String> = entries.iter_with_positions().map(entry).collect();
    if entries.is_empty() {
        "nothing".into()
    } else {
        entries.join(" ")
    }
}

fn config(config: &ClusterConfig) -> String {
    let set = |ids: &BTreeSet<NodeId>| {
        ids.iter()
            .map(|id| id.get().to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let mut text = format!("{{{}}}", set(&config.voters));
    if config.is_joint_consensus() {
        text += &format!("=>{{{}}}", set(&config.new_voters));
    }
    if !config.non_voters.is_empty() {
        text += &format!("+{{{}}}", set(&config.non_voters));
    }
    text
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|error| format!("{word}: {error}"))
}

fn server(word: &str) -> Result<NodeId, String> {
    number(word).map(id)
}

fn link(word: &str) -> Result<(NodeId, NodeId), String> {
    let (from, to) = word
        .split_once("->")
        .ok_or_else(|| format!("{word} is no link"))?;
    Ok((server(from)?, server(to)?))
}

fn position(word: &str) -> Result<LogPosition, String> {
    let (term, index) = word
        .split_once('.')
        .ok_or_else(|| format!("{word} is no position"))?;
    Ok(LogPosition {
        term: Term::new(number(term)?),
        index: LogIndex::new(number(index)?),
    })
}

/// The servers with a sign before them.
fn signed(words: &[&str], sign: char) -> Result<Vec<NodeId>, String> {
    words
        .iter()
        .filter_map(|word| word.strip_prefix(sign))
        .map(server)
        .collect()
}
