//! Histories made of objects: one a line, or in a vector, in EDN or JSON.
//!
//! The header of our own files decides the dialect; without one it is Jepsen's. A vector that is opened has to be
//! closed: without its end, it is not known what else was in it.

use super::assemble::{Assembler, Pairing, Refusal};
use super::entry::{Dialect, read_entry};
use super::line;
use super::notation::{Notation, Problem, Scanner};
use super::source::Source;
use super::trouble::Trouble;
use crate::history::HISTORY_VERSION;
use crate::recording::Recording;
use crate::recording::budget::Budget;
use crate::recording::datum::{Datum, Pool, View};

/// Vectors inside of vectors around the operations.
pub(super) const BRACKETS_MAX: usize = 8;

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
    if let Some(Header {
        workload,
        initial,
        pool,
    }) = header
    {
        let recording = &mut assembler.recording;
        (recording.workload, recording.initial, recording.pool) = (workload, initial, pool);
    }
    let mut objects = Objects {
        assembler,
        notation,
        dialect,
        open: Vec::new(),
    };
    loop {
        if dialect == Dialect::Ours {
            plain_lines(source, &mut objects.assembler)?;
        }
        if !objects.next(source)? {
            return Ok(objects.assembler.finish());
        }
    }
}

struct Header {
    workload: Option<String>,
    initial: Option<Datum>,
    /// Where the initial value is.
    pool: Pool,
}

/// Reads one value given in EDN or JSON on a command line.
pub(crate) fn parse_datum(pool: &mut Pool, text: &str) -> Option<Datum> {
    let padded = format!("{text}\n");
    [Notation::Edn, Notation::Json].into_iter().find_map(|notation| {
        let mut scanner = Scanner::new(padded.as_bytes(), notation);
        let datum = scanner.datum(pool).ok()?;
        (scanner.peek().is_none() && !pool.is_odd(datum)).then_some(datum)
    })
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
            Ok(datum) => break (header_of(pool, datum), scanner.at),
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

fn header_of(pool: Pool, datum: Datum) -> Result<Option<Header>, String> {
    let Some(version) = pool.field(datum, "history") else {
        return Ok(None);
    };
    if pool.view(version) != View::Int(i64::from(HISTORY_VERSION)) {
        return Err(format!(
            "expected history version {HISTORY_VERSION}, found {}",
            pool.show(version)
        ));
    }
    let workload = pool
        .field(datum, "workload")
        .and_then(|value| pool.as_text(value))
        .map(str::to_owned);
    let initial = pool.field(datum, "initial");
    Ok(Some(Header {
        workload,
        initial,
        pool,
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

/// The operations, and the brackets around them.
struct Objects {
    assembler: Assembler,
    notation: Notation,
    dialect: Dialect,
    /// What closes each bracket that is open.
    open: Vec<u8>,
}

enum Step {
    Taken,
    /// Something before the next operation; the bracket, if it was one.
    Skipped(Option<u8>),
    Exhausted,
}

impl Objects {
    /// Reads one object into the assembler; false at the end.
    fn next(&mut self, source: &mut Source) -> Result<bool, Trouble> {
        loop {
            let mut scanner = Scanner::new(source.rest(), self.notation);
            let outcome = self.step(&mut scanner);
            let at = scanner.at;
            match outcome {
                Ok(Step::Taken) => {
                    source.consume(at);
                    return Ok(true);
                }
                Ok(Step::Skipped(bracket)) => {
                    if let Err(problem) = bracket.map_or(Ok(()), |bracket| self.bracket(bracket)) {
                        return recover(source, problem, at - 1).map(|()| true);
                    }
                    source.consume(at);
                }
                Ok(Step::Exhausted) => {
                    source.consume(at);
                    if !source.more()? {
                        return self.end(source).map(|()| false);
                    }
                }
                Err(problem) => recover(source, problem, at)?,
            }
        }
    }

    fn step(&mut self, scanner: &mut Scanner<'_>) -> Result<Step, Problem> {
        let Some(first) = scanner.peek() else {
            return Ok(Step::Exhausted);
        };
        let is_edn = self.notation == Notation::Edn;
        match first {
            // The vector around the operations.
            b'[' | b']' => {
                scanner.at += 1;
                return Ok(Step::Skipped(Some(first)));
            }
            b'(' | b')' if is_edn => {
                scanner.at += 1;
                return Ok(Step::Skipped(Some(first)));
            }
            b'#' if scanner.at_discard() => {
                scanner.discard()?;
                return Ok(Step::Skipped(None));
            }
            // Tags such as #jepsen.history.Op.
            b'#' if is_edn => {
                scanner.at += 1;
                scanner.skip_tag()?;
                return Ok(Step::Skipped(None));
            }
            _ => {}
        }
        let start = scanner.at;
        scanner.expect(b'{', "an operation object")?;
        let entry = read_entry(scanner, &mut self.assembler.recording.pool, self.dialect)?;
        self.assembler.event(&entry).map_err(|refusal| {
            scanner.at = start;
            problem_of(refusal)
        })?;
        Ok(Step::Taken)
    }

    fn bracket(&mut self, bracket: u8) -> Result<(), Problem> {
        let found = char::from(bracket);
        match bracket {
            b'[' | b'(' if self.open.len() == BRACKETS_MAX => Err(Problem::Bad(format!(
                "expected at most {BRACKETS_MAX} brackets around an operation"
            ))),
            b'[' => {
                self.open.push(b']');
                Ok(())
            }
            b'(' => {
                self.open.push(b')');
                Ok(())
            }
            _ => match self.open.pop() {
                Some(open) if open == bracket => Ok(()),
                Some(open) => Err(Problem::Bad(format!(
                    "expected {:?} or an operation, found {found:?}",
                    char::from(open)
                ))),
                None => Err(Problem::Bad(format!("expected an operation, found {found:?}"))),
            },
        }
    }

    /// Nothing may be open where the file ends.
    fn end(&self, source: &Source) -> Result<(), Trouble> {
        match self.open.last() {
            None => Ok(()),
            Some(close) => Err(Trouble::Malformed {
                // The window ends with a line break of its own.
                line: source.line().saturating_sub(1).max(1),
                problem: format!("expected {:?} before the end of the file", char::from(*close)),
            }),
        }
    }
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
