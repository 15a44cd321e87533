//! Reads on every node of a real cluster: current ones by a follower itself, and ones that may be old.

use nix::sys::signal::Signal;
use noraftd::protocol::resp::Value;

use crate::support::client::{Client, bulk, error_text, ok};
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;

/// A connection that may read what is old by `bound` milliseconds, or anything.
fn reader(mut client: Client, bound: Option<&str>) -> Client {
    assert_eq!(client.call(&["READONLY"]), ok());
    if let Some(bound) = bound {
        assert_eq!(client.call(&["NORAFT.STALENESS", bound]), ok());
    }
    client
}

/// A reader with a bound has to wait for its node to ask, and may be refused while a leader is elected.
fn insist(client: &mut Client, args: &[&str]) -> Value {
    eventually("the command is done", || {
        let reply = client.call(args);
        (!matches!(reply, Value::Error(_))).then_some(reply)
    })
}

#[test]
fn each_follower_reads_what_was_just_written_through_another_node() {
    let cluster = Cluster::start(3, PeersOver::Tcp);
    let mut clients: Vec<Client> = cluster.nodes.iter().map(|node| node.unix_client()).collect();
    for n in 0..60 {
        let value = n.to_string();
        insist(&mut clients[n % 3], &["SET", "k", &value]);
        for client in &mut clients {
            assert_eq!(insist(client, &["GET", "k"]), bulk(&value));
        }
    }
    for (node, client) in cluster.nodes.iter().zip(&mut clients) {
        let age = client.call(&["NORAFT.STALENESS"]);
        assert!(matches!(age, Value::Integer(0..)), "node {}: {age:?}", node.id());
    }
}

#[test]
fn a_follower_that_is_alone_answers_what_may_be_old_and_refuses_what_may_not() {
    let cluster = Cluster::start(3, PeersOver::Unix);
    let followers = cluster.followers();
    let here = &cluster.nodes[followers[0]];
    insist(&mut here.unix_client(), &["SET", "k", "v"]);
    let mut any = reader(here.unix_client(), None);
    let mut bounded = reader(here.unix_client(), Some("1"));
    let mut current = here.unix_client();
    eventually("the follower has it", || {
        (any.call(&["GET", "k"]) == bulk("v")).then_some(())
    });
    assert_eq!(insist(&mut bounded, &["GET", "k"]), bulk("v"));
    let others: Vec<_> = (0..3).filter(|node| *node != followers[0]).collect();
    others
        .iter()
        .for_each(|node| cluster.nodes[*node].signal(Signal::SIGSTOP));
    eventually("its state is old", || {
        let age = any.call(&["NORAFT.STALENESS"]);
        matches!(age, Value::Integer(20..)).then_some(())
    });
    assert_eq!(any.call(&["GET", "k"]), bulk("v"));
    for client in [&mut bounded, &mut current] {
        let refused = client.call(&["GET", "k"]);
        let text = error_text(&refused);
        assert!(text.contains("nothing was"), "{text}");
    }
    assert_eq!(any.call(&["GET", "k"]), bulk("v"), "still");
    assert_eq!(any.call(&["READWRITE"]), ok());
    let refused = any.call(&["GET", "k"]);
    assert!(error_text(&refused).contains("nothing was"), "{refused:?}");
    others
        .iter()
        .for_each(|node| cluster.nodes[*node].signal(Signal::SIGCONT));
    assert_eq!(insist(&mut bounded, &["GET", "k"]), bulk("v"));
    assert_eq!(insist(&mut current, &["GET", "k"]), bulk("v"));
}

#[test]
fn what_a_connection_may_read_ends_with_a_reset() {
    let cluster = Cluster::start(1, PeersOver::Unix);
    let mut client = reader(cluster.nodes[0].unix_client(), Some("0"));
    assert_eq!(
        client.call(&["NORAFT.STALENESS"]),
        Value::Null,
        "nothing was asked yet"
    );
    assert_eq!(client.call(&["GET", "k"]), Value::Null);
    assert!(matches!(client.call(&["NORAFT.STALENESS"]), Value::Integer(_)));
    assert_eq!(client.call(&["RESET"]), Value::Status("RESET".into()));
    let refused = client.call(&["NORAFT.STALENESS", "soon"]);
    assert!(error_text(&refused).contains("unknown command"), "{refused:?}");
}
