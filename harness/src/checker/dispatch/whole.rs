//! Models whose operations touch more than one key, so that a history is one part.

use super::answer::{Answer, report};
use super::initial::Initial;
use super::options::Options;
use super::{Task, decide_register};
use crate::checker::finding::{Finding, Report};
use crate::checker::model_name::ModelName;
use crate::checker::txn::{self, Cells, Micro, Transactional};
use crate::checker::usage::NilReads;
use crate::checker::{bank, list_append, register, rw_register, split};
use crate::model::Call;
use crate::recording::Recording;
use crate::recording::budget::Budget;
use crate::recording::datum::Datum;
use crate::recording::hash::FastMap;

/// Each bank for itself, where there are several: first the totals, and then an order of the transfers, where they say
/// what they replace.
pub(super) fn bank(task: &Task<'_>, initial: &Initial) -> Report {
    let (recording, options) = (task.recording, task.options);
    let totals = totals(recording, initial, options);
    let is_decided = matches!(totals.finding, Finding::Invalid { .. });
    if is_decided || !initial.given || !bank::swaps(recording) {
        return totals;
    }
    let convert = register::Converter::of_bank(recording, initial.value, options.nil_reads);
    let parts = split::by_key(recording, task.budget, |operation| convert.convert(operation));
    let order = task.join(parts, |calls, budget| {
        decide_register(initial.value, calls, budget)
    });
    let finding = match (totals.finding, order.finding) {
        (unsure @ Finding::Unknown { .. }, Finding::Valid) => unsure,
        (_, finding) => finding,
    };
    Report {
        engines: [totals.engines, order.engines].concat(),
        finding,
        ..order
    }
}

fn totals(recording: &Recording, initial: &Initial, options: &Options) -> Report {
    let (reads, tally) = bank::reads(recording, options.nil_reads);
    let key = |id: u32| recording.operations[id as usize].key;
    let mut keys: Vec<Datum> = reads.iter().map(|(id, _)| key(*id)).collect();
    keys.sort_unstable();
    keys.dedup();
    let findings = keys.iter().map(|bank| {
        let reads: Vec<_> = reads
            .iter()
            .copied()
            .filter(|(id, _)| key(*id) == *bank)
            .collect();
        let answer = Answer::of("bank", bank::check(initial.number, &reads));
        (
            "bank",
            answer.finding(recording, *bank, tally.changed_from(*bank)),
        )
    });
    report(ModelName::Bank, recording, &tally, keys.len(), findings.collect())
}

pub(super) fn list_append(
    recording: &Recording,
    initial: &Initial,
    options: &Options,
    budget: &Budget,
) -> Report {
    let model = (ModelName::ListAppend, Cells::Lists);
    transactions(model, recording, options, |calls, aborted| {
        let verdict = list_append::decide(&recording.pool, &initial.elements, calls, aborted, budget);
        Answer::maybe("list-append", verdict)
    })
}

pub(super) fn rw_register(
    recording: &Recording,
    initial: &Initial,
    options: &Options,
    budget: &Budget,
) -> Report {
    let model = (ModelName::RwRegister, Cells::Registers);
    transactions(model, recording, options, |calls, aborted| {
        let (engine, verdict) = rw_register::decide(&recording.pool, calls, initial.value, aborted, budget);
        Answer::of(engine, verdict)
    })
}

/// All transactions together, decided by `decide`, which also gets the writes of those that certainly had no effect.
fn transactions(
    (model, cells): (ModelName, Cells),
    recording: &Recording,
    options: &Options,
    decide: impl FnOnce(&[Call<Vec<Micro>>], &FastMap<(Datum, Datum), u32>) -> Answer,
) -> Report {
    let Transactional { calls, tally } =
        txn::parse(recording, cells, options.nil_reads.unwrap_or(NilReads::Value));
    let answer = decide(&calls, &txn::aborted(recording));
    let engine = answer.engine;
    // Whatever key an operation is recorded under, it may be about others.
    let finding = answer.finding(recording, Datum::NIL, tally.changed_first());
    report(model, recording, &tally, 1, vec![(engine, finding)])
}
