//! Sessions: the commands that a node answers itself, as clients see them.

use std::collections::{BTreeMap, BTreeSet};

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
        alarms: ["clock", "room"].map(|name| vec![name.to_owned()]),
        process: ProcessFacts {
            version: "0.1.0".into(),
            id: 4321,
            boot: 0xabcd,
            uptime_seconds: 90_000,
            unix_micros: 1_700_000_000_123_456,
        },
        cluster: "prod".into(),
        cluster_id: 0x1122,
        incarnation: 0x3344,
        clients: ClientFacts {
            connected: 3,
            most: 1_000,
            accepted: 12,
            answered: 345,
        },
        keys: 6,
        expiring_keys: 2,
        tcp_port: 7001,
        unix_socket: "/run/noraftd.sock".into(),
        log_level: "info".into(),
        loading: None,
        addresses: BTreeMap::from([
            (NodeId::new(1), address("127.0.0.1", 7001)),
            (NodeId::new(2), address("127.0.0.1", 7002)),
        ]),
        connected: BTreeSet::from([NodeId::new(2)]),
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
            Ok(Parsed::Transaction(asked)) => panic!("{line} is about a transaction: {asked:?}"),
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
        "# Keyspace\r\ndb0:keys=6,expires=2,avg_ttl=0\r\n"
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
        ("COMMAND COUNT", ":161"),
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

#[test]
fn a_sentinel_names_the_leader_and_who_is_up() {
    let master = |slaves| {
        format!(
            r#"["name" "prod" "ip" "127.0.0.1" "port" "{}" "runid" "0000000000001122{:024x}" "flags" "master" "role-reported" "master" "config-epoch" "7" "num-slaves" "1" "num-other-sentinels" "1" "quorum" "2"]"#,
            7000 + slaves,
            slaves
        )
    };
    let ask = |role, line: &str| Client::new(role).show(line);
    let (leader, follower, candidate) = (Role::Leader, Role::Follower, Role::Candidate);
    assert_eq!(
        ask(leader, "SENTINEL get-master-addr-by-name prod"),
        r#"["127.0.0.1" "7001"]"#
    );
    assert_eq!(
        ask(follower, "SENTINEL GET-MASTER-ADDR-BY-NAME prod"),
        r#"["127.0.0.1" "7002"]"#
    );
    assert_eq!(ask(candidate, "SENTINEL get-master-addr-by-name prod"), "nil");
    assert_eq!(ask(leader, "SENTINEL get-master-addr-by-name other"), "nil");
    assert_eq!(ask(leader, "SENTINEL MASTERS"), format!("[{}]", master(1)));
    assert_eq!(ask(follower, "SENTINEL MASTER prod"), master(2));
    assert_eq!(ask(candidate, "SENTINEL MASTERS"), "[]");
    assert!(ask(candidate, "SENTINEL MASTER prod").starts_with("-IDONTKNOW "));
    assert_eq!(
        ask(leader, "SENTINEL SLAVES prod"),
        r#"[["name" "127.0.0.1:7002" "ip" "127.0.0.1" "port" "7002" "runid" "0000000000001122000000000000000000000002" "flags" "slave" "role-reported" "slave" "master-link-status" "ok" "master-host" "127.0.0.1" "master-port" "7001" "slave-priority" "100" "slave-repl-offset" "98"]]"#
    );
    assert!(ask(follower, "SENTINEL REPLICAS prod").starts_with(r#"[["name" "127.0.0.1:7001""#));
    assert!(
        ask(candidate, "SENTINEL REPLICAS prod").contains(r#""master-link-status" "err" "master-host" "?""#)
    );
    assert_eq!(
        ask(leader, "SENTINEL SENTINELS prod"),
        r#"[["name" "0000000000001122000000000000000000000002" "ip" "127.0.0.1" "port" "7002" "runid" "0000000000001122000000000000000000000002" "flags" "sentinel"]]"#
    );
    assert_eq!(
        ask(leader, "SENTINEL MYID"),
        r#""0000000000001122000000000000000000000001""#
    );
    for subcommand in ["MASTER", "REPLICAS", "SENTINELS", "CKQUORUM"] {
        let said = ask(leader, &format!("SENTINEL {subcommand} other"));
        assert_eq!(said, "-ERR No such master with that name");
    }
    assert!(
        ask(leader, "SENTINEL MASTER").starts_with("-ERR wrong number of arguments for 'sentinel|master'")
    );
    assert!(ask(leader, "SENTINEL FAILOVER prod").starts_with("-ERR unknown subcommand"));
}

#[test]
fn a_sentinel_counts_the_voters_that_it_reaches() {
    let ask = |heard: Vec<NodeId>| {
        let mut status = status(Role::Leader);
        status.followers.heard = heard;
        let Ok(Parsed::Local(local)) = typed("SENTINEL CKQUORUM prod") else {
            panic!("SENTINEL is local")
        };
        let mut session = Session::new(1, String::new());
        let reply = session.answer(local, &status, &facts(), &[]).reply;
        show(&as_value(&reply, RespVersion::V2))
    };
    assert!(ask(vec![NodeId::new(3)]).starts_with(r#""OK 2 usable Sentinels."#));
    assert!(ask(Vec::new()).starts_with("-NOQUORUM 1 usable Sentinels."));
}

#[test]
fn a_write_that_was_answered_is_on_a_majority() {
    let mut client = Client::new(Role::Follower);
    for (line, reply) in [
        ("WAIT 2 100", ":1"),
        ("WAIT 0 0", ":1"),
        ("WAITAOF 1 2 0", "[:1 :1]"),
        ("WAIT x 0", "-ERR value is not an integer or out of range"),
        ("WAIT 1 -1", "-ERR timeout is negative"),
        (
            "WAITAOF 2 0 0",
            "-ERR value is out of range, value must between 0 and 1",
        ),
        ("WAITAOF 1 -1 0", "-ERR value is out of range, must be positive"),
    ] {
        assert_eq!(client.show(line), reply, "{line}");
    }
}

#[test]
fn a_client_that_listens_hears_what_it_named_and_in_resp2_asks_nothing_else() {
    let mut client = Client::new(Role::Leader);
    assert_eq!(client.show("UNSUBSCRIBE"), r#"["unsubscribe" nil :0]"#);
    assert_eq!(
        client.show("SUBSCRIBE +switch-master"),
        r#"["subscribe" "+switch-master" :1]"#
    );
    assert_eq!(client.show("PSUBSCRIBE [-+]s*"), r#"["psubscribe" "[-+]s*" :2]"#);
    assert_eq!(client.show("PSUBSCRIBE -*"), r#"["psubscribe" "-*" :3]"#);
    assert_eq!(client.show("PING"), r#"["pong" ""]"#);
    let hear = |client: &Client, channel: &str| {
        let (channel, text) = (channel.to_owned().into(), "prod 1 2".into());
        client.session.subscriptions.hear(&channel, &text)
    };
    let heard = hear(&client, "+switch-master");
    let Some(noraftd::protocol::resp::Reply::Several(heard)) = heard else {
        panic!("it hears it twice: {heard:?}")
    };
    let shown: Vec<String> = heard
        .iter()
        .map(|reply| show(&as_value(reply, RespVersion::V2)))
        .collect();
    assert_eq!(
        shown,
        [
            r#"["message" "+switch-master" "prod 1 2"]"#,
            r#"["pmessage" "[-+]s*" "+switch-master" "prod 1 2"]"#
        ]
    );
    assert_eq!(hear(&client, "other"), None);
    let refused = |client: &Client, version| {
        let get = [bytes::Bytes::from_static(b"GET"), bytes::Bytes::from_static(b"k")];
        client.session.subscriptions.refuse(&get, version).is_some()
    };
    assert!(refused(&client, RespVersion::V2));
    assert!(!refused(&client, RespVersion::V3), "a push is no answer");
    assert_eq!(client.show("RESET"), "+RESET");
    assert!(!refused(&client, RespVersion::V2));
    assert_eq!(client.show("PING"), "+PONG");
    let many = format!("SUBSCRIBE {}", vec!["c"; 300].join(" "));
    assert!(
        client
            .show(&many)
            .starts_with("-ERR a connection can have at most")
    );
    assert_eq!(hear(&client, "c"), None);
}
