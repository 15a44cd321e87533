//! Sessions: what is asked for with a number is carried out once, however often it is asked for.
//!
//! | opcode | command | fields |
//! |-|-|-|
//! | 34 | `NORAFT.ONCE` | [`Numbered`]: session u64, number u64, acknowledged u64; then the body of a command about keys, or of a block |
//! | 35 | `NORAFT.SESSION OPEN` | none |
//! | 36 | `NORAFT.LIMIT name value` | the limit u8, its value u64 |
//! | 75 | `NORAFT.LIMIT` | none |
//!
//! Invariant: what is decoded holds one command that is none of these; the number is greater than the acknowledged one.

use bytes::{BufMut, Bytes, BytesMut};

use super::answers::{ParseResult, error, is_word, replicated, syntax_error, wrong_arity};
use super::limit::Limit;
use super::{BODY_VERSION, Class, Command, OwnCommand, Parsed, Request, TransactionCommand, codec};
use crate::protocol::read::Reader;
use crate::protocol::resp::Reply;
use crate::protocol::resp::number::parse_i64;

/// A command about sessions, or about the limits of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionCommand<'a> {
    /// `NORAFT.SESSION OPEN`: a new session; its id is the index of the entry.
    Open,
    /// `NORAFT.ONCE`: the command with this body, unless the session has its reply.
    Once(Numbered, &'a [u8]),
    /// `NORAFT.LIMIT name value`
    SetLimit(Limit, u64),
    /// `NORAFT.LIMIT`: every limit and its value.
    Limits,
}

/// What names a command of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// The session.
    pub session: u64,
    /// The number of the command in it; the first is 1.
    pub number: u64,
    /// The client asks for no reply up to this number again.
    pub acknowledged: u64,
}

impl<'a> SessionCommand<'a> {
    /// How it has to be executed.
    pub(super) fn class(self) -> Class {
        match self {
            Self::Open | Self::Once(..) | Self::SetLimit(..) => Class::Write,
            Self::Limits => Class::Read,
        }
    }

    /// The command with this opcode.
    pub(super) fn read(opcode: u8, reader: &mut Reader<'a>) -> Option<Self> {
        Some(match opcode {
            ONCE => {
                let numbered = Numbered {
                    session: reader.u64()?,
                    number: reader.u64()?,
                    acknowledged: reader.u64()?,
                };
                let body = reader.take(reader.rest().len())?;
                let may = numbered.is_possible() && may_be_numbered(body) && Command::decode(body).is_some();
                may.then_some(Self::Once(numbered, body))?
            }
            OPEN => Self::Open,
            SET_LIMIT => {
                let (limit, value) = Limit::read(reader)?;
                Self::SetLimit(limit, value)
            }
            LIMITS => Self::Limits,
            _ => return None,
        })
    }

    pub(super) fn write(self, out: &mut BytesMut) {
        match self {
            Self::Open => out.put_u8(OPEN),
            Self::Once(numbered, body) => {
                out.put_u8(ONCE);
                out.put_u64_le(numbered.session);
                out.put_u64_le(numbered.number);
                out.put_u64_le(numbered.acknowledged);
                out.extend_from_slice(body);
            }
            Self::SetLimit(limit, value) => {
                out.put_u8(SET_LIMIT);
                out.extend_from_slice(&limit.put(value));
            }
            Self::Limits => out.put_u8(LIMITS),
        }
    }

    /// What it takes beside what all commands take.
    pub(super) fn variable_bytes(self) -> usize {
        match self {
            Self::Once(_, body) => body.len() + NUMBERED_BYTES,
            Self::Open | Self::SetLimit(..) | Self::Limits => 0,
        }
    }
}

impl Numbered {
    fn is_possible(self) -> bool {
        self.number > self.acknowledged
    }
}

impl Request {
    /// Opens a session.
    pub fn to_open_session() -> Self {
        Self::of_session(SessionCommand::Open)
    }

    /// Sets a limit of the state.
    ///
    /// # Panics
    ///
    /// When it may not be that.
    pub fn to_set_limit(limit: Limit, value: u64) -> Self {
        assert!(limit.admits(value), "{value} is no value of {limit:?}");
        Self::of_session(SessionCommand::SetLimit(limit, value))
    }

    /// Asks for the limits of the state.
    pub fn for_limits() -> Self {
        Self::of_session(SessionCommand::Limits)
    }

    fn of_session(command: SessionCommand<'_>) -> Self {
        let command = Command::Session(command);
        Self {
            class: command.class(),
            body: command.encode().freeze(),
        }
    }

    /// The same request as a command of a session.
    ///
    /// # Errors
    ///
    /// With the reply to give when it cannot be one, or is too large.
    pub fn once(&self, numbered: Numbered) -> Result<Self, Reply> {
        if !may_be_numbered(&self.body) || !numbered.is_possible() {
            return Err(error(NOT_NUMBERED));
        }
        Self::encode(&Command::Session(SessionCommand::Once(numbered, &self.body)))
    }
}

/// The body of the command that is numbered in `body`, if one is.
pub(super) fn numbered_body(body: &[u8]) -> Option<&[u8]> {
    match body {
        [BODY_VERSION, ONCE, rest @ ..] => rest.get(NUMBERED_BYTES..),
        _ => None,
    }
}

/// True for what may have a number. Looks at no more than the opcode.
fn may_be_numbered(body: &[u8]) -> bool {
    codec::is_about_keys(body) || matches!(body, [BODY_VERSION, codec::BLOCK, ..])
}

/// `NORAFT.ONCE`, `NORAFT.SESSION`, `NORAFT.VERSION` and `NORAFT.LIMIT`; `None` for any other command.
pub(super) fn parse(args: &[Bytes]) -> Option<ParseResult> {
    let (name, rest) = args.split_first()?;
    if is_word(name, "NORAFT.ONCE") {
        return Some(parse_once(rest));
    }
    if is_word(name, "NORAFT.SESSION") {
        return Some(match rest {
            [verb] if is_word(verb, "OPEN") => Ok(Parsed::Replicated(Request::to_open_session())),
            [] => Err(wrong_arity("noraft.session")),
            _ => Err(syntax_error()),
        });
    }
    if is_word(name, "NORAFT.VERSION") {
        return Some(match rest {
            [key] => replicated(&Command::Version { key }),
            _ => Err(wrong_arity("noraft.version")),
        });
    }
    let limit = is_word(name, "NORAFT.LIMIT").then(|| match rest {
        [] => Ok(None),
        [name, value] => Limit::parse(name, value).map(Some),
        _ => Err(wrong_arity("noraft.limit")),
    })?;
    Some(limit.map(|limit| Parsed::Own(OwnCommand::Limit(limit))))
}

/// `id number [ACK number] command...`
fn parse_once(args: &[Bytes]) -> ParseResult {
    let [session, number, rest @ ..] = args else {
        return Err(wrong_arity("noraft.once"));
    };
    let (acknowledged, command) = match rest {
        [word, number, command @ ..] if is_word(word, "ACK") => (natural(number)?, command),
        command => (0, command),
    };
    if command.is_empty() {
        return Err(wrong_arity("noraft.once"));
    }
    let numbered = Numbered {
        session: natural(session)?,
        number: natural(number)?,
        acknowledged,
    };
    if !numbered.is_possible() {
        return Err(error(
            "ERR the number has to be greater than 0 and than the acknowledged one; nothing was done",
        ));
    }
    match super::parse(command.to_vec())? {
        Parsed::Replicated(request) => request.once(numbered).map(Parsed::Replicated),
        Parsed::Transaction(TransactionCommand::Exec(None)) => {
            Ok(Parsed::Transaction(TransactionCommand::Exec(Some(numbered))))
        }
        Parsed::Transaction(_) | Parsed::Local(_) | Parsed::Own(_) => Err(error(NOT_NUMBERED)),
    }
}

fn natural(arg: &[u8]) -> Result<u64, Reply> {
    let number = parse_i64(arg).and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| error(super::answers::NOT_AN_INTEGER))
}

const NOT_NUMBERED: &str =
    "ERR only a command about keys, or EXEC, can be carried out once; nothing was done";

/// Three numbers.
const NUMBERED_BYTES: usize = 24;
pub(super) const ONCE: u8 = 34;
const OPEN: u8 = 35;
/// The last opcode of these that writes.
pub(super) const SET_LIMIT: u8 = 36;
pub(super) const LIMITS: u8 = 75;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;

    fn parsed(line: &str) -> ParseResult {
        let words = line.split(' ').map(|word| Bytes::from(word.to_owned()));
        super::super::parse(words.collect())
    }

    fn request(line: &str) -> Request {
        match parsed(line) {
            Ok(Parsed::Replicated(request)) => request,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_numbered_command_is_read_as_it_was_written() {
        for (line, acknowledged) in [
            ("NORAFT.ONCE 7 9 SET k v", 0),
            ("noraft.once 7 9 ack 8 SET k v", 8),
        ] {
            let request = request(line);
            let numbered = Numbered {
                session: 7,
                number: 9,
                acknowledged,
            };
            let inner = parsed("SET k v").map(|parsed| match parsed {
                Parsed::Replicated(request) => request.body,
                other => panic!("{other:?}"),
            });
            let inner = inner.expect("it is one");
            assert_eq!(
                Command::decode(&request.body),
                Some(Command::Session(SessionCommand::Once(numbered, &inner)))
            );
            assert_eq!(request.class, Class::Write);
            assert_eq!(request.takes_level(), Level::SESSION);
            assert_eq!(Request::decode_checked(request.body.clone()), Some(request));
        }
        let exec = parsed("NORAFT.ONCE 7 9 EXEC");
        assert!(
            matches!(&exec, Ok(Parsed::Transaction(TransactionCommand::Exec(Some(numbered)))) if numbered.number == 9),
            "{exec:?}"
        );
    }

    #[test]
    fn what_is_no_command_about_keys_has_no_number() {
        for line in [
            "NORAFT.ONCE",
            "NORAFT.ONCE 1 2",
            "NORAFT.ONCE 1 2 ACK 1",
            "NORAFT.ONCE x 2 GET k",
            "NORAFT.ONCE 1 -2 GET k",
            "NORAFT.ONCE 1 0 GET k",
            "NORAFT.ONCE 1 2 ACK 2 GET k",
            "NORAFT.ONCE 1 2 GET",
            "NORAFT.ONCE 1 2 PING",
            "NORAFT.ONCE 1 2 MULTI",
            "NORAFT.ONCE 1 2 NORAFT.INDEX",
            "NORAFT.ONCE 1 2 NORAFT.SESSION OPEN",
            "NORAFT.ONCE 1 2 NORAFT.ONCE 1 2 GET k",
            "NORAFT.SESSION",
            "NORAFT.SESSION CLOSE",
        ] {
            assert!(matches!(parsed(line), Err(Reply::Error(_))), "{line}");
        }
        let numbered = Numbered {
            session: 1,
            number: 1,
            acknowledged: 0,
        };
        for inner in [
            Request::for_clock(),
            Request::for_index(),
            Request::to_open_session(),
            request("NORAFT.ONCE 1 2 GET k"),
        ] {
            let body = Command::Session(SessionCommand::Once(numbered, &inner.body)).encode();
            assert_eq!(Command::decode(&body), None, "{inner:?}");
            assert!(inner.once(numbered).is_err());
        }
        let impossible = Numbered {
            number: 0,
            ..numbered
        };
        let inner = request("GET k");
        let body = Command::Session(SessionCommand::Once(impossible, &inner.body)).encode();
        assert_eq!(Command::decode(&body), None);
    }

    #[test]
    fn the_version_of_a_key_is_a_read_that_a_block_may_have() {
        let request = request("noraft.version k");
        assert_eq!(
            Command::decode(&request.body),
            Some(Command::Version { key: b"k" })
        );
        assert_eq!(
            (request.class, request.takes_level()),
            (Class::Read, Level::BLOCK)
        );
        assert!(request.may_be_in_block());
        for line in ["NORAFT.VERSION", "NORAFT.VERSION k l"] {
            assert!(matches!(parsed(line), Err(Reply::Error(_))), "{line}");
        }
    }

    #[test]
    fn a_limit_is_asked_for_and_set() {
        assert!(matches!(
            parsed("NORAFT.LIMIT"),
            Ok(Parsed::Own(OwnCommand::Limit(None)))
        ));
        let set = parsed("noraft.limit session-idle 5000");
        let expected = OwnCommand::Limit(Some((Limit::SessionIdle, 5000)));
        assert_eq!(set, Ok(Parsed::Own(expected)));
        for line in [
            "NORAFT.LIMIT sessions",
            "NORAFT.LIMIT sessions 0",
            "NORAFT.LIMIT sessions x",
            "NORAFT.LIMIT nosuch 1",
        ] {
            assert!(matches!(parsed(line), Err(Reply::Error(_))), "{line}");
        }
        let request = Request::to_set_limit(Limit::Sessions, 9);
        assert_eq!(Request::decode_checked(request.body.clone()), Some(request));
        assert_eq!(Request::for_limits().class, Class::Read);
    }
}
