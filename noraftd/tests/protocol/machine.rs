//! The state machine: the same entries give the same replies and the same state, whatever they are.

use bytes::Bytes;
use noraft::LogIndex;
use noraftd::machine::{Machine, REPLY_BYTES_MAX, VALUE_BYTES_MAX};
use noraftd::prng::Prng;
use noraftd::protocol::command::{Args, Command, Expiry, Parsed, Request, SetCondition, parse};
use noraftd::protocol::resp::Reply;
use noraftd::time::Stamp;

use super::support::{random_args, random_bytes, request, writes};

struct Applied {
    machine: Machine,
    index: u64,
}

impl Applied {
    fn new() -> Self {
        Self {
            machine: Machine::new(),
            index: 0,
        }
    }

    fn apply(&mut self, stamp: u64, body: &[u8]) -> Reply {
        self.index += 1;
        self.machine
            .apply(LogIndex::new(self.index), Stamp::from_millis(stamp), body)
    }

    fn run(&mut self, line: &str) -> Reply {
        let request = request(line);
        if writes(&request) {
            self.apply(1, &request.body)
        } else {
            self.machine.query(&request.body)
        }
    }
}

fn random_body(prng: &mut Prng) -> Bytes {
    loop {
        if prng.chance(1, 20) {
            return random_bytes(prng, 40);
        }
        if let Ok(Parsed::Replicated(request)) = parse(random_args(prng)) {
            return request.body;
        }
    }
}

#[test]
fn two_replicas_agree_on_replies_and_state() {
    for seed in 0..100 {
        let mut prng = Prng::new(seed);
        let (mut one, mut two) = (Applied::new(), Applied::new());
        for step in 0..200 {
            let body = random_body(&mut prng);
            let stamp = prng.below(20);
            assert_eq!(
                one.apply(stamp, &body),
                two.apply(stamp, &body),
                "seed {seed}, step {step}"
            );
        }
        assert_eq!(one.machine.state_hash(), two.machine.state_hash(), "seed {seed}");
        let (kept, read) = (one.machine.state_hash(), one.machine.read_state_hash());
        assert_eq!(kept, read, "seed {seed}: the digest follows every change");
        assert_eq!(one.machine.applied_index(), LogIndex::new(200));
    }
}

#[test]
fn an_error_or_a_read_changes_nothing_and_a_read_is_the_same_from_the_log() {
    for seed in 0..50 {
        let mut prng = Prng::new(seed);
        let mut applied = Applied::new();
        for step in 0..200 {
            let body = random_body(&mut prng);
            let before = applied.machine.state_hash();
            let queried = applied.machine.query(&body);
            assert_eq!(applied.machine.state_hash(), before);
            let reply = applied.apply(prng.below(20), &body);
            let reads = Request::decode_checked(body).is_none_or(|request| !writes(&request));
            if reads {
                assert_eq!(reply, queried, "seed {seed}, step {step}");
            } else {
                assert!(matches!(queried, Reply::Error(_)), "seed {seed}, step {step}");
            }
            if reads || matches!(reply, Reply::Error(_)) {
                assert_eq!(applied.machine.state_hash(), before, "seed {seed}, step {step}");
            }
        }
    }
}

#[test]
fn equal_states_have_equal_digests_by_whatever_way() {
    let digest = |lines: &[&str]| {
        let mut applied = Applied::new();
        for line in lines {
            applied.run(line);
        }
        applied.machine.state_hash()
    };
    assert_eq!(
        digest(&["SET a 1", "SET b 2"]),
        digest(&["SET b 2", "SET c 3", "INCR a", "DEL c"])
    );
    assert_ne!(digest(&["SET a 1", "SET b 2"]), digest(&["SET a 2", "SET b 1"]));
    assert_ne!(digest(&["SET a 1"]), digest(&[]));
    assert_ne!(digest(&["XADD s 1-1 f v"]), digest(&["XADD s 1-2 f v"]));
    assert_ne!(digest(&["XADD s 1-1 f v"]), digest(&["XADD s 1-1 f w"]));
    assert_ne!(digest(&["XADD s 1-1 ab c"]), digest(&["XADD s 1-1 a bc"]));
    assert_eq!(
        digest(&["SET a 1", "XADD s 1-1 f v"]),
        GOLDEN_DIGEST,
        "the digest is the same in every version"
    );
}

const GOLDEN_DIGEST: u64 = 6_585_160_894_478_066_704;

#[test]
#[should_panic(expected = "comes after")]
fn an_index_is_applied_once() {
    let mut machine = Machine::new();
    let body = request("INCR n").body;
    machine.advance(LogIndex::new(1), Stamp::from_millis(1));
    machine.apply(LogIndex::new(2), Stamp::from_millis(1), &body);
    machine.apply(LogIndex::new(2), Stamp::from_millis(1), &body);
}

fn set(key: &[u8], value: &[u8]) -> Bytes {
    Request::encode(&Command::Set {
        key,
        value,
        condition: SetCondition::Always,
        get: false,
        expiry: Expiry::Never,
    })
    .expect("the value is small enough")
    .body
}

#[test]
fn a_value_has_a_largest_size() {
    let mut applied = Applied::new();
    let half = vec![b'x'; VALUE_BYTES_MAX / 2];
    applied.apply(1, &set(b"k", &half));
    let append = Request::encode(&Command::Append {
        key: b"k",
        value: &half,
    })
    .unwrap()
    .body;
    assert_eq!(applied.apply(1, &append), Reply::Integer(VALUE_BYTES_MAX as i64));
    let before = applied.machine.state_hash();
    let text = "ERR string exceeds maximum allowed size (16777216 bytes)";
    assert_eq!(applied.run("APPEND k x"), Reply::Error(text.into()));
    assert_eq!(applied.machine.state_hash(), before);
    assert!(matches!(applied.run("GET k"), Reply::Bulk(value) if value.len() == VALUE_BYTES_MAX));
}

#[test]
fn a_reply_has_a_largest_size() {
    let mut applied = Applied::new();
    applied.apply(1, &set(b"k", &vec![b'x'; REPLY_BYTES_MAX / 2]));
    assert!(matches!(applied.run("MGET k none"), Reply::Array(_)));
    let too_large = Reply::Error(format!(
        "ERR the reply would be larger than {REPLY_BYTES_MAX} bytes; ask for less (COUNT)"
    ));
    assert_eq!(applied.run("MGET k k"), too_large);

    let fields = [
        Bytes::from_static(b"f"),
        Bytes::from(vec![b'x'; REPLY_BYTES_MAX / 3]),
    ];
    let id = noraftd::protocol::command::StreamIdRequest::Auto;
    let add = Command::XAdd {
        key: b"s",
        create: true,
        id,
        fields: Args::sent(&fields),
    };
    let add = Request::encode(&add).unwrap().body;
    for _ in 0..3 {
        assert!(matches!(applied.apply(1, &add), Reply::Bulk(_)));
    }
    assert_eq!(applied.run("XRANGE s - +"), too_large);
    assert_eq!(applied.run("XREAD STREAMS s 0"), too_large);
    assert!(matches!(applied.run("XRANGE s - + COUNT 2"), Reply::Array(entries) if entries.len() == 2));
    assert!(matches!(
        applied.run("XREAD COUNT 2 STREAMS s 0"),
        Reply::Pairs(_)
    ));
}

#[test]
fn a_body_of_a_later_version_is_a_definite_error() {
    let mut applied = Applied::new();
    let mut body = request("SET k v").body.to_vec();
    body[0] = 2;
    assert!(matches!(applied.apply(1, &body), Reply::Error(text) if text.starts_with("ERR ")));
    assert_eq!(applied.machine.key_count(), 0);
}

#[test]
fn an_entry_does_what_the_level_says_and_is_not_known_to_an_earlier_version() {
    use noraftd::level::Level;
    let mut applied = Applied::new();
    let raise = |number| Request::to_raise(Level::new(number)).body;
    let flush = Request::encode(&Command::FlushAll).expect("it is small").body;
    let later = [1, 63];
    applied.run("SET k v");
    for skipped in [&flush[..], &later] {
        assert!(applied.machine.knows(skipped), "as the first release does");
        assert!(matches!(applied.apply(1, skipped), Reply::Error(text) if text.starts_with("ERR ")));
        assert_eq!(
            (applied.machine.key_count(), applied.machine.level()),
            (1, Level::FIRST)
        );
    }
    assert!(!applied.machine.knows(&raise(2)));
    for number in [0, 1, 0, 1] {
        let level = applied.machine.level().max(Level::new(number));
        assert_eq!(
            applied.apply(1, &raise(number)),
            Reply::Integer(level.get().into())
        );
        assert_eq!(applied.machine.level(), level, "it never falls");
    }
    for unknown in [&later[..], &raise(2), &[2, 1]] {
        assert!(!applied.machine.knows(unknown));
    }
    assert!(applied.machine.knows(&flush) && applied.machine.knows(&raise(1)));
    assert_eq!(applied.apply(1, &flush), Reply::Status("OK"));
    assert_eq!(applied.machine.key_count(), 0);
}

/// Many appends to one value, read in between: the value is shared while a reply holds it.
#[test]
fn a_reply_keeps_the_value_it_saw() {
    let mut applied = Applied::new();
    let mut expected = String::new();
    let mut held = Vec::new();
    for n in 0..200 {
        applied.run(&format!("APPEND k {n},"));
        expected.push_str(&format!("{n},"));
        if n % 3 == 0 {
            held.push((applied.run("GET k"), expected.clone()));
        }
    }
    for (reply, expected) in held {
        assert_eq!(reply, Reply::Bulk(Bytes::from(expected)));
    }
}

/// At level 1, which knows time.
fn timed() -> Applied {
    let mut applied = Applied::new();
    applied.apply(1, &Request::to_raise(noraftd::level::Level::EXPIRY).body);
    applied
}

#[test]
fn keys_that_go_at_once_are_removed_a_thousand_an_entry_and_are_gone_at_once() {
    let mut applied = timed();
    for n in 0..2_500 {
        applied.apply(1, &request(&format!("SET k{n} v PXAT 50")).body);
    }
    applied.apply(1, &request("SET stays v").body);
    let clock = Request::for_clock().body;
    let mut left = Vec::new();
    for stamp in [49, 50, 50, 50] {
        applied.apply(stamp, &clock);
        assert_eq!(applied.machine.state_hash(), applied.machine.read_state_hash());
        let due = applied
            .machine
            .next_deadline()
            .map(|deadline| deadline.as_millis());
        left.push((applied.machine.key_count(), due));
        let exists = applied.machine.query(&request("EXISTS k0 k2499 stays").body);
        assert_eq!(exists, Reply::Integer(if stamp < 50 { 3 } else { 1 }));
    }
    assert_eq!(
        left,
        [(2_501, Some(50)), (1_501, Some(50)), (501, Some(50)), (1, None)]
    );
    assert_eq!(applied.machine.expiring_count(), 0);
}

#[test]
fn what_uses_a_key_that_is_gone_makes_another_one() {
    for (line, reply) in [
        ("APPEND k b", Reply::Integer(1)),
        ("INCR k", Reply::Integer(1)),
        ("SETNX k b", Reply::Integer(1)),
        ("XADD k 1-1 f v", Reply::Bulk(Bytes::from_static(b"1-1"))),
        ("SET k b KEEPTTL", Reply::Status("OK")),
        ("DEL k", Reply::Integer(0)),
        ("GETDEL k", Reply::Null),
        ("PERSIST k", Reply::Integer(0)),
        ("PEXPIREAT k 90", Reply::Integer(0)),
        ("PTTL k", Reply::Integer(-2)),
    ] {
        let mut applied = timed();
        // More than one entry removes are due before it.
        for n in 0..1_200 {
            applied.apply(1, &request(&format!("SET a{n} v PXAT 50")).body);
        }
        applied.apply(1, &request("SET k old PXAT 60").body);
        assert_eq!(applied.apply(60, &request(line).body), reply, "{line}");
        assert_eq!(applied.machine.state_hash(), applied.machine.read_state_hash());
        let goes = applied.machine.query(&request("PEXPIRETIME k").body);
        assert!(matches!(goes, Reply::Integer(-2 | -1)), "{line}: {goes:?}");
    }
}

#[test]
fn the_time_counts_in_the_digest_and_below_the_level_there_is_none() {
    let digest = |lines: &[&str], stamp| {
        let mut applied = timed();
        for line in lines {
            applied.apply(1, &request(line).body);
        }
        applied.apply(stamp, &Request::for_clock().body);
        applied.machine.state_hash()
    };
    let plain = digest(&["SET k v"], 9);
    assert_ne!(digest(&["SET k v PXAT 100"], 9), plain);
    assert_ne!(digest(&["SET k v PXAT 100"], 9), digest(&["SET k v PXAT 101"], 9));
    // Both were changed by their second entry.
    let persisted = digest(&["SET k v PXAT 100", "PERSIST k"], 9);
    assert_eq!(persisted, digest(&["SET k w", "SET k v"], 9));
    assert_ne!(persisted, plain, "which entry changed a key counts, too");
    assert_eq!(digest(&["SET k v", "SET gone v PXAT 9"], 9), plain);
    assert_ne!(digest(&["SET k v"], 10), plain, "what is due depends on it");
    let mut first = Applied::new();
    for line in [
        "SET k v EX 10",
        "EXPIRE k 10",
        "GETDEL k",
        "TTL k",
        "SETNX j v",
        "EXPIRETIME k",
    ] {
        let reply = first.apply(1, &request(line).body);
        assert!(
            matches!(&reply, Reply::Error(text) if text.contains("noraftd upgrade")),
            "{reply:?}"
        );
        assert_eq!(first.machine.key_count(), 0, "{line}");
    }
}
