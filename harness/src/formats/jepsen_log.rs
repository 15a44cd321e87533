//! Operations as Jepsen writes them down line by line: process, type, function, value, and perhaps an error.
//!
//! | file | a line |
//! |-|-|
//! | jepsen.log | `INFO  jepsen.util - 3 :invoke :write 4`, among all the other lines of a log |
//! | history.txt | `3 :invoke :write 4`, with tabs |
//!
//! A log has stack traces, messages of many lines and a beginning of its own: whatever is no operation is skipped
//! there, but a line that begins as an operation does has to be one. In a log a failed compare-and-set found another
//! value than it expected; one that carries an error or a keyword such as `:timed-out` says only that it failed.

use super::assemble::{Assembler, Entry, Function, Pairing, Process, Refusal};
use super::notation::{Notation, Problem, Scanner};
use super::source::Source;
use super::trouble::Trouble;
use crate::op::EventKind;
use crate::recording::budget::Budget;
use crate::recording::datum::{Datum, Pool};
use crate::recording::{Recording, ResultKind};

/// Who writes operations into a log.
const MARK: &[u8] = b"jepsen.util";

/// Which of the two files it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Log,
    Text,
}

/// The first line that is an operation, if there is one, shows the style.
pub(crate) fn style_of(bytes: &[u8]) -> Option<Style> {
    bytes.split(|byte| *byte == b'\n').find_map(|line| {
        [Style::Log, Style::Text]
            .into_iter()
            .find(|style| operation(line, *style).is_some_and(|(_, kind, _)| parse_kind(kind).is_ok()))
    })
}

/// Reads the lines that are operations.
pub(crate) fn read(source: &mut Source, style: Style, budget: &Budget) -> Result<Recording, Trouble> {
    let mut assembler = Assembler::new(Pairing::ByProcess, budget);
    assembler.recording.failed_cas_differs = style == Style::Log;
    while let Some(length) = source.line_bytes()? {
        if let Some((process, kind, rest)) = operation(&source.rest()[..length], style) {
            read_line(process, kind, rest, &mut assembler).map_err(|refusal| match refusal {
                Refusal::Expected(problem) => Trouble::Malformed {
                    line: source.line(),
                    problem: format!("expected {problem}"),
                },
                Refusal::Budget(limit) => Trouble::Budget {
                    line: source.line(),
                    limit,
                },
            })?;
        }
        source.consume(length + 1);
    }
    Ok(assembler.finish())
}

/// Process, type and the rest of a line that begins as an operation does.
fn operation(line: &[u8], style: Style) -> Option<(&[u8], &[u8], &[u8])> {
    let text = match style {
        Style::Log => {
            let at = find(line, MARK)?;
            let rest = &line[at + MARK.len()..];
            let rest = rest.strip_prefix(b":").unwrap_or(rest).trim_ascii();
            rest.strip_prefix(b"-").unwrap_or(rest).trim_ascii()
        }
        Style::Text => line.trim_ascii_end(),
    };
    let (process, rest) = field(text);
    let (kind, rest) = field(rest);
    let is_process = process
        .first()
        .is_some_and(|first| first.is_ascii_digit() || (b":-".contains(first) && process.len() > 1));
    // A history of tabs has them behind the process.
    let tabs = style == Style::Log || text.get(process.len()) == Some(&b'\t');
    (is_process && kind.starts_with(b":") && tabs).then_some((process, kind, rest))
}

fn read_line(process: &[u8], kind: &[u8], rest: &[u8], assembler: &mut Assembler) -> Result<(), Refusal> {
    let kind = parse_kind(kind).map_err(Refusal::Expected)?;
    let (function, rest) = field(rest);
    let pool = &mut assembler.recording.pool;
    let (process, _) = value(process, pool)?;
    let process = match process.as_int().and_then(|number| u64::try_from(number).ok()) {
        Some(number) => Process::Number(number),
        None => Process::named(pool, process),
    };
    let (mut result, error) = value(rest, pool)?;
    if kind == EventKind::Fail && !error.is_empty() {
        // It failed for a reason of its own, not because of what it found.
        result = pool.text(&String::from_utf8_lossy(error));
    }
    assembler.event(&Entry {
        kind,
        index: None,
        order: None,
        function: Function::Named(function.strip_prefix(b":").unwrap_or(function)),
        process,
        op: None,
        key: Datum::ABSENT,
        value: result,
        result: ResultKind::Plain,
        time_ns: None,
        log_index: None,
        node: None,
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

fn parse_kind(field: &[u8]) -> Result<EventKind, String> {
    match field {
        b":invoke" => Ok(EventKind::Invoke),
        b":ok" => Ok(EventKind::Ok),
        b":fail" => Ok(EventKind::Fail),
        b":info" => Ok(EventKind::Info),
        _ => {
            let found = String::from_utf8_lossy(field);
            Err(format!(":invoke, :ok, :fail or :info, found {found:?}"))
        }
    }
}

/// The value at the beginning of `text`, and what follows it.
fn value<'a>(text: &'a [u8], pool: &mut Pool) -> Result<(Datum, &'a [u8]), Refusal> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Ok((Datum::ABSENT, text));
    }
    let mut padded = text.to_vec();
    padded.push(b'\n');
    let mut scanner = Scanner::new(&padded, Notation::Edn);
    match scanner.datum(pool) {
        Ok(datum) => Ok((datum, text[scanner.at.min(text.len())..].trim_ascii())),
        Err(Problem::Budget(limit)) => Err(Refusal::Budget(limit)),
        Err(Problem::Incomplete | Problem::Bad(_)) => {
            let shown = crate::history::excerpt(&String::from_utf8_lossy(text));
            Err(Refusal::Expected(format!("an EDN value, found {shown:?}")))
        }
    }
}

fn find(line: &[u8], needle: &[u8]) -> Option<usize> {
    line.windows(needle.len()).position(|window| window == needle)
}
