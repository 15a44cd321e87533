//! One operation object, field by field, without an intermediate map.

use super::assemble::{Entry, Function, Process};
use super::notation::{Problem, Scanner};
use crate::op::EventKind;
use crate::recording::ResultKind;
use crate::recording::datum::{Datum, Pool};

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
    loop {
        match scanner.peek().ok_or(Problem::Incomplete)? {
            b'}' => break scanner.at += 1,
            b'#' if scanner.at_discard() => {
                scanner.discard()?;
                continue;
            }
            _ => {}
        }
        let start = scanner.at;
        let name = scanner.name()?;
        let is_new = match dialect {
            Dialect::Ours => fields.ours(name, scanner, pool)?,
            Dialect::Jepsen => fields.jepsen(name, scanner, pool)?,
        };
        if !is_new {
            scanner.at = start;
            return Err(scanner.bad("each field once"));
        }
    }
    fields.finish(scanner, dialect)
}

#[derive(Default)]
struct Fields<'a> {
    kind: Option<&'a [u8]>,
    function: Option<Function<'a>>,
    index: Option<u64>,
    process: Option<Process>,
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
    /// Takes a field; false when it came before.
    fn ours(&mut self, name: &[u8], scanner: &mut Scanner<'a>, pool: &mut Pool) -> Result<bool, Problem> {
        let known = match name {
            b"i" => self.index.replace(number(scanner, "the number i")?).is_some(),
            b"t" => self.time_ns.replace(number(scanner, "nanoseconds t")?).is_some(),
            b"type" => self.kind.replace(scanner.name()?).is_some(),
            b"f" => self.function.replace(Function::Named(scanner.name()?)).is_some(),
            b"p" => {
                let process = Process::Number(number(scanner, "a process number p")?);
                self.process.replace(process).is_some()
            }
            b"op" => self.op.replace(number(scanner, "an operation id op")?).is_some(),
            b"k" => self.key.replace(scanner.datum(pool)?).is_some(),
            b"v" => self.value.replace(scanner.datum(pool)?).is_some(),
            b"saw" => self.result(ResultKind::Saw, scanner, pool)?,
            b"at" => self.result(ResultKind::At, scanner, pool)?,
            b"lease" => self.result(ResultKind::Plain, scanner, pool)?,
            b"offset" => self.result(ResultKind::Offset, scanner, pool)?,
            b"end" => std::mem::replace(&mut self.end, scanner.datum(pool)? == Datum::bool(true)),
            b"index" => self.log_index.replace(number(scanner, "a log index")?).is_some(),
            b"node" => self.node.replace(scanner.name()?).is_some(),
            _ => scanner.skip().map(|()| false)?,
        };
        Ok(!known)
    }

    fn result(
        &mut self,
        kind: ResultKind,
        scanner: &mut Scanner<'a>,
        pool: &mut Pool,
    ) -> Result<bool, Problem> {
        Ok(self.result.replace((scanner.datum(pool)?, kind)).is_some())
    }

    /// Takes a field; false when it came before.
    fn jepsen(&mut self, name: &[u8], scanner: &mut Scanner<'a>, pool: &mut Pool) -> Result<bool, Problem> {
        let known = match name {
            b"type" => self.kind.replace(scanner.name()?).is_some(),
            b"f" => self.function.replace(function(scanner, pool)?).is_some(),
            b"process" => self.process.replace(process(scanner, pool)?).is_some(),
            b"key" => self.key.replace(scanner.datum(pool)?).is_some(),
            b"value" => self.value.replace(scanner.datum(pool)?).is_some(),
            b"index" => replace(&mut self.index, optional_number(scanner)?),
            b"time" => replace(&mut self.time_ns, optional_number(scanner)?),
            b"node" => replace(&mut self.node, optional_name(scanner)?),
            // Exported histories of our own.
            b"noraft/saw" => self.result(ResultKind::Saw, scanner, pool)?,
            b"noraft/at" => self.result(ResultKind::At, scanner, pool)?,
            b"noraft/lease" => self.result(ResultKind::Plain, scanner, pool)?,
            b"noraft/end" => std::mem::replace(&mut self.end, scanner.datum(pool)? == Datum::bool(true)),
            b"noraft/log-index" => self.log_index.replace(number(scanner, "a log index")?).is_some(),
            _ => scanner.skip().map(|()| false)?,
        };
        Ok(!known)
    }

    fn finish(self, scanner: &Scanner<'a>, dialect: Dialect) -> Result<Entry<'a>, Problem> {
        let Some(kind) = self.kind else {
            return Err(Problem::Bad("expected an operation with a type".to_owned()));
        };
        let kind = parse_kind(kind, dialect).ok_or_else(|| {
            Problem::Bad(format!(
                "expected a type ({}), found {:?}",
                kinds(dialect),
                String::from_utf8_lossy(kind)
            ))
        })?;
        let (index, order) = match dialect {
            Dialect::Ours => (self.index, None),
            Dialect::Jepsen => (None, self.index),
        };
        if dialect == Dialect::Ours && index.is_none() {
            return Err(scanner.bad("an event with its number i"));
        }
        let plain = if self.end {
            ResultKind::End
        } else {
            ResultKind::Plain
        };
        let (value, result) = self
            .result
            .unwrap_or((self.value.unwrap_or(Datum::ABSENT), plain));
        // That a compare-and-set found another value is a failure to Jepsen, and a look at the value to us.
        let kind = match (kind, result, dialect) {
            (EventKind::Fail, ResultKind::Saw, Dialect::Jepsen) => EventKind::Ok,
            (kind, ..) => kind,
        };
        Ok(Entry {
            kind,
            index,
            order,
            function: self.function.unwrap_or(Function::Absent),
            process: self.process.unwrap_or(Process::Absent),
            op: self.op,
            key: self.key.unwrap_or(Datum::ABSENT),
            value,
            result,
            time_ns: self.time_ns,
            log_index: self.log_index,
            node: self.node,
        })
    }
}

fn replace<T>(field: &mut Option<T>, value: Option<T>) -> bool {
    std::mem::replace(field, value).is_some()
}

fn parse_kind(kind: &[u8], dialect: Dialect) -> Option<EventKind> {
    match (kind.strip_prefix(b":").unwrap_or(kind), dialect) {
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

fn number(scanner: &mut Scanner<'_>, what: &str) -> Result<u64, Problem> {
    scanner.unsigned()?.ok_or_else(|| scanner.bad(what))
}

/// A number, or nothing when another value comes, which is skipped.
fn optional_number(scanner: &mut Scanner<'_>) -> Result<Option<u64>, Problem> {
    let start = scanner.at;
    match scanner.unsigned()? {
        Some(number) => Ok(Some(number)),
        None => {
            scanner.at = start;
            scanner.skip().map(|()| None)
        }
    }
}

fn optional_name<'a>(scanner: &mut Scanner<'a>) -> Result<Option<&'a [u8]>, Problem> {
    match scanner.peek() {
        Some(b'"' | b':') => scanner.name().map(Some),
        _ => scanner.skip().map(|()| None),
    }
}

/// A name, or what is used as one.
fn function<'a>(scanner: &mut Scanner<'a>, pool: &mut Pool) -> Result<Function<'a>, Problem> {
    match scanner.peek() {
        Some(b'"' | b':') => {
            let name = scanner.name()?;
            Ok(Function::Named(name.strip_prefix(b":").unwrap_or(name)))
        }
        _ => scanner.datum(pool).map(|value| match value {
            Datum::NIL => Function::Absent,
            value => Function::Other(value),
        }),
    }
}

/// A client's number or name, or that of the nemesis.
fn process(scanner: &mut Scanner<'_>, pool: &mut Pool) -> Result<Process, Problem> {
    let start = scanner.at;
    if let Some(number) = scanner.unsigned()? {
        return Ok(Process::Number(number));
    }
    scanner.at = start;
    let name = scanner.datum(pool)?;
    Ok(Process::named(pool, name))
}
