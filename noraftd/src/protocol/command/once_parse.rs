//! `NORAFT.ONCE` and what belongs to it, parsed, and their requests.

use bytes::Bytes;

use super::answers::{
    NOT_AN_INTEGER, ParseResult, error, excerpt, is_word, replicated, syntax_error, wrong_arity,
};
use super::limit::Limit;
use super::{Command, Numbered, OwnCommand, Parsed, Request, SessionCommand, TransactionCommand, codec};
use crate::protocol::resp::Reply;
use crate::protocol::resp::number::parse_i64;

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
        if !codec::may_be_numbered(&self.body) || !numbered.is_possible() {
            return Err(error(NOT_NUMBERED));
        }
        Self::encode(&Command::Session(SessionCommand::Once(numbered, &self.body)))
    }
}

/// `NORAFT.ONCE`, `NORAFT.SESSION`, `NORAFT.VERSION` and `NORAFT.LIMIT`; `None` for any other command. `parse_inner` parses what has a number.
pub(super) fn parse(args: &[Bytes], parse_inner: impl Fn(Vec<Bytes>) -> ParseResult) -> Option<ParseResult> {
    let (name, rest) = args.split_first()?;
    if is_word(name, "NORAFT.ONCE") {
        return Some(parse_once(rest, parse_inner));
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
        [name, value] => parse_limit(name, value).map(Some),
        _ => Err(wrong_arity("noraft.limit")),
    })?;
    Some(limit.map(|limit| Parsed::Own(OwnCommand::Limit(limit))))
}

/// `id number [ACK number] command...`
fn parse_once(args: &[Bytes], parse_inner: impl Fn(Vec<Bytes>) -> ParseResult) -> ParseResult {
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
    match parse_inner(command.to_vec())? {
        Parsed::Replicated(request) => request.once(numbered).map(Parsed::Replicated),
        Parsed::Transaction(TransactionCommand::Exec(None)) => {
            Ok(Parsed::Transaction(TransactionCommand::Exec(Some(numbered))))
        }
        Parsed::Transaction(_) | Parsed::Local(_) | Parsed::Own(_) => Err(error(NOT_NUMBERED)),
    }
}

fn natural(arg: &[u8]) -> Result<u64, Reply> {
    let number = parse_i64(arg).and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| error(NOT_AN_INTEGER))
}

/// A limit by its name, and the value that a client gave.
///
/// # Errors
///
/// With the reply to give when there is no such limit, or it cannot be that.
fn parse_limit(name: &[u8], value: &[u8]) -> Result<(Limit, u64), Reply> {
    let known = Limit::ALL.into_iter().find(|limit| is_word(name, limit.name()));
    let Some(limit) = known else {
        let name = excerpt(name, NAME_EXCERPT_BYTES_MAX);
        return Err(error(format!("ERR there is no limit '{name}'")));
    };
    let value = parse_i64(value).and_then(|value| u64::try_from(value).ok());
    let value = value.filter(|value| limit.admits(*value));
    value.map(|value| (limit, value)).ok_or_else(|| {
        let (least, most) = limit.bounds();
        error(format!(
            "ERR {} has to be a number from {least} to {most}",
            limit.name()
        ))
    })
}

const NOT_NUMBERED: &str =
    "ERR only a command about keys, or EXEC, can be carried out once; nothing was done";
/// As much of an unknown name as the error repeats.
const NAME_EXCERPT_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;
    use crate::protocol::command::Class;

    fn parsed(line: &str) -> ParseResult {
        let words = line.split(' ').map(|word| Bytes::from(word.to_owned()));
        super::super::parse::parse(words.collect())
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
