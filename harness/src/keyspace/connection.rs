//! Commands about the connection and the server: what is refused, and what the answers look like.

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
    /// As a list, and the connection may have another name from now on.
    Greets(Option<Bytes>),
}

/// What the commands of one connection leave behind.
#[derive(Debug, Default)]
pub struct Connection {
    name: Bytes,
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
                self.name = Bytes::new();
                reply == b"+RESET\r\n"
            }
            Expected::Number => length(reply, b':').is_some_and(|n| n > 0),
            Expected::Text => length(reply, b'$').is_some(),
            Expected::List(least, most) => {
                length(reply, b'*').is_some_and(|length| (*least..=*most).contains(&length))
            }
            Expected::Greets(name) => {
                self.name = name.clone().unwrap_or_else(|| self.name.clone());
                length(reply, b'*').is_some_and(|length| length >= HELLO_ITEMS)
            }
        }
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
    let short = one_of(&["reset", "role", "time"]).filter(|_| words.len() != 1);
    let single = one_of(&["echo", "select"]).filter(|_| words.len() != 2);
    let sub = one_of(&["client", "config"]).filter(|_| words.len() < 2);
    if let Some(name) = short.or(single).or(sub) {
        return Err(Answer::wrong_arity(name));
    }
    let ok = || Expected::Exactly(Answer::ok());
    let expected = if named("ping") {
        match words {
            [_] => Expected::Exactly(Answer::status("PONG")),
            [_, message] => Expected::Exactly(Answer::Bulk(message.clone())),
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
    } else if named("quit") {
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

fn config(words: &[Bytes]) -> Result<Expected, Answer> {
    if is(&words[1], "GET") && words.len() > 2 {
        Ok(Expected::List(0, usize::MAX))
    } else if is(&words[1], "GET") {
        Err(Answer::wrong_arity("config|get"))
    } else if is(&words[1], "SET") {
        Err(Answer::error(
            "ERR CONFIG SET is not supported: configure the server when it is started",
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
        return Ok(Expected::Greets(None));
    };
    match signed(version) {
        Some(2 | 3) => {}
        Some(_) => return Err(Answer::error("NOPROTO unsupported protocol version")),
        None => {
            return Err(Answer::error(
                "ERR Protocol version is not an integer or out of range",
            ));
        }
    }
    let auth = "ERR AUTH is not supported: this server knows no users and no passwords; connect without them";
    match &words[2..] {
        [] => Ok(Expected::Greets(None)),
        [word, name] if is(word, "SETNAME") => {
            printable(name, "Client names").map(|name| Expected::Greets(Some(name)))
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
