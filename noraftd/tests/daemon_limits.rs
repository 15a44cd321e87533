//! What the system lets a node have, and what clients can take of it.

mod support;

use noraftd::protocol::resp::Value;
use support::client::{Client, bulk, error_text, ok};
use support::cluster::{Cluster, PeersOver};
use support::eventually;
use support::node::Node;

/// Small segments and frequent snapshots: descriptors are needed all the time.
const BUSY_LOG: [&str; 4] = ["--segment-bytes", "256KiB", "--snapshot-log-bytes", "256KiB"];

fn clients_max(client: &mut Client) -> usize {
    let Value::Bulk(info) = client.call(&["INFO", "clients"]) else {
        panic!("INFO is a text");
    };
    let info = String::from_utf8_lossy(&info).into_owned();
    let line = info.lines().find_map(|line| line.strip_prefix("maxclients:"));
    line.expect("INFO names it").parse().expect("a number")
}

/// Connects until a client is refused.
fn fill(node: &Node) -> Vec<Client> {
    let mut held = Vec::new();
    loop {
        let mut client = node.client();
        if client.send(&["PING"]).is_err() {
            return held;
        }
        match client.receive() {
            Ok(Value::Status(_)) => held.push(client),
            Ok(refused) => {
                assert_eq!(error_text(&refused), "ERR max number of clients reached");
                return held;
            }
            // The refusal was overtaken by the end of the connection.
            Err(_) => return held,
        }
        assert!(held.len() < 4096, "nobody is refused");
    }
}

#[test]
fn clients_leave_the_log_and_its_snapshots_their_descriptors() {
    let dir = tempfile::tempdir().expect("a directory");
    let args = [["--id", "1"].as_slice(), &BUSY_LOG].concat();
    let mut node = Node::new(
        dir.path(),
        &args.iter().map(ToString::to_string).collect::<Vec<_>>(),
    );
    node.limit_files(192);
    node.start();
    node.wait_for_leader();
    let mut writer = node.client();
    let most = clients_max(&mut writer);
    assert!((16..150).contains(&most), "{most} clients of 192 descriptors");
    let mut idle = fill(&node);
    assert_eq!(idle.len() + 1, most, "as many as INFO says");
    let value = "x".repeat(1000);
    for n in 0..3000 {
        let key = format!("k{}", n % 50);
        assert_eq!(writer.call(&["SET", &key, &value]), ok(), "write {n}");
    }
    assert!(
        node.log().contains("took a snapshot"),
        "segments and snapshots were needed: {}",
        node.log()
    );
    idle.truncate(most / 2);
    eventually("a seat is free again", || {
        node.client()
            .try_call(&["GET", "k0"])
            .ok()
            .filter(|reply| *reply == bulk(&value))
    });
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn idle_clients_do_not_end_a_cluster() {
    let mut cluster = Cluster::start_with_files(3, PeersOver::Tcp, &BUSY_LOG, 192);
    let (leader, follower) = (cluster.leader(), cluster.followers()[0]);
    let mut writer = cluster.nodes[leader].client();
    let idle: Vec<Vec<Client>> = cluster.nodes.iter().map(fill).collect();
    assert!(idle.iter().all(|held| held.len() > 16));
    for n in 0..1500 {
        assert_eq!(
            writer.call(&["SET", &format!("k{}", n % 9), &"y".repeat(1000)]),
            ok()
        );
    }
    // A peer that comes back is connected to, although clients hold whatever they can.
    cluster.nodes[follower].kill();
    cluster.nodes[follower].start();
    assert_eq!(writer.call(&["SET", "after", "1"]), ok());
    let applied = |node: &Node| node.status().map(|status| status.applied_index);
    eventually("the node that was away has caught up", || {
        (applied(&cluster.nodes[follower])? >= 1500).then_some(())
    });
    drop((writer, idle));
    for node in &mut cluster.nodes {
        assert_eq!(node.stop(), Some(0), "{}", node.log());
    }
}

#[test]
fn a_limit_too_small_to_work_with_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(dir.path());
    node.limit_files(48);
    let (code, log) = node.start_in_vain();
    assert_eq!(code, Some(71), "{log}");
    assert!(log.contains("the limit of open files is 48"), "{log}");
}
