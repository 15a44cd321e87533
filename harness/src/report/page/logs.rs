//! What the nodes wrote around the first violation, or around the end when there is none: the logs themselves are linked.
//!
//! Invariant: bounded: [`LINES_MAX`] lines a node, each cut after [`LINE_CHARS`] characters.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader};

use maud::{Markup, html};

use super::{Page, account};
use crate::results::Outcome;

/// Lines of a node.
const LINES_MAX: usize = 60;
/// Characters of a line.
const LINE_CHARS: usize = 300;
/// Nanoseconds of the log before the violation, and after it.
const AROUND_NS: u64 = 2_000_000_000;

/// The part of a run of which logs are shown, in nanoseconds since it began.
struct Window {
    from_ns: u64,
    to_ns: u64,
}

impl Page<'_> {
    pub(super) fn logs(&self) -> Markup {
        let is_needed = self.results.verdict != Outcome::Valid;
        html! {
            @if is_needed && self.origin.is_simulation() { (self.trace()) }
            @else if is_needed && let Some(began_us) = self.began_us() { (self.node_logs(began_us)) }
        }
    }

    fn began_us(&self) -> Option<u64> {
        self.nodes.as_ref().ok()?.began_us
    }

    /// Around the first violation; without one, the whole run, of which the last lines are shown.
    fn window(&self) -> Option<Window> {
        let broken = self.broken();
        let account = broken
            .iter()
            .find_map(|check| account(check).filter(|account| account.from_ns.is_some()))?;
        let from_ns = account.from_ns?;
        Some(Window {
            from_ns: from_ns.saturating_sub(AROUND_NS),
            to_ns: account.to_ns.unwrap_or(from_ns) + AROUND_NS,
        })
    }

    fn node_logs(&self, began_us: u64) -> Markup {
        let window = self.window();
        html! {
            section #logs {
                h2 { "Logs" }
                @if let Some(window) = &window {
                    p .dim { "From " (super::words::seconds(window.from_ns)) " to " (super::words::seconds(window.to_ns)) ", around the first violation." }
                } @else { p .dim { "The last lines of each node." } }
                @for node in 1..=self.plan.cluster.nodes {
                    @let name = format!("nodes/n{node}/log");
                    details open[window.is_some()] {
                        summary { "n" (node) }
                        (self.log(&name, |line| keep(line, began_us, window.as_ref())))
                        p { a href=(name) { (name) } }
                    }
                }
            }
        }
    }

    fn trace(&self) -> Markup {
        html! {
            section #logs {
                h2 { "Trace" }
                details {
                    summary { "The last events of the simulation" }
                    (self.log("trace.txt", |line| Some(cut(line))))
                    p { a href="trace.txt" { "trace.txt" } }
                }
            }
        }
    }

    fn log(&self, name: &str, keep: impl Fn(&str) -> Option<String>) -> Markup {
        match tail(&self.folder.join(name), keep) {
            Ok(lines) if lines.is_empty() => html! { p .dim { "It wrote nothing then." } },
            Ok(lines) => html! {
                pre tabindex="0" { @for line in lines { (line) "\n" } }
            },
            Err(error) => html! { p .dim { (name) ": " (error) } },
        }
    }
}

/// The last lines that `keep` keeps, as it writes them.
fn tail(path: &std::path::Path, keep: impl Fn(&str) -> Option<String>) -> io::Result<VecDeque<String>> {
    let mut input = BufReader::new(File::open(path)?);
    let (mut lines, mut line) = (VecDeque::new(), Vec::new());
    while input.read_until(b'\n', &mut line)? > 0 {
        if let Some(kept) = keep(String::from_utf8_lossy(&line).trim_end()) {
            if lines.len() == LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(kept);
        }
        line.clear();
    }
    Ok(lines)
}

/// A line of the window, with the time of the run in place of the time of day. A line without a time belongs to none.
fn keep(line: &str, began_us: u64, window: Option<&Window>) -> Option<String> {
    let (stamp, rest) = line.split_once(' ')?;
    let at_us = micros_since_1970(stamp)?.checked_sub(began_us)?;
    let is_inside = window.is_none_or(|window| (window.from_ns..=window.to_ns).contains(&(at_us * 1000)));
    is_inside.then(|| cut(&format!("{:>11.6} s  {}", at_us as f64 / 1e6, rest.trim_start())))
}

fn cut(line: &str) -> String {
    line.chars().take(LINE_CHARS).collect()
}

/// Reads `2026-11-29T11:15:36.549494Z` (RFC 3339, in UTC).
fn micros_since_1970(stamp: &str) -> Option<u64> {
    let (date, time) = stamp.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, separator: char| -> Option<Vec<u64>> {
        text.split(separator).map(|part| part.parse().ok()).collect()
    };
    let &[year, month, day] = numbers(date, '-')?.as_slice() else {
        return None;
    };
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let &[hour, minute, second] = numbers(clock, ':')?.as_slice() else {
        return None;
    };
    let fraction: u64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    // Days of the proleptic Gregorian calendar, years counted from March (Hinnant, "chrono-compatible low-level date algorithms").
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year.checked_sub(1)?, month + 9)
    };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day.checked_sub(1)?;
    let seconds = days.checked_sub(719_468)? * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds * 1_000_000 + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read() {
        assert_eq!(micros_since_1970("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(
            micros_since_1970("2000-02-29T23:59:59.5Z"),
            Some(951_868_799_500_000)
        );
        assert_eq!(
            micros_since_1970("2026-11-23T13:15:00.000001Z"),
            Some(1_795_439_700_000_001)
        );
        assert_eq!(micros_since_1970("panicked at"), None);
    }

    #[test]
    fn lines_of_the_window_have_the_time_of_the_run() {
        let window = Window {
            from_ns: 1_000_000_000,
            to_ns: 2_000_000_000,
        };
        let said = |line| keep(line, 10_000_000, Some(&window));
        assert_eq!(
            said("1970-01-01T00:00:11.5Z  WARN late").as_deref(),
            Some("   1.500000 s  WARN late")
        );
        assert_eq!(said("1970-01-01T00:00:13Z  WARN late"), None);
        assert_eq!(said("1970-01-01T00:00:09Z  WARN before the run"), None);
        assert_eq!(said("thread panicked"), None);
    }
}
