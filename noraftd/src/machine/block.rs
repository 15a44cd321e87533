//! Blocks of commands that take effect as one, on the condition that keys are as they were.
//!
//! Invariant: a block whose condition does not hold changes nothing, and one whose condition holds is carried out to its end: a
//! command in it that is refused changes nothing, and the others go on, as in Redis.

use super::keys::Keys;
use super::reply::Budget;
use super::{Applying, execute, read as read_one};
use crate::protocol::command::{Args, Block, Class, Command};
use crate::protocol::resp::Reply;

/// `EXEC`: the replies of all commands; null when a key was changed.
pub(super) fn run(state: &mut Applying<'_>, block: Block<'_>) -> Reply {
    if !is_unchanged(state.keys, block) {
        return Reply::NullArray;
    }
    let mut budget = Budget::new();
    let replies = commands(block).zip(0..).map(|(command, place)| {
        let reply = execute(state, &command, place);
        within(&mut budget, reply)
    });
    Reply::Array(replies.collect())
}

/// The same of a block that only reads; `None` for another one.
pub(super) fn read(keys: &Keys, block: Block<'_>, seed: u64) -> Option<Reply> {
    if Command::Block(block).class() != Class::Read {
        return None;
    }
    if !is_unchanged(keys, block) {
        return Some(Reply::NullArray);
    }
    let mut budget = Budget::new();
    let replies = commands(block).zip(seed..).map(|(command, seed)| {
        let reply = read_one(keys, &command, seed)?;
        Some(within(&mut budget, reply))
    });
    replies.collect::<Option<_>>().map(Reply::Array)
}

fn commands<'a>(block: Block<'a>) -> impl Iterator<Item = Command<'a>> {
    block.bodies().filter_map(Command::decode)
}

/// `WATCH`: for each key the entry that last changed it.
pub(super) fn modified(keys: &Keys, names: Args<'_>) -> Reply {
    Reply::Array(names.iter().map(|name| version(keys, name)).collect())
}

/// `NORAFT.VERSION`: the entry that last changed the key.
pub(super) fn version(keys: &Keys, key: &[u8]) -> Reply {
    let index = keys.modified(key).get();
    Reply::Integer(i64::try_from(index).unwrap_or(i64::MAX))
}

fn is_unchanged(keys: &Keys, block: Block<'_>) -> bool {
    let mut watches = block.watches();
    watches.all(|(key, index)| keys.modified(key) == index)
}

/// All replies together fit where one has to.
fn within(budget: &mut Budget, reply: Reply) -> Reply {
    match budget.element(reply.weight()) {
        Ok(()) => reply,
        Err(_) => Reply::Error(TOO_LARGE.to_owned()),
    }
}

const TOO_LARGE: &str = "ERR the replies of the block are larger than a reply may be: this command was carried out, and what it \
                         answered is left out";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use noraft::LogIndex;

    use crate::level::Level;
    use crate::machine::{Machine, Restoring};
    use crate::protocol::command::{Parsed, Request, parse};
    use crate::protocol::resp::Reply;
    use crate::time::Stamp;

    struct One(Machine);

    impl One {
        /// At the level that has blocks, which came into force by entry 3; `old` is of entry 1, `gone` of entry 2.
        fn new() -> Self {
            let mut one = Self(Machine::new());
            one.ask("SET old 1");
            one.ask("SET gone 1");
            one.apply(&Request::to_raise(Level::BLOCK));
            one
        }

        fn apply(&mut self, request: &Request) -> Reply {
            let index = self.0.applied_index().get() + 1;
            self.0.apply(
                LogIndex::new(index),
                Stamp::from_millis(index * 10),
                &request.body,
            )
        }

        fn ask(&mut self, line: &str) -> Reply {
            self.apply(&request(line))
        }

        fn modified(&self, keys: &[&str]) -> Vec<i64> {
            let keys: Vec<Bytes> = keys.iter().map(|key| Bytes::from((*key).to_owned())).collect();
            let asked = Request::for_modified(&keys).expect("it is small");
            let Reply::Array(indexes) = self.0.query(&asked.body) else {
                panic!("a list")
            };
            let number = |reply| match reply {
                Reply::Integer(index) => index,
                other => panic!("{other:?}"),
            };
            indexes.into_iter().map(number).collect()
        }

        fn run(&mut self, watches: &[(&str, u64)], lines: &[&str]) -> Reply {
            let request = block(watches, lines);
            self.apply(&request)
        }
    }

    fn request(line: &str) -> Request {
        let words = line.split(' ').map(|word| Bytes::from(word.to_owned()));
        match parse(words.collect()) {
            Ok(Parsed::Replicated(request)) => request,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn block(watches: &[(&str, u64)], lines: &[&str]) -> Request {
        let watches: BTreeMap<Bytes, LogIndex> = watches
            .iter()
            .map(|(key, index)| (Bytes::from((*key).to_owned()), LogIndex::new(*index)))
            .collect();
        let bodies: Vec<Bytes> = lines.iter().map(|line| request(line).body).collect();
        Request::to_run_block(&watches, &bodies).expect("it is small")
    }

    fn ok() -> Reply {
        Reply::Status("OK")
    }

    #[test]
    fn every_change_of_a_key_has_its_entry_and_nothing_else_has() {
        let mut one = One::new();
        assert_eq!(one.modified(&["old", "gone", "none"]), [3, 3, 0]);
        one.ask("DEL gone"); // 4
        assert_eq!(one.modified(&["old", "gone"]), [3, 0]);
        for (line, modified) in [
            ("SET k v", 5),
            ("APPEND k w", 6),
            ("APPEND k ", 6),
            ("INCRBY k 1", 6),
            ("SETNX k v", 6),
            ("XADD k * f v", 6),
            ("EXPIRE k 100", 11),
            ("EXPIRE k 100 NX", 11),
            ("PERSIST k", 13),
            ("PERSIST k", 13),
            ("MSET a 1 k 2", 15),
            ("INCRBY k 1", 16),
            ("GETEX k EX 9", 17),
            ("SET k v XX GET KEEPTTL", 18),
            ("SET k v NX", 18),
            ("TTL k", 18),
        ] {
            one.ask(line);
            assert_eq!(one.modified(&["k"]), [modified], "{line}");
        }
        assert_eq!(one.modified(&["a", "old"]), [15, 3]);
        one.ask("XADD s 1-1 f v"); // 21
        one.ask("XADD s 1-1 f v");
        assert_eq!(one.modified(&["s"]), [21], "a refused entry is none");
        one.ask("PEXPIRE k 15"); // 23, at 230 ms
        assert_eq!(one.modified(&["k"]), [23]);
        one.ask("SET other v");
        one.ask("SET other v");
        assert_eq!(one.modified(&["k"]), [0], "it is gone");
        assert_eq!(one.0.state_hash(), one.0.read_state_hash());
    }

    #[test]
    fn a_block_is_carried_out_if_every_watched_key_is_as_it_was() {
        let mut one = One::new();
        one.ask("SET k 1"); // 4
        let done = one.run(&[("k", 4), ("none", 0)], &["INCRBY k 1", "GET k", "SET new v"]);
        let two = Reply::Bulk(Bytes::from_static(b"2"));
        assert_eq!(done, Reply::Array(vec![Reply::Integer(2), two, ok()]));
        assert_eq!(one.modified(&["k", "new"]), [5, 5]);
        for watches in [&[("k", 4)][..], &[("none", 0), ("new", 0)], &[("none", 1)]] {
            let before = one.0.state_hash();
            assert_eq!(one.run(watches, &["SET k 9"]), Reply::NullArray, "{watches:?}");
            assert_eq!(one.modified(&["k"]), [5]);
            assert_ne!(one.0.state_hash(), before, "only time goes on");
        }
        assert_eq!(one.run(&[], &[]), Reply::Array(Vec::new()));
    }

    #[test]
    fn the_version_of_a_key_rises_with_each_owner_of_a_lock() {
        let mut one = One::new();
        let lock = ["SET lock one NX PX 100", "NORAFT.VERSION lock"];
        let held = |index: i64| Reply::Array(vec![ok(), Reply::Integer(index)]);
        assert_eq!(one.run(&[], &lock), held(4));
        let taken = Reply::Array(vec![Reply::Null, Reply::Integer(4)]);
        assert_eq!(one.run(&[], &lock), taken);
        for _ in 0..10 {
            one.ask("SET other v");
        }
        let version = request("NORAFT.VERSION lock").body;
        assert_eq!(one.0.query(&version), Reply::Integer(0), "it went");
        assert_eq!(one.run(&[], &lock), held(16));
        assert_eq!(one.0.query(&version), Reply::Integer(16));
    }

    #[test]
    fn a_command_that_is_refused_does_not_stop_the_others() {
        let mut one = One::new();
        let Reply::Array(replies) = one.run(&[], &["SET k v", "INCRBY k 1", "XADD k * f v", "SET l w"])
        else {
            panic!("it is carried out")
        };
        assert!(matches!(
            &replies[..],
            [
                Reply::Status(_),
                Reply::Error(_),
                Reply::Error(_),
                Reply::Status(_)
            ]
        ));
        assert_eq!(one.modified(&["k", "l"]), [4, 4]);
    }

    #[test]
    fn a_block_of_reads_is_answered_without_an_entry() {
        let mut one = One::new();
        one.ask("SET k 1"); // 4
        let read =
            |one: &One, watches: &[(&str, u64)], lines: &[&str]| one.0.query(&block(watches, lines).body);
        let value = Reply::Bulk(Bytes::from_static(b"1"));
        let expected = Reply::Array(vec![value, Reply::Null]);
        assert_eq!(read(&one, &[("k", 4)], &["GET k", "GET l"]), expected);
        assert_eq!(read(&one, &[("k", 3)], &["GET k"]), Reply::NullArray);
        assert!(matches!(read(&one, &[], &["SET k 2"]), Reply::Error(_)));
        assert_eq!(one.modified(&["k"]), [4]);
    }

    #[test]
    fn below_its_level_a_block_changes_nothing() {
        let mut one = One(Machine::new());
        one.ask("SET k 1");
        let hash = one.0.state_hash();
        assert!(matches!(one.run(&[], &["SET k 2"]), Reply::Error(_)));
        assert!(matches!(
            one.0.query(&block(&[], &["GET k"]).body),
            Reply::Error(_)
        ));
        assert_eq!(one.0.state_hash(), hash);
    }

    #[test]
    fn what_a_block_answers_is_no_larger_than_any_answer() {
        let mut one = One::new();
        let large = "x".repeat(1 << 20);
        one.ask(&format!("SET k {large}"));
        let lines = vec!["GET k"; 40];
        let Reply::Array(replies) = one.run(&[], &[&lines[..], &["SET k w"]].concat()) else {
            panic!("it is carried out")
        };
        let shown = replies.iter().filter(|reply| matches!(reply, Reply::Bulk(_)));
        assert!((16..40).contains(&shown.count()));
        assert!(matches!(replies.get(39), Some(Reply::Error(_))));
        assert_eq!(one.modified(&["k"]), [5], "it was carried out all the same");
    }

    #[test]
    fn which_entry_changed_a_key_is_in_the_image() {
        let mut one = One::new();
        one.ask("SET k 1"); // 4
        one.ask("XADD s * f v"); // 5
        one.ask("EXPIRE k 1000"); // 6
        let mut restoring = Restoring::default();
        assert!(one.0.chunks().all(|chunk| restoring.take(&chunk)));
        let back = One(restoring.finish(one.0.applied_index(), one.0.clock()));
        let all = ["old", "k", "s", "none"];
        assert_eq!(back.modified(&all), [3, 6, 5, 0]);
        assert_eq!(back.modified(&all), one.modified(&all));
        assert_eq!(back.0.state_hash(), one.0.state_hash());
        assert_eq!(back.0.read_state_hash(), one.0.state_hash());
    }
}
