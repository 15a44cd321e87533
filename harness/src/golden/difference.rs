//! How an answer differs from the one that was expected, in words, and the lines of the explanation that changed.

use std::fmt::Write;

use similar::{ChangeTag, TextDiff};

use super::Answer;

/// What differs, sentence by sentence, and then line by line; `None` when nothing does.
pub fn difference(was: &Answer, is: &Answer) -> Option<String> {
    if was == is {
        return None;
    }
    let mut out = String::new();
    for sentence in sentences(was, is) {
        let _ = writeln!(out, "  {sentence}");
    }
    lines(&was.explanation, &is.explanation, &mut out);
    Some(out)
}

fn sentences(was: &Answer, is: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    if was.verdict != is.verdict {
        found.push(format!(
            "The verdict was {}, and is now {}.",
            was.verdict, is.verdict
        ));
    }
    if was.model != is.model {
        found.push(format!(
            "It was checked as {}, and is now checked as {}.",
            was.model, is.model
        ));
    }
    let (title_was, title_is) = (title(was), title(is));
    if was.verdict == is.verdict && title_was != title_is {
        found.push(format!(
            "The finding was \"{title_was}\", and is now \"{title_is}\"."
        ));
    }
    if was.operations != is.operations {
        found.push(format!(
            "{} operations were used, and now {}.",
            was.operations, is.operations
        ));
    }
    // A history that is valid now has no such events, which says nothing new.
    if was.verdict == is.verdict {
        found.extend(other_events(&was.events, &is.events));
    }
    if found.is_empty() {
        found.push(match was.events.is_empty() {
            true => "The verdict is the same; only the words differ.".to_owned(),
            false => "The verdict and the operations without an order are the same; only the words differ."
                .to_owned(),
        });
    }
    found
}

/// The first line without the verdict that it begins with.
fn title(answer: &Answer) -> &str {
    let first = answer.explanation.lines().next().unwrap_or_default();
    first.split_once(": ").map_or(first, |(_, title)| title)
}

fn other_events(was: &[u32], is: &[u32]) -> Option<String> {
    let only_in = |these: &[u32], those: &[u32]| -> Vec<u32> {
        these
            .iter()
            .copied()
            .filter(|event| !those.contains(event))
            .collect()
    };
    let (gone, new) = (only_in(was, is), only_in(is, was));
    match (gone.is_empty(), new.is_empty()) {
        (true, true) => None,
        (false, true) => Some(format!(
            "Events {} are no longer needed to explain it.",
            list(&gone)
        )),
        (true, false) => Some(format!("Events {} are needed, too, to explain it.", list(&new))),
        (false, false) => Some(format!(
            "Other operations explain it: events {} in place of {}.",
            list(&new),
            list(&gone)
        )),
    }
}

fn list(events: &[u32]) -> String {
    let shown: Vec<String> = events.iter().take(EVENTS_MAX).map(u32::to_string).collect();
    let more = match events.len().saturating_sub(EVENTS_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

/// The lines that changed, with a few around them.
fn lines(was: &str, is: &str, out: &mut String) {
    let diff = TextDiff::from_lines(was, is);
    for (at, group) in diff.grouped_ops(CONTEXT_LINES).iter().enumerate() {
        if at > 0 {
            out.push_str("    ...\n");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            let line = format!("    {sign} {}", change.value().trim_end());
            let _ = writeln!(out, "{}", line.trim_end());
        }
    }
}

/// Lines around a change.
const CONTEXT_LINES: usize = 2;
/// Events that a sentence lists.
const EVENTS_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Outcome;

    fn answer(verdict: Outcome, events: &[u32], explanation: &str) -> Answer {
        Answer {
            verdict,
            model: "register".to_owned(),
            operations: 3,
            events: events.to_vec(),
            explanation: explanation.to_owned(),
        }
    }

    #[test]
    fn what_is_equal_has_no_difference() {
        let same = answer(Outcome::Valid, &[], "valid: an order exists\n");
        assert_eq!(difference(&same, &same.clone()), None);
    }

    #[test]
    fn another_verdict_is_said_first_and_the_lines_follow() {
        let was = answer(Outcome::Invalid, &[1, 2], "invalid: a stale read\n\n  A\n");
        let is = answer(Outcome::Valid, &[], "valid: an order exists\n");
        assert_eq!(
            difference(&was, &is).unwrap(),
            "  The verdict was invalid, and is now valid.\n    - invalid: a stale read\n    -\n    -   A\n    + valid: an order exists\n"
        );
    }

    #[test]
    fn other_operations_are_not_taken_for_other_words() {
        let was = answer(Outcome::Invalid, &[1, 2, 5, 6], "invalid: a stale read\n");
        let other = answer(Outcome::Invalid, &[1, 2, 8, 9], "invalid: a stale read\n");
        let said = difference(&was, &other).unwrap();
        assert_eq!(
            said,
            "  Other operations explain it: events 8, 9 in place of 5, 6.\n"
        );
        let fewer = answer(Outcome::Invalid, &[1, 2], "invalid: a stale read\n");
        assert_eq!(
            difference(&was, &fewer).unwrap(),
            "  Events 5, 6 are no longer needed to explain it.\n"
        );
        let words = answer(Outcome::Invalid, &[1, 2, 5, 6], "invalid: a stale read\nmore\n");
        let said = difference(&was, &words).unwrap();
        assert!(
            said.contains("only the words differ") && said.contains("    + more\n"),
            "{said}"
        );
        let title = answer(Outcome::Invalid, &[1, 2, 5, 6], "invalid: a lost write\n");
        let said = difference(&was, &title).unwrap();
        assert!(
            said.starts_with("  The finding was \"a stale read\", and is now \"a lost write\".\n"),
            "{said}"
        );
    }
}
