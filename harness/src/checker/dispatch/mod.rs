//! Chooses model and engine by what the history is, and joins the answers of its parts.

use super::certificate::{self, Certificate};
use super::finding::{Finding, Report};
use super::register::{Register, RegisterOp};
use super::split::{self, Part, Parts};
use super::usage::Taken;
use super::verdict::{Exhausted, Verdict};
use super::{
    counter, depth, exactly_once, frontier, independent, kv, lock, log, register, search, sets, unique,
};
use crate::model::Call;
use crate::recording::budget::{Budget, Limit};
use crate::recording::datum::Datum;
use crate::recording::hash::FastMap;
use crate::recording::{Operation, Recording};
use crate::results::Usage;

mod answer;
mod initial;
mod options;
mod whole;

use super::model_name::ModelName;
use answer::{Answer, report};
use initial::Initial;
pub use options::Options;

/// Checks a whole history.
pub fn check(recording: &mut Recording, options: &Options, budget: &Budget) -> Report {
    let model = options.model.map_or_else(|| ModelName::guess(recording), Ok);
    let model = match model {
        Ok(model) => model,
        Err(reason) => return unchecked(ModelName::Register, recording, reason),
    };
    let prepared = independent::take_keys(recording, model, options.independent)
        .and_then(|()| Initial::of(recording, model, options));
    match prepared {
        Err(reason) => unchecked(model, recording, reason),
        Ok(initial) => {
            let report = check_model(recording, model, &initial, options, budget);
            doubted(recording, report)
        }
    }
}

/// Nothing was checked, for this reason.
fn unchecked(model: ModelName, recording: &Recording, reason: String) -> Report {
    Report {
        model,
        engines: Vec::new(),
        parts: 0,
        operations: 0,
        usage: Usage::none(recording.operations.len() as u64, "not checked"),
        finding: Finding::Unknown { reason },
        certificate: Certificate::Absent,
    }
}

/// A history with a doubtful order decides nothing, whatever it seems to say.
fn doubted(recording: &Recording, mut report: Report) -> Report {
    if !recording.doubts().is_empty() {
        let seems = report.outcome();
        report.finding = Finding::Unknown {
            reason: format!(
                "{}; taken as it is, it would be {seems}",
                recording.doubts().join("; ")
            ),
        };
    }
    report
}

fn check_model(
    recording: &Recording,
    model: ModelName,
    initial: &Initial,
    options: &Options,
    budget: &Budget,
) -> Report {
    let (pool, nil_reads) = (&recording.pool, options.nil_reads);
    let task = Task {
        recording,
        model,
        options,
        budget,
    };
    match model {
        ModelName::Register => check_register(&task, initial.value),
        ModelName::Kv => {
            let convert = kv::Converter::new(recording, nil_reads);
            let initial = initial.given.then_some(initial.value);
            let kv = kv::Kv { pool, initial };
            let check = |calls: &[_], budget: &Budget| {
                let (engine, verdict) = kv::check(&kv, calls, budget);
                Answer::of(engine, verdict).verified(&kv, calls)
            };
            task.by_key(|one| convert.convert(one), check)
        }
        ModelName::Log => {
            let convert = log::Converter::new(recording);
            let labels = log::labels_of(recording);
            let check =
                |calls: &[_], budget: &Budget| Answer::maybe("log", log::check(pool, calls, labels, budget));
            task.by_key(|one| convert.convert(one), check)
        }
        ModelName::ExactlyOnce => {
            let convert = exactly_once::Converter::new(recording, nil_reads);
            let labels = log::Labels::Ordered;
            let check =
                |calls: &[_], budget: &Budget| Answer::maybe("log", log::check(pool, calls, labels, budget));
            task.by_key(|one| convert.convert(one), check)
        }
        ModelName::Set | ModelName::SetFull => {
            let convert = sets::Converter::new(recording, nil_reads);
            let elements = &initial.elements[..];
            let check = |calls: &[_], budget: &Budget| {
                Answer::maybe("sets", sets::check(pool, elements, calls, budget))
            };
            task.by_key(|one| convert.convert(one), check)
        }
        ModelName::Counter => {
            let convert = counter::Converter::new(recording, nil_reads);
            let number = initial.number.unwrap_or(0);
            let check =
                |calls: &[_], budget: &Budget| Answer::of("counter", counter::check(number, calls, budget));
            task.by_key(|one| convert.convert(one), check)
        }
        ModelName::Lock => {
            let convert = lock::Converter::new(recording);
            let check = |calls: &[_], _: &Budget| Answer::of("lock", lock::check(initial.number, calls));
            task.by_key(|one| convert.convert(one), check)
        }
        ModelName::Bank => whole::bank(&task, initial),
        ModelName::ListAppend => whole::list_append(recording, initial, options, budget),
        ModelName::RwRegister => whole::rw_register(recording, initial, options, budget),
    }
}

/// A history to be checked, and how.
struct Task<'a> {
    recording: &'a Recording,
    model: ModelName,
    options: &'a Options,
    budget: &'a Budget,
}

impl Task<'_> {
    /// Converts the history, divides it by key and checks its parts.
    fn by_key<O: Sync>(
        &self,
        convert: impl Fn(&Operation) -> Taken<O>,
        check: impl Fn(&[Call<O>], &Budget) -> Answer + Sync,
    ) -> Report {
        self.join(split::by_key(self.recording, self.budget, convert), check)
    }
}

fn check_register(task: &Task<'_>, initial: Datum) -> Report {
    let (recording, budget) = (task.recording, task.budget);
    let convert = register::Converter::new(recording, initial, task.options.nil_reads);
    let parts = split::by_key(recording, budget, |operation| convert.convert(operation));
    let certificate = match &parts {
        Ok(parts) => certify(recording, &Register { initial }, &parts.parts),
        Err(_) => Certificate::Absent,
    };
    Report {
        certificate,
        ..task.join(parts, |calls, budget| decide_register(initial, calls, budget))
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

impl Task<'_> {
    fn join<O: Sync>(
        &self,
        parts: Result<Parts<O>, Limit>,
        check: impl Fn(&[Call<O>], &Budget) -> Answer + Sync,
    ) -> Report {
        let (parts, tally) = match &parts {
            Ok(parts) => (&parts.parts[..], &parts.tally),
            Err(limit) => {
                let reason = format!("{} ran out before the check began", limit.name());
                return unchecked(self.model, self.recording, reason);
            }
        };
        let answers = split::check_in_rounds(
            parts,
            self.options.threads,
            self.budget,
            |part, budget| (check(&part.calls, budget), tally.changed_from(part.key)),
            |(answer, changed_from)| answer.is_violation(self.recording, *changed_from),
            |(answer, _)| answer.is_short_of_steps(),
        );
        let answered = parts.iter().zip(answers);
        let answered = answered.map(|(part, (answer, changed_from))| {
            let engine = answer.engine;
            (engine, answer.finding(self.recording, part.key, changed_from))
        });
        report(self.model, self.recording, tally, parts.len(), answered.collect())
    }
}
