//! Scripts on a real cluster.

use noraftd::protocol::resp::Value;

use crate::support::client::{bulk, error_text, ok};
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::transactions::upgrade;

/// What redis-py's Lock gives a lock back with.
const RELEASE: &str = "
    local token = redis.call('get', KEYS[1])
    if not token or token ~= ARGV[1] then
        return 0
    end
    redis.call('del', KEYS[1])
    return 1
";

/// What could differ between nodes: time, draws, orders, numbers, and where a script ends that does not end.
const VARIED: [&str; 5] = [
    "redis.call('SET', 'time', redis.call('TIME')[1] .. math.random()) return 1",
    "for i = 1, 5 do redis.call('SADD', 'drawn', math.random(1000)) end return redis.call('SPOP', 'drawn', 2)",
    "local t = {[{}] = 1, [print_none or 'x'] = 2, y = 3} for k, v in pairs(t) do redis.call('RPUSH', 'order', tostring(k), v) end return 1",
    "redis.call('INCRBYFLOAT', 'float', string.format('%.15g', math.sin(redis.call('INCR', 'n')) ^ 2 + 1e-9)) return 1",
    "redis.call('INCR', 'ends') while true do redis.call('INCR', 'steps') end",
];

fn sha(loaded: &Value) -> String {
    match loaded {
        Value::Bulk(name) => String::from_utf8_lossy(name).into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_script_that_was_loaded_is_known_to_every_node_after_the_leader_was_killed() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    let refused = cluster.nodes[0].unix_client().call(&["EVAL", "return 1", "0"]);
    assert!(error_text(&refused).contains("noraftd upgrade"), "{refused:?}");
    upgrade(&cluster);
    let follower = cluster.followers()[0];
    let mut client = cluster.nodes[follower].unix_client();
    let name = sha(&client.call(&["SCRIPT", "LOAD", RELEASE]));
    assert_eq!(client.call(&["SET", "lock", "mine", "NX", "PX", "600000"]), ok());
    let leader = cluster.leader();
    cluster.nodes[leader].kill();
    let others = cluster.followers();
    let next = cluster.leader();
    for (token, expected) in [("other", 0), ("mine", 1), ("mine", 0)] {
        let at = others.iter().find(|at| **at != leader && **at != next).copied();
        let mut client = cluster.nodes[at.unwrap_or(next)].unix_client();
        let answer = eventually("there is a leader", || {
            match client.call(&["EVALSHA", &name, "1", "lock", token]) {
                Value::Error(text) if text.starts_with("NOTLEADER") => None,
                answer => Some(answer),
            }
        });
        assert_eq!(answer, Value::Integer(expected), "{token}");
    }
    cluster.nodes[leader].start();
    let mut back = cluster.nodes[leader].unix_client();
    let exists = eventually("it has caught up", || {
        match back.call(&["SCRIPT", "EXISTS", &name]) {
            Value::Array(items) => Some(items),
            _ => None,
        }
    });
    assert_eq!(exists, [Value::Integer(1)]);
    assert_eq!(
        back.call(&["EVALSHA", &name, "1", "lock", "mine"]),
        Value::Integer(0)
    );
}

#[test]
fn every_node_holds_the_same_after_scripts_that_draw_and_scripts_that_do_not_end() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    upgrade(&cluster);
    let varied = VARIED.map(|script| script.replace("print_none or ", ""));
    for round in 0..20 {
        let mut client = cluster.nodes[round % 3].unix_client();
        for script in &varied {
            match client.call(&["EVAL", script, "0"]) {
                Value::Error(text) => assert!(text.contains("took more than 1000000 steps"), "{text}"),
                Value::Integer(_) | Value::Array(_) => {}
                other => panic!("{script}: {other:?}"),
            }
        }
    }
    let follower = cluster.followers()[0];
    cluster.nodes[follower].kill();
    let mut client = cluster.nodes[cluster.leader()].unix_client();
    assert_eq!(
        client.call(&["EVAL", "return redis.status_reply('MINE')", "0"]),
        Value::Status("MINE".into())
    );
    cluster.nodes[follower].start();
    let held = |node: usize| {
        let mut client = cluster.nodes[node].unix_client();
        let asked: [&[&str]; 6] = [
            &["MGET", "time", "float", "n", "ends", "steps"],
            &["SMEMBERS", "drawn"],
            &["LRANGE", "order", "0", "-1"],
            &["DBSIZE"],
            &["GET", "ends"],
            &["TYPE", "order"],
        ];
        asked.map(|words| client.call(words)).to_vec()
    };
    let all = eventually("every node answers", || {
        let all: Vec<_> = (0..3).map(held).collect();
        let is_error = |value: &Value| matches!(value, Value::Error(_));
        (!all.iter().flatten().any(is_error)).then_some(all)
    });
    assert_eq!(all[0], all[1]);
    assert_eq!(all[0], all[2]);
    assert_eq!(
        all[0][4],
        bulk("20"),
        "each was carried out once, as far as it went"
    );
    for node in &cluster.nodes {
        assert_eq!(node.status().map(|status| status.health.divergence), Some(None));
    }
}
