//! Real nodes whose voters change while they serve.

use crate::support::client::{bulk, error_text};
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::support::program::{noraftd, said};
use noraftd::protocol::resp::Value;

/// Runs `noraftd voters`; what it said on either stream, and its code.
fn voters(cluster: &Cluster, at: usize, ids: &[usize]) -> (Option<i32>, String) {
    let address = cluster.nodes[at].unix().display().to_string();
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let mut args = vec!["voters", &address];
    args.extend(ids.iter().map(String::as_str));
    let output = noraftd(&args);
    (output.status.code(), said(&output))
}

/// The leader, whichever node it is by now, makes these the voters.
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
        (status.view.voters, status.view.new_voters),
        (stay.iter().map(|id| *id as u64).collect(), vec![])
    );
    cluster.nodes[gone].stop();
    for n in 3..=50 {
        count(&cluster, n);
    }
    // Of three voters one is gone already; of two, neither may be missing.
    cluster.nodes[gone].start();
    change(&cluster, &[1, 2, 3]);
    count(&cluster, 51);
    eventually("it has everything again", || {
        let status = cluster.nodes[gone].status()?;
        let leader = cluster.nodes[cluster.leader()].status()?;
        let is_there =
            status.log.applied_index == leader.log.applied_index && status.view.voters == [1, 2, 3];
        is_there.then_some(())
    });
    let other = (0..3).find(|at| *at != gone).expect("three nodes");
    cluster.nodes[other].kill();
    let mut client = cluster.nodes[cluster.leader()].unix_client();
    assert_eq!(client.call(&["GET", "c"]), bulk("51"));
}

/// Every node once: stopped, and started with the flags that it has always had.
fn restart_all(cluster: &mut Cluster) {
    for at in 0..cluster.nodes.len() {
        assert_eq!(cluster.nodes[at].stop(), Some(0));
        cluster.nodes[at].start();
        cluster.leader();
    }
}

#[test]
fn every_node_restarts_with_its_own_flags_whichever_nodes_vote() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    for (n, ids) in (1..).zip([&[1, 2][..], &[2, 3], &[1, 2, 3], &[3, 1]]) {
        change(&cluster, ids);
        count(&cluster, 2 * n - 1);
        restart_all(&mut cluster);
        count(&cluster, 2 * n);
        let status = cluster.nodes[cluster.leader()].status().expect("it answers");
        assert!(status.view.voters.iter().map(|id| *id as usize).eq(sorted(ids)));
    }
}

fn sorted(ids: &[usize]) -> Vec<usize> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids
}

#[test]
fn a_voter_of_which_a_node_has_no_address_is_named_and_harms_no_node() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    let (keen, blind) = (cluster.leader(), cluster.followers()[0]);
    let third = cluster.followers()[1];
    change(&cluster, &sorted(&[keen + 1, blind + 1]));
    assert_eq!(cluster.nodes[blind].stop(), Some(0));
    cluster.nodes[blind].forget_peer(third + 1);
    cluster.nodes[blind].start();
    cluster.leader();
    // Another node's log entry makes a voter of one that this node cannot reach.
    let stays = eventually("the third is a voter again", || {
        let leader = cluster.leader();
        (leader != blind)
            .then(|| voters(&cluster, leader, &[1, 2, 3]))
            .filter(|(code, _)| *code == Some(0))
    });
    assert_eq!(stays.1, "the voters are 1, 2, 3\n");
    eventually("it says whom it cannot reach", || {
        let peers = cluster.nodes[blind].status()?.connections.peers;
        let peer = peers.into_iter().find(|peer| peer.id == third as u64 + 1)?;
        let error = peer.error.unwrap_or_default();
        error
            .contains(&format!("--peer {}=HOST:PORT", third + 1))
            .then_some(())
    });
    // It leads, with the one that it reaches, and loses what goes to the other.
    cluster.nodes[third].kill();
    cluster.nodes[keen].kill();
    cluster.nodes[keen].start();
    count(&cluster, 1);
    assert!(cluster.nodes[blind].is_running());
    let warnings = cluster.nodes[blind].log().matches("no address of it").count();
    assert_eq!(warnings, 1, "{}", cluster.nodes[blind].log());
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
        &[&["NORAFT.VOTERS"][..], &["1"; 65]].concat(),
    ] {
        let said = client.call(words);
        assert!(error_text(&said).starts_with("ERR"), "{words:?}: {said:?}");
    }
    let status = cluster.nodes[leader].status().expect("it answers");
    assert_eq!(status.view.voters, [1, 2, 3]);
}
