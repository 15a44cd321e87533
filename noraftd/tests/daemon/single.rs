//! One real node: what it answers, and what it keeps.

use crate::support::client::{Client, bulk, encode, error_text, ok};
use crate::support::node::Node;
use noraftd::protocol::resp::Value;

fn started(dir: &tempfile::TempDir) -> Node {
    let mut node = Node::alone(dir.path());
    node.start();
    node.wait_for_leader();
    node
}

fn integer(n: i64) -> Value {
    Value::Integer(n)
}

fn speaks(client: &mut Client, prefix: &str) {
    let key = |name: &str| format!("{prefix}:{name}");
    let (k, n, s) = (key("k"), key("n"), key("s"));
    assert_eq!(client.call(&["SET", &k, "v1"]), ok());
    assert_eq!(client.call(&["GET", &k]), bulk("v1"));
    assert_eq!(client.call(&["SET", &k, "v2", "IFEQ", "other"]), Value::Null);
    assert_eq!(client.call(&["SET", &k, "v2", "IFEQ", "v1"]), ok());
    assert_eq!(client.call(&["APPEND", &k, "+"]), integer(3));
    assert_eq!(client.call(&["INCR", &n]), integer(1));
    assert_eq!(client.call(&["INCRBY", &n, "41"]), integer(42));
    assert_eq!(client.call(&["MSET", &key("a"), "1", &key("b"), "2"]), ok());
    assert_eq!(
        client.call(&["MGET", &key("a"), &key("none"), &key("b")]),
        Value::Array(vec![bulk("1"), Value::Null, bulk("2")])
    );
    assert_eq!(client.call(&["XADD", &s, "1-1", "field", "value"]), bulk("1-1"));
    assert!(matches!(
        client.call(&["XADD", &s, "*", "field", "value"]),
        Value::Bulk(_)
    ));
    assert_eq!(client.call(&["XLEN", &s]), integer(2));
    assert_eq!(
        client.call(&["XRANGE", &s, "-", "+", "COUNT", "1"]),
        Value::Array(vec![Value::Array(vec![
            bulk("1-1"),
            Value::Array(vec![bulk("field"), bulk("value")])
        ])])
    );
    assert_eq!(client.call(&["DEL", &k, &key("none")]), integer(1));
    assert_eq!(client.call(&["EXISTS", &k]), integer(0));
    assert!(error_text(&client.call(&["INCR", &s])).starts_with("WRONGTYPE"));
    assert!(error_text(&client.call(&["FLUSHALL"])).starts_with("ERR"));
    assert!(error_text(&client.call(&["BLPOP", &k, "1"])).starts_with("ERR unknown command"));
}

#[test]
fn a_node_speaks_resp_over_tcp_and_unix() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = started(&dir);
    speaks(&mut node.client(), "tcp");
    speaks(&mut node.unix_client(), "unix");
}

#[test]
fn the_node_answers_what_concerns_itself() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = started(&dir);
    let mut client = node.client();
    assert_eq!(client.call(&["PING"]), Value::Status("PONG".into()));
    assert_eq!(client.call(&["ECHO", "hi"]), bulk("hi"));
    assert!(matches!(client.call(&["HELLO", "3"]), Value::Map(_)));
    assert_eq!(client.call(&["GET", "none"]), Value::Null);
    assert!(
        matches!(client.call(&["INFO"]), Value::Bulk(text) if text.windows(9).any(|w| w == b"loading:0"))
    );
    assert!(matches!(client.call(&["ROLE"]), Value::Array(_)));
    assert!(matches!(client.call(&["CONFIG", "GET", "save"]), Value::Map(_)));
    let status = node.status().expect("a status");
    assert_eq!(
        (status.view.role.as_str(), status.view.leader),
        ("leader", Some(1))
    );
    assert_eq!(client.call(&["QUIT"]), ok());
    assert!(client.is_ended());
}

#[test]
fn a_pipeline_is_answered_in_order_whatever_it_mixes() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = started(&dir);
    let mut client = node.unix_client();
    let (mut bytes, mut expected) = (Vec::new(), Vec::new());
    for n in 1..=500 {
        bytes.extend(encode(&["INCR", "n"]));
        expected.push(integer(n));
        if n % 7 == 0 {
            bytes.extend(encode(&["GET", "n"]));
            expected.push(bulk(&n.to_string()));
        }
        if n % 11 == 0 {
            bytes.extend(encode(&["ECHO", &n.to_string()]));
            expected.push(bulk(&n.to_string()));
        }
    }
    client.send_raw(&bytes).expect("sent");
    let answers: Vec<_> = expected
        .iter()
        .map(|_| client.receive().expect("a reply"))
        .collect();
    assert_eq!(answers, expected);
}

#[test]
fn what_was_asked_before_the_client_ended_its_direction_is_answered() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = started(&dir);
    let mut client = node.client();
    client
        .send_raw(&[encode(&["SET", "k", "v"]), encode(&["GET", "k"])].concat())
        .expect("sent");
    client.end();
    assert_eq!(client.receive().expect("a reply"), ok());
    assert_eq!(client.receive().expect("a reply"), bulk("v"));
    assert!(client.is_ended());
}

#[test]
fn a_large_value_comes_back_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::new(dir.path(), &["--id", "1"].map(String::from));
    node.start();
    node.wait_for_leader();
    let value = "0123456789abcdef".repeat(512 << 10);
    let mut client = node.client();
    assert_eq!(client.call(&["SET", "large", &value]), ok());
    assert!(client.call(&["GET", "large"]) == bulk(&value));
}

#[test]
fn an_acknowledged_write_survives_a_kill_and_a_stop() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = started(&dir);
    for round in 0..3 {
        let mut client = node.client();
        for n in 0..50 {
            assert_eq!(
                client.call(&["SET", &format!("{round}:{n}"), &n.to_string()]),
                ok()
            );
        }
        match round {
            1 => assert_eq!(node.stop(), Some(0), "{}", node.log()),
            _ => node.kill(),
        }
        node.start();
        node.wait_for_leader();
        let mut client = node.client();
        for (round, n) in (0..=round).flat_map(|round| (0..50).map(move |n| (round, n))) {
            assert_eq!(
                client.call(&["GET", &format!("{round}:{n}")]),
                bulk(&n.to_string())
            );
        }
    }
    assert!(!node.status().expect("a status").recovery.is_empty());
}

#[test]
fn a_stopping_node_answers_what_is_under_way_and_removes_its_socket() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = started(&dir);
    let mut client = node.client();
    for n in 0..200 {
        client
            .send(&["SET".to_owned(), format!("k{n}"), n.to_string()])
            .expect("sent");
    }
    assert_eq!(client.receive().expect("a reply"), ok());
    assert_eq!(node.stop(), Some(0));
    let acknowledged = 1 + std::iter::from_fn(|| client.receive().ok())
        .filter(|reply| *reply == ok())
        .count();
    assert!(!node.unix().exists());
    node.start();
    node.wait_for_leader();
    let mut client = node.client();
    for n in 0..acknowledged {
        assert_eq!(client.call(&["GET", &format!("k{n}")]), bulk(&n.to_string()));
    }
}

#[test]
fn a_client_that_reads_late_gets_everything_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = started(&dir);
    let mut client = node.client();
    let value = "y".repeat(64 << 10);
    assert_eq!(client.call(&["SET", "k", &value]), ok());
    // Far more replies than sockets hold: the node has to stop reading, and go on later.
    let requests: Vec<u8> = (0..500)
        .flat_map(|n| [encode(&["GET", "k"]), encode(&["ECHO", &n.to_string()])].concat())
        .collect();
    client.send_raw(&requests).expect("sent");
    assert_eq!(
        node.client().call(&["PING"]),
        Value::Status("PONG".into()),
        "others are served meanwhile"
    );
    for n in 0..500 {
        assert!(client.receive().expect("a reply") == bulk(&value), "reply {n}");
        assert_eq!(client.receive().expect("a reply"), bulk(&n.to_string()));
    }
}

#[test]
fn many_clients_are_served_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = started(&dir);
    let mut clients: Vec<Client> = (0..300)
        .map(|n| {
            if n % 2 == 0 {
                node.client()
            } else {
                node.unix_client()
            }
        })
        .collect();
    for client in &mut clients {
        client.send(&["INCR", "n"]).expect("sent");
    }
    let mut seen: Vec<i64> = clients
        .iter_mut()
        .map(|client| match client.receive().expect("a reply") {
            Value::Integer(n) => n,
            other => panic!("{other:?}"),
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (1..=300).collect::<Vec<_>>());
}
