//! Parsers of the commands that the node answers itself. Each gets the name and a number of arguments that
//! fits.

use bytes::Bytes;

use super::answers::{AUTH_REFUSED, ParseResult, error, excerpt, is_word, syntax_error, wrong_arity};
use super::{ClientCommand, CommandFilter, CommandQuery, HelloOptions, Local, OwnCommand, Parsed, Section};
use crate::protocol::resp::number::parse_i64;
use crate::protocol::resp::{Reply, RespVersion};

pub(super) fn ping(args: &[Bytes]) -> ParseResult {
    match args {
        [_] => local(Local::Ping(None)),
        [_, message] => local(Local::Ping(Some(message.clone()))),
        [..] => Err(wrong_arity("ping")),
    }
}

pub(super) fn echo(args: &[Bytes]) -> ParseResult {
    let [_, message] = args else {
        return Err(wrong_arity("echo"));
    };
    local(Local::Echo(message.clone()))
}

pub(super) fn quit(_: &[Bytes]) -> ParseResult {
    local(Local::Quit)
}

pub(super) fn reset(_: &[Bytes]) -> ParseResult {
    local(Local::Reset)
}

pub(super) fn read_only(_: &[Bytes]) -> ParseResult {
    local(Local::ReadOnly)
}

pub(super) fn read_write(_: &[Bytes]) -> ParseResult {
    local(Local::ReadWrite)
}

pub(super) fn role(_: &[Bytes]) -> ParseResult {
    local(Local::Role)
}

pub(super) fn time(_: &[Bytes]) -> ParseResult {
    local(Local::Time)
}

pub(super) fn select(args: &[Bytes]) -> ParseResult {
    let [_, index] = args else {
        return Err(wrong_arity("select"));
    };
    match parse_i64(index) {
        Some(0) => local(Local::Select),
        Some(_) => Err(error("ERR DB index is out of range")),
        None => Err(error("ERR value is not an integer or out of range")),
    }
}

pub(super) fn hello(args: &[Bytes]) -> ParseResult {
    let [_, version, options @ ..] = args else {
        return local(Local::Hello(HelloOptions::default()));
    };
    let version = match parse_i64(version) {
        Some(2) => RespVersion::V2,
        Some(3) => RespVersion::V3,
        Some(_) => return Err(error("NOPROTO unsupported protocol version")),
        None => return Err(error("ERR Protocol version is not an integer or out of range")),
    };
    let name = match options {
        [] => None,
        [word, name] if is_word(word, "SETNAME") => Some(printable(name, "Client names")?),
        [word, _, _, ..] if is_word(word, "AUTH") => return Err(error(AUTH_REFUSED)),
        [word, _, auth, ..] if is_word(word, "SETNAME") && is_word(auth, "AUTH") => {
            return Err(error(AUTH_REFUSED));
        }
        [option, ..] => {
            let option = excerpt(option, ARGUMENT_EXCERPT_BYTES_MAX);
            return Err(error(format!("ERR Syntax error in HELLO option '{option}'")));
        }
    };
    local(Local::Hello(HelloOptions {
        version: Some(version),
        name,
    }))
}

pub(super) fn client(args: &[Bytes]) -> ParseResult {
    let [_, subcommand, rest @ ..] = args else {
        return Err(wrong_arity("client"));
    };
    let is = |word| is_word(subcommand, word);
    let parsed = match rest {
        [] if is("ID") => ClientCommand::Id,
        [] if is("GETNAME") => ClientCommand::GetName,
        [] if is("INFO") => ClientCommand::Info,
        [] if is("LIST") => ClientCommand::List,
        [name] if is("SETNAME") => ClientCommand::SetName(printable(name, "Client names")?),
        [what, value] if is("SETINFO") => client_set_info(what, value)?,
        [on] if is("NO-EVICT") || is("NO-TOUCH") => on_or_off(on)?,
        [..] => return Err(client_error(subcommand)),
    };
    local(Local::Client(parsed))
}

fn client_set_info(what: &[u8], value: &Bytes) -> Result<ClientCommand, Reply> {
    if is_word(what, "LIB-NAME") {
        return printable(value, "lib-name").map(ClientCommand::SetLibName);
    }
    if is_word(what, "LIB-VER") {
        return printable(value, "lib-ver").map(ClientCommand::SetLibVersion);
    }
    let what = excerpt(what, ARGUMENT_EXCERPT_BYTES_MAX);
    Err(error(format!("ERR Unrecognized option '{what}'")))
}

fn on_or_off(arg: &[u8]) -> Result<ClientCommand, Reply> {
    if is_word(arg, "ON") || is_word(arg, "OFF") {
        Ok(ClientCommand::NoEffect)
    } else {
        Err(syntax_error())
    }
}

fn client_error(subcommand: &[u8]) -> Reply {
    let known = [
        "ID", "GETNAME", "INFO", "LIST", "SETNAME", "SETINFO", "NO-EVICT", "NO-TOUCH",
    ];
    match known.iter().find(|word| is_word(subcommand, word)) {
        Some(word) => wrong_arity(&format!("client|{}", word.to_ascii_lowercase())),
        None => unknown_subcommand("CLIENT", subcommand),
    }
}

pub(super) fn command(args: &[Bytes]) -> ParseResult {
    let query = match args {
        [_, subcommand, names @ ..] if is_word(subcommand, "INFO") => CommandQuery::Info(owned(names)),
        [_, subcommand, names @ ..] if is_word(subcommand, "DOCS") => CommandQuery::Docs(owned(names)),
        [_, subcommand, rest @ ..] if is_word(subcommand, "COUNT") => match rest {
            [] => CommandQuery::Count,
            [..] => return Err(wrong_arity("command|count")),
        },
        [_, subcommand, filter @ ..] if is_word(subcommand, "LIST") => {
            CommandQuery::List(command_filter(filter)?)
        }
        [_, subcommand, ..] => return Err(unknown_subcommand("COMMAND", subcommand)),
        [..] => CommandQuery::Info(Vec::new()),
    };
    local(Local::Command(query))
}

fn command_filter(args: &[Bytes]) -> Result<CommandFilter, Reply> {
    match args {
        [] => Ok(CommandFilter::All),
        [word, kind, value] if is_word(word, "FILTERBY") => {
            if is_word(kind, "PATTERN") {
                Ok(CommandFilter::Pattern(Bytes::copy_from_slice(value)))
            } else if is_word(kind, "MODULE") || is_word(kind, "ACLCAT") {
                Ok(CommandFilter::Nothing)
            } else {
                Err(syntax_error())
            }
        }
        [..] => Err(syntax_error()),
    }
}

pub(super) fn config(args: &[Bytes]) -> ParseResult {
    match args {
        [_, get, patterns @ ..] if is_word(get, "GET") && !patterns.is_empty() => {
            local(Local::ConfigGet(owned(patterns)))
        }
        [_, get] if is_word(get, "GET") => Err(wrong_arity("config|get")),
        [_, set, name, level] if is_word(set, "SET") && is_word(name, "LOGLEVEL") => set_log_level(level),
        [_, set, ..] if is_word(set, "SET") => Err(error(
            "ERR CONFIG SET is not supported but for loglevel: configure the server when it is started",
        )),
        [_, subcommand, ..] => Err(unknown_subcommand("CONFIG", subcommand)),
        [..] => Err(wrong_arity("config")),
    }
}

fn set_log_level(level: &[u8]) -> ParseResult {
    let word = LOG_LEVELS.iter().find(|word| is_word(level, word));
    match word.and_then(|word| word.parse().ok()) {
        Some(level) => Ok(Parsed::Own(OwnCommand::SetLogLevel(level))),
        None => Err(error(
            "ERR CONFIG SET failed - argument(s) must be one of the following: error, warn, info, debug, trace, off",
        )),
    }
}

/// Sections that do not exist are left out, as in Redis; then the answer is empty.
pub(super) fn info(args: &[Bytes]) -> ParseResult {
    let names = args.get(1..).unwrap_or_default();
    let wants_all = |name: &Bytes| {
        ["ALL", "DEFAULT", "EVERYTHING"]
            .iter()
            .any(|word| is_word(name, word))
    };
    if names.is_empty() || names.iter().any(wants_all) {
        return local(Local::Info(Section::ALL.to_vec()));
    }
    let wanted = |section: &Section| names.iter().any(|name| is_word(name, section.name()));
    local(Local::Info(Section::ALL.into_iter().filter(wanted).collect()))
}

pub(super) fn local(command: Local) -> ParseResult {
    Ok(Parsed::Local(command))
}

fn owned(args: &[Bytes]) -> Vec<Bytes> {
    args.iter().map(|arg| Bytes::copy_from_slice(arg)).collect()
}

/// A name that fits into a line of `CLIENT LIST`; copied, so that it pins no buffer.
fn printable(name: &Bytes, what: &str) -> Result<Bytes, Reply> {
    if name.len() > NAME_BYTES_MAX {
        return Err(error(format!(
            "ERR {what} cannot be longer than {NAME_BYTES_MAX} bytes."
        )));
    }
    if name.iter().all(u8::is_ascii_graphic) {
        return Ok(Bytes::copy_from_slice(name));
    }
    Err(error(format!(
        "ERR {what} cannot contain spaces, newlines or special characters."
    )))
}

pub(super) fn unknown_subcommand(command: &str, subcommand: &[u8]) -> Reply {
    let subcommand = excerpt(subcommand, ARGUMENT_EXCERPT_BYTES_MAX);
    error(format!("ERR unknown subcommand '{subcommand}' for {command}."))
}

/// What a node may log.
const LOG_LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// Most bytes of a name that a client gives itself: it is kept as long as the connection.
const NAME_BYTES_MAX: usize = 256;

/// As much of a wrong argument as an error repeats.
const ARGUMENT_EXCERPT_BYTES_MAX: usize = 128;
