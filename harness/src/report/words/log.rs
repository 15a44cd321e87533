//! Violations of logs, in words.

use super::Story;
use crate::checker::violation::LogViolation;

pub(super) fn title(story: &Story<'_>, violation: &LogViolation) -> String {
    match *violation {
        LogViolation::Garbage { read, record } => {
            format!(
                "{} saw record {} that was never appended",
                story.describe(read),
                story.value(record)
            )
        }
        LogViolation::Conflict { .. } => "two operations disagree about a position".to_owned(),
        LogViolation::Disorder { read } => format!("{} is out of order", story.describe(read)),
        LogViolation::Skipped { read, other } => {
            format!(
                "{} left out a record that {} knows",
                story.describe(read),
                story.describe(other)
            )
        }
        LogViolation::Missing { read, .. } => {
            format!(
                "lost: {} lacks a record that cannot have been trimmed",
                story.describe(read)
            )
        }
        LogViolation::Hole { offset, later } => {
            format!(
                "{} knows of more than offset {offset}, where nothing can have been appended",
                story.describe(later)
            )
        }
        LogViolation::Resurrected { read, .. } => {
            format!("{} saw a record that had been trimmed", story.describe(read))
        }
        LogViolation::RealTime { earlier, later } => match (appends(story, earlier), appends(story, later)) {
            (true, true) => "acknowledged append overtaken by a later one".to_owned(),
            (true, false) => format!("{} saw an append before it began", story.describe(later)),
            (false, true) => format!(
                "lost: {} does not see an acknowledged append",
                story.describe(earlier)
            ),
            (false, false) => format!(
                "stale: {} saw less than an earlier operation",
                story.describe(earlier)
            ),
        },
    }
}

pub(super) fn sentences(story: &Story<'_>, violation: &LogViolation) -> Vec<String> {
    match *violation {
        LogViolation::Garbage { read, record } => vec![format!(
            "No append of this history that could have taken effect has the record {} that {} saw.",
            story.value(record),
            story.name(read)
        )],
        LogViolation::Conflict { one, other } if one == other => {
            vec![format!(
                "{} gives one record two positions, or one position two records.",
                story.name(one)
            )]
        }
        LogViolation::Conflict { one, other } => vec![format!(
            "{} and {} put different records at one position, or one record at two. A log never changes what \
             it has, and each record was appended once.",
            story.name(one),
            story.name(other)
        )],
        LogViolation::Disorder { read } => {
            vec![format!(
                "{} returned records against the order of their positions.",
                story.name(read)
            )]
        }
        LogViolation::Skipped { read, other } => vec![format!(
            "{} returned records from both sides of a position at which {} knows a record, but not that one. \
             A log grows only at its end, so the record was there.",
            story.name(read),
            story.name(other)
        )],
        LogViolation::Missing { read, other } => {
            let (read, other) = (story.name(read), story.name(other));
            vec![
                format!("{other} knows a record in the range of {read} that {read} did not return."),
                format!("But no trim that was called before {read} returned has a label above it."),
            ]
        }
        LogViolation::Hole { offset, later } => vec![
            format!(
                "{} shows that the log was longer than {offset} before it returned, and no operation says what is at \
                 offset {offset}.",
                story.name(later)
            ),
            "Only an append of unknown outcome that was never seen can be there. But all of those that were called in \
             time, if any, are needed for lower offsets."
                .to_owned(),
        ],
        LogViolation::Resurrected { read, other } => {
            let gone = match story.recording.function(story.operation(other)) {
                "trim" => "removed a record that was in the log when it was called",
                _ => "saw the log without a record in its range, which had been trimmed",
            };
            let (name, other_name) = (story.name(read), story.name(other));
            vec![
                format!("{other_name} {gone}, and {name} saw that record or one before it."),
                format!(
                    "What was trimmed does not come back, so {name} comes before {other_name}. But {} before {}.",
                    story.returned(other),
                    story.called(read)
                ),
            ]
        }
        LogViolation::RealTime { earlier, later } => against_time(story, earlier, later),
    }
}

fn against_time(story: &Story<'_>, earlier: u32, later: u32) -> Vec<String> {
    let (one, other) = (story.name(earlier), story.name(later));
    let order = match (appends(story, earlier), appends(story, later)) {
        (true, true) => format!("By the positions of their records {one} comes before {other}."),
        (true, false) => {
            format!("{other} saw the record of {one} or one behind it, so it comes after {one}.")
        }
        (false, true) => {
            format!("{one} saw the end of the log without the record of {other}, so it comes before {other}.")
        }
        (false, false) => format!(
            "{one} saw a shorter log than {other}, and a log never shrinks, so it comes before {other}."
        ),
    };
    vec![
        order,
        format!("But {} before {}.", story.returned(later), story.called(earlier)),
    ]
}

fn appends(story: &Story<'_>, id: u32) -> bool {
    matches!(story.recording.function(story.operation(id)), "append" | "apply")
}
