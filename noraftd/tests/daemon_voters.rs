//! Real nodes whose voters change while they serve.

mod support;

use std::process::Command;

use noraftd::protocol::resp::Value;
use support::client::{bulk, error_text};
use support::cluster::{Cluster, PeersOver};
use support::eventually;

/// Runs `noraftd voters`; what it said on either stream, and its code.
fn voters(cluster: &Cluster, at: usize, ids: &[usize]) -> (Option<i32>, String) {
    let address = cluster.nodes[at].unix().display().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_noraftd"))
        .args(["voters", &address])
        .args(ids.iter().map(ToString::to_string))
        .output()
        .expect("the program runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// The leader makes these the voters, whoever it is by now.
fn change(cluster: &Cluster, ids: &[usize]) {
    eventually("the voters are changed", || {
        let (code, _) = voters(cluster, cluster.leader(), ids);
        (code == Some(0)).then_some(())
    });
}

fn count(cluster: &Cluster, expected: i64) {
    let mut client = cluster.nodes[cluster.leader()].unix_client();
    assert_eq!(client.call(&["INCR", "c"]), Value::Integer(expected));
}

#[test]
fn a_node_is_removed_and_stopped_and_comes_back() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    count(&cluster, 1);
    let gone = cluster.followers()[0];
    let stay: Vec<usize> = (0..3).filter(|at| *at != gone).map(|at| at + 1).collect();
    let (code, said) = voters(&cluster, cluster.leader(), &stay);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said, format!("the voters are {}, {}\n", stay[0], stay[1]));
    count(&cluster, 2);
    let status = cluster.nodes[cluster.leader()].status().expect("it answers");
    assert_eq!(
        (status.voters, status.new_voters),
        (stay.iter().map(|id| *id as u64).collect(), vec![])
    );
    cluster.nodes[gone].stop();
    for n in 3..=50 {
        count(&cluster, n);
    }
    // Of three voters one is gone already; of two, nobody may be missing.
    cluster.nodes[gone].start();
    change(&cluster, &[1, 2, 3]);
    count(&cluster, 51);
    eventually("it has everything again", || {
        let status = cluster.nodes[gone].status()?;
        let leader = cluster.nodes[cluster.leader()].status()?;
        let is_there = status.applied_index == leader.applied_index && status.voters == [1, 2, 3];
        is_there.then_some(())
    });
    let other = (0..3).find(|at| *at != gone).expect("three nodes");
    cluster.nodes[other].kill();
    let mut client = cluster.nodes[cluster.leader()].unix_client();
    assert_eq!(client.call(&["GET", "c"]), bulk("51"));
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let cluster = Cluster::start(3, PeersOver::Unix);
    let (leader, follower) = (cluster.leader(), cluster.followers()[0]);
    let (code, said) = voters(&cluster, follower, &[1, 2]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("NOTLEADER") && said.contains(&format!("node {} leads", leader + 1)),
        "{said}"
    );
    let (code, said) = voters(&cluster, leader, &[1, 9]);
    assert_eq!(code, Some(1));
    assert!(said.contains("one or more of the cluster's nodes"), "{said}");
    assert_eq!(voters(&cluster, leader, &[]).0, Some(64));
    assert_eq!(
        voters(&cluster, leader, &[1, 2, 3]).0,
        Some(0),
        "they are already"
    );
    let mut client = cluster.nodes[leader].unix_client();
    for words in [
        &["NORAFT.VOTERS"][..],
        &["NORAFT.VOTERS", "x"],
        &["NORAFT.VOTERS", "-1"],
        &["NORAFT.VOTERS", "99999999999999999999"],
        &[&["NORAFT.VOTERS"][..], &["1"; 40]].concat(),
    ] {
        let said = client.call(words);
        assert!(error_text(&said).starts_with("ERR"), "{words:?}: {said:?}");
    }
    let status = cluster.nodes[leader].status().expect("it answers");
    assert_eq!(status.voters, [1, 2, 3]);
}
