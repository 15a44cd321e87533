//! Real nodes and keys that go.

use noraftd::protocol::resp::Value;

use crate::support::client::{bulk, error_text, ok};
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::support::program::noraftd;

#[test]
fn a_key_goes_on_every_node_and_a_later_one_is_still_there_after_a_restart() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    let mut client = cluster.nodes[cluster.followers()[0]].unix_client();
    let refused = client.call(&["SET", "k", "v", "EX", "100"]);
    assert!(error_text(&refused).contains("noraftd upgrade"), "{refused:?}");
    let address = cluster.nodes[0].unix().display().to_string();
    eventually("the level rises", || {
        (noraftd(&["upgrade", &address]).status.code() == Some(0)).then_some(())
    });
    assert_eq!(client.call(&["SET", "k", "v", "EX", "1000"]), ok());
    assert_eq!(client.call(&["SET", "soon", "v", "PX", "300"]), ok());
    let Value::Integer(left) = client.call(&["PTTL", "soon"]) else {
        panic!("it goes")
    };
    // On a busy machine it is gone already.
    assert!(left == -2 || (1..=300).contains(&left), "{left}");
    let Value::Integer(left) = client.call(&["PTTL", "k"]) else {
        panic!("it goes")
    };
    assert!((900_000..=1_000_000).contains(&left), "{left}");
    for node in &cluster.nodes {
        let mut client = node.unix_client();
        eventually("it is gone, though nothing is written", || {
            (client.call(&["GET", "soon"]) == Value::Null).then_some(())
        });
        assert_eq!(client.call(&["GET", "k"]), bulk("v"));
        eventually("what was left of it is removed", || {
            let Value::Bulk(info) = client.call(&["INFO", "keyspace"]) else {
                panic!("no INFO")
            };
            info.ends_with(b"db0:keys=1,expires=1,avg_ttl=0\r\n")
                .then_some(())
        });
    }
    for node in &mut cluster.nodes {
        node.kill();
    }
    cluster.nodes.iter_mut().for_each(|node| node.start());
    cluster.leader();
    let reply = cluster.nodes[0].client().call(&["TTL", "k"]);
    let Value::Integer(left) = reply else {
        panic!("{reply:?}")
    };
    assert!((900..=1000).contains(&left), "{left}");
}
