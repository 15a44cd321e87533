//! Names, and what is said when.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::local::alarms::Alarms;
use crate::local::facts::ClientFacts;
use crate::local::figures::{FollowerFigures, LoopFigures, SentFigures};
use crate::replica::counts::Counts;

fn page(of: &StatusReport, running: Option<RunningFigures<'_>>) -> String {
    render(&Scrape {
        report: of,
        process: &ProcessFigures::default(),
        running,
    })
}

#[test]
fn names_are_described_once_and_follow_the_conventions() {
    let (counts, loops, histogram) = (Counts::default(), LoopFigures::default(), Histogram::default());
    histogram.observe(Duration::from_micros(70));
    let mut report = StatusReport::default();
    report.view.role = "leader".to_owned();
    let text = page(
        &report,
        Some(RunningFigures {
            counts: &counts,
            loops: &loops,
            disk: [&histogram, &histogram],
            commands: vec![("get", &histogram), ("set", &histogram)],
            clients: ClientFacts::default(),
            buffers: [1, 2, 3],
            keys: (5, 2),
            clock_offset_ms: -1500,
            alarms: Alarms::default().figures(),
            is_ready: true,
            followers: vec![FollowerFigures {
                id: 2,
                lag_entries: 7,
                is_heard: false,
            }],
            resent: vec![(2, 4)],
            sent: vec![SentFigures {
                id: 2,
                sent_bytes: 9,
                waiting_bytes: 0,
            }],
        }),
    );
    let mut seen = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').expect("a name and a kind");
        assert!(seen.insert(name.to_owned()), "{name} is described twice");
        assert!(
            name.starts_with("noraftd_") || name.starts_with("process_"),
            "{name}"
        );
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        assert_eq!(
            kind == "histogram",
            name.ends_with("_duration_seconds"),
            "{name} is a {kind}"
        );
    }
    for line in [
        "noraftd_role{role=\"leader\"} 1",
        "noraftd_alarm{alarm=\"slow-disk\"} 0",
        "noraftd_role{role=\"follower\"} 0",
        "noraftd_clock_offset_seconds -1.5",
        "noraftd_request_duration_seconds_count{command=\"set\"} 1",
        "noraftd_client_buffer_bytes{buffer=\"output\"} 2",
        "noraftd_peer_lag_entries{peer=\"2\"} 7",
        "noraftd_peer_heard{peer=\"2\"} 0",
        "noraftd_peer_sent_bytes_total{peer=\"2\"} 9",
        "noraftd_peer_retransmissions_total{peer=\"2\"} 4",
    ] {
        assert!(
            text.lines().any(|written| written == line),
            "{line} is not in\n{text}"
        );
    }
}

#[test]
fn a_node_that_loads_says_how_far_it_is_and_nothing_that_it_does_not_know() {
    let mut report = StatusReport::default();
    report.view.loading = Some(LoadingReport {
        total_bytes: 9,
        read_bytes: 4,
    });
    let text = page(&report, None);
    assert!(text.contains("\nnoraftd_loading 1\n"), "{text}");
    assert!(text.contains("\nnoraftd_loading_read_bytes 4\n"), "{text}");
    assert!(
        !text.contains("noraftd_term") && !text.contains("noraftd_ready"),
        "{text}"
    );
}
