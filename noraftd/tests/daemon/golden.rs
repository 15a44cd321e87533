//! Data directories that were written once, one for each level, open with all they hold: with this version, and every later one.
//!
//! `golden/level-0.tar.gz` is from commit 0dedacf, the first release, `golden/level-1.tar.gz` from a version that had that level.
//! They are never written again: a level that comes later brings another one.

use std::path::Path;
use std::process::Command;

use noraftd::protocol::resp::Value;

use crate::members::members;
use crate::support::client::{bulk, ok};
use crate::support::eventually;
use crate::support::node::Node;

/// A node that starts with such a directory.
fn node_with(directory: &Path, level: &str) -> Node {
    let packed = format!(
        "{}/tests/daemon/golden/{level}.tar.gz",
        env!("CARGO_MANIFEST_DIR")
    );
    let data = directory.join("data");
    std::fs::create_dir_all(&data).expect("a directory");
    let mut tar = Command::new("tar");
    let status = tar.args(["-xzf", &packed, "-C"]).arg(&data).status();
    assert!(status.expect("tar runs").success(), "{packed}");
    let mut node = Node::alone(directory);
    node.give(&["--cluster", "golden"]);
    node
}

#[track_caller]
fn check(node: &Node, level: u8, values: &[(&str, &str)]) {
    let status = eventually("it leads, with all that there was", || {
        let status = node.status()?;
        (status.view.role == "leader").then_some(status)
    });
    assert_eq!((status.view.level, &status.cluster[..]), (level, "golden"));
    let mut client = node.unix_client();
    for (key, value) in values {
        assert_eq!(client.call(&["GET", key]), bulk(value), "{key}");
    }
    assert_eq!(client.call(&["XLEN", "log"]), Value::Integer(1));
}

/// What both have, before a snapshot and after it.
const COMMON: [(&str, &str); 3] = [("greeting", "hello"), ("n", "41"), ("after", "the snapshot")];

#[test]
fn the_directory_of_the_first_release_opens_and_stays_at_its_level() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut node = node_with(directory.path(), "level-0");
    for _ in 0..2 {
        node.start();
        check(&node, 0, &COMMON);
        assert_eq!(node.unix_client().call(&["INCRBY", "m", "0"]), Value::Integer(0));
        node.kill();
    }
}

#[test]
fn the_directory_of_level_1_opens_with_its_members_and_its_deadlines() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut node = node_with(directory.path(), "level-1");
    for _ in 0..2 {
        node.start();
        check(&node, 1, &COMMON);
        check(&node, 1, &[("one", "1"), ("two", "2"), ("timed", "soon")]);
        let mut client = node.unix_client();
        let Value::Integer(left) = client.call(&["TTL", "timed"]) else {
            panic!("no time is left")
        };
        assert!((1..=1_000_000_000).contains(&left), "{left}");
        let report = members(&node).expect("it says so");
        let rows = report.members.iter();
        let rows: Vec<_> = rows
            .map(|row| (row.id, &row.role[..], &row.peer_address[..]))
            .collect();
        assert_eq!(
            rows,
            [(1, "voter", "127.0.0.1:17999"), (2, "expected", "10.0.0.2:7701")]
        );
        assert_eq!(report.members[0].incarnation.as_deref(), Some("16c92d20ba52f32d"));
        assert_eq!(client.call(&["SET", "again", "v"]), ok());
        node.kill();
    }
}
