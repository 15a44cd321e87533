//! Commands about the connection and the server: what is refused, and what the answers look like.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::answer::Answer;
use super::number::signed;
use super::words::is;

/// What is expected of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// This one.
    Exactly(Answer),
    /// OK, and the connection has this name from now on.
    Renames(Bytes),
    /// The connection's name.
    Name,
    /// `RESET`, and the connection is as it was when it was opened.
    Resets,
    /// A number above zero.
    Number,
    /// Bytes.
    Text,
    /// A list with so many items at least, and at most.
    List(usize, usize),
    /// As a list, and the connection may have another name from now on, and another version of the protocol.
    Greets(Option<Bytes>, Option<i64>),
    /// `PONG` or the text, unless the connection listens to something.
    Pong(Option<Bytes>),
    /// An answer for each name; the connection listens to one more or less each time.
    Listens(Listening),
}

/// A change of what a connection listens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// The word of the command.
    verb: &'static str,
    names: Vec<Bytes>,
}

/// What the commands of one connection leave behind.
#[derive(Debug, Default)]
pub struct Connection {
    name: Bytes,
    speaks_3: bool,
    /// Those of channels, and those of patterns.
    listens: [BTreeSet<Bytes>; 2],
}

impl Connection {
    /// True when `reply`, in RESP2, is as expected.
    pub fn admits(&mut self, expected: &Expected, reply: &[u8]) -> bool {
        match expected {
            Expected::Exactly(answer) => reply == answer.to_resp(),
            Expected::Renames(name) => {
                self.name = name.clone();
                reply == b"+OK\r\n"
            }
            Expected::Name if self.name.is_empty() => reply == Answer::Nil.to_resp(),
            Expected::Name => reply == Answer::Bulk(self.name.clone()).to_resp(),
            Expected::Resets => {
                *self = Self::default();
                reply == b"+RESET\r\n"
            }
            Expected::Number => length(reply, b':').is_some_and(|n| n > 0),
            Expected::Text => length(reply, b'$').is_some(),
            Expected::List(least, most) => {
                length(reply, b'*').is_some_and(|length| (*least..=*most).contains(&length))
            }
            Expected::Pong(text) => reply == self.pong(text).to_resp(),
            Expected::Listens(change) => reply == self.change(change),
            Expected::Greets(name, version) => {
                self.speaks_3 = version.map_or(self.speaks_3, |version| version == 3);
                self.name = name.clone().unwrap_or_else(|| self.name.clone());
                length(reply, b'*').is_some_and(|length| length >= HELLO_ITEMS)
            }
        }
    }
}

impl Connection {
    fn pong(&self, text: &Option<Bytes>) -> Answer {
        let listens = self.listens.iter().any(|names| !names.is_empty());
        match text {
            text if listens && !self.speaks_3 => {
                let text = text.clone().unwrap_or_default();
                Answer::List(vec![
                    Answer::Bulk(Bytes::from_static(b"pong")),
                    Answer::Bulk(text),
                ])
            }
            None => Answer::status("PONG"),
            Some(text) => Answer::Bulk(text.clone()),
        }
    }

    fn change(&mut self, change: &Listening) -> Vec<u8> {
        let begins = !change.verb.contains("un");
        let kind = usize::from(change.verb.starts_with('p'));
        let all = || self.listens[kind].iter().cloned().collect();
        let names: Vec<Bytes> = match change.names[..] {
            [] => all(),
            [..] => change.names.clone(),
        };
        let mut said = Vec::new();
        for name in names.iter().map(Some).chain(names.is_empty().then_some(None)) {
            match name {
                Some(name) if begins => drop(self.listens[kind].insert(name.clone())),
                Some(name) => drop(self.listens[kind].remove(name)),
                None => {}
            }
            let count = self.listens.iter().map(BTreeSet::len).sum();
            let name = name.map_or(Answer::Nil, |name| Answer::Bulk(name.clone()));
            let verb = Answer::Bulk(Bytes::from_static(change.verb.as_bytes()));
            said.extend(Answer::List(vec![verb, name, Answer::count(count)]).to_resp());
        }
        said
    }
}

/// The number in the first line of a reply of the kind `tag`.
fn length(reply: &[u8], tag: u8) -> Option<usize> {
    let line = reply.strip_prefix(&[tag])?.split(|byte| *byte == b'\r').next()?;
    std::str::from_utf8(line).ok()?.parse().ok()
}

pub(super) fn understand(words: &[Bytes]) -> Result<Expected, Answer> {
    let Some(name) = words.first() else {
        return Err(Answer::error("ERR empty command"));
    };
    let named = |wanted: &str| is(name, wanted);
    let one_of = |names: &[&'static str]| names.iter().copied().find(|wanted| is(name, wanted));
    let short = one_of(&["readonly", "readwrite", "reset", "role", "time"]).filter(|_| words.len() != 1);
    let single = one_of(&["echo", "select"]).filter(|_| words.len() != 2);
    let sub = one_of(&["client", "config", "sentinel"]).filter(|_| words.len() < 2);
    if let Some(name) = short.or(single).or(sub) {
        return Err(Answer::wrong_arity(name));
    }
    let ok = || Expected::Exactly(Answer::ok());
    let listening = one_of(&["subscribe", "psubscribe", "unsubscribe", "punsubscribe"]);
    let expected = if let Some(verb) = listening {
        if words.len() < 2 && !verb.contains("un") {
            return Err(Answer::wrong_arity(verb));
        }
        if !verb.contains("un") && words[1..].iter().any(|name| name.len() > NAME_BYTES_MAX) {
            return Err(Answer::Error(format!(
                "ERR the name of a channel cannot be longer than {NAME_BYTES_MAX} bytes"
            )));
        }
        let names = words[1..].to_vec();
        Expected::Listens(Listening { verb, names })
    } else if named("sentinel") {
        sentinel(words)?
    } else if named("wait") || named("waitaof") {
        wait(words)?
    } else if named("ping") {
        match words {
            [_] => Expected::Pong(None),
            [_, message] => Expected::Pong(Some(message.clone())),
            [..] => return Err(Answer::wrong_arity("ping")),
        }
    } else if named("echo") {
        Expected::Exactly(Answer::Bulk(words[1].clone()))
    } else if named("select") {
        match signed(&words[1]) {
            Some(0) => ok(),
            Some(_) => return Err(Answer::error("ERR DB index is out of range")),
            None => return Err(Answer::not_an_integer()),
        }
    } else if named("quit") || named("readonly") || named("readwrite") {
        ok()
    } else if named("reset") {
        Expected::Resets
    } else if named("role") {
        Expected::List(3, 5)
    } else if named("time") {
        Expected::List(2, 2)
    } else if named("info") {
        Expected::Text
    } else if named("client") {
        client(words)?
    } else if named("config") {
        config(words)?
    } else if named("command") {
        command(words)?
    } else if named("hello") {
        hello(words)?
    } else {
        return Err(unknown(words));
    };
    Ok(expected)
}

fn client(words: &[Bytes]) -> Result<Expected, Answer> {
    let one_of = |names: &[&'static str]| names.iter().copied().find(|wanted| is(&words[1], wanted));
    let alone = one_of(&["id", "getname", "info", "list"]);
    let takes = match alone {
        Some(_) => Some(2),
        None => one_of(&["setname", "no-evict", "no-touch"])
            .map(|_| 3)
            .or(one_of(&["setinfo"]).map(|_| 4)),
    };
    let name = alone.or_else(|| one_of(&["setname", "setinfo", "no-evict", "no-touch"]));
    let Some((name, takes)) = name.zip(takes) else {
        return Err(unknown_subcommand("CLIENT", &words[1]));
    };
    if words.len() != takes {
        return Err(Answer::wrong_arity(&format!("client|{name}")));
    }
    match name {
        "id" => Ok(Expected::Number),
        "getname" => Ok(Expected::Name),
        "info" | "list" => Ok(Expected::Text),
        "setname" => printable(&words[2], "Client names").map(Expected::Renames),
        "setinfo" => {
            let what = if is(&words[2], "LIB-NAME") {
                "lib-name"
            } else if is(&words[2], "LIB-VER") {
                "lib-ver"
            } else {
                let what = cut(&words[2], EXCERPT_BYTES);
                return Err(Answer::Error(format!("ERR Unrecognized option '{what}'")));
            };
            printable(&words[3], what).map(|_| Expected::Exactly(Answer::ok()))
        }
        _ if is(&words[2], "ON") || is(&words[2], "OFF") => Ok(Expected::Exactly(Answer::ok())),
        _ => Err(Answer::syntax_error()),
    }
}

/// A node that knows of no leader, and is called nothing.
fn sentinel(words: &[Bytes]) -> Result<Expected, Answer> {
    let one_of = |names: &[&'static str]| names.iter().copied().find(|name| is(&words[1], name));
    let alone = one_of(&["myid", "masters"]);
    let about = [
        "master",
        "replicas",
        "slaves",
        "sentinels",
        "get-master-addr-by-name",
        "ckquorum",
    ];
    let Some(name) = alone.or_else(|| one_of(&about)) else {
        return Err(unknown_subcommand("SENTINEL", &words[1]));
    };
    if words.len() != 3 - usize::from(alone.is_some()) {
        return Err(Answer::wrong_arity(&format!("sentinel|{name}")));
    }
    let is_this = words.get(2).is_none_or(Bytes::is_empty);
    let no_such = || Answer::error("ERR No such master with that name");
    Ok(match name {
        "myid" => Expected::Text,
        "masters" => Expected::List(0, 0),
        "get-master-addr-by-name" => Expected::Exactly(Answer::NilList),
        _ if !is_this => Expected::Exactly(no_such()),
        "master" => Expected::Exactly(Answer::error(
            "IDONTKNOW this node knows of no leader at the moment; ask another one",
        )),
        "ckquorum" => Expected::Text,
        _ => Expected::List(0, 0),
    })
}

/// There are no other nodes.
fn wait(words: &[Bytes]) -> Result<Expected, Answer> {
    let on_disks = is(&words[0], "waitaof");
    if words.len() != 3 + usize::from(on_disks) {
        return Err(Answer::wrong_arity(if on_disks { "waitaof" } else { "wait" }));
    }
    if on_disks && !matches!(signed(&words[1]).ok_or_else(Answer::not_an_integer)?, 0 | 1) {
        return Err(Answer::error(
            "ERR value is out of range, value must between 0 and 1",
        ));
    }
    let [.., nodes, timeout] = words else {
        unreachable!("there are as many words")
    };
    let nodes = signed(nodes).ok_or_else(Answer::not_an_integer)?;
    if on_disks && nodes < 0 {
        return Err(Answer::error("ERR value is out of range, must be positive"));
    }
    match signed(timeout) {
        None => return Err(Answer::error("ERR timeout is not an integer or out of range")),
        Some(..0) => return Err(Answer::error("ERR timeout is negative")),
        Some(0..) => {}
    }
    Ok(match on_disks {
        true => Expected::Exactly(Answer::List(vec![Answer::Integer(1), Answer::Integer(0)])),
        false => Expected::Exactly(Answer::Integer(0)),
    })
}

fn config(words: &[Bytes]) -> Result<Expected, Answer> {
    if is(&words[1], "GET") && words.len() > 2 {
        Ok(Expected::List(0, usize::MAX))
    } else if is(&words[1], "GET") {
        Err(Answer::wrong_arity("config|get"))
    } else if is(&words[1], "SET") {
        Err(Answer::error(
            "ERR CONFIG SET is not supported but for loglevel: configure the server when it is started",
        ))
    } else {
        Err(unknown_subcommand("CONFIG", &words[1]))
    }
}

fn command(words: &[Bytes]) -> Result<Expected, Answer> {
    let Some(sub) = words.get(1) else {
        return Ok(Expected::List(1, usize::MAX));
    };
    let rest = &words[2..];
    if is(sub, "COUNT") {
        return if rest.is_empty() {
            Ok(Expected::Number)
        } else {
            Err(Answer::wrong_arity("command|count"))
        };
    }
    if is(sub, "INFO") && !rest.is_empty() {
        return Ok(Expected::List(rest.len(), rest.len()));
    }
    if is(sub, "INFO") || is(sub, "DOCS") {
        return Ok(Expected::List(0, usize::MAX));
    }
    if !is(sub, "LIST") {
        return Err(unknown_subcommand("COMMAND", sub));
    }
    match rest {
        [] => Ok(Expected::List(1, usize::MAX)),
        [filter, kind, _]
            if is(filter, "FILTERBY") && ["PATTERN", "MODULE", "ACLCAT"].iter().any(|k| is(kind, k)) =>
        {
            Ok(Expected::List(0, usize::MAX))
        }
        [..] => Err(Answer::syntax_error()),
    }
}

fn hello(words: &[Bytes]) -> Result<Expected, Answer> {
    let Some(version) = words.get(1) else {
        return Ok(Expected::Greets(None, None));
    };
    let version = match signed(version) {
        Some(version @ (2 | 3)) => Some(version),
        Some(_) => return Err(Answer::error("NOPROTO unsupported protocol version")),
        None => {
            return Err(Answer::error(
                "ERR Protocol version is not an integer or out of range",
            ));
        }
    };
    let auth = "ERR AUTH is not supported: this server knows no users and no passwords; connect without them";
    match &words[2..] {
        [] => Ok(Expected::Greets(None, version)),
        [word, name] if is(word, "SETNAME") => {
            printable(name, "Client names").map(|name| Expected::Greets(Some(name), version))
        }
        [word, _, _, ..] if is(word, "AUTH") => Err(Answer::error(auth)),
        [word, _, then, ..] if is(word, "SETNAME") && is(then, "AUTH") => Err(Answer::error(auth)),
        [word, ..] => Err(Answer::Error(format!(
            "ERR Syntax error in HELLO option '{}'",
            cut(word, EXCERPT_BYTES)
        ))),
    }
}

/// A name without blanks or control characters, and not too long.
fn printable(name: &Bytes, what: &str) -> Result<Bytes, Answer> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Answer::Error(format!(
            "ERR {what} cannot be longer than {NAME_BYTES_MAX} bytes."
        )));
    }
    if name.iter().any(|byte| !(b'!'..=b'~').contains(byte)) {
        return Err(Answer::Error(format!(
            "ERR {what} cannot contain spaces, newlines or special characters."
        )));
    }
    Ok(name.clone())
}

fn unknown_subcommand(command: &str, sub: &[u8]) -> Answer {
    let sub = cut(sub, EXCERPT_BYTES);
    Answer::Error(format!("ERR unknown subcommand '{sub}' for {command}."))
}

/// The error repeats the name and what follows it, up to a limit.
fn unknown(words: &[Bytes]) -> Answer {
    for refused in ["FLUSHALL", "FLUSHDB"] {
        if is(&words[0], refused) {
            return Answer::Error(format!(
                "ERR {refused} is refused: one command must not discard the replicated data"
            ));
        }
    }
    let mut shown = String::new();
    for word in &words[1..] {
        if shown.len() >= EXCERPT_BYTES {
            break;
        }
        let room = EXCERPT_BYTES - shown.len();
        shown = format!("{shown}'{}' ", cut(word, room));
    }
    let name = cut(&words[0], EXCERPT_BYTES);
    Answer::Error(format!(
        "ERR unknown command '{name}', with args beginning with: {shown}"
    ))
}

fn cut(text: &[u8], most: usize) -> String {
    String::from_utf8_lossy(&text[..text.len().min(most)]).into_owned()
}

/// As much of a request as an error repeats.
const EXCERPT_BYTES: usize = 128;
/// A client's name is kept as long as its connection.
const NAME_BYTES_MAX: usize = 256;
/// Seven facts with their names.
const HELLO_ITEMS: usize = 14;
