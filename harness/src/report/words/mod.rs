//! The explanation of a violation: the operations that cannot be ordered, what each of them saw and when, and why
//! no order fits.
//!
//! Invariant: the size is bounded whatever the history: at most [`OPERATIONS_MAX`] operations, every
//! value cut at [`VALUE_CHARS_MAX`] characters.

use std::cell::RefCell;
use std::fmt::Write;

use crate::checker::violation::{Core, MENTION, Stuck};
use crate::checker::{Finding, Report, Violation};
use crate::model::NEVER;
use crate::recording::datum::{Datum, View};
use crate::recording::{Operation, Recording, ResultKind, Status};

mod account;
mod log;
mod register;

pub use account::account;

/// Operations an explanation names.
pub const OPERATIONS_MAX: usize = 12;
/// Operations after which an explanation says why it names more.
const NAMED_MAX: usize = 4;
/// Characters of a value that are shown.
pub const VALUE_CHARS_MAX: usize = 60;

/// Characters of a sentence that are shown.
const SENTENCE_CHARS_MAX: usize = 600;
/// Faults that are listed.
const FAULTS_MAX: usize = 6;

/// What was found, in words; one sentence when there is nothing to explain.
pub fn explain(recording: &Recording, report: &Report) -> String {
    let mut shown = match &report.finding {
        Finding::Valid => format!("valid: an order of {} operations exists\n", report.operations),
        Finding::Unknown { reason } => format!("unknown: {reason}\n"),
        Finding::Invalid { key, violation } => Story::new(recording, *key, violation).explain(),
    };
    if !report.usage.ignored.is_empty() {
        let _ = writeln!(shown, "\n{}.", report.usage);
    }
    shown
}

/// One line that names the violation.
pub fn summary(recording: &Recording, report: &Report) -> Option<String> {
    match &report.finding {
        Finding::Valid => None,
        Finding::Unknown { reason } => Some(reason.clone()),
        Finding::Invalid { key, violation } => Some(Story::new(recording, *key, violation).title()),
    }
}

/// The explanation of a violation; operations are called A, B, C, D in order of invocation.
///
/// Invariant: whatever a sentence names has a letter, up to [`OPERATIONS_MAX`].
pub(super) struct Story<'a> {
    recording: &'a Recording,
    key: Datum,
    violation: &'a Violation,
    ids: Vec<u32>,
    /// Operations that sentences named so far.
    named: RefCell<Vec<u32>>,
    /// Some instants differ by less than a microsecond, so that all are given to the nanosecond.
    is_fine: bool,
}

impl<'a> Story<'a> {
    pub(super) fn new(recording: &'a Recording, key: Datum, violation: &'a Violation) -> Self {
        let mut story = Self {
            recording,
            key,
            violation,
            ids: violation.operations(),
            named: RefCell::default(),
            is_fine: false,
        };
        // The sentences may name more operations than the violation does.
        story.title();
        story.sentences();
        story.ids.truncate(OPERATIONS_MAX);
        let named = story.named.take();
        for id in named {
            if !story.ids.contains(&id) && story.ids.len() < OPERATIONS_MAX {
                story.ids.push(id);
            }
        }
        story.ids.sort_unstable();
        story.is_fine = story.needs_nanoseconds();
        story
    }

    /// True when two instants look the same to the microsecond and are not.
    fn needs_nanoseconds(&self) -> bool {
        let operations = self.ids.iter().map(|id| self.operation(*id));
        let events = operations.flat_map(|operation| [operation.call, operation.ret]);
        let mut times: Vec<u64> = events.filter_map(|event| self.recording.time(event)).collect();
        times.sort_unstable();
        times.dedup();
        times.windows(2).any(|pair| pair[0] / 1000 == pair[1] / 1000)
    }

    /// The operations, in order of invocation.
    pub(super) fn ids(&self) -> &[u32] {
        &self.ids
    }

    fn explain(&self) -> String {
        let mut out = format!("invalid: {}\n\n", self.title());
        for id in &self.ids {
            self.line(*id, &mut out);
        }
        out.push_str("\nWhy no order fits:\n");
        for sentence in self.sentences() {
            wrap(&cut_at(&sentence, SENTENCE_CHARS_MAX), &mut out);
        }
        self.faults(&mut out);
        out
    }

    /// The faults between the first invocation and the last return of the operations.
    fn faults(&self, out: &mut String) {
        let operations = || self.ids.iter().map(|id| self.operation(*id));
        let from = operations().map(|operation| operation.call).min().unwrap_or(0);
        let to = operations()
            .map(|operation| operation.ret)
            .filter(|ret| *ret != NEVER)
            .max()
            .unwrap_or(from);
        let inside = |at: u32| (from..=to).contains(&at);
        let faults = self.recording.faults.iter().filter(|fault| inside(fault.at));
        for (shown, fault) in faults.take(FAULTS_MAX).enumerate() {
            if shown == 0 {
                out.push_str("\nMeanwhile:\n");
            }
            let details = if fault.details == "nil" {
                ""
            } else {
                &fault.details
            };
            let line = format!(
                "  {}  fault {} {} {details}",
                self.moment(fault.at),
                fault.name,
                fault.step
            );
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }

    pub(super) fn title(&self) -> String {
        let what = match self.violation {
            Violation::Register(violation) => register::title(self, violation),
            Violation::Log(violation) => log::title(self, violation),
            Violation::Stuck(stuck) => format!("{} fits nowhere", self.describe(stuck.op)),
            Violation::Explained(explained) => cut_at(&explained.title, 2 * VALUE_CHARS_MAX),
        };
        match self.key {
            Datum::NIL => what,
            key => format!("{what}, key {}", self.value(key)),
        }
    }

    fn sentences(&self) -> Vec<String> {
        match self.violation {
            Violation::Register(violation) => register::sentences(self, violation),
            Violation::Log(violation) => log::sentences(self, violation),
            Violation::Stuck(stuck) => self.stuck(stuck),
            Violation::Explained(explained) => explained
                .why
                .iter()
                .map(|sentence| self.resolve(sentence))
                .collect(),
        }
    }

    /// Puts letters where operations are mentioned.
    fn resolve(&self, sentence: &str) -> String {
        let mut out = String::new();
        for (at, piece) in sentence.split(MENTION).enumerate() {
            match piece.parse() {
                Ok(id) if at % 2 == 1 => out.push_str(&self.name(id)),
                Ok(_) | Err(_) => out.push_str(piece),
            }
        }
        out
    }

    fn stuck(&self, stuck: &Stuck) -> Vec<String> {
        if let Some(core) = stuck.short_core() {
            return self.core(core, stuck.op);
        }
        let op = self.name(stuck.op);
        let mut sentences = vec![format!(
            "When {op} returned, what had to come before it had left {}, and nothing that was still open leads from \
             there to {}:",
            if stuck.states == 1 {
                "one state".to_owned()
            } else {
                format!("one of {} states", stuck.states)
            },
            self.describe(stuck.op)
        )];
        for after in &stuck.after {
            sentences.push(match after {
                None => "- the initial state, which nothing had changed yet".to_owned(),
                Some(id) => format!("- the state after {}, {}", self.name(*id), self.describe(*id)),
            });
        }
        let shown = stuck.after.len() as u32;
        if stuck.states > shown {
            sentences.push(format!("- and {} more", stuck.states - shown));
        }
        sentences.extend(self.origin(stuck.op));
        sentences
    }

    /// The operations that have no order by themselves.
    fn core(&self, core: &Core, last: u32) -> Vec<String> {
        let names: Vec<String> = core.operations.iter().map(|id| self.name(*id)).collect();
        let (all, fits) = match names.split_last() {
            Some((only, [])) => (only.clone(), "has no place"),
            Some((last, others)) => (format!("{} and {last}", others.join(", ")), "have no order"),
            None => (self.name(last), "has no place"),
        };
        let since = match core.since {
            Some(event) => match core
                .operations
                .iter()
                .find(|id| self.operation(**id).call == event)
            {
                Some(first) => format!("whatever the state was when {}", self.called(*first)),
                None => format!("whatever the state was at event {event}"),
            },
            None => "from the initial state on".to_owned(),
        };
        let mut sentences = vec![format!(
            "{all} {fits}, {since}, even if every other operation took effect when it helps most, or not at all."
        )];
        if core.operations.len() > NAMED_MAX {
            sentences.push(match core.is_minimal {
                true => format!(
                    "It takes all {}: without any one of them this says nothing.",
                    names.len()
                ),
                false => "Some of them may not be needed.".to_owned(),
            });
        }
        sentences.extend(self.origin(last));
        sentences
    }

    /// Where the value that a register's operation needed came from.
    fn origin(&self, id: u32) -> Option<String> {
        let operation = self.operation(id);
        let pool = &self.recording.pool;
        let needed = match (self.recording.function(operation), pool.as_list(operation.input)) {
            ("read", None) => operation.output,
            ("cas", Some(&[expected, _])) => expected,
            _ => return None,
        };
        let writes = |other: &Operation| {
            let made = match (self.recording.function(other), pool.as_list(other.input)) {
                ("write", _) => Some(other.input),
                ("cas", Some(&[_, new])) => Some(new),
                _ => None,
            };
            made == Some(needed) && other.key == operation.key && other.call < operation.ret
        };
        let all = || self.recording.operations.iter().enumerate();
        let mut writers = all().filter(|(_, other)| other.status != Status::Fail);
        let mut failed = all().filter(|(_, other)| other.status == Status::Fail);
        Some(match writers.rfind(|(_, other)| writes(other)) {
            Some((last, _)) => format!(
                "It needed {}, which {} wrote last; by then it had been overwritten for good.",
                self.value(needed),
                self.name(last as u32)
            ),
            None => match failed.rfind(|(_, other)| writes(other)) {
                Some((last, _)) => format!(
                    "It needed {}, which only {} would have written, and that failed.",
                    self.value(needed),
                    self.name(last as u32)
                ),
                None => format!(
                    "It needed {}, which no operation had begun to write.",
                    self.value(needed)
                ),
            },
        })
    }

    /// A failed operation that would have written what `read` saw.
    pub(super) fn failed_writer(&self, read: u32, value: Datum) -> Option<u32> {
        let key = self.operation(read).key;
        let pool = &self.recording.pool;
        let mut failed = self
            .recording
            .operations
            .iter()
            .enumerate()
            .filter(|(_, other)| other.status == Status::Fail && other.key == key);
        let writes = |other: &Operation| match (self.recording.function(other), pool.as_list(other.input)) {
            ("write", _) => other.input == value,
            ("cas", Some(&[_, new])) => new == value,
            _ => false,
        };
        failed.rfind(|(_, other)| writes(other)).map(|(id, _)| id as u32)
    }

    /// `A  p3  write 5    called at 1.2 ms, returned at 1.4 ms (events 17, 20)`.
    fn line(&self, id: u32, out: &mut String) {
        let operation = self.operation(id);
        let _ = write!(
            out,
            "  {}  {:<5} {:<28} called {}",
            self.name(id),
            self.recording.process(operation.process),
            self.describe(id),
            self.moment(operation.call)
        );
        if operation.ret == NEVER {
            out.push_str(", outcome unknown");
        } else {
            let _ = write!(out, ", returned {}", self.moment(operation.ret));
        }
        if let Some(node) = self.recording.nodes.get(&id) {
            let _ = write!(out, ", node {node}");
        }
        out.push('\n');
    }

    pub(super) fn moment(&self, event: u32) -> String {
        match self.recording.time(event) {
            Some(ns) => format!("{} ms (event {event})", self.milliseconds(ns)),
            None => format!("event {event}"),
        }
    }

    /// Nanoseconds as milliseconds, with as many digits as this story needs.
    pub(super) fn milliseconds(&self, ns: u64) -> String {
        match self.is_fine {
            true => format!("{}.{:06}", ns / 1_000_000, ns % 1_000_000),
            false => format!("{:.3}", ns as f64 / 1e6),
        }
    }

    fn operation(&self, id: u32) -> &'a Operation {
        &self.recording.operations[id as usize]
    }

    /// The letter of an operation.
    pub(super) fn name(&self, id: u32) -> String {
        self.named.borrow_mut().push(id);
        match self.ids.iter().position(|known| *known == id) {
            Some(at) => char::from(b'A' + at as u8).to_string(),
            None => format!("event {}", self.operation(id).call),
        }
    }

    fn value(&self, datum: Datum) -> String {
        cut(&self.recording.pool.show(datum))
    }

    /// What an operation did, in a few words.
    pub(super) fn describe(&self, id: u32) -> String {
        let operation = self.operation(id);
        let function = self.recording.function(operation);
        let pool = &self.recording.pool;
        let input = self.value(operation.input);
        let known = operation.status == Status::Ok;
        match (function, pool.as_list(operation.input)) {
            ("cas", Some(&[expected, new])) => {
                let swap = format!("cas {} -> {}", self.value(expected), self.value(new));
                match operation.result {
                    ResultKind::Saw if operation.output != expected => {
                        format!("{swap} (found {})", self.value(operation.output))
                    }
                    ResultKind::Saw
                    | ResultKind::Plain
                    | ResultKind::End
                    | ResultKind::At
                    | ResultKind::Offset
                    | ResultKind::Contradicts
                    | ResultKind::Keyless => match operation.status {
                        Status::Ok | Status::Info => swap,
                        Status::Fail => format!("{swap} (found another value)"),
                    },
                }
            }
            ("append", _) if known && !operation.output.is_nil() && operation.output != operation.input => {
                format!("append {input} at {}", self.value(operation.output))
            }
            ("read" | "get" | "tail", _) if known => self.describe_read(function, operation),
            ("txn", _) if known => format!("txn {}", self.value(operation.output)),
            ("acquire", _) if known => format!("acquire -> {}", self.value(operation.output)),
            _ if operation.input.is_nil() => function.to_owned(),
            _ => format!("{function} {input}"),
        }
    }

    fn describe_read(&self, function: &str, operation: &Operation) -> String {
        let pool = &self.recording.pool;
        match (function, pool.view(operation.output)) {
            ("read", View::List(entries)) if operation.result == ResultKind::End || entries.len() > 4 => {
                let end = if operation.result == ResultKind::End {
                    ", the end"
                } else {
                    ""
                };
                let last = entries
                    .last()
                    .map_or_else(String::new, |last| format!(", last {}", self.value(*last)));
                format!(
                    "read {} -> {} entries{last}{end}",
                    self.value(operation.input),
                    entries.len()
                )
            }
            _ => format!("{function} -> {}", self.value(operation.output)),
        }
    }

    /// When an operation was called, as part of a sentence.
    fn called(&self, id: u32) -> String {
        format!("{} was called", self.name(id))
    }

    /// When an operation returned, as part of a sentence.
    fn returned(&self, id: u32) -> String {
        format!("{} returned", self.name(id))
    }
}

/// A value of readable length: its beginning and its end, which is where long values mostly differ.
fn cut(text: &str) -> String {
    let chars = text.chars().count();
    if chars <= VALUE_CHARS_MAX {
        return text.to_owned();
    }
    let (head, tail) = (VALUE_CHARS_MAX * 2 / 3, VALUE_CHARS_MAX / 3);
    let begin: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(chars - tail).collect();
    format!("{begin} ... {end} ({chars} characters)")
}

fn cut_at(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

/// Adds `sentence` in lines of readable length, indented.
fn wrap(sentence: &str, out: &mut String) {
    const WIDTH: usize = 96;
    let mut column = 0;
    for word in sentence.split(' ') {
        if column == 0 {
            out.push_str("  ");
        } else if column + word.len() > WIDTH {
            out.push_str("\n  ");
            column = 0;
        } else {
            out.push(' ');
        }
        out.push_str(word);
        column += word.len() + 1;
    }
    out.push('\n');
}
