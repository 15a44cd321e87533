//! `INFO`: what is said of server, machine and replica, as fields of the sections that Redis has, and one of Raft.

use std::fmt::Write;

use noraft::{NodeId, Role};

use super::facts::{
    ClientAddress, MICROS_PER_SECOND, REDIS_VERSION, Resources, SERVER_NAME, ServerFacts, address, bulk,
    followers,
};
use crate::protocol::command::Section;
use crate::protocol::resp::Reply;
use crate::replica::event::{Divergence, Status};

/// `INFO`: the named sections.
pub(super) fn render_info(sections: &[Section], status: &Status, facts: &ServerFacts) -> Reply {
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
            ("connected_clients", &facts.clients.connected),
            ("maxclients", &facts.clients.most),
            ("blocked_clients", &0),
        ]),
        Section::Memory => memory_fields(&facts.resources.unwrap_or_default()),
        Section::Persistence => persistence_fields(facts),
        Section::Stats => fields(&[
            ("total_connections_received", &facts.clients.accepted),
            ("total_commands_processed", &facts.clients.answered),
        ]),
        Section::Replication => replication_fields(status, facts),
        Section::Cpu => cpu_fields(&facts.resources.unwrap_or_default()),
        Section::Raft => raft_fields(status, facts),
        Section::Keyspace if facts.keys == 0 => Vec::new(),
        Section::Keyspace => fields(&[(
            "db0",
            &format!("keys={},expires={},avg_ttl=0", facts.keys, facts.expiring_keys),
        )]),
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
        ("noraftd_version", &facts.process.version),
        ("arch_bits", &usize::BITS),
        ("process_id", &facts.process.id),
        ("run_id", &format!("{:024x}{:016x}", 0, facts.process.boot)),
        ("tcp_port", &facts.tcp_port),
        ("unix_socket", &facts.unix_socket),
        ("server_time_usec", &facts.process.unix_micros),
        ("uptime_in_seconds", &facts.process.uptime_seconds),
        (
            "uptime_in_days",
            &(facts.process.uptime_seconds / SECONDS_PER_DAY),
        ),
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
            &status.log.last_position.index.get(),
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
        ("slave_repl_offset", &status.log.applied_index.get()),
        ("connected_slaves", &0),
        ("master_repl_offset", &status.log.last_position.index.get()),
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
        ("raft_level", &status.level),
        ("raft_commit_index", &status.log.commit_index.get()),
        ("raft_applied_index", &status.log.applied_index.get()),
        ("raft_durable_index", &status.log.durable_index.get()),
        ("raft_last_term", &status.log.last_position.term.get()),
        ("raft_last_index", &status.log.last_position.index.get()),
        ("raft_voters", &joined(&status.voters)),
        ("raft_abstaining", &u8::from(status.elections.abstaining)),
        ("raft_lost_majority", &u8::from(status.elections.lost_majority)),
        ("raft_disk_too_slow", &u8::from(status.elections.disk_too_slow)),
        ("raft_holes", &status.damage.holes),
        ("raft_repaired", &status.damage.repaired),
        ("raft_needs_snapshot", &u8::from(status.damage.needs_snapshot)),
        ("raft_divergence", &divergence(status)),
        ("raft_applied_stamp_ms", &status.log.applied_stamp.as_millis()),
        ("raft_alarms", &facts.alarms[0].join(",")),
        ("raft_alarms_over", &facts.alarms[1].join(",")),
    ]);
    for (id, index) in &status.followers.match_indexes {
        rows.push((format!("raft_match_index_{}", id.get()), index.get().to_string()));
    }
    rows
}

/// Where nodes hold different things: `none`, or which node is wrong and the index at which it was seen.
fn divergence(status: &Status) -> String {
    match status.damage.divergence {
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

/// The commit that the program was built from, zeros where it was not known; and whether files differed from it.
const COMMIT: &str = env!("NORAFTD_COMMIT");
const COMMIT_DIRTY: &str = env!("NORAFTD_DIRTY");

const SECONDS_PER_DAY: u64 = 86_400;
