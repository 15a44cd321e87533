//! One real node and clients that ask for what it does not do: HTTP, transactions, other databases, too much.

use crate::support::client::{Client, bulk, encode, error_text, ok};
use crate::support::node::Node;
use noraftd::protocol::resp::Value;

fn started(dir: &tempfile::TempDir) -> Node {
    let mut node = Node::alone(dir.path());
    node.start();
    node.wait_for_leader();
    node
}

/// Sends `parts` one by one, each as a segment of its own, and gives whether the node ended the connection.
fn is_ended_by(mut client: Client, parts: &[&[u8]]) -> bool {
    for part in parts {
        // Once the node has ended the connection, the rest may fail to leave.
        if client.send_raw(part).is_err() {
            return true;
        }
        // Lets the part leave before the next one is written.
        std::thread::yield_now();
    }
    loop {
        match client.receive() {
            Ok(_) => {}
            Err(_) => return true,
        }
    }
}

#[test]
fn the_body_of_an_http_request_is_not_obeyed() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = started(&dir);
    let body: &[u8] = b"Content-Type: text/plain\r\n\r\nSET stolen 1\r\nNORAFT.SNAPSHOT\r\n*3\r\n$3\r\nSET\r\n$6\r\nstolen\r\n$1\r\n2\r\n";
    let openings: [&[&[u8]]; 7] = [
        &[b"POST / HTTP/1.1\r\n"],
        &[b"PO", b"ST / HT", b"TP/1.1\r", b"\n"],
        &[b"post / http/1.1\r\n", b"hOsT: here\r\n"],
        &[b"GET / HTTP/1.1\r\nHo", b"st: 127.0.0.1\r\n"],
        &[b"OPTIONS * HTTP/1.1\r\n"],
        &[b"PUT / x HTTP/1.1\r\n", b"HOST: here\r\n"],
        &[b"*1\r\n$4\r\npost\r\n"],
    ];
    for parts in openings {
        let parts = [parts, &[body]].concat();
        assert!(is_ended_by(node.client(), &parts), "{parts:?}");
        assert!(is_ended_by(node.unix_client(), &parts), "{parts:?}");
    }
    assert_eq!(node.client().call(&["EXISTS", "stolen"]), Value::Integer(0));
    let said = node.log().matches("speaks HTTP").count();
    assert!((1..=2).contains(&said), "said {said} times: {}", node.log());
}

#[test]
fn what_comes_before_http_is_answered() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = started(&dir);
    let mut client = node.client();
    client
        .send_raw(b"SET a 1\r\nGET a\r\nPOST / HTTP/1.1\r\n\r\nSET a 2\r\n")
        .expect("sent");
    assert_eq!(client.receive().expect("a reply"), ok());
    assert_eq!(client.receive().expect("a reply"), bulk("1"));
    assert!(client.is_ended());
    assert_eq!(node.client().call(&["GET", "a"]), bulk("1"));
}

/// The replies to a pipeline.
fn pipeline(client: &mut Client, commands: &[&[&str]]) -> Vec<Value> {
    let bytes: Vec<u8> = commands.iter().flat_map(|command| encode(command)).collect();
    client.send_raw(&bytes).expect("sent");
    commands
        .iter()
        .map(|_| client.receive().expect("a reply"))
        .collect()
}

#[test]
fn a_refused_transaction_takes_no_effect() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = started(&dir);
    let mut client = node.client();
    let transaction: [&[&str]; 5] = [
        &["MULTI"],
        &["SET", "a", "1"],
        &["NORAFT.SNAPSHOT"],
        &["INCR", "b"],
        &["EXEC"],
    ];
    let replies = pipeline(&mut client, &transaction);
    assert!(
        replies[..4]
            .iter()
            .all(|reply| error_text(reply).starts_with("ERR MULTI "))
    );
    assert!(error_text(&replies[4]).starts_with("EXECABORT "));
    assert_eq!(client.call(&["EXISTS", "a", "b"]), Value::Integer(0));
    // What a client does that checks and then sets.
    let replies = pipeline(
        &mut client,
        &[
            &["WATCH", "a"],
            &["GET", "a"],
            &["MULTI"],
            &["SET", "a", "2"],
            &["EXEC"],
            &["GET", "a"],
        ],
    );
    assert!(replies[..5].iter().all(|reply| matches!(reply, Value::Error(_))));
    assert_eq!(replies[5], Value::Null);
    // Another connection knows nothing of it.
    client.call(&["MULTI"]);
    assert_eq!(node.client().call(&["SET", "a", "3"]), ok());
    assert_eq!(client.call(&["RESET"]), Value::Status("RESET".into()));
    assert_eq!(client.call(&["GET", "a"]), bulk("3"));
}

#[test]
fn what_is_meant_for_another_database_is_not_done_in_this_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = started(&dir);
    let mut client = node.client();
    let replies = pipeline(&mut client, &[&["SELECT", "5"], &["SET", "a", "1"], &["PING"]]);
    assert_eq!(error_text(&replies[0]), "ERR DB index is out of range");
    assert!(error_text(&replies[1]).starts_with("ERR SELECT was refused"));
    assert_eq!(replies[2], Value::Status("PONG".into()));
    assert_eq!(client.call(&["SELECT", "0"]), ok());
    assert_eq!(client.call(&["EXISTS", "a"]), Value::Integer(0));
}

#[test]
fn a_value_beyond_the_limit_is_an_error_and_the_connection_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = started(&dir);
    let mut client = node.client();
    let large = vec![b'v'; (16 << 20) + 1];
    let reply = client.try_call(&[&b"SET"[..], b"k", &large]).expect("a reply");
    assert!(error_text(&reply).starts_with("ERR an argument may have at most 16777216 bytes"));
    assert_eq!(client.call(&["EXISTS", "k"]), Value::Integer(0));
}
