//! Commands: parsing, and the encoding that entries carry.

use bytes::Bytes;
use noraftd::prng::Prng;
use noraftd::protocol::command::{
    Args, ClientCommand, Command, CommandQuery, Expiry, HelloOptions, Local, Parsed, Request, Section,
    SetCondition, StreamId, StreamIdRequest, parse,
};
use noraftd::protocol::resp::{Reply, RespVersion};
use noraftd::record::PAYLOAD_BYTES_MAX;

use super::support::{random_args, random_bytes, request, typed};

fn local(line: &str) -> Local {
    match typed(line) {
        Ok(Parsed::Local(local)) => local,
        other => panic!("{line} is local, but parsed as {other:?}"),
    }
}

fn refused(line: &str) -> String {
    match typed(line) {
        Err(Reply::Error(text)) => text,
        other => panic!("{line} is refused, but parsed as {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn bodies_have_the_documented_bytes() {
    let bodies = [
        ("SET k v", "0101 00 010000006b 0100000076"),
        ("SET k v NX GET", "0101 03 010000006b 0100000076"),
        ("SET k v XX", "0101 04 010000006b 0100000076"),
        ("SET k v IFEQ o", "0101 06 010000006b 0100000076 010000006f"),
        ("DEL a b", "0102 02000000 0100000061 0100000062"),
        ("MSET a 1", "0103 02000000 0100000061 0100000031"),
        ("DECR n", "0104 010000006e ffffffffffffffff"),
        ("APPEND k v", "0105 010000006b 0100000076"),
        (
            "XADD s * f v",
            "0106 01 00 00000000000000000000000000000000 0100000073 02000000 0100000066 0100000076",
        ),
        (
            "XADD s NOMKSTREAM 5-* f v",
            "0106 00 01 05000000000000000000000000000000 0100000073 02000000 0100000066 0100000076",
        ),
        (
            "XADD s 5-7 f v",
            "0106 01 02 05000000000000000700000000000000 0100000073 02000000 0100000066 0100000076",
        ),
        (
            "SET k v PX 500",
            "010a 00 02 f401000000000000 010000006b 0100000076",
        ),
        ("SET k v NX KEEPTTL", "010a 02 01 010000006b 0100000076"),
        ("GETSET k v", "0101 01 010000006b 0100000076"),
        ("EXPIRE k 1 XX GT", "010b 02 e803000000000000 06 010000006b"),
        ("PEXPIREAT k -1", "010b 03 ffffffffffffffff 00 010000006b"),
        ("PERSIST k", "010c 010000006b"),
        ("GETEX k PERSIST", "010d 00 010000006b"),
        ("GETEX k", "0140 010000006b"),
        ("GETDEL k", "010e 010000006b"),
        ("SETNX k v", "010f 0100000076 010000006b"),
        ("PTTL k", "0110 01 010000006b"),
        ("EXPIRETIME k", "0149 00 010000006b"),
        ("GET k", "0140 010000006b"),
        ("EXISTS a", "0141 01000000 0100000061"),
        ("MGET a", "0142 01000000 0100000061"),
        ("STRLEN k", "0143 010000006b"),
        ("TYPE k", "0144 010000006b"),
        ("XLEN s", "0145 0100000073"),
        (
            "XRANGE s 1-2 3-4 COUNT 5",
            "0146 00 01000000000000000200000000000000 03000000000000000400000000000000 01 0500000000000000 0100000073",
        ),
        (
            "XREVRANGE s 3-4 1-2",
            "0146 01 01000000000000000200000000000000 03000000000000000400000000000000 00 0100000073",
        ),
        (
            "XREAD COUNT 9 STREAMS s t 1-2 $",
            "0147 0900000000000000 04000000 0100000073 1000000001000000000000000200000000000000 0100000074 00000000",
        ),
    ];
    for (line, expected) in bodies {
        assert_eq!(hex(&request(line).body), expected.replace(' ', ""), "{line}");
    }
}

#[test]
fn commands_decode_to_what_was_encoded() {
    let fields: Vec<Bytes> = ["f", "v", "g", ""]
        .map(|word| Bytes::from_static(word.as_bytes()))
        .to_vec();
    let commands = [
        Command::Set {
            key: b"k",
            value: b"",
            condition: SetCondition::Equals(b"old"),
            get: true,
            expiry: Expiry::Never,
        },
        Command::MSet {
            pairs: Args::sent(&fields),
        },
        Command::IncrBy {
            key: b"",
            delta: i64::MIN,
        },
        Command::XAdd {
            key: b"s",
            create: false,
            id: StreamIdRequest::AutoSeq(u64::MAX),
            fields: Args::sent(&fields),
        },
        Command::XRange {
            key: b"s",
            first: StreamId::MIN,
            last: StreamId::MAX,
            reverse: true,
            limit: Some(u64::MAX),
        },
    ];
    for command in commands {
        let request = Request::encode(&command).unwrap();
        assert_eq!(Command::decode(&request.body), Some(command));
        assert_eq!(request.class, command.class());
    }
}

#[test]
fn what_is_parsed_decodes_and_has_one_encoding() {
    for seed in 0..2_000 {
        let mut prng = Prng::new(seed);
        let Ok(Parsed::Replicated(request)) = parse(random_args(&mut prng)) else {
            continue;
        };
        let command = Command::decode(&request.body).unwrap();
        assert_eq!(Request::encode(&command).as_ref(), Ok(&request), "seed {seed}");
        assert_eq!(
            Request::decode_checked(request.body.clone()).as_ref(),
            Some(&request),
            "seed {seed}"
        );
        for end in 0..request.body.len() {
            assert_eq!(
                Command::decode(&request.body[..end]),
                None,
                "seed {seed}, cut at {end}"
            );
        }
        let longer = [&request.body[..], b"\0"].concat();
        assert_eq!(Command::decode(&longer), None, "seed {seed}");
    }
}

#[test]
fn whatever_decodes_is_in_its_only_encoding() {
    let mut decoded = 0;
    for seed in 0..20_000 {
        let mut prng = Prng::new(seed);
        let mut body = match parse(random_args(&mut prng)) {
            Ok(Parsed::Replicated(request)) if seed % 2 == 0 => request.body.to_vec(),
            Ok(_) | Err(_) => [&[1, prng.below(80) as u8], &random_bytes(&mut prng, 30)[..]].concat(),
        };
        for _ in 0..prng.below(3) {
            let at = prng.below(body.len() as u64) as usize;
            body[at] = prng.below(5) as u8;
        }
        let Some(command) = Command::decode(&body) else {
            continue;
        };
        decoded += 1;
        assert_eq!(command.encode(), body, "seed {seed}");
    }
    assert!(decoded > 1_000, "only {decoded} bodies decoded");
}

#[test]
fn any_arguments_get_an_answer() {
    let names = [
        "set", "xadd", "xread", "xrange", "client", "hello", "command", "config", "info", "mset", "ping", "?",
    ];
    let words = [
        "",
        "GET",
        "NX",
        "IFEQ",
        "COUNT",
        "STREAMS",
        "*",
        "1-1",
        "(1",
        "SETNAME",
        "3",
        "DOCS",
        "\u{1F980}",
        "-1",
    ];
    for seed in 0..10_000 {
        let mut prng = Prng::new(seed);
        let mut args = vec![*prng.choose(&names).unwrap()];
        args.extend(
            (0..prng.below(7))
                .map(|_| *prng.choose(&words).unwrap())
                .collect::<Vec<_>>(),
        );
        let args: Vec<Bytes> = args
            .into_iter()
            .map(|arg| Bytes::from_static(arg.as_bytes()))
            .collect();
        match parse(args) {
            Ok(_) => {}
            Err(Reply::Error(text)) => assert!(!text.starts_with("INDEFINITE"), "seed {seed}"),
            Err(other) => panic!("seed {seed}: {other:?}"),
        }
    }
    assert_eq!(parse(vec![]), Err(Reply::Error("ERR empty command".into())));
}

#[test]
fn a_command_that_is_too_large_is_refused_by_name() {
    let args = ["SET", "k"].map(|word| Bytes::from_static(word.as_bytes()));
    let largest = Bytes::from(vec![0; PAYLOAD_BYTES_MAX]);
    let refusal = parse([&args[..], std::slice::from_ref(&largest)].concat()).unwrap_err();
    let text = "ERR the command is larger than 16777216 bytes; nothing was done";
    assert_eq!(refusal, Reply::Error(text.into()));
    assert!(parse([&args[..], &[largest.slice(..PAYLOAD_BYTES_MAX - 100)]].concat()).is_ok());
}

#[test]
fn local_commands_are_recognised() {
    assert_eq!(local("PING"), Local::Ping(None));
    assert_eq!(local("ping x"), Local::Ping(Some(Bytes::from_static(b"x"))));
    assert_eq!(local("HELLO"), Local::Hello(HelloOptions::default()));
    let named = HelloOptions {
        version: Some(RespVersion::V3),
        name: Some(Bytes::from_static(b"me")),
    };
    assert_eq!(local("HELLO 3 SETNAME me"), Local::Hello(named));
    assert_eq!(
        local("CLIENT SETINFO lib-name x"),
        Local::Client(ClientCommand::SetLibName(Bytes::from_static(b"x")))
    );
    assert_eq!(
        local("CLIENT NO-EVICT on"),
        Local::Client(ClientCommand::NoEffect)
    );
    assert_eq!(local("COMMAND"), Local::Command(CommandQuery::Info(vec![])));
    assert_eq!(local("COMMAND DOCS"), Local::Command(CommandQuery::Docs(vec![])));
    assert_eq!(local("INFO"), Local::Info(Section::ALL.to_vec()));
    assert_eq!(
        local("INFO replication nosuch RAFT"),
        Local::Info(vec![Section::Replication, Section::Raft])
    );
    assert_eq!(local("INFO everything"), Local::Info(Section::ALL.to_vec()));
    assert_eq!(local("SELECT 0"), Local::Select);
    assert_eq!(local("QUIT"), Local::Quit);
}

#[test]
fn what_local_commands_refuse() {
    assert_eq!(refused("HELLO 4"), "NOPROTO unsupported protocol version");
    assert_eq!(
        refused("HELLO x"),
        "ERR Protocol version is not an integer or out of range"
    );
    assert!(refused("HELLO 3 AUTH default secret").starts_with("ERR AUTH is not supported"));
    assert!(refused("HELLO 3 SETNAME me AUTH default secret").starts_with("ERR AUTH is not supported"));
    assert_eq!(refused("HELLO 3 FOO"), "ERR Syntax error in HELLO option 'FOO'");
    assert_eq!(
        refused("CLIENT SETNAME \"a b\""),
        "ERR Client names cannot contain spaces, newlines or special characters."
    );
    assert_eq!(
        refused("CLIENT SETNAME"),
        "ERR wrong number of arguments for 'client|setname' command"
    );
    assert_eq!(
        refused("CLIENT KILL x"),
        "ERR unknown subcommand 'KILL' for CLIENT."
    );
    assert_eq!(refused("CLIENT SETINFO foo x"), "ERR Unrecognized option 'foo'");
    assert!(refused("CONFIG SET save x").starts_with("ERR CONFIG SET is not supported"));
    assert_eq!(
        refused("CONFIG GET"),
        "ERR wrong number of arguments for 'config|get' command"
    );
}
