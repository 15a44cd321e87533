//! `COMMAND` and its subcommands, from the table of commands.

use bytes::Bytes;

use super::facts::{bulk, integer};
use crate::protocol::command::syntax::{Argument, Kind, arguments};
use crate::protocol::command::table::{COMMANDS, CommandSpec};
use crate::protocol::command::{CommandFilter, CommandQuery};
use crate::protocol::glob::{Case, matches};
use crate::protocol::resp::Reply;

/// `COMMAND` and its subcommands.
pub(super) fn render_command(query: &CommandQuery) -> Reply {
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
        CommandFilter::Pattern(pattern) => matches(pattern, name.as_bytes(), Case::Ignored),
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
