//! Jepsen's log lines: `INFO  jepsen.util - 3 :invoke :write 4`, fields separated by tabs or spaces.
//!
//! In these logs a failed compare-and-set found another value than it expected, and says so by
//! repeating its arguments; other failures carry a keyword such as `:timed-out`.

use super::Trouble;
use super::assemble::{Assembler, Entry, Pairing, Refusal};
use super::notation::{Notation, Scanner};
use super::source::Source;
use crate::checker::budget::Budget;
use crate::checker::datum::{Datum, Pool};
use crate::checker::recording::{Recording, ResultKind};
use crate::op::EventKind;

pub(super) const MARK: &[u8] = b"jepsen.util";
const LEVELS: [&[u8]; 5] = [b"INFO", b"WARN", b"ERROR", b"DEBUG", b"TRACE"];

/// True when `line` looks like one of a log.
pub(crate) fn is_log_line(line: &[u8]) -> bool {
    let level = LEVELS.iter().any(|level| line.starts_with(level));
    level || (line.first().is_some_and(u8::is_ascii_digit) && find(line, MARK).is_some())
}

/// Reads the lines that are operations; other lines of the log are skipped.
pub(crate) fn read(source: &mut Source, budget: &Budget) -> Result<Recording, Trouble> {
    let mut assembler = Assembler::new(Pairing::ByProcess, budget);
    assembler.recording.failed_cas_differs = true;
    while let Some(length) = source.line_bytes()? {
        let line = source.rest()[..length].trim_ascii();
        read_line(line, &mut assembler).map_err(|refusal| match refusal {
            Refusal::Expected(problem) => Trouble::Malformed {
                line: source.line(),
                problem,
            },
            Refusal::Budget(limit) => Trouble::Budget {
                line: source.line(),
                limit,
            },
        })?;
        source.consume(length + 1);
    }
    Ok(assembler.finish())
}

fn read_line(line: &[u8], assembler: &mut Assembler) -> Result<(), Refusal> {
    if line.is_empty() || line.starts_with(b";") {
        return Ok(());
    }
    if !is_log_line(line) {
        let shown = crate::history::excerpt(&String::from_utf8_lossy(line));
        return Err(Refusal::Expected(format!(
            "expected a log line that begins with its level or date, found {shown:?}"
        )));
    }
    let Some(at) = find(line, MARK) else { return Ok(()) };
    let rest = &line[at + MARK.len()..];
    let rest = rest.strip_prefix(b":").unwrap_or(rest).trim_ascii();
    let rest = rest.strip_prefix(b"-").unwrap_or(rest).trim_ascii();
    let (process, rest) = field(rest);
    let (kind, rest) = field(rest);
    let (function, value) = field(rest);
    let Some(process) = parse_process(process).filter(|_| kind.starts_with(b":")) else {
        return Ok(());
    };
    let entry = Entry {
        kind: parse_kind(kind).map_err(Refusal::Expected)?,
        index: None,
        function: function.strip_prefix(b":").unwrap_or(function),
        process,
        op: None,
        key: Datum::NIL,
        value: parse_value(value, &mut assembler.recording.pool).map_err(Refusal::Expected)?,
        result: ResultKind::Plain,
        time_ns: None,
        log_index: None,
        node: None,
    };
    assembler.event(&entry).map_err(|refusal| match refusal {
        Refusal::Expected(problem) => Refusal::Expected(format!("expected {problem}")),
        Refusal::Budget(limit) => Refusal::Budget(limit),
    })
}

/// The bytes up to the next space, and what follows.
fn field(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(u8::is_ascii_whitespace)
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim_ascii_start())
}

/// A client's number, `Some(None)` for the nemesis, `None` for anything else.
fn parse_process(field: &[u8]) -> Option<Option<u64>> {
    if field == b":nemesis" {
        return Some(None);
    }
    std::str::from_utf8(field).ok()?.parse().ok().map(Some)
}

fn parse_kind(field: &[u8]) -> Result<EventKind, String> {
    match field {
        b":invoke" => Ok(EventKind::Invoke),
        b":ok" => Ok(EventKind::Ok),
        b":fail" => Ok(EventKind::Fail),
        b":info" => Ok(EventKind::Info),
        _ => {
            let found = String::from_utf8_lossy(field);
            Err(format!("expected :invoke, :ok, :fail or :info, found {found:?}"))
        }
    }
}

fn parse_value(field: &[u8], pool: &mut Pool) -> Result<Datum, String> {
    let mut padded = field.trim_ascii().to_vec();
    if padded.is_empty() {
        return Ok(Datum::NIL);
    }
    padded.push(b'\n');
    Scanner::new(&padded, Notation::Edn).datum(pool).map_err(|_| {
        format!(
            "expected an EDN value after the function, found {:?}",
            String::from_utf8_lossy(field)
        )
    })
}

fn find(line: &[u8], needle: &[u8]) -> Option<usize> {
    line.windows(needle.len()).position(|window| window == needle)
}
