//! Sessions: the commands that a node answers itself, as clients see them.

use std::collections::BTreeMap;

use noraft::{LogIndex, NodeId, Role};
use noraftd::local::facts::{ClientAddress, ClientFacts, ProcessFacts, Resources, ServerFacts};
use noraftd::local::session::Session;
use noraftd::protocol::command::Parsed;
use noraftd::protocol::resp::{RespVersion, Value};
use noraftd::replica::event::{DamageStatus, ElectionStatus, FollowerStatus, LogStatus, Status};
use noraftd::time::Stamp;

use super::support::{as_value, show, typed};

fn status(role: Role) -> Status {
    let index = LogIndex::new;
    Status {
        id: NodeId::new(1),
        role,
        term: 7,
        leader: match role {
            Role::Leader => Some(NodeId::new(1)),
            Role::Follower => Some(NodeId::new(2)),
            Role::Candidate => None,
        },
        level: noraftd::level::Level::FIRST,
        new_voters: Vec::new(),
        voters: [1, 2, 3].map(NodeId::new).to_vec(),
        log: LogStatus {
            commit_index: index(90),
            applied_index: index(89),
            applied_stamp: Stamp::from_millis(1_700_000_000_000),
            durable_index: index(95),
            last_position: noraft::LogPosition {
                term: noraft::Term::new(7),
                index: index(100),
            },
            base_index: index(40),
            snapshot: None,
        },
        elections: ElectionStatus::default(),
        damage: DamageStatus::default(),
        followers: match role {
            Role::Leader => FollowerStatus {
                match_indexes: vec![(NodeId::new(2), index(98)), (NodeId::new(3), index(50))],
                heard: vec![NodeId::new(2)],
            },
            Role::Follower | Role::Candidate => FollowerStatus::default(),
        },
    }
}

fn facts() -> ServerFacts {
    let address = |host: &str, port| ClientAddress {
        host: host.to_owned(),
        port,
    };
    ServerFacts {
        process: ProcessFacts {
            version: "0.1.0".into(),
            id: 4321,
            boot: 0xabcd,
            uptime_seconds: 90_000,
            unix_micros: 1_700_000_000_123_456,
        },
        cluster_id: 0x1122,
        incarnation: 0x3344,
        clients: ClientFacts {
            connected: 3,
            most: 1_000,
            accepted: 12,
            answered: 345,
        },
        keys: 6,
        tcp_port: 7001,
        unix_socket: "/run/noraftd.sock".into(),
        loading: None,
        addresses: BTreeMap::from([
            (NodeId::new(1), address("127.0.0.1", 7001)),
            (NodeId::new(2), address("127.0.0.1", 7002)),
        ]),
        resources: Some(Resources {
            memory_bytes: 3 << 19,
            memory_rss_bytes: 2 << 20,
            memory_peak_bytes: 3 << 20,
            system_memory_bytes: 4 << 30,
            cpu_micros: (1_500_000, 2_000_001),
            cpu_children_micros: (0, 0),
        }),
    }
}

struct Client {
    session: Session,
    role: Role,
}

impl Client {
    fn new(role: Role) -> Self {
        Self {
            session: Session::new(5, "127.0.0.1:9".into()),
            role,
        }
    }

    fn ask(&mut self, line: &str) -> Value {
        let reply = match typed(line) {
            Ok(Parsed::Local(local)) => {
                self.session
                    .answer(local, &status(self.role), &facts(), &["id=6".to_owned()])
                    .reply
            }
            Ok(Parsed::Replicated(request)) => panic!("{line} is replicated: {request:?}"),
            Ok(Parsed::Own(own)) => panic!("{line} is our own: {own:?}"),
            Err(reply) => reply,
        };
        as_value(&reply, self.session.version)
    }

    fn show(&mut self, line: &str) -> String {
        show(&self.ask(line))
    }
}

fn text(value: Value) -> String {
    match value {
        Value::Bulk(bytes) => String::from_utf8(bytes.to_vec()).expect("INFO is text"),
        other => panic!("a bulk string, not {other:?}"),
    }
}

#[test]
fn info_says_what_clients_look_for() {
    // The commit differs from build to build.
    let hidden = |info: String| {
        let lines = info.lines().filter(|line| !line.starts_with("redis_git_"));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    for (role, name) in [
        (Role::Leader, "leader"),
        (Role::Follower, "follower"),
        (Role::Candidate, "candidate"),
    ] {
        insta::assert_snapshot!(
            format!("info_of_a_{name}"),
            hidden(text(Client::new(role).ask("INFO")))
        );
    }
    let everything = text(Client::new(Role::Leader).ask("INFO"));
    assert!(everything.contains("\r\nloading:0\r\n"));
    assert!(everything.contains("\r\nredis_git_sha1:"));
    assert!(everything.contains("\r\nredis_version:7."));
    assert_eq!(
        text(Client::new(Role::Leader).ask("INFO keyspace")),
        "# Keyspace\r\ndb0:keys=6,expires=0,avg_ttl=0\r\n"
    );
    assert_eq!(text(Client::new(Role::Leader).ask("INFO nosuch")), "");
}

#[test]
fn role_names_the_leader() {
    let role = |role| Client::new(role).show("ROLE");
    assert_eq!(
        role(Role::Leader),
        r#"["master" :100 [["127.0.0.1" "7002" "98"]]]"#
    );
    assert_eq!(
        role(Role::Follower),
        r#"["slave" "127.0.0.1" :7002 "connected" :89]"#
    );
    assert_eq!(role(Role::Candidate), r#"["slave" "?" :0 "connect" :89]"#);
}

#[test]
fn hello_changes_the_protocol_of_its_own_reply() {
    let mut client = Client::new(Role::Leader);
    let greeting = client.show("HELLO 3 SETNAME me");
    assert_eq!(
        greeting,
        r#"{"server": "noraftd", "version": "7.2.0", "proto": :3, "id": :5, "mode": "standalone", "role": "master", "modules": [], "noraftd_version": "0.1.0"}"#
    );
    assert_eq!(client.show("CLIENT GETNAME"), r#""me""#);
    assert_eq!(client.show("CONFIG GET save"), r#"{"save": ""}"#);
    assert_eq!(client.show("RESET"), "+RESET");
    assert_eq!(client.session.version, RespVersion::V2);
    assert_eq!(client.show("CLIENT GETNAME"), "nil");
    assert_eq!(
        client.show("CONFIG GET SAVE append*"),
        r#"["appendfsync" "always" "appendonly" "yes" "save" ""]"#
    );
}

#[test]
fn small_commands_answer_as_redis() {
    let mut client = Client::new(Role::Leader);
    for (line, reply) in [
        ("PING", "+PONG"),
        ("PING hello", r#""hello""#),
        ("ECHO hello", r#""hello""#),
        ("SELECT 0", "+OK"),
        ("TIME", r#"["1700000000" "123456"]"#),
        ("CLIENT ID", ":5"),
        ("CLIENT SETINFO LIB-NAME redis-py", "+OK"),
        ("CLIENT SETINFO LIB-VER 8.0.0", "+OK"),
        ("CLIENT SETNAME tester", "+OK"),
        ("CLIENT NO-EVICT ON", "+OK"),
        (
            "CLIENT INFO",
            r#""id=5 addr=127.0.0.1:9 name=tester db=0 resp=2 lib-name=redis-py lib-ver=8.0.0\n""#,
        ),
        ("COMMAND COUNT", ":30"),
        (
            "COMMAND INFO get nosuch",
            r#"[["get" :2 [+readonly +fast] :1 :1 :1 [] [] [] []] nil]"#,
        ),
    ] {
        assert_eq!(client.show(line), reply, "{line}");
    }
    assert!(client.show("CLIENT LIST").ends_with(r#"\nid=6\n""#));
    assert!(
        client
            .show("COMMAND DOCS get")
            .starts_with(r#"["get" ["summary" "#)
    );
}

#[test]
fn quit_closes_after_its_answer() {
    let mut session = Session::new(1, String::new());
    let Ok(Parsed::Local(quit)) = typed("QUIT") else {
        panic!("QUIT is local")
    };
    assert!(session.answer(quit, &status(Role::Leader), &facts(), &[]).close);
}
