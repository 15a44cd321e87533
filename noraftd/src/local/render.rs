//! The short answers that a node gives itself: `ROLE`, `WAIT`, `TIME`, `HELLO`, `CONFIG GET`.

use bytes::Bytes;
use noraft::Role;

use super::facts::{
    ClientAddress, MICROS_PER_SECOND, REDIS_VERSION, SERVER_NAME, ServerFacts, address, bulk, followers,
    integer,
};
use crate::protocol::glob::{Case, matches};
use crate::protocol::resp::{BULK_BYTES_MAX, Reply, RespVersion};
use crate::replica::event::Status;

/// `ROLE`: `master`, its index and the others'; or `slave`, the leader's address, the link and its index.
pub(super) fn render_role(status: &Status, facts: &ServerFacts) -> Reply {
    if status.role == Role::Leader {
        let others = followers(status).map(|(id, index)| {
            let ClientAddress { host, port } = address(id, facts);
            Reply::Array(vec![bulk(host), bulk(port.to_string()), bulk(index.to_string())])
        });
        let offset = integer(status.log.last_position.index.get());
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
        integer(status.log.applied_index.get()),
    ])
}

/// `WAIT`: how many other nodes have every write that was answered before.
pub(super) fn render_wait(status: &Status) -> Reply {
    Reply::Integer(holders(status))
}

/// `WAITAOF`: the leader's disk has them, and those of so many others.
pub(super) fn render_wait_aof(status: &Status) -> Reply {
    Reply::Array(vec![Reply::Integer(1), Reply::Integer(holders(status))])
}

/// Nodes beside the leader on whose disks a write is when it is answered: a majority of the voters has it then. While the
/// voters change, that of those before counts: what was answered before the change began is nowhere else for certain.
fn holders(status: &Status) -> i64 {
    i64::try_from(status.voters.len() / 2).unwrap_or(i64::MAX)
}

/// `TIME`: seconds and microseconds.
pub(super) fn render_time(facts: &ServerFacts) -> Reply {
    let (seconds, micros) = (
        facts.process.unix_micros / MICROS_PER_SECOND,
        facts.process.unix_micros % MICROS_PER_SECOND,
    );
    Reply::Array(vec![bulk(seconds.to_string()), bulk(micros.to_string())])
}

/// `HELLO`: which server answers, in which protocol; `id` is the connection's.
pub(super) fn render_hello(version: RespVersion, id: u64, status: &Status, facts: &ServerFacts) -> Reply {
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
        row("noraftd_version", bulk(facts.process.version.clone())),
    ])
}

/// `CONFIG GET`: the values whose names match one of `patterns`, as they truly are.
pub(super) fn render_config(patterns: &[Bytes], facts: &ServerFacts) -> Reply {
    let rows: [(&str, String); 13] = [
        ("appendfsync", "always".to_owned()),
        ("appendonly", "yes".to_owned()),
        ("databases", "1".to_owned()),
        ("loglevel", facts.log_level.clone()),
        ("maxclients", facts.clients.most.to_string()),
        ("maxmemory", "0".to_owned()),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("port", facts.tcp_port.to_string()),
        ("proto-max-bulk-len", BULK_BYTES_MAX.to_string()),
        ("replica-read-only", "no".to_owned()),
        ("save", String::new()),
        ("timeout", "0".to_owned()),
        ("unixsocket", facts.unix_socket.clone()),
    ];
    let asked = |name: &str| {
        patterns
            .iter()
            .any(|pattern| matches(pattern, name.as_bytes(), Case::Ignored))
    };
    let rows = rows.into_iter().filter(|(name, _)| asked(name));
    Reply::Map(rows.map(|(name, value)| (bulk(name), bulk(value))).collect())
}
