//! Each workload, asked of one state machine that is right and of one that is not: what is wrong is found, and the
//! explanation says it in words.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::path::Path;

use bytes::BytesMut;
use harness::checker::{self, Budget, Options};
use harness::client::{self, Reply};
use harness::op::{EventKind, HistoryEvent};
use harness::plan::Plan;
use harness::results::Outcome;
use harness::workload::{Operation, Part, from_plan, header};
use harness::{formats, history::HistoryWriter, report};
use noraft::LogIndex;
use noraftd::machine::Machine;
use noraftd::prng::Prng;
use noraftd::protocol::command::{Class, Parsed, parse};
use noraftd::protocol::resp::RespVersion;
use noraftd::time::Stamp;

/// The state machine of a node, asked with the words of commands.
struct Server {
    machine: Machine,
    applied: u64,
}

impl Server {
    fn new() -> Self {
        let machine = Machine::new();
        Self { machine, applied: 0 }
    }

    fn answer(&mut self, words: &[String]) -> Reply {
        let words = words
            .iter()
            .map(|word| word.clone().into_bytes().into())
            .collect();
        let Ok(Parsed::Replicated(request)) = parse(words) else {
            panic!("a command for the machine")
        };
        let reply = if request.class == Class::Write {
            self.applied += 1;
            let at = LogIndex::new(self.applied);
            self.machine.apply(at, Stamp::default(), &request.body)
        } else {
            self.machine.query(&request.body)
        };
        let mut bytes = BytesMut::new();
        reply.encode(RespVersion::V2, &mut bytes);
        client::parse(&bytes).unwrap().expect("a whole reply").0
    }
}

/// How often each operation of a test was asked.
const OPERATIONS: usize = 60;

/// The verdict on a history of one client, and the explanation. `lie` may answer instead of the machine.
fn judged(
    workload: &str,
    mut lie: impl FnMut(usize, &Operation, &mut Server) -> Option<Reply>,
) -> (Outcome, String) {
    let text =
        format!("version = 1\nname = \"p\"\ntime = \"1s\"\n[[workload]]\nkind = \"{workload}\"\nkeys = 1\n");
    let plan = Plan::parse(&text, Path::new("p.toml")).unwrap();
    let [kind] = &plan.workloads[..] else {
        panic!("one workload")
    };
    assert_eq!(kind.name(), workload);
    let asked = from_plan(kind);
    let mut writer = HistoryWriter::new(Vec::new(), &header(&plan, asked.as_ref(), 1)).unwrap();
    let (mut server, mut prng) = (Server::new(), Prng::new(1));
    for at in 0..OPERATIONS {
        let operation = asked.next(Part::All, &mut prng);
        let mut invocation =
            HistoryEvent::invoke(1, at as u64, operation.function).key(operation.key.clone());
        invocation.value.clone_from(&operation.value);
        let reply = lie(at, &operation, &mut server);
        let reply = reply.unwrap_or_else(|| server.answer(&operation.request));
        let completion = asked.complete(&operation, &reply).unwrap();
        let mut event = HistoryEvent::complete(&invocation, EventKind::Ok);
        event.value = completion.value.or(event.value);
        (event.saw, event.at, event.end) = (completion.saw, completion.at, completion.end);
        writer.record(&mut invocation).unwrap();
        writer.record(&mut event).unwrap();
    }
    let budget = Budget::default();
    let bytes = std::io::Cursor::new(writer.finish().unwrap());
    let mut recording = formats::read(bytes, Path::new("h.jsonl"), &budget).unwrap();
    let found = checker::check(&mut recording, &Options::default(), &budget);
    assert_eq!(found.model.name(), workload);
    (found.outcome(), report::explain(&recording, &found))
}

#[track_caller]
fn is_found(
    workload: &str,
    lie: impl FnMut(usize, &Operation, &mut Server) -> Option<Reply>,
    words: &[&str],
) {
    let (outcome, text) = judged(workload, |_, _, _| None);
    assert_eq!(outcome, Outcome::Valid, "without the lie: {text}");
    let (outcome, text) = judged(workload, lie);
    assert_eq!(outcome, Outcome::Invalid, "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} in:\n{text}");
    }
}

/// The first operation from the middle on that `is_one` says.
fn once(is_one: fn(&Operation) -> bool) -> impl FnMut(usize, &Operation) -> bool {
    let mut is_over = false;
    move |at, operation| {
        let is_now = !is_over && at >= OPERATIONS / 2 && is_one(operation);
        is_over |= is_now;
        is_now
    }
}

fn writes(operation: &Operation) -> bool {
    !matches!(operation.request[0].as_str(), "GET" | "MGET")
}

#[test]
fn an_element_that_is_lost_is_missed() {
    let mut is_lost = once(writes);
    is_found(
        "set",
        |at, operation, _| is_lost(at, operation).then(|| Reply::Status("OK".into())),
        &["lost: a read does not see an acknowledged add", "returned before"],
    );
}

#[test]
fn a_counter_that_goes_back_is_noticed() {
    let mut goes_back = once(writes);
    is_found(
        "counter",
        |at, operation, server| {
            if goes_back(at, operation) {
                server.answer(&["DECRBY".into(), operation.key.clone(), "2".into()]);
            }
            None
        },
        &["lost adds", "make at least"],
    );
}

#[test]
fn an_add_that_counts_twice_is_noticed() {
    let mut counts_twice = once(writes);
    is_found(
        "counter",
        |at, operation, server| {
            if counts_twice(at, operation) {
                server.answer(&operation.request);
            }
            None
        },
        &["more than was added", "make at most"],
    );
}

#[test]
fn an_append_that_is_lost_is_missed() {
    let mut is_lost = once(writes);
    is_found(
        "list-append",
        |at, operation, _| is_lost(at, operation).then_some(Reply::Integer(1)),
        &["append"],
    );
}

#[test]
fn an_append_that_is_there_twice_is_noticed() {
    let mut is_twice = once(writes);
    is_found(
        "list-append",
        |at, operation, server| {
            if is_twice(at, operation) {
                server.answer(&operation.request);
            }
            None
        },
        &["twice"],
    );
}

#[test]
fn money_that_is_created_is_counted() {
    let mut creates = once(|operation| !writes(operation));
    is_found(
        "bank",
        |at, operation, server| {
            if creates(at, operation) {
                let Reply::Bulk(state) = server.answer(&operation.request) else {
                    panic!("a state")
                };
                let state = String::from_utf8(state.to_vec()).unwrap();
                let (rest, last) = state.rsplit_once(' ').unwrap();
                let richer = format!("{rest} {}", last.parse::<i64>().unwrap() + 1);
                server.answer(&["SET".into(), operation.key.clone(), richer]);
            }
            None
        },
        &["the total is 51 instead of 50", "the total never changes"],
    );
}

#[test]
fn a_transfer_that_replaces_what_it_did_not_see_is_found() {
    // The total is right all the time: only the order of the transfers is not.
    let mut earlier = None;
    let mut forgets = once(writes);
    is_found(
        "bank",
        |at, operation, server| {
            if at == OPERATIONS / 4 {
                let get = ["GET".into(), operation.key.clone()];
                earlier = Some(server.answer(&get));
            }
            if forgets(at, operation) {
                let Some(Reply::Bulk(state)) = earlier.take() else {
                    panic!("a state")
                };
                let state = String::from_utf8(state.to_vec()).unwrap();
                server.answer(&["SET".into(), operation.key.clone(), state]);
            }
            None
        },
        &["transfer"],
    );
}

#[test]
fn every_workload_of_plans_is_valid_on_a_machine_that_is_right() {
    for kind in ["register", "log", "set", "counter", "list-append", "bank"] {
        let (outcome, text) = judged(kind, |_, _, _| None);
        assert_eq!(outcome, Outcome::Valid, "{kind}: {text}");
    }
}
