//! Answers to the commands that a node answers itself, given its status and the facts of its server.

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;
use noraft::{NodeId, Role};

use crate::local::glob::matches;
use crate::protocol::command::syntax::{Argument, Kind, arguments};
use crate::protocol::command::table::{COMMANDS, CommandSpec};
use crate::protocol::command::{CommandFilter, CommandQuery, Section};
use crate::protocol::resp::{BULK_BYTES_MAX, Reply, RespVersion};
use crate::replica::event::{Divergence, Status};

/// The Redis version whose behaviour clients may expect; some refuse servers that name none.
pub const REDIS_VERSION: &str = "7.2.0";

/// Where clients reach a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientAddress {
    /// A host name or address.
    pub host: String,
    /// A TCP port; zero when it has none.
    pub port: u16,
}

/// What only the shell knows about the process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerFacts {
    /// This program's version.
    pub version: String,
    /// The process id.
    pub process_id: u32,
    /// The `boot` number: distinguishes runs of the process.
    pub boot: u64,
    /// The cluster's id.
    pub cluster_id: u64,
    /// This node's data directory (its incarnation).
    pub incarnation: u64,
    /// Seconds since the process started.
    pub uptime_seconds: u64,
    /// Wall clock, in microseconds since the Unix epoch.
    pub unix_micros: u64,
    /// Open client connections.
    pub connected_clients: u64,
    /// Most client connections at once.
    pub clients_max: u64,
    /// Connections accepted since the start.
    pub connections_received: u64,
    /// Commands answered since the start.
    pub commands_processed: u64,
    /// Keys in the state machine.
    pub keys: u64,
    /// TCP port for clients, zero for none.
    pub tcp_port: u16,
    /// Unix socket for clients, empty for none.
    pub unix_socket: String,
    /// While the node reads its directory: bytes that were read, and all of them.
    pub loading: Option<(u64, u64)>,
    /// Where clients reach each node, as far as this node knows.
    pub addresses: BTreeMap<NodeId, ClientAddress>,
    /// What the process takes of the machine, where it was asked for.
    pub resources: Option<Resources>,
}

/// What a process takes of its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resources {
    /// Memory of its own: what it allocated, and its stacks.
    pub memory_bytes: u64,
    /// Memory in all, with mapped files.
    pub memory_rss_bytes: u64,
    /// The most that ever was.
    pub memory_peak_bytes: u64,
    /// What the machine has.
    pub system_memory_bytes: u64,
    /// Processor time in microseconds, in the kernel and outside.
    pub cpu_micros: (u64, u64),
    /// The same, of child processes that have ended.
    pub cpu_children_micros: (u64, u64),
}

impl ClientAddress {
    /// Reads HOST:PORT; an IPv6 address in brackets loses them, as Redis shows it.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        Some(Self {
            host: bare.unwrap_or(host).to_owned(),
            port: port.parse().ok()?,
        })
    }

    /// What is said of a node whose address is not known; no real port is zero.
    fn unknown() -> Self {
        Self {
            host: "?".to_owned(),
            port: 0,
        }
    }
}

/// `INFO`: the named sections.
pub fn render_info(sections: &[Section], status: &Status, facts: &ServerFacts) -> Reply {
    let mut text = String::new();
    for section in sections {
        let blank = if text.is_empty() { "" } else { "\r\n" };
        text.push_str(&format!("{blank}# {}\r\n", section.name()));
        for (name, value) in info_fields(*section, status, facts) {
            text.push_str(&format!("{name}:{value}\r\n"));
        }
    }
    bulk(text)
}

fn info_fields(section: Section, status: &Status, facts: &ServerFacts) -> Vec<(String, String)> {
    match section {
        Section::Server => server_fields(facts),
        Section::Clients => fields(&[
            ("connected_clients", &facts.connected_clients),
            ("maxclients", &facts.clients_max),
            ("blocked_clients", &0),
        ]),
        Section::Memory => memory_fields(&facts.resources.unwrap_or_default()),
        Section::Persistence => persistence_fields(facts),
        Section::Stats => fields(&[
            ("total_connections_received", &facts.connections_received),
            ("total_commands_processed", &facts.commands_processed),
        ]),
        Section::Replication => replication_fields(status, facts),
        Section::Cpu => cpu_fields(&facts.resources.unwrap_or_default()),
        Section::Raft => raft_fields(status, facts),
        Section::Keyspace if facts.keys == 0 => Vec::new(),
        Section::Keyspace => fields(&[("db0", &format!("keys={},expires=0,avg_ttl=0", facts.keys))]),
    }
}

fn persistence_fields(facts: &ServerFacts) -> Vec<(String, String)> {
    let mut rows = fields(&[
        ("loading", &u8::from(facts.loading.is_some())),
        ("aof_enabled", &1),
        ("rdb_bgsave_in_progress", &0),
    ]);
    if let Some((read, total)) = facts.loading {
        let percent = 100.0 * read as f64 / total.max(1) as f64;
        rows.extend(fields(&[
            ("loading_total_bytes", &total),
            ("loading_loaded_bytes", &read),
            ("loading_loaded_perc", &format_args!("{percent:.2}")),
        ]));
    }
    rows
}

fn fields(rows: &[(&str, &dyn std::fmt::Display)]) -> Vec<(String, String)> {
    rows.iter()
        .map(|(name, value)| ((*name).to_owned(), value.to_string()))
        .collect()
}

fn server_fields(facts: &ServerFacts) -> Vec<(String, String)> {
    fields(&[
        ("redis_version", &REDIS_VERSION),
        ("redis_git_sha1", &COMMIT),
        ("redis_git_dirty", &COMMIT_DIRTY),
        ("redis_mode", &"standalone"),
        ("server_name", &SERVER_NAME),
        ("noraftd_version", &facts.version),
        ("arch_bits", &usize::BITS),
        ("process_id", &facts.process_id),
        ("run_id", &format!("{:024x}{:016x}", 0, facts.boot)),
        ("tcp_port", &facts.tcp_port),
        ("unix_socket", &facts.unix_socket),
        ("server_time_usec", &facts.unix_micros),
        ("uptime_in_seconds", &facts.uptime_seconds),
        ("uptime_in_days", &(facts.uptime_seconds / SECONDS_PER_DAY)),
    ])
}

fn memory_fields(used: &Resources) -> Vec<(String, String)> {
    fields(&[
        ("used_memory", &used.memory_bytes),
        ("used_memory_human", &human(used.memory_bytes)),
        ("used_memory_rss", &used.memory_rss_bytes),
        ("used_memory_rss_human", &human(used.memory_rss_bytes)),
        ("used_memory_peak", &used.memory_peak_bytes),
        ("used_memory_peak_human", &human(used.memory_peak_bytes)),
        ("total_system_memory", &used.system_memory_bytes),
        ("total_system_memory_human", &human(used.system_memory_bytes)),
        ("maxmemory", &0),
        ("maxmemory_human", &"0B"),
        ("maxmemory_policy", &"noeviction"),
    ])
}

/// A size with two decimals, as Redis writes it: `1.50M`.
fn human(bytes: u64) -> String {
    let unit = ["K", "M", "G", "T"].iter().zip([10, 20, 30, 40]);
    match unit.rev().find(|(_, shift)| bytes >> shift > 0) {
        Some((name, shift)) => format!("{:.2}{name}", bytes as f64 / (1_u64 << shift) as f64),
        None => format!("{bytes}B"),
    }
}

fn cpu_fields(used: &Resources) -> Vec<(String, String)> {
    let seconds = |micros: u64| format!("{}.{:06}", micros / MICROS_PER_SECOND, micros % MICROS_PER_SECOND);
    let ((system, user), (system_children, user_children)) = (used.cpu_micros, used.cpu_children_micros);
    fields(&[
        ("used_cpu_sys", &seconds(system)),
        ("used_cpu_user", &seconds(user)),
        ("used_cpu_sys_children", &seconds(system_children)),
        ("used_cpu_user_children", &seconds(user_children)),
    ])
}

/// The followers that a leader hears: of others it knows what they had, not that they are there.
fn followers(status: &Status) -> impl Iterator<Item = (NodeId, u64)> + '_ {
    let known = status.match_indexes.iter();
    known
        .filter(|(id, _)| status.followers_heard.contains(id))
        .map(|(id, index)| (*id, index.get()))
}

fn replication_fields(status: &Status, facts: &ServerFacts) -> Vec<(String, String)> {
    if status.role == Role::Leader {
        let mut rows = fields(&[
            ("role", &"master"),
            ("connected_slaves", &followers(status).count()),
        ]);
        for (at, (id, index)) in followers(status).enumerate() {
            let ClientAddress { host, port } = address(id, facts);
            let value = format!("ip={host},port={port},state=online,offset={index},lag=0");
            rows.push((format!("slave{at}"), value));
        }
        rows.extend(fields(&[(
            "master_repl_offset",
            &status.last_position.index.get(),
        )]));
        return rows;
    }
    let leader = status
        .leader
        .map_or_else(ClientAddress::unknown, |id| address(id, facts));
    fields(&[
        ("role", &"slave"),
        ("master_host", &leader.host),
        ("master_port", &leader.port),
        (
            "master_link_status",
            &if status.leader.is_some() { "up" } else { "down" },
        ),
        ("master_sync_in_progress", &0),
        // Any node takes any command: a follower passes writes on.
        ("slave_read_only", &0),
        ("slave_repl_offset", &status.applied_index.get()),
        ("connected_slaves", &0),
        ("master_repl_offset", &status.last_position.index.get()),
    ])
}

fn raft_fields(status: &Status, facts: &ServerFacts) -> Vec<(String, String)> {
    let leader = status.leader.map_or_else(String::new, |id| id.get().to_string());
    let mut rows = fields(&[
        ("raft_cluster_id", &format!("{:016x}", facts.cluster_id)),
        ("raft_incarnation", &format!("{:016x}", facts.incarnation)),
        ("raft_node_id", &status.id.get()),
        ("raft_role", &role_name(status.role)),
        ("raft_term", &status.term),
        ("raft_leader", &leader),
        ("raft_commit_index", &status.commit_index.get()),
        ("raft_applied_index", &status.applied_index.get()),
        ("raft_durable_index", &status.durable_index.get()),
        ("raft_last_term", &status.last_position.term.get()),
        ("raft_last_index", &status.last_position.index.get()),
        ("raft_voters", &joined(&status.voters)),
        ("raft_abstaining", &u8::from(status.abstaining)),
        ("raft_lost_majority", &u8::from(status.lost_majority)),
        ("raft_disk_too_slow", &u8::from(status.disk_too_slow)),
        ("raft_holes", &status.holes),
        ("raft_repaired", &status.repaired),
        ("raft_needs_snapshot", &u8::from(status.needs_snapshot)),
        ("raft_divergence", &divergence(status)),
        ("raft_applied_stamp_ms", &status.applied_stamp.as_millis()),
    ]);
    for (id, index) in &status.match_indexes {
        rows.push((format!("raft_match_index_{}", id.get()), index.get().to_string()));
    }
    rows
}

/// Where nodes hold different things: `none`, or which node is wrong and the index at which it was seen.
fn divergence(status: &Status) -> String {
    match status.divergence {
        None => "none".to_owned(),
        Some(Divergence::Here { index }) => format!("here,{}", index.get()),
        Some(Divergence::Undecided { index }) => format!("undecided,{}", index.get()),
        Some(Divergence::Elsewhere { node, index }) => format!("node{},{}", node.get(), index.get()),
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
    }
}

fn joined(ids: &[NodeId]) -> String {
    let mut text = String::new();
    for id in ids {
        let comma = if text.is_empty() { "" } else { "," };
        write!(text, "{comma}{}", id.get()).expect("a string takes whatever is written");
    }
    text
}

/// Where clients reach `id`, when it has said so.
fn address(id: NodeId, facts: &ServerFacts) -> ClientAddress {
    facts
        .addresses
        .get(&id)
        .cloned()
        .unwrap_or_else(ClientAddress::unknown)
}

/// `ROLE`: `master`, its index and the others'; or `slave`, the leader's address, the link and its index.
pub fn render_role(status: &Status, facts: &ServerFacts) -> Reply {
    if status.role == Role::Leader {
        let others = followers(status).map(|(id, index)| {
            let ClientAddress { host, port } = address(id, facts);
            Reply::Array(vec![bulk(host), bulk(port.to_string()), bulk(index.to_string())])
        });
        let offset = integer(status.last_position.index.get());
        return Reply::Array(vec![bulk("master"), offset, Reply::Array(others.collect())]);
    }
    let leader = status
        .leader
        .map_or_else(ClientAddress::unknown, |id| address(id, facts));
    let link = if status.leader.is_some() {
        "connected"
    } else {
        "connect"
    };
    Reply::Array(vec![
        bulk("slave"),
        bulk(leader.host),
        Reply::Integer(i64::from(leader.port)),
        bulk(link),
        integer(status.applied_index.get()),
    ])
}

/// `TIME`: seconds and microseconds.
pub fn render_time(facts: &ServerFacts) -> Reply {
    let (seconds, micros) = (
        facts.unix_micros / MICROS_PER_SECOND,
        facts.unix_micros % MICROS_PER_SECOND,
    );
    Reply::Array(vec![bulk(seconds.to_string()), bulk(micros.to_string())])
}

/// `HELLO`: which server answers, in which protocol; `id` is the connection's.
pub fn render_hello(version: RespVersion, id: u64, status: &Status, facts: &ServerFacts) -> Reply {
    let role = if status.role == Role::Leader {
        "master"
    } else {
        "replica"
    };
    let row = |name: &'static str, value: Reply| (bulk(name), value);
    Reply::Map(vec![
        row("server", bulk(SERVER_NAME)),
        row("version", bulk(REDIS_VERSION)),
        row("proto", Reply::Integer(version.number())),
        row("id", integer(id)),
        row("mode", bulk("standalone")),
        row("role", bulk(role)),
        row("modules", Reply::Array(Vec::new())),
        // Last, for clients that read a flat array by position.
        row("noraftd_version", bulk(facts.version.clone())),
    ])
}

/// `CONFIG GET`: the values whose names match one of `patterns`, as they truly are.
pub fn render_config(patterns: &[Bytes], facts: &ServerFacts) -> Reply {
    let rows: [(&str, String); 12] = [
        ("appendfsync", "always".to_owned()),
        ("appendonly", "yes".to_owned()),
        ("databases", "1".to_owned()),
        ("maxclients", facts.clients_max.to_string()),
        ("maxmemory", "0".to_owned()),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("port", facts.tcp_port.to_string()),
        ("proto-max-bulk-len", BULK_BYTES_MAX.to_string()),
        ("replica-read-only", "no".to_owned()),
        ("save", String::new()),
        ("timeout", "0".to_owned()),
        ("unixsocket", facts.unix_socket.clone()),
    ];
    let asked = |name: &str| patterns.iter().any(|pattern| matches(pattern, name.as_bytes()));
    let rows = rows.into_iter().filter(|(name, _)| asked(name));
    Reply::Map(rows.map(|(name, value)| (bulk(name), bulk(value))).collect())
}

/// `COMMAND` and its subcommands.
pub fn render_command(query: &CommandQuery) -> Reply {
    match query {
        CommandQuery::Count => integer(COMMANDS.len() as u64),
        CommandQuery::List(filter) => command_list(filter),
        CommandQuery::Info(names) if names.is_empty() => {
            Reply::Array(COMMANDS.iter().map(command_info).collect())
        }
        CommandQuery::Info(names) => {
            let info = |name: &Bytes| CommandSpec::find(name).map_or(Reply::NullArray, command_info);
            Reply::Array(names.iter().map(info).collect())
        }
        CommandQuery::Docs(names) if names.is_empty() => {
            Reply::Map(COMMANDS.iter().map(command_docs).collect())
        }
        CommandQuery::Docs(names) => Reply::Map(
            names
                .iter()
                .filter_map(|name| CommandSpec::find(name))
                .map(command_docs)
                .collect(),
        ),
    }
}

/// Name, arity, flags, first key, last key, step; categories, hints, key specifications, subcommands (none).
fn command_info(spec: &CommandSpec) -> Reply {
    let flags = spec.flags.iter().map(|flag| Reply::Status(flag)).collect();
    let nothing = || Reply::Array(Vec::new());
    Reply::Array(vec![
        bulk(spec.name),
        Reply::Integer(spec.arity),
        Reply::Array(flags),
        Reply::Integer(spec.keys.first),
        Reply::Integer(spec.keys.last),
        Reply::Integer(spec.keys.step),
        nothing(),
        nothing(),
        nothing(),
        nothing(),
    ])
}

fn command_list(filter: &CommandFilter) -> Reply {
    let names = COMMANDS.iter().map(|spec| spec.name);
    let names = names.filter(|name| match filter {
        CommandFilter::All => true,
        CommandFilter::Pattern(pattern) => matches(pattern, name.as_bytes()),
        CommandFilter::Nothing => false,
    });
    Reply::Array(names.map(bulk).collect())
}

fn command_docs(spec: &CommandSpec) -> (Reply, Reply) {
    let docs = [
        ("summary", spec.summary),
        ("since", spec.since),
        ("group", spec.group),
    ];
    let mut docs: Vec<(Reply, Reply)> = docs
        .into_iter()
        .map(|(name, text)| (bulk(name), bulk(text)))
        .collect();
    let arguments = arguments(spec.name);
    if !arguments.is_empty() {
        docs.push((bulk("arguments"), argument_list(arguments)));
    }
    (bulk(spec.name), Reply::Map(docs))
}

fn argument_list(arguments: &[Argument]) -> Reply {
    Reply::Array(arguments.iter().map(argument_docs).collect())
}

fn argument_docs(argument: &Argument) -> Reply {
    let (kind, parts) = match argument.kind {
        Kind::Key => ("key", None),
        Kind::Text => ("string", None),
        Kind::Integer => ("integer", None),
        Kind::Pattern => ("pattern", None),
        Kind::Word => ("pure-token", None),
        Kind::OneOf(parts) => ("oneof", Some(parts)),
        Kind::Block(parts) => ("block", Some(parts)),
    };
    let mut docs = vec![
        (bulk("name"), bulk(argument.name)),
        (bulk("type"), bulk(kind)),
        (bulk("display_text"), bulk(argument.name)),
    ];
    if let Some(token) = argument.token {
        docs.push((bulk("token"), bulk(token)));
    }
    let flags = [
        ("optional", argument.is_optional),
        ("multiple", argument.is_multiple),
    ];
    let flags: Vec<Reply> = flags
        .into_iter()
        .filter_map(|(name, holds)| holds.then_some(Reply::Status(name)))
        .collect();
    if !flags.is_empty() {
        docs.push((bulk("flags"), Reply::Array(flags)));
    }
    if let Some(parts) = parts {
        docs.push((bulk("arguments"), argument_list(parts)));
    }
    Reply::Map(docs)
}

fn bulk(text: impl Into<Bytes>) -> Reply {
    Reply::Bulk(text.into())
}

/// A count or index as RESP writes it; beyond 2^63 it stays there.
fn integer(n: u64) -> Reply {
    Reply::Integer(i64::try_from(n).unwrap_or(i64::MAX))
}

/// The commit that the program was built from, zeros where it was not known; and whether files differed from it.
const COMMIT: &str = env!("NORAFTD_COMMIT");
const COMMIT_DIRTY: &str = env!("NORAFTD_DIRTY");

/// How this server calls itself.
const SERVER_NAME: &str = "noraftd";

const SECONDS_PER_DAY: u64 = 86_400;
const MICROS_PER_SECOND: u64 = 1_000_000;
