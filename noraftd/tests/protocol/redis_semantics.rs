//! Commands and their replies, in a table that a person reads and a real Redis can be asked about.
//!
//! In a table, `== title` starts with an empty key space, `> command` is followed by its reply, `>! command`
//! is one that Redis 7 answers differently (or whose reply depends on a clock), `@ millis` sets the stamp of
//! the commands that follow. `UPDATE_TABLES=1` rewrites the replies.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;

use bytes::BytesMut;
use noraft::LogIndex;
use noraftd::level::Level;
use noraftd::machine::Machine;
use noraftd::protocol::command::{Parsed, Request};
use noraftd::protocol::resp::{Reply, RespVersion, Value, ValueDecoder};
use noraftd::time::Stamp;

use super::support::{as_value, show, typed, writes};

enum Line<'a> {
    Title,
    Stamp(u64),
    Command { text: &'a str, like_redis: bool },
    Comment,
}

fn parse_line(line: &str) -> Option<Line<'_>> {
    if line.starts_with("== ") {
        return Some(Line::Title);
    }
    if let Some(millis) = line.strip_prefix("@ ") {
        return Some(Line::Stamp(millis.parse().expect("a stamp is a number")));
    }
    if let Some(text) = line.strip_prefix(">! ") {
        return Some(Line::Command {
            text,
            like_redis: false,
        });
    }
    if let Some(text) = line.strip_prefix("> ") {
        return Some(Line::Command {
            text,
            like_redis: true,
        });
    }
    (line.is_empty() || line.starts_with('#')).then_some(Line::Comment)
}

struct Server {
    machine: Machine,
    index: u64,
    stamp: Stamp,
}

impl Server {
    fn new() -> Self {
        let mut machine = Machine::new();
        let raise = Request::to_raise(Level::SUPPORTED);
        machine.apply(LogIndex::new(1), Stamp::default(), &raise.body);
        Self {
            machine,
            index: 1,
            stamp: Stamp::from_millis(1_000),
        }
    }

    fn answer(&mut self, command: &str) -> Reply {
        let request = match typed(command) {
            Ok(Parsed::Replicated(request)) => request,
            Ok(Parsed::Local(local)) => panic!("{command} is local: {local:?}"),
            Ok(Parsed::Transaction(asked)) => panic!("{command} is about a transaction: {asked:?}"),
            Ok(Parsed::Own(own)) => panic!("{command} is our own: {own:?}"),
            Err(reply) => return reply,
        };
        if writes(&request) {
            self.index += 1;
            self.machine
                .apply(LogIndex::new(self.index), self.stamp, &request.body)
        } else {
            self.machine.query(&request.body)
        }
    }
}

fn table_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/protocol/tables/redis_semantics.txt")
}

#[test]
fn commands_answer_as_the_table_says() {
    let path = table_path();
    let table = std::fs::read_to_string(&path).unwrap();
    let mut server = Server::new();
    let mut actual = String::new();
    for line in table.lines() {
        let Some(parsed) = parse_line(line) else { continue };
        writeln!(actual, "{line}").unwrap();
        match parsed {
            Line::Title => server = Server::new(),
            Line::Stamp(millis) => server.stamp = Stamp::from_millis(millis),
            Line::Command { text, .. } => {
                let value = as_value(&server.answer(text), RespVersion::V2);
                writeln!(actual, "{}", show(&value)).unwrap();
            }
            Line::Comment => {}
        }
    }
    if std::env::var_os("UPDATE_TABLES").is_some() {
        std::fs::write(&path, actual).unwrap();
    } else {
        assert_eq!(actual, table, "the replies differ from {}", path.display());
    }
}

struct Redis {
    stream: TcpStream,
    buffer: BytesMut,
    decoder: ValueDecoder,
}

impl Redis {
    fn ask(&mut self, command: &str) -> Value {
        self.stream
            .write_all(format!("{command}\r\n").as_bytes())
            .expect("Redis answers");
        loop {
            if let Some(value) = self.decoder.next(&mut self.buffer).expect("Redis answers") {
                return value;
            }
            let mut chunk = [0; 4096];
            let read = self.stream.read(&mut chunk).expect("Redis answers");
            assert!(read > 0, "Redis closed the connection");
            self.buffer.extend_from_slice(&chunk[..read]);
        }
    }
}

#[test]
#[ignore = "asks a real Redis, whose keys it deletes; NORAFTD_REDIS=host:port names it"]
fn redis_answers_as_the_table_says() {
    let address = std::env::var("NORAFTD_REDIS").expect("NORAFTD_REDIS=host:port");
    let table = std::fs::read_to_string(table_path()).unwrap();
    let mut differences = String::new();
    let mut compared = 0;
    for version in [RespVersion::V2, RespVersion::V3] {
        let stream = TcpStream::connect(&address).unwrap();
        let mut redis = Redis {
            stream,
            buffer: BytesMut::new(),
            decoder: ValueDecoder::new(),
        };
        redis.ask(&format!("HELLO {}", version.number()));
        let mut server = Server::new();
        for line in table.lines() {
            match parse_line(line) {
                Some(Line::Title) => {
                    redis.ask("FLUSHALL");
                    server = Server::new();
                }
                Some(Line::Stamp(millis)) => server.stamp = Stamp::from_millis(millis),
                Some(Line::Command {
                    text,
                    like_redis: true,
                }) => {
                    let ours = show(&as_value(&server.answer(text), version));
                    let theirs = show(&redis.ask(text));
                    compared += 1;
                    if ours != theirs {
                        writeln!(
                            differences,
                            "{version:?} {text}\n  ours  {ours}\n  redis {theirs}"
                        )
                        .unwrap();
                    }
                }
                Some(Line::Command {
                    text,
                    like_redis: false,
                }) => drop(server.answer(text)),
                Some(Line::Comment) | None => {}
            }
        }
    }
    assert!(differences.is_empty(), "{differences}");
    println!("{compared} replies are the same");
}
