//! What real nodes remember of what has happened to them: each kind of event is provoked, and found with its reason.

use std::fs;

use nix::sys::signal::Signal;
use noraftd::local::events::{EventReport, EventsReport};
use noraftd::protocol::resp::Value;
use serde_json::Value as Json;

use crate::members::{member, with_table};
use crate::snapshots::{SMALL, fill};
use crate::support::client::{error_text, ok};
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::program::{answer_of, complaint_of, noraftd};

fn events(node: &Node) -> EventsReport {
    match node.unix_client().call(&["NORAFT.EVENTS"]) {
        Value::Bulk(json) => serde_json::from_slice(&json).expect("a report"),
        other => panic!("{other:?}"),
    }
}

/// Waits for the newest event of this kind that fits.
fn expect_event(node: &Node, kind: &str, fits: impl Fn(&EventReport) -> bool) -> EventReport {
    eventually(&format!("an event '{kind}'"), || {
        let fits = |event: &EventReport| event.kind == kind && fits(event);
        events(node).events.into_iter().rfind(fits)
    })
}

#[test]
fn a_node_remembers_who_led_when_and_why() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    let first = cluster.leader();
    let begun = cluster.nodes[first].status().expect("it answers").view.term;
    let led = expect_event(&cluster.nodes[first], "leader", |event| event.term == begun);
    assert_eq!(
        (led.peer, led.reason.as_deref()),
        (Some(first as u64 + 1), Some("no-leader"))
    );
    let follower = cluster.followers()[0];
    let heard = expect_event(&cluster.nodes[follower], "leader", |event| event.term == begun);
    assert_eq!(heard.peer, led.peer);

    cluster.nodes[first].kill();
    let second = cluster.leader();
    let term = cluster.nodes[second].status().expect("it answers").view.term;
    let lost = expect_event(&cluster.nodes[second], "no-leader", |event| event.term >= begun);
    assert_eq!(lost.peer, led.peer, "{lost:?}");
    assert!(
        ["disconnected", "silent"].contains(&lost.reason.as_deref().unwrap_or_default()),
        "{lost:?}"
    );
    let campaign = expect_event(&cluster.nodes[second], "election", |event| event.term == term);
    let led = expect_event(&cluster.nodes[second], "leader", |event| event.term == term);
    assert_eq!(
        [&campaign.reason, &led.reason].map(|why| why.as_deref()),
        [Some("no-leader"); 2]
    );
    assert!(campaign.number < led.number);
    let before = format!("node {}", first + 1);
    let words = ["leads, elected by a majority, for ", before.as_str()];
    assert!(words.iter().all(|word| led.text.contains(word)), "{led:?}");
    let follower = cluster
        .nodes
        .iter()
        .position(|node| node.status().is_some_and(|status| status.view.role == "follower"));
    let follower = &cluster.nodes[follower.expect("one of the two follows")];
    let heard = expect_event(follower, "leader", |event| event.term == term);
    assert!(
        heard.text.contains(&before),
        "what became of the one before: {heard:?}"
    );

    let (code, said) = answer_of(&["transfer", &cluster.nodes[second].tcp]);
    assert_eq!(code, Some(0), "{said}");
    let third = cluster.leader();
    let wanted = expect_event(&cluster.nodes[third], "leader", |event| {
        event.peer == Some(third as u64 + 1)
    });
    assert_eq!(wanted.reason.as_deref(), Some("transfer"), "{wanted:?}");
    let left = expect_event(&cluster.nodes[second], "step-down", |_| true);
    assert_eq!((left.term, left.reason.as_deref()), (term, Some("other-leader")));
}

#[test]
fn a_leader_without_a_majority_says_so() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    let leader = cluster.leader();
    for gone in cluster.followers() {
        cluster.nodes[gone].kill();
    }
    let left = expect_event(&cluster.nodes[leader], "step-down", |_| true);
    assert_eq!(left.reason.as_deref(), Some("no-quorum"));
    assert!(
        cluster.nodes[leader].log().contains(&left.text),
        "the log has the same words"
    );
}

#[test]
fn snapshots_are_remembered_where_they_are_taken_sent_and_installed() {
    let mut cluster = Cluster::start_with(3, PeersOver::Unix, &SMALL);
    let away = cluster.followers()[0];
    cluster.nodes[away].kill();
    let leader = cluster.leader();
    fill(&mut cluster.nodes[leader].unix_client(), 0, 2000);
    cluster.nodes[away].start();
    let installed = expect_event(&cluster.nodes[away], "snapshot-installed", |_| true);
    let is_same = |event: &EventReport| (event.index, event.term) == (installed.index, installed.term);
    let sent = expect_event(&cluster.nodes[leader], "snapshot-sent", is_same);
    assert_eq!(sent.peer, Some(away as u64 + 1));
    expect_event(&cluster.nodes[leader], "snapshot-taken", is_same);
}

#[test]
fn members_that_come_and_go_are_remembered() {
    let mut cluster = with_table();
    let gone = cluster.followers()[0];
    let (leader, id) = (cluster.leader(), gone as u64 + 1);
    let node = &cluster.nodes[leader];
    expect_event(node, "level", |event| event.text.ends_with("level 1"));
    for id in 1..=3 {
        expect_event(node, "member", |event| {
            event.peer == Some(id) && event.reason.as_deref() == Some("added")
        });
    }
    let added = member(node, "add", &["--peer", "127.0.0.1:1", "--learner"]);
    assert_eq!(added.0, Some(0), "{}", added.1);
    let learner = expect_event(node, "member", |event| event.peer == Some(4));
    assert_eq!(learner.text, "node 4 is a member: learner, at 127.0.0.1:1");
    let removed = member(node, "remove", &[&id.to_string()]);
    assert_eq!(removed.0, Some(0), "{}", removed.1);
    expect_event(node, "member", |event| {
        event.peer == Some(id) && event.reason.as_deref() == Some("removed")
    });
    let left: Vec<String> = (1..=3)
        .filter(|other| *other != id)
        .map(|id: u64| id.to_string())
        .collect();
    expect_event(node, "voters", |event| {
        event.text == format!("the voters are {}", left.join(", "))
    });
    assert_eq!(cluster.nodes[gone].wait().code(), Some(79));
}

#[test]
fn damage_and_its_repair_are_remembered() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    let leader = cluster.leader();
    let damaged = cluster.followers()[0];
    let mut client = cluster.nodes[leader].unix_client();
    let mark = "a-value-that-is-found-again-in-the-file";
    for n in 0..20 {
        let value = format!("{mark}-{n}");
        assert_eq!(client.call(&["SET", &format!("k{n}"), &value]), ok());
    }
    eventually("the follower has all of it", || {
        let [own, leads] = [damaged, leader].map(|at| cluster.nodes[at].status());
        (own?.log.durable_index == leads?.log.durable_index).then_some(())
    });
    assert_eq!(cluster.nodes[damaged].stop(), Some(0));
    let path = cluster.nodes[damaged].dir.join("data/segment-0000000000000001");
    let mut bytes = fs::read(&path).expect("its log");
    let wanted = format!("{mark}-3");
    let at = bytes
        .windows(wanted.len())
        .position(|window| window == wanted.as_bytes());
    bytes[at.expect("the value is in the log")] ^= 1;
    fs::write(&path, bytes).expect("written");
    cluster.nodes[damaged].start();
    let repaired = expect_event(&cluster.nodes[damaged], "repaired", |_| true);
    let damage = expect_event(&cluster.nodes[damaged], "damage", |_| true);
    assert!(
        damage.number < repaired.number && damage.index > 0,
        "{damage:?} {repaired:?}"
    );
    assert!(
        damage.text.starts_with("1 entries of the log are damaged"),
        "{damage:?}"
    );
    expect_event(&cluster.nodes[damaged], "recovery", |_| true);
}

#[test]
fn an_alarm_is_remembered_with_its_beginning_and_its_end() {
    let cluster = Cluster::start(3, PeersOver::Unix);
    let (leader, silent) = (cluster.leader(), cluster.followers()[0]);
    cluster.nodes[silent].signal(Signal::SIGSTOP);
    let is_it = |event: &EventReport| event.reason.as_deref() == Some("no-contact");
    let raised = expect_event(&cluster.nodes[leader], "alarm", is_it);
    assert!(
        raised.text.contains(&format!("node {}", silent + 1)),
        "{raised:?}"
    );
    cluster.nodes[silent].signal(Signal::SIGCONT);
    let over = expect_event(&cluster.nodes[leader], "alarm-over", is_it);
    assert!(over.number > raised.number && over.time_ms >= raised.time_ms);
}

#[test]
fn the_verb_shows_them_in_words_and_as_json() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(dir.path());
    node.give(&["--log-format", "json"]);
    node.start();
    node.wait_for_leader();
    let all = events(&node);
    assert_eq!((all.id, all.cluster.as_str(), all.before), (1, "noraft", 0));
    let first = all.events.first().expect("it has started");
    assert_eq!((first.number, first.kind.as_str()), (1, "start"));
    let (code, table) = answer_of(&["events", &node.tcp]);
    assert_eq!(code, Some(0));
    assert!(
        table.starts_with("TIME ") && table.contains(" serves clients on "),
        "{table}"
    );
    let (code, json) = answer_of(&[
        "events",
        &node.unix().display().to_string(),
        "--count",
        "1",
        "--json",
    ]);
    assert_eq!(code, Some(0));
    let one: EventsReport = serde_json::from_str(&json).expect("a report");
    assert_eq!(
        (one.events.len(), one.before + 1),
        (1, events(&node).events.len() as u64)
    );
    // A line of the log has the same fields.
    let line = node
        .log()
        .lines()
        .find(|line| line.contains("\"event\":\"leader\""))
        .map(str::to_owned);
    let line: Json = serde_json::from_str(&line.expect("it leads")).expect("JSON");
    let leads = expect_event(&node, "leader", |_| true);
    assert_eq!(line["message"], leads.text);
    assert_eq!(
        (&line["term"], &line["peer"], &line["reason"]),
        (&leads.term.into(), &1.into(), &"no-leader".into())
    );

    let refused = node.client().call(&["NORAFT.EVENTS", "COUNT", "x"]);
    assert!(error_text(&refused).starts_with("ERR "), "{refused:?}");
    let address = node.tcp.clone();
    assert_eq!(
        noraftd(&["events", &address, "--count", "x"]).status.code(),
        Some(64)
    );
    node.kill();
    let (code, said) = complaint_of(&["events", &address]);
    assert_eq!(code, Some(69), "{said}");
}
