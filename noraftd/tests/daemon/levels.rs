//! Real nodes and the level that they have in common.

use crate::support::client::{error_text, ok};
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::support::program::{noraftd, said};

/// Runs `noraftd upgrade`; its code, and what it said.
fn upgrade(cluster: &Cluster, at: usize) -> (Option<i32>, String) {
    let address = cluster.nodes[at].unix().display().to_string();
    let output = noraftd(&["upgrade", &address]);
    (output.status.code(), said(&output))
}

fn levels(cluster: &Cluster) -> Vec<u8> {
    let reports = cluster.nodes.iter().filter_map(|node| node.status());
    reports.map(|report| report.view.level).collect()
}

#[test]
fn a_cluster_rises_when_it_is_told_to_and_stays_there() {
    let flags = ["--segment-bytes", "1MiB", "--allow-flush"];
    let mut cluster = Cluster::start_with(3, PeersOver::Unix, &flags);
    let follower = cluster.followers()[0];
    assert_eq!(levels(&cluster), [0, 0, 0]);
    let mut client = cluster.nodes[follower].unix_client();
    let reply = client.call(&["FLUSHALL"]);
    let refused = error_text(&reply);
    assert!(
        refused.starts_with("ERR the command takes a higher level"),
        "{refused}"
    );
    cluster.nodes[follower].stop();
    let (code, text) = upgrade(&cluster, cluster.leader());
    assert_eq!(code, Some(1));
    let expected = format!("nothing was done; node {} is not connected", follower + 1);
    assert!(text.contains(&expected), "{text}");
    cluster.nodes[follower].start();
    eventually("every node is there", || {
        (upgrade(&cluster, follower).0 == Some(0)).then_some(())
    });
    let (code, text) = upgrade(&cluster, follower);
    assert_eq!((code, text.as_str()), (Some(0), "the cluster is at level 1\n"));
    let mut client = cluster.nodes[follower].unix_client();
    assert_eq!(client.call(&["FLUSHALL"]), ok());
    for node in &mut cluster.nodes {
        node.kill();
    }
    cluster.nodes.iter_mut().for_each(|node| node.start());
    eventually("the log says it again", || {
        (levels(&cluster) == [1, 1, 1]).then_some(())
    });
}
