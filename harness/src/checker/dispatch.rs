//! Chooses model and engine by what the history is, and joins the answers of its parts.

use super::budget::Budget;
use super::datum::{Datum, Pool};
use super::recording::Recording;
use super::register::{Register, RegisterOp};
use super::split::{self, Part};
use super::verdict::{Exhausted, Verdict};
use super::{Finding, Report, breadth, frontier, kv, log, register, unique};
use crate::model::Call;

/// Models by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelName {
    /// Read, write, compare-and-set.
    Register,
    /// Put, append, get of texts.
    Kv,
    /// Append, read, tail.
    Log,
}

impl ModelName {
    /// Every model.
    pub const ALL: [Self; 3] = [Self::Register, Self::Kv, Self::Log];

    /// As written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Kv => "kv",
            Self::Log => "log",
        }
    }

    /// The model called `name`, under its own name or one that other tools use.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "register" | "cas-register" => Some(Self::Register),
            "kv" | "kv-append" => Some(Self::Kv),
            "log" => Some(Self::Log),
            _ => None,
        }
    }

    /// The model a history says or shows that it is about.
    fn guess(recording: &Recording) -> Option<Self> {
        if let Some(workload) = &recording.workload {
            return Self::parse(workload);
        }
        let has = |name| recording.function_id(name).is_some();
        if has("write") || has("cas") {
            Some(Self::Register)
        } else if has("put") || has("get") {
            Some(Self::Kv)
        } else if has("append") {
            Some(Self::Log)
        } else if has("read") {
            Some(Self::Register)
        } else {
            None
        }
    }
}

/// How to check.
#[derive(Clone, Debug)]
pub struct Options {
    /// Model, unless it is to be guessed.
    pub model: Option<ModelName>,
    /// Value of every register before the first operation, in EDN or JSON, unless the history says.
    pub initial: Option<String>,
    /// Threads for the parts of one history.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            model: None,
            initial: None,
            threads: 1,
        }
    }
}

/// Checks a whole history.
pub fn check(recording: &mut Recording, options: &Options, budget: &Budget) -> Report {
    let Some(model) = options.model.or_else(|| ModelName::guess(recording)) else {
        let names: Vec<_> = recording.functions.iter().map(|name| &**name).take(8).collect();
        return Report {
            model: ModelName::Register,
            engines: Vec::new(),
            parts: 0,
            operations: 0,
            finding: Finding::Unknown {
                reason: format!("no model fits the functions {names:?}: choose one with --model"),
            },
        };
    };
    match model {
        ModelName::Register => check_register(recording, options, budget),
        ModelName::Kv => {
            let convert = kv::Converter::new(recording);
            let parts = split::by_key(recording, |operation| convert.convert(operation));
            let model = kv::Kv {
                pool: &recording.pool,
            };
            let check = |part: &Part<_>| Answer::of("breadth", breadth::check(&model, &part.calls, budget));
            join(ModelName::Kv, &parts, options, check)
        }
        ModelName::Log => {
            let convert = log::Converter::new(recording);
            let parts = split::by_key(recording, |operation| convert.convert(&recording.pool, operation));
            join(ModelName::Log, &parts, options, |part| {
                check_log(&recording.pool, part, budget)
            })
        }
    }
}

fn check_register(recording: &mut Recording, options: &Options, budget: &Budget) -> Report {
    let initial = match &options.initial {
        Some(text) => crate::formats::parse_datum(&mut recording.pool, text),
        None => recording.initial,
    };
    let initial = initial.unwrap_or(Datum::NIL);
    register::normalize(recording);
    let convert = register::Converter::new(recording, initial);
    let parts = split::by_key(recording, |operation| convert.convert(&recording.pool, operation));
    join(ModelName::Register, &parts, options, |part| {
        decide_register(initial, &part.calls, budget)
    })
}

fn decide_register(initial: Datum, calls: &[Call<RegisterOp>], budget: &Budget) -> Answer {
    if let Some(verdict) = unique::check(initial, calls, budget) {
        return Answer::of("unique", verdict);
    }
    let mut calls = calls.to_vec();
    register::drop_unseen(&mut calls);
    if let Some(verdict) = frontier::check(initial, &calls, budget) {
        return Answer::of("frontier", verdict);
    }
    Answer::of("breadth", breadth::check(&Register { initial }, &calls, budget))
}

fn check_log(pool: &Pool, part: &Part<log::LogOp>, budget: &Budget) -> Answer {
    match log::check(pool, &part.calls, budget) {
        Ok(verdict) => Answer::of("log", verdict),
        Err((op, problem)) => Answer {
            engine: "log",
            verdict: Err(format!("operation {op}: {problem}")),
        },
    }
}

/// What an engine said about a part; an error when it could not make sense of it.
struct Answer {
    engine: &'static str,
    verdict: Result<Verdict, String>,
}

impl Answer {
    fn of(engine: &'static str, verdict: Verdict) -> Self {
        Self {
            engine,
            verdict: Ok(verdict),
        }
    }

    fn is_violation(&self) -> bool {
        matches!(self.verdict, Ok(Verdict::Invalid(_)))
    }
}

fn join<O: Sync>(
    model: ModelName,
    parts: &[Part<O>],
    options: &Options,
    check: impl Fn(&Part<O>) -> Answer + Sync,
) -> Report {
    let answers = split::check_parts(parts, options.threads, check, Answer::is_violation);
    let mut engines = Vec::new();
    let mut finding = Finding::Valid;
    for (part, answer) in parts.iter().zip(answers) {
        if !engines.contains(&answer.engine) {
            engines.push(answer.engine);
        }
        match answer.verdict {
            Ok(Verdict::Valid(_)) => {}
            Ok(Verdict::Invalid(violation)) => {
                finding = Finding::Invalid {
                    key: part.key,
                    violation,
                }
            }
            Ok(Verdict::Unknown(exhausted)) => {
                finding = Finding::Unknown {
                    reason: explain_exhausted(exhausted),
                };
            }
            Err(reason) => finding = Finding::Unknown { reason },
        }
    }
    let operations = parts.iter().map(|part| part.calls.len() as u64).sum();
    Report {
        model,
        engines,
        parts: parts.len(),
        operations,
        finding,
    }
}

fn explain_exhausted(exhausted: Exhausted) -> String {
    let Exhausted {
        limit,
        decided,
        total,
    } = exhausted;
    format!("{} ran out after {decided} of {total} operations", limit.name())
}
