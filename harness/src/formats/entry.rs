//! One operation object, field by field, without an intermediate map.

use super::assemble::Entry;
use super::notation::{Problem, Scanner};
use crate::checker::datum::{Datum, Pool};
use crate::checker::recording::ResultKind;
use crate::op::EventKind;

/// Whose names of fields are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `i t p op f k v ...` of our history files.
    Ours,
    /// `index time process f key value ...` of Jepsen and its relatives.
    Jepsen,
}

/// Reads the fields of an object whose `{` was taken, and its `}`.
pub(crate) fn read_entry<'a>(
    scanner: &mut Scanner<'a>,
    pool: &mut Pool,
    dialect: Dialect,
) -> Result<Entry<'a>, Problem> {
    let mut fields = Fields::default();
    while !scanner.take(b'}') {
        if scanner.peek().is_none() {
            return Err(Problem::Incomplete);
        }
        let name = scanner.name()?;
        match dialect {
            Dialect::Ours => fields.ours(name, scanner, pool)?,
            Dialect::Jepsen => fields.jepsen(name, scanner, pool)?,
        }
    }
    fields.finish(scanner, dialect)
}

#[derive(Default)]
struct Fields<'a> {
    kind: Option<&'a [u8]>,
    function: Option<&'a [u8]>,
    index: Option<u64>,
    process: Option<u64>,
    is_nemesis: bool,
    op: Option<u64>,
    key: Option<Datum>,
    value: Option<Datum>,
    result: Option<(Datum, ResultKind)>,
    end: bool,
    time_ns: Option<u64>,
    log_index: Option<u64>,
    node: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn ours(&mut self, name: &[u8], scanner: &mut Scanner<'a>, pool: &mut Pool) -> Result<(), Problem> {
        match name {
            b"i" => self.index = number(scanner, "the number i")?,
            b"t" => self.time_ns = number(scanner, "nanoseconds t")?,
            b"type" => self.kind = Some(scanner.name()?),
            b"f" => self.function = Some(scanner.name()?),
            b"p" => self.process = number(scanner, "a process number p")?,
            b"op" => self.op = number(scanner, "an operation id op")?,
            b"k" => self.key = Some(scanner.datum(pool)?),
            b"v" => self.value = Some(scanner.datum(pool)?),
            b"saw" => self.result = Some((scanner.datum(pool)?, ResultKind::Saw)),
            b"at" => self.result = Some((scanner.datum(pool)?, ResultKind::At)),
            b"lease" => self.result = Some((scanner.datum(pool)?, ResultKind::Plain)),
            b"offset" => self.result = Some((scanner.datum(pool)?, ResultKind::Offset)),
            b"end" => self.end = scanner.datum(pool)? == Datum::bool(true),
            b"index" => self.log_index = number(scanner, "a log index")?,
            b"node" => self.node = Some(scanner.name()?),
            _ => skip(scanner, pool)?,
        }
        Ok(())
    }

    fn jepsen(&mut self, name: &[u8], scanner: &mut Scanner<'a>, pool: &mut Pool) -> Result<(), Problem> {
        match name {
            b"type" => self.kind = Some(scanner.name()?),
            b"f" => self.function = optional_name(scanner, pool)?,
            b"process" => {
                self.process = optional_number(scanner, pool)?;
                self.is_nemesis = self.process.is_none();
            }
            b"time" => self.time_ns = optional_number(scanner, pool)?,
            b"key" => self.key = Some(scanner.datum(pool)?),
            b"value" => self.value = Some(scanner.datum(pool)?),
            b"node" => self.node = optional_name(scanner, pool)?,
            _ => skip(scanner, pool)?,
        }
        Ok(())
    }

    fn finish(self, scanner: &Scanner<'a>, dialect: Dialect) -> Result<Entry<'a>, Problem> {
        let Some(kind) = self.kind else {
            return Err(Problem::Bad("expected an operation with a type".to_owned()));
        };
        let mut kind = parse_kind(kind, dialect).ok_or_else(|| {
            Problem::Bad(format!(
                "expected a type ({}), found {:?}",
                kinds(dialect),
                text(kind)
            ))
        })?;
        let mut process = self.process;
        if self.is_nemesis {
            kind = EventKind::Info;
        } else if dialect == Dialect::Jepsen {
            // Hand-written histories of one process leave it out.
            process = process.or(Some(0));
        }
        if dialect == Dialect::Ours && self.index.is_none() {
            return Err(scanner.bad("an event with its number i"));
        }
        let plain = if self.end {
            ResultKind::End
        } else {
            ResultKind::Plain
        };
        let (value, result) = self.result.unwrap_or((self.value.unwrap_or(Datum::NIL), plain));
        Ok(Entry {
            kind,
            index: self.index,
            function: self.function.unwrap_or(b"txn"),
            process,
            op: self.op,
            key: self.key.unwrap_or(Datum::NIL),
            value,
            result,
            time_ns: self.time_ns,
            log_index: self.log_index,
            node: self.node,
        })
    }
}

fn parse_kind(kind: &[u8], dialect: Dialect) -> Option<EventKind> {
    match (kind, dialect) {
        (b"invoke", _) => Some(EventKind::Invoke),
        (b"ok", _) => Some(EventKind::Ok),
        (b"fail", _) => Some(EventKind::Fail),
        (b"info", _) => Some(EventKind::Info),
        (b"fault.begin", Dialect::Ours) => Some(EventKind::FaultBegin),
        (b"fault.ok", Dialect::Ours) => Some(EventKind::FaultOk),
        (b"fault.end", Dialect::Ours) => Some(EventKind::FaultEnd),
        _ => None,
    }
}

fn kinds(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Ours => "invoke, ok, fail, info, fault.begin, fault.ok or fault.end",
        Dialect::Jepsen => "invoke, ok, fail or info",
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Skips a value nobody needs; what it put into the pool is bounded by the file's own size.
fn skip(scanner: &mut Scanner<'_>, pool: &mut Pool) -> Result<(), Problem> {
    scanner.datum(pool).map(drop)
}

fn number(scanner: &mut Scanner<'_>, what: &str) -> Result<Option<u64>, Problem> {
    match scanner.unsigned()? {
        Some(number) => Ok(Some(number)),
        None => Err(scanner.bad(what)),
    }
}

/// A number, or nothing when another value comes (`:process :nemesis`).
fn optional_number(scanner: &mut Scanner<'_>, pool: &mut Pool) -> Result<Option<u64>, Problem> {
    match scanner.unsigned()? {
        Some(number) => Ok(Some(number)),
        None => Ok(scanner
            .datum(pool)?
            .as_int()
            .and_then(|number| u64::try_from(number).ok())),
    }
}

fn optional_name<'a>(scanner: &mut Scanner<'a>, pool: &mut Pool) -> Result<Option<&'a [u8]>, Problem> {
    match scanner.peek() {
        Some(b'"' | b':') => scanner.name().map(Some),
        _ => scanner.datum(pool).map(|_| None),
    }
}
