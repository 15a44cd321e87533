//! Violations of logs, in words.

use super::Story;
use crate::checker::log::LogViolation;

pub(super) fn title(story: &Story<'_>, violation: &LogViolation) -> String {
    match *violation {
        LogViolation::Garbage { read, record } => {
            format!(
                "{} saw record {} that nobody appended",
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
        LogViolation::RealTime { earlier, later } => match (kind(story, earlier), kind(story, later)) {
            ("append", "append") => "acknowledged append overtaken by a later one".to_owned(),
            ("append", _) => format!("{} saw an append before it began", story.describe(later)),
            (_, "append") => format!(
                "lost: {} does not see an acknowledged append",
                story.describe(earlier)
            ),
            _ => format!(
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
        LogViolation::RealTime { earlier, later } => vec![
            format!(
                "{} has to come before {}: the log {} needs at {} is at least as long as the one at {}, and \
                 a log never shrinks.",
                story.name(earlier),
                story.name(later),
                story.name(later),
                story.name(later),
                story.name(earlier)
            ),
            format!("But {} before {}.", story.returned(later), story.called(earlier)),
        ],
    }
}

fn kind<'a>(story: &Story<'a>, id: u32) -> &'a str {
    story.recording.function(story.operation(id))
}
