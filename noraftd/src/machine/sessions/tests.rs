//! Commands that are asked for again, sessions that end, and what an image holds of both.

use std::collections::BTreeMap;

use bytes::Bytes;
use noraft::LogIndex;

use crate::level::Level;
use crate::machine::{Machine, Restoring};
use crate::protocol::command::{Limit, Parsed, Request, TransactionCommand, parse};
use crate::protocol::resp::Reply;
use crate::time::Stamp;

struct One {
    machine: Machine,
    now: u64,
}

impl One {
    /// At the level that has sessions.
    fn new() -> Self {
        let machine = Machine::new();
        let mut one = Self { machine, now: 1000 };
        one.apply(&Request::to_raise(Level::SESSION));
        one
    }

    fn apply(&mut self, request: &Request) -> Reply {
        let index = LogIndex::new(self.machine.applied_index().get() + 1);
        let reply = self
            .machine
            .apply(index, Stamp::from_millis(self.now), &request.body);
        assert_eq!(self.machine.state_hash(), self.machine.read_state_hash());
        reply
    }

    fn ask(&mut self, line: &str) -> Reply {
        self.apply(&request(line))
    }

    fn open(&mut self) -> i64 {
        match self.ask("NORAFT.SESSION OPEN") {
            Reply::Integer(id) => id,
            other => panic!("{other:?}"),
        }
    }

    fn set(&mut self, limit: Limit, value: u64) {
        assert_eq!(self.apply(&Request::to_set_limit(limit, value)), ok());
    }

    fn restored(&self) -> Option<Self> {
        let mut restoring = Restoring::default();
        let taken = self.machine.chunks().all(|chunk| restoring.take(&chunk));
        taken.then(|| Self {
            machine: restoring.finish(self.machine.applied_index(), self.machine.clock()),
            now: self.now,
        })
    }
}

fn request(line: &str) -> Request {
    let words = line.split(' ').map(|word| Bytes::from(word.to_owned()));
    match parse(words.collect()) {
        Ok(Parsed::Replicated(request)) => request,
        other => panic!("{line}: {other:?}"),
    }
}

/// A block of these commands as one of a session.
fn block(line: &str, watches: &[(&str, u64)], commands: &[&str]) -> Request {
    let words = line.split(' ').map(|word| Bytes::from(word.to_owned()));
    let Ok(Parsed::Transaction(TransactionCommand::Exec(Some(numbered)))) = parse(words.collect()) else {
        panic!("{line}")
    };
    let watches: BTreeMap<Bytes, LogIndex> = watches
        .iter()
        .map(|(key, index)| (Bytes::from((*key).to_owned()), LogIndex::new(*index)))
        .collect();
    let bodies: Vec<Bytes> = commands.iter().map(|line| request(line).body).collect();
    let block = Request::to_run_block(&watches, &bodies).expect("it is small");
    block.once(numbered).expect("it is small")
}

fn ok() -> Reply {
    Reply::Status("OK")
}

fn code(reply: &Reply) -> &str {
    match reply {
        Reply::Error(text) => text.split(' ').next().unwrap_or_default(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_asked_for_again_is_answered_and_not_carried_out() {
    let mut one = One::new();
    let id = one.open();
    let add = format!("NORAFT.ONCE {id} 1 INCRBY k 5");
    assert_eq!(one.ask(&add), Reply::Integer(5));
    assert_eq!(one.ask(&add), Reply::Integer(5));
    assert_eq!(one.ask("INCRBY k 1"), Reply::Integer(6));
    assert_eq!(one.ask(&add), Reply::Integer(5));
    assert_eq!(one.ask("GET k"), Reply::Bulk("6".into()));
    // An error, and what was read, are replies as any other.
    let wrong = format!("NORAFT.ONCE {id} 2 XADD k * f v");
    assert_eq!(code(&one.ask(&wrong)), "WRONGTYPE");
    let read = format!("NORAFT.ONCE {id} 3 GET k");
    assert_eq!(one.ask(&read), Reply::Bulk("6".into()));
    one.ask("DEL k");
    assert_eq!(code(&one.ask(&wrong)), "WRONGTYPE");
    assert_eq!(one.ask(&read), Reply::Bulk("6".into()));
    let other = one.open();
    assert_ne!(id, other);
    assert_eq!(
        one.ask(&format!("NORAFT.ONCE {other} 1 INCRBY k 5")),
        Reply::Integer(5)
    );
}

#[test]
fn a_number_that_is_used_for_something_else_is_refused() {
    let mut one = One::new();
    let id = one.open();
    one.ask(&format!("NORAFT.ONCE {id} 1 SET k v"));
    for other in ["SET k w", "SET l v", "DEL k", "SET k v NX"] {
        let refused = one.ask(&format!("NORAFT.ONCE {id} 1 {other}"));
        assert_eq!(code(&refused), "SESSIONOTHER", "{other}");
    }
    for other in ["DEL k", "SET k v"] {
        let as_block = block(&format!("NORAFT.ONCE {id} 1 EXEC"), &[], &[other]);
        assert_eq!(code(&one.apply(&as_block)), "SESSIONOTHER", "{other} in a block");
    }
    assert_eq!(one.ask("GET k"), Reply::Bulk("v".into()));
}

#[test]
fn a_session_keeps_its_last_replies_whatever_their_order() {
    let mut one = One::new();
    let id = one.open();
    let once = |number: u64| format!("NORAFT.ONCE {id} {number} INCRBY k 1");
    for number in [3, 1, 33, 2] {
        one.ask(&once(number));
    }
    // 33 and the 31 before it.
    assert_eq!(one.ask(&once(2)), Reply::Integer(4));
    assert_eq!(code(&one.ask(&once(1))), "SESSIONOLD");
    assert_eq!(one.ask(&once(32)), Reply::Integer(5), "it had not come before");
    one.ask(&once(1000));
    assert_eq!(code(&one.ask(&once(968))), "SESSIONOLD");
    assert_eq!(one.ask(&once(969)), Reply::Integer(7));
    assert_eq!(one.ask("GET k"), Reply::Bulk("7".into()));
}

#[test]
fn what_is_acknowledged_is_kept_no_more() {
    let mut one = One::new();
    let id = one.open();
    for number in 1..=3 {
        one.ask(&format!("NORAFT.ONCE {id} {number} INCRBY k 1"));
    }
    let acknowledging = format!("NORAFT.ONCE {id} 4 ACK 2 INCRBY k 1");
    assert_eq!(one.ask(&acknowledging), Reply::Integer(4));
    assert_eq!(one.ask(&acknowledging), Reply::Integer(4));
    for (number, expected) in [(1, None), (2, None), (3, Some(3)), (4, Some(4))] {
        let reply = one.ask(&format!("NORAFT.ONCE {id} {number} INCRBY k 1"));
        match expected {
            Some(held) => assert_eq!(reply, Reply::Integer(held)),
            None => assert_eq!(code(&reply), "SESSIONOLD"),
        }
    }
}

#[test]
fn a_block_counts_as_one_and_what_it_depends_on_does_not() {
    let mut one = One::new();
    one.ask("SET k 1");
    let changed = one.machine.applied_index().get();
    let id = one.open();
    let exec = format!("NORAFT.ONCE {id} 1 EXEC");
    let commands = ["INCRBY k 1", "GET k"];
    let done = Reply::Array(vec![Reply::Integer(2), Reply::Bulk("2".into())]);
    assert_eq!(one.apply(&block(&exec, &[("k", changed)], &commands)), done);
    // Who asks again has watched again.
    assert_eq!(one.apply(&block(&exec, &[("k", changed + 2)], &commands)), done);
    assert_eq!(one.apply(&block(&exec, &[], &commands)), done);
    assert_eq!(one.ask("GET k"), Reply::Bulk("2".into()));
    let other = one.apply(&block(&exec, &[("k", changed)], &["INCRBY k 2", "GET k"]));
    assert_eq!(code(&other), "SESSIONOTHER");
    let second = format!("NORAFT.ONCE {id} 2 EXEC");
    for _ in 0..2 {
        let missed = one.apply(&block(&second, &[("k", 1)], &commands));
        assert_eq!(missed, Reply::NullArray);
    }
}

#[test]
fn a_session_that_rests_ends_at_a_stamp() {
    let mut one = One::new();
    one.set(Limit::SessionIdle, 1000);
    let (id, other) = (one.open(), one.open());
    one.now = 1999;
    assert_eq!(one.ask(&format!("NORAFT.ONCE {id} 1 SET k v")), ok());
    one.now = 2000;
    let late = one.ask(&format!("NORAFT.ONCE {other} 1 SET k w"));
    assert_eq!(code(&late), "SESSIONEXPIRED");
    assert_eq!(one.machine.session_count(), 1);
    one.now = 2998;
    assert_eq!(one.ask(&format!("NORAFT.ONCE {id} 1 SET k v")), ok());
    one.now = 3997;
    assert_eq!(one.ask("GET k"), Reply::Bulk("v".into()));
    assert_eq!(one.machine.session_count(), 1, "what was asked again is a use");
    one.now = 3998;
    one.ask("GET k");
    assert_eq!(one.machine.session_count(), 0);
    let unknown = one.ask(&format!("NORAFT.ONCE {id} 1 SET k x"));
    assert_eq!(code(&unknown), "SESSIONEXPIRED");
    assert_eq!(one.ask("GET k"), Reply::Bulk("v".into()));
}

#[test]
fn of_too_many_sessions_the_one_that_rests_longest_ends_then_the_lowest_id() {
    let mut one = One::new();
    one.set(Limit::Sessions, 3);
    let ids = [one.open(), one.open(), one.open()];
    one.now += 1;
    one.ask(&format!("NORAFT.ONCE {} 1 SET k v", ids[0]));
    let left = |one: &One| {
        let known = ids.iter().map(|id| {
            // An older number says so only if the session is there, and then it is a use.
            let line = format!("NORAFT.ONCE {id} 2 GET k");
            let mut look = One {
                machine: one.machine.clone(),
                now: one.now,
            };
            look.ask(&line) == Reply::Bulk("v".into())
        });
        known.collect::<Vec<_>>()
    };
    one.open();
    assert_eq!(left(&one), [true, false, true]);
    one.open();
    assert_eq!(left(&one), [true, false, false]);
    assert_eq!(one.machine.session_count(), 3);
    one.set(Limit::Sessions, 1);
    one.ask("GET k");
    assert_eq!(one.machine.session_count(), 1);
    assert_eq!(left(&one), [false; 3], "its id is the lowest of three");
}

#[test]
fn bytes_of_replies_have_a_limit_and_the_newest_reply_is_kept() {
    let mut one = One::new();
    let (least, _) = Limit::SessionBytes.bounds();
    one.set(Limit::SessionBytes, least);
    let large = 8 << 20;
    one.ask(&format!("SET k {}", "x".repeat(large)));
    let (first, second) = (one.open(), one.open());
    let get = |id: i64, number: u64| format!("NORAFT.ONCE {id} {number} GET k");
    let length = |reply: Reply| match reply {
        Reply::Bulk(bytes) => bytes.len(),
        other => panic!("{other:?}"),
    };
    for number in 1..=3 {
        assert_eq!(length(one.ask(&get(first, number))), large);
    }
    assert_eq!(one.machine.session_count(), 2);
    assert_eq!(length(one.ask(&get(second, 1))), large);
    assert_eq!(code(&one.ask(&get(first, 4))), "SESSIONEXPIRED");
    for number in 2..=5 {
        assert_eq!(length(one.ask(&get(second, number))), large);
    }
    one.ask("DEL k");
    assert_eq!(length(one.ask(&get(second, 5))), large);
    assert_eq!(length(one.ask(&get(second, 3))), large);
    assert_eq!(code(&one.ask(&get(second, 2))), "SESSIONOLD");
}

#[test]
fn sessions_and_limits_are_in_the_image() {
    let mut one = One::new();
    one.set(Limit::SessionIdle, 5000);
    one.set(Limit::Sessions, 77);
    let ids = [one.open(), one.open()];
    for line in [
        "SET k v",
        "GET k",
        "GET none",
        "INCRBY k 1",
        "XADD s 1-1 f v",
        "XRANGE s - +",
    ] {
        let number = one.machine.applied_index().get();
        one.ask(&format!("NORAFT.ONCE {} {number} {line}", ids[1]));
    }
    let exec = format!("NORAFT.ONCE {} 2 ACK 1 EXEC", ids[0]);
    one.apply(&block(&exec, &[("k", 1)], &["SET k v"]));
    let mut back = one.restored().expect("what was written is read");
    assert_eq!(back.machine.state_hash(), one.machine.state_hash());
    assert_eq!(back.machine.read_state_hash(), one.machine.state_hash());
    assert_eq!(back.machine.session_count(), 2);
    let limits = Request::for_limits();
    assert_eq!(back.machine.query(&limits.body), one.machine.query(&limits.body));
    let again = block(&exec, &[], &["SET k v"]);
    assert_eq!(back.apply(&again), Reply::NullArray);
    assert_eq!(one.apply(&again), Reply::NullArray);
    assert_eq!(back.machine.state_hash(), one.machine.state_hash());
    let chunks = |one: &One| one.machine.chunks().collect::<Vec<_>>();
    assert_eq!(chunks(&back), chunks(&one));
    assert_eq!(one.machine.without_members().session_count(), 0);
}

#[test]
fn an_image_has_sessions_only_where_commands_could_have_made_them() {
    let level = vec![4, 1];
    let session = |id: u64, oldest: u64| {
        let parts = [id, 7, oldest].map(u64::to_le_bytes).concat();
        [&[9][..], &parts].concat()
    };
    let kept = |number: u64| {
        let head = [number, 1].map(u64::to_le_bytes).concat();
        // A status.
        [&[10][..], &head, &[2, 0, 0, 0, 0, 0]].concat()
    };
    let key = [&[1][..], &1_u32.to_le_bytes(), b"k", &0_u32.to_le_bytes()].concat();
    let limit = Limit::SessionIdle.put(5000);
    let limit = [&[8][..], &limit].concat();
    let first = [&[8][..], &Limit::SessionIdle.put(Limit::SessionIdle.first())].concat();
    let read = |parts: &[&Vec<u8>]| {
        let mut restoring = Restoring::default();
        parts.iter().all(|part| restoring.take(part))
    };
    let (one, two) = (session(1, 4), session(2, 0));
    assert!(read(&[&level, &limit, &one, &kept(5), &kept(36), &two, &key]));
    for wrong in [
        &[&one][..],
        &[&level, &session(0, 0)],
        &[&level, &two, &one],
        &[&level, &one, &one],
        &[&level, &kept(5)],
        &[&level, &one, &kept(4)],
        &[&level, &one, &kept(37)],
        &[&level, &one, &kept(6), &kept(5)],
        &[&level, &one, &limit],
        &[&level, &limit, &limit],
        &[&level, &first],
        &[&level, &key, &one],
        &[&level, &key, &limit],
        &[&limit],
    ] {
        assert!(!read(wrong), "{wrong:?}");
    }
}

#[test]
fn below_their_level_there_are_no_sessions() {
    let mut one = One {
        machine: Machine::new(),
        now: 1000,
    };
    let hash = one.machine.state_hash();
    for request in [
        Request::to_open_session(),
        Request::to_set_limit(Limit::Sessions, 3),
        request("NORAFT.ONCE 1 1 SET k v"),
    ] {
        assert_eq!(code(&one.apply(&request)), "ERR");
    }
    assert_eq!(one.machine.state_hash(), hash);
    assert_eq!(code(&one.machine.query(&Request::for_limits().body)), "ERR");
}
