//! Commands of sessions on a real cluster.

use noraftd::protocol::resp::Value;

use crate::support::client::{bulk, error_text, ok};
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::node::Node;
use crate::transactions::upgrade;

fn open(node: &Node) -> String {
    match node.unix_client().call(&["NORAFT.SESSION", "OPEN"]) {
        Value::Integer(id) => id.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_command_with_a_number_is_carried_out_once_by_way_of_any_node() {
    let cluster = Cluster::start(3, PeersOver::Unix);
    let refused = cluster.nodes[0].unix_client().call(&["NORAFT.SESSION", "OPEN"]);
    assert!(error_text(&refused).contains("noraftd upgrade"), "{refused:?}");
    upgrade(&cluster);
    let session = open(&cluster.nodes[0]);
    for node in cluster.nodes.iter().chain(&cluster.nodes) {
        let mut client = node.unix_client();
        let add = client.call(&["NORAFT.ONCE", &session, "1", "INCRBY", "k", "5"]);
        assert_eq!(add, Value::Integer(5));
        for (command, reply) in [
            (&["MULTI"][..], ok()),
            (&["INCR", "k"], Value::Status("QUEUED".into())),
            (&["GET", "k"], Value::Status("QUEUED".into())),
            (
                &["NORAFT.ONCE", &session, "2", "EXEC"],
                Value::Array(vec![Value::Integer(6), bulk("6")]),
            ),
            (&["GET", "k"], bulk("6")),
        ] {
            assert_eq!(client.call(command), reply, "{command:?}");
        }
        let without = client.call(&["NORAFT.ONCE", &session, "3", "EXEC"]);
        assert!(error_text(&without).contains("EXEC without MULTI"));
        let unknown = client.call(&["NORAFT.ONCE", "999999", "1", "INCR", "k"]);
        assert!(error_text(&unknown).starts_with("SESSIONEXPIRED"));
    }
}

#[test]
fn limits_of_the_state_are_shown_to_all_and_set_by_orders() {
    let cluster = Cluster::start(1, PeersOver::Unix);
    upgrade(&cluster);
    let node = &cluster.nodes[0];
    let shown = |of: &str| match node.unix_client().call(&["NORAFT.LIMIT"]) {
        Value::Array(items) => {
            let at = items.iter().position(|item| *item == bulk(of));
            items[at.expect("it is one") + 1].clone()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(shown("sessions"), Value::Integer(100_000));
    let session = open(node);
    let set = node.unix_client().call(&["NORAFT.LIMIT", "sessions", "1"]);
    assert_eq!(set, ok());
    assert_eq!(shown("sessions"), Value::Integer(1));
    let other = open(node);
    let mut client = node.unix_client();
    let ended = client.call(&["NORAFT.ONCE", &session, "1", "SET", "k", "v"]);
    assert!(error_text(&ended).starts_with("SESSIONEXPIRED"), "{ended:?}");
    assert_eq!(client.call(&["NORAFT.ONCE", &other, "1", "SET", "k", "v"]), ok());
    let refused = client.call(&["NORAFT.LIMIT", "sessions", "0"]);
    assert!(error_text(&refused).contains("from 1 to"), "{refused:?}");
}
