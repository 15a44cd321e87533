//! `noraftd events`: what has happened at a node since it started.

use std::fmt::Write;
use std::sync::LazyLock;
use std::time::Duration;

use clap::Args;

use super::query::ask_for_events;
use super::tls_flags::TlsFlags;
use super::{complain, say};
use crate::endpoint::Endpoint;
use crate::exit::Exit;
use crate::local::events::{EventReport, EventsReport};

/// Asks a node what has happened to it: who led when and why, members, snapshots, damage and repairs, alarms.
///
/// A node remembers its last 1,024 events, until it stops. The oldest is shown first. Times are those of the node's wall clock, in UTC.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = LONG_EXAMPLES.as_str())]
pub(super) struct AskEvents {
    /// The node's address for clients: HOST:PORT or /path of a Unix socket.
    address: Endpoint,
    /// Show only so many, the newest.
    #[arg(long, value_name = "N")]
    count: Option<usize>,
    /// Print the answer as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tls: TlsFlags,
}

impl AskEvents {
    /// Asks and prints.
    pub(super) fn run(self) -> Exit {
        if let Err(error) = self.tls.use_them() {
            complain(error);
            return Exit::Config;
        }
        match ask_for_events(&self.address, self.count) {
            Ok((_, json)) if self.json => say(json),
            Ok((report, _)) => say(table(&report)),
            Err(error) => {
                complain(&error);
                return error.exit();
            }
        }
        Exit::Done
    }
}

fn table(report: &EventsReport) -> String {
    let mut text = String::new();
    let mut line = |time: &str, kind: &str, term: &str, index: &str, what: &str| {
        writeln!(text, "{time:<23}  {kind:<18}  {term:>6}  {index:>10}  {what}")
            .expect("a string takes every line");
    };
    line("TIME", "KIND", "TERM", "ENTRY", "WHAT");
    for event in &report.events {
        let EventReport {
            kind,
            term,
            index,
            text,
            ..
        } = event;
        line(
            &utc(event.time_ms),
            kind,
            &term.to_string(),
            &index.to_string(),
            text,
        );
    }
    let shown = report.events.len();
    write!(
        text,
        "node {} of cluster '{}': {shown} events, and {} before",
        report.id, report.cluster, report.before
    )
    .expect("a string takes every line");
    text
}

/// A time as people read it, in UTC.
fn utc(millis: u64) -> String {
    let date = rcgen::date_time_ymd(1970, 1, 1)
        .checked_add(Duration::from_millis(millis).try_into().unwrap_or_default());
    let Some(date) = date else {
        return millis.to_string();
    };
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03}",
        date.year(),
        u8::from(date.month()),
        date.day(),
        date.hour(),
        date.minute(),
        date.second(),
        date.millisecond()
    )
}

const EXAMPLES: &str = "\
Examples:
  noraftd events 127.0.0.1:7601
  noraftd events 127.0.0.1:7601 --count 20
  noraftd events 127.0.0.1:7601 --json | jq '.events[] | select(.kind == \"leader\")'";

static LONG_EXAMPLES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{EXAMPLES}\n\nExit codes:\n  0   the node has answered\n  1   something else than a node answers, or one of another version\n  \
         64  the command line is wrong\n  69  the node does not answer"
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_utc_to_the_millisecond() {
        assert_eq!(utc(0), "1970-01-01 00:00:00.000");
        assert_eq!(utc(1_709_210_096_007), "2024-02-29 12:34:56.007");
        assert_eq!(utc(u64::MAX), u64::MAX.to_string(), "no date has it");
    }

    #[test]
    fn the_table_has_a_line_for_each_event_and_one_about_all() {
        let event = EventReport {
            kind: "leader".to_owned(),
            term: 3,
            text: "term 3: node 2 leads".to_owned(),
            ..EventReport::default()
        };
        let report = EventsReport {
            cluster: "c".to_owned(),
            id: 1,
            before: 4,
            events: vec![event],
        };
        let text = table(&report);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(
            text.contains(" leader ") && text.contains("  term 3: node 2 leads\n"),
            "{text}"
        );
        assert!(
            text.ends_with("node 1 of cluster 'c': 1 events, and 4 before"),
            "{text}"
        );
    }
}
