//! The log of a real node: as text and as JSON, and at a level that changes while it runs.

use serde_json::Value as Json;

use crate::support::client::{Client, bulk, error_text, ok};
use crate::support::eventually;
use crate::support::guarded::guarded;
use crate::support::node::Node;
use noraftd::protocol::resp::Value;

fn level_of(client: &mut Client) -> Value {
    match client.call(&["CONFIG", "GET", "loglevel"]) {
        Value::Array(row) => row.into_iter().nth(1).expect("a value"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_line_of_a_log_in_json_is_an_object_that_names_its_node() {
    let dir = tempfile::tempdir().expect("a directory");
    let name = "a \"quoted\" name";
    let mut node = Node::leading_alone(
        dir.path(),
        &["--log-format", "json", "--log", "trace", "--cluster", name],
    );
    assert_eq!(
        node.client().call(&["SET", "a-secret-key", "a-secret-value"]),
        ok()
    );
    assert_eq!(node.stop(), Some(0));
    let log = node.log();
    let lines: Vec<Json> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(lines.len() > 3, "{log}");
    for line in &lines {
        assert_eq!(
            (&line["node"], &line["cluster"]),
            (&1.into(), &name.into()),
            "{line}"
        );
        let words = ["timestamp", "level", "message"].map(|field| line[field].as_str());
        assert!(
            words.iter().all(|word| word.is_some_and(|word| !word.is_empty())),
            "{line}"
        );
    }
    let asked = lines
        .iter()
        .find(|line| line["command"] == "set")
        .expect("a line of the request");
    assert_eq!(asked["level"], "trace");
    assert!(asked["client"].is_u64(), "{asked}");
    assert!(!log.contains("a-secret"), "neither keys nor values are logged");
}

#[test]
fn the_log_level_changes_while_the_node_runs() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = Node::leading_alone(dir.path(), &[]);
    let mut client = node.client();
    assert_eq!(level_of(&mut client), bulk("info"));
    assert!(!node.log().contains("has connected from"), "{}", node.log());
    assert_eq!(client.call(&["CONFIG", "SET", "loglevel", "DEBUG"]), ok());
    assert_eq!(level_of(&mut client), bulk("debug"));
    assert!(
        node.log().contains("the log level changes from info to debug"),
        "{}",
        node.log()
    );
    drop(node.client());
    eventually("another client is noticed", || {
        node.log().contains("has connected from").then_some(())
    });
    assert!(!node.log().contains("asks for"), "that is for trace");
    assert_eq!(client.call(&["CONFIG", "SET", "loglevel", "off"]), ok());
    let before = node.log();
    assert!(
        before.ends_with("the log level changes from debug to off\n"),
        "{before}"
    );
    drop(node.client());
    assert_eq!(node.client().call(&["SET", "k", "v"]), ok());
    assert_eq!(node.log(), before);
}

#[test]
fn what_is_no_level_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = Node::leading_alone(dir.path(), &[]);
    let mut client = node.client();
    for level in ["", "loud", "5", "notice", "info "] {
        let refused = client.call(&["CONFIG", "SET", "loglevel", level]);
        assert!(
            error_text(&refused).contains("error, warn, info, debug, trace, off"),
            "{level}: {refused:?}"
        );
    }
    let other = client.call(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(
        error_text(&other).starts_with("ERR CONFIG SET is not supported but for loglevel"),
        "{other:?}"
    );
    assert_eq!(level_of(&mut client), bulk("info"));
}

#[test]
fn to_change_the_log_level_is_an_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let cluster = guarded(dir.path());
    let node = &cluster.nodes[0];
    let order = ["CONFIG", "SET", "loglevel", "trace"];
    let refused = node.client().call(&order);
    assert!(error_text(&refused).starts_with("NOAUTH "), "{refused:?}");
    assert_eq!(level_of(&mut node.client()), bulk("info"));
    let mut admin = Client::unix(&node.dir.join("data/admin.sock")).expect("it listens");
    assert_eq!(admin.call(&order), ok());
    assert_eq!(level_of(&mut node.client()), bulk("trace"));
}
