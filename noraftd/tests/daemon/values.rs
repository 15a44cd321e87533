//! Hashes, sets, sorted sets and lists on a real cluster.

use noraftd::protocol::resp::Value;

use crate::support::client::{bulk, error_text};
use crate::support::cluster::{Cluster, PeersOver};
use crate::transactions::upgrade;

fn integer(n: i64) -> Value {
    Value::Integer(n)
}

fn list(items: &[&str]) -> Value {
    Value::Array(items.iter().map(|item| bulk(item)).collect())
}

#[test]
fn every_node_answers_for_values_of_all_types() {
    let cluster = Cluster::start(3, PeersOver::Unix);
    let refused = cluster.nodes[0].unix_client().call(&["HSET", "h", "f", "v"]);
    assert!(error_text(&refused).contains("noraftd upgrade"), "{refused:?}");
    upgrade(&cluster);
    for (at, node) in cluster.nodes.iter().enumerate() {
        let mut client = node.unix_client();
        let [h, s, z, l] = ["h", "s", "z", "l"].map(|key| format!("{key}{at}"));
        for (command, reply) in [
            (&["HSET", &h, "f", "v"][..], integer(1)),
            (&["HGETALL", &h], list(&["f", "v"])),
            (&["HRANDFIELD", &h, "1", "WITHVALUES"], list(&["f", "v"])),
            (
                &["HSCAN", &h, "0"],
                Value::Array(vec![bulk("0"), list(&["f", "v"])]),
            ),
            (&["SADD", &s, "a"], integer(1)),
            (&["SMEMBERS", &s], list(&["a"])),
            (&["SPOP", &s, "5"], list(&["a"])),
            (&["ZADD", &z, "1.5", "a", "-2", "b"], integer(2)),
            (&["ZSCORE", &z, "a"], bulk("1.5")),
            (
                &["ZRANGE", &z, "0", "-1", "WITHSCORES"],
                list(&["b", "-2", "a", "1.5"]),
            ),
            (&["ZPOPMIN", &z], list(&["b", "-2"])),
            (&["RPUSH", &l, "a", "b"], integer(2)),
            (
                &["LMPOP", "2", &s, &l, "RIGHT"],
                Value::Array(vec![bulk(&l), list(&["b"])]),
            ),
            (&["LRANGE", &l, "0", "-1"], list(&["a"])),
            (&["MULTI"], Value::Status("OK".into())),
            (&["HINCRBYFLOAT", &h, "n", "0.5"], Value::Status("QUEUED".into())),
            (&["LLEN", &l], Value::Status("QUEUED".into())),
            (&["EXEC"], Value::Array(vec![bulk("0.5"), integer(1)])),
        ] {
            assert_eq!(client.call(command), reply, "node {at}: {command:?}");
        }
    }
    let kinds = ["h0", "z1", "l2"].map(|key| cluster.nodes[1].unix_client().call(&["TYPE", key]));
    assert_eq!(
        kinds,
        ["hash", "zset", "list"].map(|kind| Value::Status(kind.into()))
    );
}
