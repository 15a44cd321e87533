//! Chooses model and engine by what the history is, and joins the answers of its parts.

use super::budget::{Budget, Limit};
use super::certificate::{self, Certificate};
use super::datum::Datum;
use super::hash::FastMap;
use super::recording::{Recording, Status};
use super::register::{Register, RegisterOp};
use super::split::{self, Part, Parts};
use super::verdict::{Exhausted, Verdict};
use super::{
    Finding, Report, bank, counter, depth, exactly_once, frontier, kv, list_append, lock, log, register,
    search, sets, txn, unique, witness,
};
use crate::model::{Call, Model};

mod name;

pub use name::ModelName;

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
    match options.model.map_or_else(|| ModelName::guess(recording), Ok) {
        Ok(model) => check_model(recording, model, options, budget),
        Err(reason) => Report {
            model: ModelName::Register,
            engines: Vec::new(),
            parts: 0,
            operations: 0,
            finding: Finding::Unknown { reason },
            certificate: Certificate::Absent,
        },
    }
}

fn check_model(recording: &mut Recording, model: ModelName, options: &Options, budget: &Budget) -> Report {
    match model {
        ModelName::Register => check_register(recording, options, budget),
        ModelName::Kv => {
            let convert = kv::Converter::new(recording);
            let parts = split::by_key(recording, budget, |operation| convert.convert(operation));
            let kv = kv::Kv {
                pool: &recording.pool,
            };
            join(model, recording, parts, options, |part| {
                search(&kv, &part.calls, budget)
            })
        }
        ModelName::Log | ModelName::ExactlyOnce => check_log(recording, model, options, budget),
        ModelName::Set | ModelName::SetFull => {
            sets::normalize(recording);
            let convert = sets::Converter::new(recording);
            let parts = split::by_key(recording, budget, |operation| convert.convert(operation));
            join(model, recording, parts, options, |part| {
                Answer::maybe("sets", sets::check(&recording.pool, &part.calls, budget))
            })
        }
        ModelName::Counter => {
            let convert = counter::Converter::new(recording);
            let parts = split::by_key(recording, budget, |operation| convert.convert(operation));
            let initial = initial_value(recording, options)
                .and_then(Datum::as_int)
                .unwrap_or(0);
            join(model, recording, parts, options, |part| {
                Answer::of("counter", counter::check(initial, &part.calls, budget))
            })
        }
        ModelName::Bank => whole(model, recording, "bank", bank::check(recording)),
        ModelName::Lock => {
            let convert = lock::Converter::new(recording);
            let parts = split::by_key(recording, budget, |operation| convert.convert(operation));
            join(model, recording, parts, options, |part| {
                Answer::of("lock", lock::check(&part.calls))
            })
        }
        ModelName::ListAppend => whole(
            model,
            recording,
            "list-append",
            list_append::check(recording, budget),
        ),
        ModelName::RwRegister => {
            let verdict = txn::parse(recording).map(|calls| {
                let transactions = txn::Transactions {
                    pool: &recording.pool,
                };
                search::check(&transactions, &calls, budget).1
            });
            whole(model, recording, "search", verdict)
        }
    }
}

fn initial_value(recording: &mut Recording, options: &Options) -> Option<Datum> {
    match &options.initial {
        Some(text) => crate::formats::parse_datum(&mut recording.pool, text),
        None => recording.initial,
    }
}

fn check_register(recording: &mut Recording, options: &Options, budget: &Budget) -> Report {
    let initial = initial_value(recording, options).unwrap_or(Datum::NIL);
    register::normalize(recording);
    let convert = register::Converter::new(recording, initial);
    let parts = split::by_key(recording, budget, |operation| {
        convert.convert(&recording.pool, operation)
    });
    let certificate = match &parts {
        Ok(parts) => certify(recording, &Register { initial }, &parts.parts),
        Err(_) => Certificate::Absent,
    };
    let decide = |part: &Part<_>| decide_register(initial, &part.calls, budget);
    Report {
        certificate,
        ..join(ModelName::Register, recording, parts, options, decide)
    }
}

fn certify(recording: &Recording, model: &Register, parts: &[Part<RegisterOp>]) -> Certificate {
    if recording.log_indexes.is_empty() {
        return Certificate::Absent;
    }
    let indexes: FastMap<u32, u64> = recording.log_indexes.iter().copied().collect();
    for part in parts {
        match certificate::check(model, &part.calls, &indexes) {
            Certificate::Proven => {}
            other @ (Certificate::Contradicted(_) | Certificate::Absent) => return other,
        }
    }
    Certificate::Proven
}

fn decide_register(initial: Datum, calls: &[Call<RegisterOp>], budget: &Budget) -> Answer {
    let model = Register { initial };
    if let Some(verdict) = unique::check(initial, calls, budget) {
        return Answer::of("unique", verdict).verified(&model, calls);
    }
    let mut meter = budget.meter();
    if let Err(limit) = meter.hold(2 * size_of_val(calls)) {
        let total = calls.len() as u32;
        return Answer::of(
            "frontier",
            Verdict::Unknown(Exhausted {
                limit,
                decided: 0,
                total,
            }),
        );
    }
    let mut calls = calls.to_vec();
    register::drop_unseen(&mut calls);
    let (engine, verdict) = search::race(
        [
            ("frontier", &|round: &Budget| {
                frontier::check(initial, &calls, round)
            }),
            // It is lucky where there are too many configurations at a time, and there are orders in plenty.
            ("depth", &|round: &Budget| depth::check(&model, &calls, round)),
        ],
        calls.len(),
        budget,
    );
    Answer::of(engine, verdict).verified(&model, &calls)
}

fn search<M: Model>(model: &M, calls: &[Call<M::Op>], budget: &Budget) -> Answer {
    let (engine, verdict) = search::check(model, calls, budget);
    Answer::of(engine, verdict).verified(model, calls)
}

fn check_log(recording: &Recording, model: ModelName, options: &Options, budget: &Budget) -> Report {
    let parts = match model {
        ModelName::ExactlyOnce => {
            let convert = exactly_once::Converter::new(recording);
            split::by_key(recording, budget, |operation| convert.convert(operation))
        }
        _ => {
            let convert = log::Converter::new(recording);
            split::by_key(recording, budget, |operation| {
                convert.convert(&recording.pool, operation)
            })
        }
    };
    let labels = log::labels_of(recording);
    join(model, recording, parts, options, |part| {
        Answer::maybe("log", log::check(&recording.pool, &part.calls, labels, budget))
    })
}

/// Orders up to this length are verified before anyone is told: milliseconds.
const VERIFIED_MAX: usize = 100_000;

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

    /// The same, once its order, if it has one, was replayed through the model. That takes as long as
    /// finding it does, so it is left to the tests for orders longer than [`VERIFIED_MAX`].
    fn verified<M: Model>(mut self, model: &M, calls: &[Call<M::Op>]) -> Self {
        if let Ok(Verdict::Valid(order)) = &self.verdict
            && calls.len() <= VERIFIED_MAX
            && let Err(flaw) = witness::verify(model, calls, order)
        {
            self.verdict = Err(format!("the order that {} found is none: {flaw:?}", self.engine));
        }
        self
    }

    fn maybe(engine: &'static str, verdict: Result<Verdict, (u32, &'static str)>) -> Self {
        let verdict = verdict.map_err(|(op, problem)| format!("operation {op}: {problem}"));
        Self { engine, verdict }
    }

    fn is_violation(&self) -> bool {
        matches!(self.verdict, Ok(Verdict::Invalid(_)))
    }

    fn finding(self, key: Datum) -> Finding {
        match self.verdict {
            Ok(Verdict::Valid(_)) => Finding::Valid,
            Ok(Verdict::Invalid(violation)) => Finding::Invalid { key, violation },
            Ok(Verdict::Unknown(exhausted)) => Finding::Unknown {
                reason: explain_exhausted(exhausted),
            },
            Err(reason) => Finding::Unknown { reason },
        }
    }
}

fn whole(
    model: ModelName,
    recording: &Recording,
    engine: &'static str,
    verdict: Result<Verdict, (u32, &'static str)>,
) -> Report {
    Report {
        model,
        engines: vec![engine],
        parts: 1,
        operations: recording.effective().count() as u64,
        finding: Answer::maybe(engine, verdict).finding(Datum::NIL),
        certificate: Certificate::Absent,
    }
}

fn join<O: Sync>(
    model: ModelName,
    recording: &Recording,
    parts: Result<Parts<O>, Limit>,
    options: &Options,
    check: impl Fn(&Part<O>) -> Answer + Sync,
) -> Report {
    let unchecked = |finding| Report {
        model,
        engines: Vec::new(),
        parts: 0,
        operations: 0,
        finding,
        certificate: Certificate::Absent,
    };
    let parts = match parts {
        // A history in which nothing happened for certain is vacuously valid; one whose operations mean
        // nothing to the model is not understood.
        Ok(Parts { parts, .. }) if parts.is_empty() && nothing_to_say(recording) => {
            let reason = format!(
                "no operation of this history says anything about a {}",
                model.name()
            );
            return unchecked(Finding::Unknown { reason });
        }
        Ok(parts) => parts,
        Err(limit) => {
            let reason = format!("{} ran out before the check began", limit.name());
            return unchecked(Finding::Unknown { reason });
        }
    };
    let parts = &parts.parts[..];
    let answers = split::check_parts(parts, options.threads, check, Answer::is_violation);
    let mut engines = Vec::new();
    let mut finding = Finding::Valid;
    for (part, answer) in parts.iter().zip(answers) {
        if !engines.contains(&answer.engine) {
            engines.push(answer.engine);
        }
        match answer.finding(part.key) {
            Finding::Valid => {}
            other @ (Finding::Invalid { .. } | Finding::Unknown { .. }) => finding = other,
        }
    }
    let operations = parts.iter().map(|part| part.calls.len() as u64).sum();
    Report {
        model,
        engines,
        parts: parts.len(),
        operations,
        finding,
        certificate: Certificate::Absent,
    }
}

fn nothing_to_say(recording: &Recording) -> bool {
    recording.operations.is_empty()
        || recording
            .operations
            .iter()
            .any(|operation| operation.status == Status::Ok)
}

fn explain_exhausted(exhausted: Exhausted) -> String {
    let Exhausted {
        limit,
        decided,
        total,
    } = exhausted;
    format!("{} ran out after {decided} of {total} operations", limit.name())
}
