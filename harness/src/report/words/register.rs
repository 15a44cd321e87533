//! Violations of registers of unique values, in words.

use super::Story;
use crate::checker::violation::{Contradiction, RegisterViolation, Zone};
use crate::recording::datum::Datum;

pub(super) fn title(story: &Story<'_>, violation: &RegisterViolation) -> String {
    match violation.contradiction {
        Contradiction::Garbage { read } => match story.failed_writer(read, needed(story, read)) {
            Some(_) => format!(
                "dirty read: {} saw what a failed operation would have written",
                story.describe(read)
            ),
            None => format!("{} saw a value that no operation wrote", story.describe(read)),
        },
        Contradiction::Future { read, .. } => {
            format!(
                "{} saw a value before anyone began to write it",
                story.describe(read)
            )
        }
        Contradiction::LostUpdate { .. } => {
            "lost update: two compare-and-sets replaced the same value".to_owned()
        }
        Contradiction::Cycle { .. } => "compare-and-sets that each need another one first".to_owned(),
        Contradiction::PathOrder { earlier, .. } => {
            format!(
                "stale: {} saw a value that had been replaced",
                story.describe(earlier)
            )
        }
        Contradiction::Overlap { .. } => "two values at the same time".to_owned(),
        Contradiction::Inside { outer, .. } => match outer.last {
            Some(last) => format!(
                "stale: {} saw a value that had been overwritten",
                story.describe(last)
            ),
            None => "a value came back".to_owned(),
        },
    }
}

pub(super) fn sentences(story: &Story<'_>, violation: &RegisterViolation) -> Vec<String> {
    let mut sentences = contradiction(story, &violation.contradiction);
    for effect in &violation.effects {
        sentences.push(format!(
            "{} took effect although it was never seen to return: {} saw its value, or one made from it.",
            story.name(effect.op),
            story.name(effect.seen_by)
        ));
    }
    sentences
}

fn contradiction(story: &Story<'_>, contradiction: &Contradiction) -> Vec<String> {
    match *contradiction {
        Contradiction::Garbage { read } => vec![match story.failed_writer(read, needed(story, read)) {
            Some(failed) => format!(
                "Only {} would have written the value that {} saw, and {} failed: a failed operation never takes effect.",
                story.name(failed),
                story.name(read),
                story.name(failed)
            ),
            None => format!(
                "No operation of this history, whatever its outcome, writes the value that {} saw.",
                story.name(read)
            ),
        }],
        Contradiction::Future { read, writer } => vec![format!(
            "{} saw {}, which only {} writes. But {} before {}.",
            story.name(read),
            value(story, read),
            story.name(writer),
            story.returned(read),
            story.called(writer)
        )],
        Contradiction::LostUpdate { one, other } => vec![format!(
            "{} and {} both found {} and replaced it. Once one of them has, the value is gone: it is \
             written only once.",
            story.name(one),
            story.name(other),
            expected(story, one)
        )],
        Contradiction::Cycle { one, other } => vec![format!(
            "{} expects what {} writes, and following such links leads back to {}: each has to come after \
             itself.",
            story.name(one),
            story.name(other),
            story.name(one)
        )],
        Contradiction::PathOrder { earlier, later } => vec![format!(
            "The value of {} ({}) replaced that of {} ({}), directly or through others, so {} has to come \
             before {}. But {} before {}.",
            story.name(later),
            value(story, later),
            story.name(earlier),
            value(story, earlier),
            story.name(earlier),
            story.name(later),
            story.returned(later),
            story.called(earlier)
        )],
        Contradiction::Overlap { one, other } => vec![
            held(story, one),
            held(story, other),
            "These times overlap, but a register holds one value at a time, and each value is written only \
             once, so neither can come back."
                .to_owned(),
        ],
        Contradiction::Inside { outer, inner } => {
            vec![held(story, outer), within(story, inner, outer)]
        }
    }
}

/// "From A's return until D's call the register held 5."
fn held(story: &Story<'_>, zone: Zone) -> String {
    match (zone.first, zone.last) {
        (None, Some(last)) => format!(
            "From the beginning until {} the register held its initial value, because {} still saw it ({}).",
            story.called(last),
            story.name(last),
            value(story, last)
        ),
        (Some(first), Some(last)) if value(story, first) == value(story, last) => format!(
            "The register held {} from when {} until {}: {} had made or seen it, and {} still did.",
            value(story, first),
            story.returned(first),
            story.called(last),
            story.name(first),
            story.name(last)
        ),
        (Some(first), Some(last)) => format!(
            "From when {} until {} the register held {} and then only what compare-and-sets made of it, up \
             to {}: a value from elsewhere in between would have made them fail.",
            story.returned(first),
            story.called(last),
            value(story, first),
            value(story, last)
        ),
        (_, None) => "The register held its initial value at the beginning.".to_owned(),
    }
}

fn within(story: &Story<'_>, inner: Zone, outer: Zone) -> String {
    let begin = outer.first.map_or("the beginning".to_owned(), |first| {
        format!("{}'s return", story.name(first))
    });
    let (Some(first), Some(last)) = (inner.first, inner.last) else {
        return "The initial value would have had to be current in between.".to_owned();
    };
    let who = if first == last {
        format!("{} ({})", story.name(first), story.describe(first))
    } else {
        format!("{} and {}", story.name(first), story.name(last))
    };
    format!(
        "But {who} lies wholly in that time: called after {begin} and returned before {}'s call, so {} has to \
         be current in between. The other value could not come back after it: each is written only once.",
        outer.last.map_or("the last".to_owned(), |last| story.name(last)),
        value(story, last)
    )
}

/// The value an operation is about: what it wrote, or saw.
fn value(story: &Story<'_>, id: u32) -> String {
    story.value(subject(story, id))
}

fn subject(story: &Story<'_>, id: u32) -> Datum {
    let operation = story.operation(id);
    let pool = &story.recording.pool;
    match (story.recording.function(operation), pool.as_list(operation.input)) {
        ("read", _) => operation.output,
        ("cas", Some(&[expected, new])) => {
            let found = operation.output;
            let swapped = operation.result != crate::recording::ResultKind::Saw || found == expected;
            if swapped { new } else { found }
        }
        _ => operation.input,
    }
}

/// The value an operation found or expected.
fn needed(story: &Story<'_>, id: u32) -> Datum {
    let operation = story.operation(id);
    match story.recording.pool.as_list(operation.input) {
        Some(&[expected, _]) if story.recording.function(operation) == "cas" => expected,
        _ => operation.output,
    }
}

fn expected(story: &Story<'_>, id: u32) -> String {
    match story.recording.pool.as_list(story.operation(id).input) {
        Some(&[expected, _]) => story.value(expected),
        _ => "the same value".to_owned(),
    }
}
