//! Models whose operations touch more than one key, so that a history is one part.

use super::{Answer, Initial, ModelName, Options, report};
use crate::checker::budget::Budget;
use crate::checker::datum::Datum;
use crate::checker::recording::Recording;
use crate::checker::txn::{self, Cells, Transactional};
use crate::checker::usage::{NilReads, Tally};
use crate::checker::{Finding, Report, bank, list_append, rw_register};

/// Each bank for itself, where there are several.
pub(super) fn bank(recording: &Recording, initial: &Initial, options: &Options) -> Report {
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
    let nil_reads = options.nil_reads.unwrap_or(NilReads::Value);
    let Transactional { calls, tally } = txn::parse(recording, Cells::Lists, nil_reads);
    let aborted = txn::aborted(recording);
    let verdict = list_append::decide(&recording.pool, &initial.elements, &calls, &aborted, budget);
    one(
        ModelName::ListAppend,
        recording,
        &tally,
        Answer::maybe("list-append", verdict),
    )
}

pub(super) fn rw_register(
    recording: &Recording,
    initial: &Initial,
    options: &Options,
    budget: &Budget,
) -> Report {
    let nil_reads = options.nil_reads.unwrap_or(NilReads::Value);
    let Transactional { calls, tally } = txn::parse(recording, Cells::Registers, nil_reads);
    let aborted = txn::aborted(recording);
    let (engine, verdict) = rw_register::decide(&recording.pool, &calls, initial.value, &aborted, budget);
    one(
        ModelName::RwRegister,
        recording,
        &tally,
        Answer::of(engine, verdict),
    )
}

fn one(model: ModelName, recording: &Recording, tally: &Tally, answer: Answer) -> Report {
    let engine = answer.engine;
    let finding: Finding = answer.finding(recording, Datum::NIL, tally.changed_from(Datum::NIL));
    report(model, recording, tally, 1, vec![(engine, finding)])
}
