//! Histories made of objects: one a line, or in a vector, in EDN or JSON.
//!
//! The header of our own files decides the dialect; without one it is Jepsen's.

use super::Trouble;
use super::assemble::{Assembler, Pairing, Refusal};
use super::entry::{Dialect, read_entry};
use super::line;
use super::notation::{Notation, Problem, Scanner};
use super::source::Source;
use crate::checker::budget::Budget;
use crate::checker::datum::{Pool, View};
use crate::checker::recording::Recording;
use crate::history::HISTORY_VERSION;

/// Reads objects until the input ends.
pub(crate) fn read(source: &mut Source, notation: Notation, budget: &Budget) -> Result<Recording, Trouble> {
    let header = match notation {
        Notation::Json => read_header(source)?,
        Notation::Edn => None,
    };
    let (dialect, pairing) = match header {
        Some(_) => (Dialect::Ours, Pairing::ByOp),
        None => (Dialect::Jepsen, Pairing::ByProcess),
    };
    let mut assembler = Assembler::new(pairing, budget);
    if let Some(header) = header {
        header.apply(&mut assembler.recording);
    }
    loop {
        if dialect == Dialect::Ours {
            plain_lines(source, &mut assembler)?;
        }
        if !next_object(source, &mut assembler, notation, dialect)? {
            return Ok(assembler.finish());
        }
    }
}

struct Header {
    workload: Option<String>,
    initial: Option<String>,
}

impl Header {
    fn apply(self, recording: &mut Recording) {
        recording.workload = self.workload;
        recording.initial = self
            .initial
            .and_then(|text| parse_datum(&mut recording.pool, &text));
    }
}

/// Reads a value given in JSON or EDN on a command line or in a header.
pub(crate) fn parse_datum(pool: &mut Pool, text: &str) -> Option<crate::checker::datum::Datum> {
    let padded = format!("{text}\n");
    Scanner::new(padded.as_bytes(), Notation::Edn).datum(pool).ok()
}

/// Takes the first object if it is the header of one of our files.
fn read_header(source: &mut Source) -> Result<Option<Header>, Trouble> {
    let (header, consumed) = loop {
        let mut scanner = Scanner::new(source.rest(), Notation::Json);
        if scanner.peek() == Some(b'[') {
            return Ok(None);
        }
        let mut pool = Pool::default();
        match scanner.datum(&mut pool) {
            Ok(datum) => break (header_of(&pool, datum), scanner.at),
            Err(problem) => recover(source, problem, 0)?,
        }
    };
    match header {
        Err(problem) => Err(Trouble::Malformed {
            line: source.line(),
            problem,
        }),
        Ok(Some(header)) => {
            source.consume(consumed);
            Ok(Some(header))
        }
        Ok(None) => Ok(None),
    }
}

fn header_of(pool: &Pool, datum: crate::checker::datum::Datum) -> Result<Option<Header>, String> {
    let Some(version) = pool.field(datum, "history") else {
        return Ok(None);
    };
    if pool.view(version) != View::Int(i64::from(HISTORY_VERSION)) {
        return Err(format!(
            "expected history version {HISTORY_VERSION}, found {}",
            pool.show(version)
        ));
    }
    let text = |name| {
        pool.field(datum, name)
            .and_then(|value| pool.as_text(value))
            .map(str::to_owned)
    };
    let initial = pool.field(datum, "initial").map(|value| pool.show(value));
    Ok(Some(Header {
        workload: text("workload"),
        initial,
    }))
}

/// Takes the lines in the window that are as our writer writes them, up to the first that is not.
fn plain_lines(source: &mut Source, assembler: &mut Assembler) -> Result<(), Trouble> {
    let mut at = 0;
    let mut refused = None;
    while let Some((entry, length)) = line::read_event(&source.rest()[at..], &mut assembler.recording.pool) {
        if let Err(refusal) = assembler.event(&entry) {
            refused = Some(refusal);
            break;
        }
        at += length;
    }
    let blank = source.rest()[at..]
        .iter()
        .take_while(|byte| **byte == b'\n')
        .count();
    match refused {
        None => {
            source.consume(at);
            assembler.expect(source.total_to_consumed());
            Ok(())
        }
        Some(refusal) => recover(source, problem_of(refusal), at + blank),
    }
}

fn problem_of(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Expected(problem) => Problem::Bad(format!("expected {problem}")),
        Refusal::Budget(limit) => Problem::Budget(limit),
    }
}

/// Reads one object into the assembler; false at the end.
fn next_object(
    source: &mut Source,
    assembler: &mut Assembler,
    notation: Notation,
    dialect: Dialect,
) -> Result<bool, Trouble> {
    loop {
        let mut scanner = Scanner::new(source.rest(), notation);
        let outcome = step(&mut scanner, assembler, dialect);
        let at = scanner.at;
        match outcome {
            Ok(Step::Taken) => {
                source.consume(at);
                return Ok(true);
            }
            Ok(Step::Exhausted) => {
                source.consume(at);
                if !source.more()? {
                    return Ok(false);
                }
            }
            Err(problem) => recover(source, problem, at)?,
        }
    }
}

enum Step {
    Taken,
    Exhausted,
}

fn step(scanner: &mut Scanner<'_>, assembler: &mut Assembler, dialect: Dialect) -> Result<Step, Problem> {
    loop {
        match scanner.peek() {
            None => return Ok(Step::Exhausted),
            // The vector around the operations, and tags such as #jepsen.history.Op before them.
            Some(b'[' | b'(' | b']' | b')') => scanner.at += 1,
            Some(b'#') if scanner.bytes[scanner.at..].starts_with(b"#_") => {
                scanner.discard(&mut assembler.recording.pool)?;
            }
            Some(b'#') => {
                scanner.at += 1;
                scanner.skip_tag()?;
            }
            Some(_) => break,
        }
    }
    let start = scanner.at;
    scanner.expect(b'{', "an operation object")?;
    let entry = read_entry(scanner, &mut assembler.recording.pool, dialect)?;
    assembler.event(&entry).map_err(|refusal| {
        scanner.at = start;
        problem_of(refusal)
    })?;
    Ok(Step::Taken)
}

/// Reads more after an incomplete object, or gives the problem its line.
fn recover(source: &mut Source, problem: Problem, at: usize) -> Result<(), Trouble> {
    match problem {
        Problem::Incomplete if source.more()? => Ok(()),
        Problem::Incomplete => {
            let problem = "expected the end of the object before the end of the file".to_owned();
            let blank = source
                .rest()
                .iter()
                .take_while(|byte| byte.is_ascii_whitespace())
                .count();
            Err(Trouble::Malformed {
                line: source.line_at(blank),
                problem,
            })
        }
        Problem::Budget(limit) => Err(Trouble::Budget {
            line: source.line_at(at),
            limit,
        }),
        Problem::Bad(problem) => Err(Trouble::Malformed {
            line: source.line_at(at),
            problem,
        }),
    }
}
