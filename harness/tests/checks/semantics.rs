//! Every command of the daemon's table, with arguments at their edges, against a second implementation of what they mean. Those on
//! values that are made of elements, and some on keys, have none: they are compared with Redis itself (`noraftd/tests/protocol/against_redis`).

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use bytes::{Bytes, BytesMut};
use harness::keyspace::draw::{self, Vocabulary};
use harness::keyspace::{Answer, Asked, Connection, Expected, Keyspace, understand};
use noraft::{LogIndex, LogPosition, NodeId, Role, Term};
use noraftd::level::Level;
use noraftd::local::facts::ServerFacts;
use noraftd::local::session::Session;
use noraftd::machine::{Machine, Restoring, VALUE_BYTES_MAX};
use noraftd::prng::Prng;
use noraftd::protocol::command::table::{COMMANDS, CommandSpec};
use noraftd::protocol::command::{Class, Parsed, TransactionCommand, parse};
use noraftd::protocol::resp::{Reply, RespVersion};
use noraftd::replica::event::{DamageStatus, ElectionStatus, FollowerStatus, LogStatus, Status};
use noraftd::shell::clock::unix_micros;
use noraftd::time::Stamp;

use crate::skip::skip;

/// The daemon's parts and the second implementation, side by side.
struct Both {
    machine: Machine,
    keyspace: Keyspace,
    session: Session,
    connection: Connection,
    stamp: u64,
}

impl Both {
    fn new() -> Self {
        let (mut machine, mut keyspace) = (Machine::new(), Keyspace::default());
        let raise = noraftd::protocol::command::Request::to_raise(Level::SUPPORTED);
        machine.apply(LogIndex::new(1), Stamp::from_millis(0), &raise.body);
        keyspace.begin(1);
        keyspace.raise(Level::SUPPORTED.get());
        Self {
            machine,
            keyspace,
            session: Session::new(1, "here".to_owned()),
            connection: Connection::default(),
            stamp: 0,
        }
    }

    /// Says what differs.
    fn ask(&mut self, words: &[Bytes], prng: &mut Prng) -> Result<(), String> {
        self.stamp += if prng.chance(1, 100) {
            prng.below(1000)
        } else {
            prng.below(3)
        };
        let expected = understand(words);
        match (parse(words.to_vec()), expected) {
            (Err(reply), Err(answer)) => same(&reply, &answer.to_resp()),
            (Ok(Parsed::Local(local)), Ok(Asked::Connection(expected))) => {
                let answered = self
                    .session
                    .answer(local, &status(), &ServerFacts::default(), &[]);
                let reply = wire(&answered.reply);
                if self.connection.admits(&expected, &reply) {
                    Ok(())
                } else {
                    Err(format!("{} is not {expected:?}", shown(&reply)))
                }
            }
            (Ok(Parsed::Replicated(asked)), Ok(Asked::Keys(request))) => {
                if (asked.class == Class::Write) != request.writes() {
                    return Err(format!("it is a {:?}", asked.class));
                }
                let is_query = !request.writes() && prng.chance(1, 2);
                if is_query {
                    let reply = self.machine.query(&asked.body);
                    return same(&reply, &self.keyspace.read(&request).to_resp());
                }
                let index = LogIndex::new(self.machine.applied_index().get() + 1);
                let stamp = Stamp::from_millis(self.stamp);
                self.keyspace.begin(index.get());
                let reply = self.machine.apply(index, stamp, &asked.body);
                same(&reply, &self.keyspace.execute(self.stamp, &request).to_resp())
            }
            (Ok(Parsed::Transaction(command)), Ok(Asked::Transaction(name, keys))) => {
                if command == transaction(name, keys) {
                    Ok(())
                } else {
                    Err(format!("understood as {command:?}"))
                }
            }
            (parsed, expected) => Err(format!("understood as {parsed:?}; expected was {expected:?}")),
        }
    }

    fn compare_states(&self) {
        let chunks: Vec<Bytes> = self.machine.chunks().collect();
        let image = self.keyspace.image();
        assert!(chunks.concat() == image, "the states differ");
        assert_eq!(self.machine.key_count(), self.keyspace.len());
        assert_eq!(self.machine.state_hash(), self.machine.read_state_hash());
        let mut restoring = Restoring::default();
        assert!(chunks.iter().all(|chunk| restoring.take(chunk)));
        let restored = restoring.finish(self.machine.applied_index(), self.machine.clock());
        assert_eq!(restored.state_hash(), self.machine.state_hash());
    }
}

fn transaction(name: &str, keys: Vec<Bytes>) -> TransactionCommand {
    match name {
        "multi" => TransactionCommand::Multi,
        "exec" => TransactionCommand::Exec(None),
        "discard" => TransactionCommand::Discard,
        "unwatch" => TransactionCommand::Unwatch,
        _ => TransactionCommand::Watch(keys),
    }
}

/// A node that knows of nothing but itself.
fn status() -> Status {
    let log = LogStatus {
        commit_index: LogIndex::ZERO,
        applied_index: LogIndex::ZERO,
        applied_stamp: Stamp::from_millis(0),
        durable_index: LogIndex::ZERO,
        last_position: LogPosition::new(Term::new(0), LogIndex::ZERO),
        base_index: LogIndex::ZERO,
        snapshot: None,
    };
    Status {
        id: NodeId::new(1),
        role: Role::Follower,
        term: 0,
        level: Level::FIRST,
        leader: None,
        voters: vec![NodeId::new(1)],
        new_voters: Vec::new(),
        log,
        elections: ElectionStatus::default(),
        damage: DamageStatus::default(),
        followers: FollowerStatus::default(),
    }
}

fn same(reply: &Reply, expected: &[u8]) -> Result<(), String> {
    let reply = wire(reply);
    if reply == expected {
        Ok(())
    } else {
        Err(format!("answered {}, not {}", shown(&reply), shown(expected)))
    }
}

fn wire(reply: &Reply) -> Vec<u8> {
    let mut out = BytesMut::new();
    reply.encode(RespVersion::V2, &mut out);
    out.to_vec()
}

fn shown(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(300)];
    format!("\"{}\"", cut.escape_ascii())
}

fn command(words: &[Bytes]) -> String {
    let words: Vec<String> = words.iter().map(|word| shown(word)).collect();
    words.join(" ")
}

/// Commands that the second implementation has.
fn specs() -> impl Iterator<Item = &'static CommandSpec> {
    let is_here =
        |spec: &&CommandSpec| !GROUPS_ELSEWHERE.contains(&spec.group) && !ELSEWHERE.contains(&spec.name);
    COMMANDS.iter().filter(is_here)
}

const GROUPS_ELSEWHERE: [&str; 5] = ["hash", "list", "scripting", "set", "sorted-set"];
const ELSEWHERE: [&str; 15] = [
    "copy",
    "dbsize",
    "getrange",
    "incrbyfloat",
    "keys",
    "lcs",
    "msetnx",
    "object",
    "randomkey",
    "rename",
    "renamenx",
    "setrange",
    "substr",
    "touch",
    "unlink",
];

#[test]
fn every_command_of_the_table_is_drawn() {
    let (vocabulary, mut prng) = (Vocabulary::new("k"), Prng::new(1));
    let named = || draw::ABOUT_KEYS.iter().chain(&draw::ABOUT_THE_SERVER);
    for spec in specs() {
        assert!(
            named().any(|name| *name == spec.name),
            "{} is in the table, and is never drawn: add it to `keyspace::draw`, and what it means to `keyspace`",
            spec.name
        );
        let words = draw::draw(&mut prng, &vocabulary, spec.name);
        assert!(words.is_some(), "{} has no arguments to draw", spec.name);
    }
    for name in named().filter(|name| **name != "nosuch") {
        assert!(COMMANDS.iter().any(|spec| spec.name == *name), "{name} is gone");
    }
}

#[test]
fn a_hundred_thousand_commands_mean_what_the_second_implementation_says() {
    let mut vocabulary = Vocabulary::new("k");
    let mut succeeded: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 1..=20 {
        let (mut both, mut prng) = (Both::new(), Prng::new(seed));
        for number in 0..5000 {
            vocabulary.now = both.stamp;
            let words = draw::any(&mut prng, &vocabulary);
            if let Err(differs) = both.ask(&words, &mut prng) {
                panic!("seed {seed}, command {number}: {}: {differs}", command(&words));
            }
            if understand(&words).is_ok() {
                let name = String::from_utf8_lossy(&words[0]).to_ascii_lowercase();
                *succeeded.entry(name).or_default() += 1;
            }
            if number % 500 == 0 {
                both.compare_states();
            }
        }
        both.compare_states();
    }
    for spec in specs() {
        let times = succeeded.get(spec.name).copied().unwrap_or(0);
        assert!(times > 100, "{} was understood {times} times", spec.name);
    }
}

#[test]
fn a_value_grows_to_its_limit_and_no_further() {
    let (mut both, mut prng) = (Both::new(), Prng::new(3));
    let half = Bytes::from(vec![b'x'; VALUE_BYTES_MAX / 2]);
    let words =
        |words: &[&[u8]]| -> Vec<Bytes> { words.iter().map(|word| Bytes::copy_from_slice(word)).collect() };
    for words in [
        words(&[b"SET", b"k", &half]),
        words(&[b"APPEND", b"k", &half]),
        words(&[b"APPEND", b"k", b"x"]),
        words(&[b"APPEND", b"k", b""]),
        words(&[b"STRLEN", b"k"]),
        words(&[b"INCR", b"k"]),
        words(&[b"SET", b"k", b"", b"IFEQ", &half[1..]]),
        words(&[b"SET", b"k", b"", b"GET"]),
        words(&[b"STRLEN", b"k"]),
    ] {
        both.ask(&words, &mut prng)
            .unwrap_or_else(|differs| panic!("{}: {differs}", shown(&words[0])));
    }
    both.compare_states();
}

/// A Redis of its own, for as long as this lives.
struct Redis {
    process: Child,
    socket: UnixStream,
    _folder: tempfile::TempDir,
}

impl Redis {
    /// Starts one; `None` when there is none to start.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("there is room for a socket");
        let path = folder.path().join("socket");
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&path)
            .arg("--dir")
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn();
        let mut process = match process {
            Ok(process) => process,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => panic!("redis-server cannot be started: {error}"),
        };
        // It says when it listens; a Redis that ends says nothing more.
        let mut output = process.stdout.take().expect("it is piped");
        let (mut said, mut byte) = (String::new(), [0]);
        while !said.contains("ready to accept connections") {
            let more = output.read(&mut byte).expect("a pipe can be read");
            assert!(more > 0, "redis-server ends: {said}");
            said.push(char::from(byte[0]));
        }
        let socket = UnixStream::connect(&path).expect("it listens");
        Some(Self {
            process,
            socket,
            _folder: folder,
        })
    }

    fn ask(&mut self, words: &[Bytes]) -> Vec<u8> {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        self.socket.write_all(&request).expect("Redis listens");
        let (mut reply, mut buffer) = (Vec::new(), [0; 4096]);
        while harness::client::parse(&reply)
            .expect("Redis speaks RESP")
            .is_none()
        {
            let more = self.socket.read(&mut buffer).expect("Redis answers");
            assert!(more > 0, "Redis closed the connection after {}", command(words));
            reply.extend_from_slice(&buffer[..more]);
        }
        reply
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the daemon documents to be different from Redis 7, or what is about the server itself.
fn differs_from_redis(words: &[Bytes], asked: &Result<Asked, Answer>) -> bool {
    let name = words[0].to_ascii_uppercase();
    let is_relative = ["EXPIRE", "PEXPIRE", "SETEX", "PSETEX", "TTL", "PTTL"];
    if is_relative.iter().any(|relative| name == relative.as_bytes()) {
        return true;
    }
    match asked {
        Ok(Asked::Keys(_)) => false,
        // Redis 7.0 does not know all subcommands of CLIENT.
        Ok(Asked::Connection(Expected::Exactly(_))) => {
            let words: [&[u8]; 5] = [b"QUIT", b"CLIENT", b"SENTINEL", b"WAIT", b"WAITAOF"];
            // They are for the nodes of a Redis Cluster.
            words.contains(&&name[..]) || name.starts_with(b"READ")
        }
        Ok(Asked::Connection(_) | Asked::Transaction(..)) => true,
        // Redis repeats bytes that are no text.
        Err(Answer::Error(text)) if text.contains('\u{fffd}') => true,
        Err(_) => !draw::ABOUT_KEYS
            .iter()
            .any(|about| name.eq_ignore_ascii_case(about.as_bytes())),
    }
}

/// Where an id is none and a key holds no stream, Redis names the key, and the daemon the id: it reads a request
/// before it looks at the state. So it does where a time is none, and there is no string.
fn is_refused_later(words: &[Bytes], asked: &Result<Asked, Answer>, reply: &[u8]) -> bool {
    let is = |name: &[u8]| asked.is_err() && words[0].eq_ignore_ascii_case(name);
    (is(b"xread") || is(b"getex")) && reply.starts_with(b"-WRONGTYPE") || is(b"getex") && reply == b"$-1\r\n"
}

#[test]
fn redis_itself_agrees_with_the_second_implementation() {
    let Some(mut redis) = Redis::start() else {
        skip("no redis-server is installed");
        return;
    };
    let vocabulary = Vocabulary {
        has_clock: false,
        has_ifeq: false,
        has_refusals: false,
        now: unix_micros() / 1000,
        ..Vocabulary::new("k")
    };
    let (mut keyspace, mut prng, mut compared) = (Keyspace::default(), Prng::new(1), 0);
    let mut differences = Vec::new();
    for number in 0..20_000 {
        let words = draw::any(&mut prng, &vocabulary);
        let asked = understand(&words);
        if differs_from_redis(&words, &asked) {
            continue;
        }
        let expected = match &asked {
            Ok(Asked::Keys(request)) => keyspace.execute(unix_micros() / 1000, request).to_resp(),
            Ok(Asked::Connection(Expected::Exactly(answer))) => answer.to_resp(),
            Ok(Asked::Connection(_) | Asked::Transaction(..)) => continue,
            Err(answer) => answer.to_resp(),
        };
        let reply = redis.ask(&words);
        if reply != expected && !is_refused_later(&words, &asked, &reply) {
            differences.push(format!(
                "command {number}: {}: Redis answers {}, not {}",
                command(&words),
                shown(&reply),
                shown(&expected)
            ));
        }
        compared += 1;
    }
    let first = &differences[..differences.len().min(20)];
    assert!(first.is_empty(), "{}", first.join("\n"));
    assert!(compared > 15_000, "{compared} commands were compared");
}
