//! Real nodes and their membership table: addresses, removal, refusals.

use std::net::TcpListener;

use noraftd::local::members::{MemberReport, MembersReport};

use crate::support::client::{bulk, ok};
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::program::{noraftd, said};

/// Runs `noraftd member`; its code, and what it said.
pub(crate) fn member(at: &Node, verb: &str, rest: &[&str]) -> (Option<i32>, String) {
    let address = at.unix().display().to_string();
    let output = noraftd(&[&["member", verb, &address], rest].concat());
    (output.status.code(), said(&output))
}

/// The members as this node knows them, or its leader.
pub(crate) fn members(at: &Node) -> Option<MembersReport> {
    let (code, text) = member(at, "list", &["--json"]);
    (code == Some(0)).then(|| serde_json::from_str(&text).expect("a report"))
}

/// Three nodes over TCP with a membership table.
pub(crate) fn with_table() -> Cluster {
    let cluster = Cluster::start(3, PeersOver::Tcp);
    let address = cluster.nodes[0].unix().display().to_string();
    eventually("the level rises", || {
        (noraftd(&["upgrade", &address]).status.code() == Some(0)).then_some(())
    });
    eventually("the members are written down", || {
        let report = members(&cluster.nodes[cluster.leader()])?;
        let is_known = |member: &MemberReport| {
            member.role == "voter" && member.incarnation.is_some() && !member.client_address.is_empty()
        };
        (report.written && report.members.iter().all(is_known)).then_some(())
    });
    cluster
}

/// An address that no process listens at.
fn free_address() -> String {
    let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
    held.local_addr().expect("bound").to_string()
}

fn write(cluster: &Cluster, at: usize, value: &str) {
    let mut client = cluster.nodes[at].unix_client();
    eventually("a write", || {
        (client.call(&["SET", "k", value]) == ok()).then_some(())
    });
}

#[test]
fn at_level_0_the_list_shows_the_settings_and_nothing_is_changed() {
    let cluster = Cluster::start(3, PeersOver::Tcp);
    let leader = cluster.leader();
    let (code, text) = member(&cluster.nodes[cluster.followers()[0]], "list", &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("there is no membership table"), "{text}");
    assert_eq!(
        text.lines().filter(|line| line.contains("127.0.0.1:")).count(),
        3,
        "{text}"
    );
    for (verb, rest) in [
        ("remove", &["1"][..]),
        ("promote", &["1"]),
        ("add", &["--peer", "127.0.0.1:1"]),
    ] {
        let (code, text) = member(&cluster.nodes[leader], verb, rest);
        assert_eq!(code, Some(1));
        assert!(
            text.contains("takes a higher level") && text.contains("nothing was done"),
            "{text}"
        );
    }
}

/// Neither the settings nor a table that it has applied name the leader; the configuration in its log does.
#[test]
fn a_node_that_has_no_snapshot_hears_a_leader_that_joined_later() {
    let mut cluster = with_table();
    let dir = tempfile::tempdir().expect("a directory");
    let address = |at: &Node| at.unix().display().to_string();
    let own = [
        "--segment-bytes",
        "1MiB",
        "--peer-listen",
        &free_address(),
        "--join",
    ];
    let own = own.iter().map(ToString::to_string);
    let own: Vec<String> = own.chain([address(&cluster.nodes[0])]).collect();
    let mut joined = Node::new(&dir.path().join("n4"), &own);
    joined.start();
    eventually("the new node leads", || {
        let voters = joined.status()?.view.voters;
        // Only the leader takes the order.
        let hands_over = |node: &Node| {
            let output = noraftd(&["transfer", &address(node), "--to", "4"]);
            output.status.code() == Some(0)
        };
        (voters == [1, 2, 3, 4] && cluster.nodes.iter().any(hands_over)).then_some(())
    });
    for at in 0..3 {
        cluster.nodes[at].kill();
        cluster.nodes[at].start();
        eventually("it has the state", || {
            let status = cluster.nodes[at].status()?;
            (status.log.applied_index > 0 && status.view.level == 1).then_some(())
        });
    }
}

/// One of the two that are left has the old address of the other, and without a leader no table says the new one.
#[test]
fn a_node_that_moves_before_the_table_says_so_is_found() {
    let mut cluster = with_table();
    for node in &cluster.nodes {
        // From its state a node knows after its restart that there is a table.
        assert_eq!(node.unix_client().call(&["NORAFT.SNAPSHOT"]), ok());
        eventually("it has a snapshot", || {
            (node.status()?.directory.snapshot_index > 0).then_some(())
        });
    }
    (0..3).for_each(|at| cluster.nodes[at].kill());
    let address = free_address();
    cluster.nodes[1].give(&["--peer-listen", &address, "--peer-advertise", &address]);
    for at in [0, 1] {
        cluster.nodes[at].start();
    }
    write(&cluster, 0, "by two nodes");
    let report = members(&cluster.nodes[0]).expect("it answers");
    assert_ne!(report.members[1].peer_address, address, "nothing was ordered");
    let (code, text) = member(&cluster.nodes[0], "set-address", &["2", "--peer", &address]);
    assert_eq!(code, Some(0), "{text}");
}

/// It keeps which directory each node had, and refused the one that was set up again.
#[test]
fn a_learner_is_asked_when_a_node_is_set_up_again() {
    let mut cluster = with_table();
    let dir = tempfile::tempdir().expect("a directory");
    let peer = free_address();
    let own = [
        "--segment-bytes",
        "1MiB",
        "--learner",
        "--peer-listen",
        &peer,
        "--join",
    ];
    let mut own: Vec<String> = own.iter().map(ToString::to_string).collect();
    own.push(cluster.nodes[0].tcp.clone());
    let mut learner = Node::new(&dir.path().join("n4"), &own);
    learner.start();
    eventually("it follows", || {
        let status = learner.status()?;
        (status.id == 4 && status.log.applied_index > 0 && status.met.contains_key(&3)).then_some(())
    });
    cluster.nodes[2].kill();
    std::fs::remove_dir_all(cluster.nodes[2].dir.join("data")).expect("it is lost");
    let rejoin = |from: &[&str]| {
        let from = from.iter().flat_map(|address| ["--from", address]);
        let args: Vec<&str> = ["rejoin"].into_iter().chain(from).collect();
        noraftd(&[args, cluster.nodes[2].settings()].concat())
    };
    let [one, two] = [0, 1].map(|at| cluster.nodes[at].tcp.as_str());
    let partly = rejoin(&[one, two]);
    assert_eq!(partly.status.code(), Some(78), "{}", said(&partly));
    assert!(
        said(&partly).contains("every other node of the cluster, {1, 2, 4}"),
        "{}",
        said(&partly)
    );
    let done = rejoin(&[one, two, &learner.tcp]);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    cluster.nodes[2].start();
    let address = |node: &Node| node.unix().display().to_string();
    eventually("it leads", || {
        let hands_over = |node: &Node| {
            let output = noraftd(&["transfer", &address(node), "--to", "3"]);
            output.status.code() == Some(0)
        };
        (cluster.nodes[2].status()?.view.role == "leader" || cluster.nodes.iter().any(hands_over))
            .then_some(())
    });
    write(&cluster, 2, "by node 3");
    eventually("the learner follows it", || {
        let (status, leader) = (learner.status()?, cluster.nodes[2].status()?);
        let follows = status.view.leader == Some(3) && leader.view.role == "leader";
        (follows && status.log.applied_index >= leader.log.commit_index).then_some(())
    });
}

#[test]
fn nodes_start_without_the_addresses_that_are_written_down_and_follow_those_that_change() {
    let mut cluster = with_table();
    let moved = cluster.followers()[0];
    let new = free_address();
    let id = (moved + 1).to_string();
    let (code, text) = member(&cluster.nodes[moved], "set-address", &[&id, "--peer", &new]);
    assert_eq!(code, Some(0), "{text}");
    cluster.nodes[moved].stop();
    cluster.nodes[moved].give(&["--peer-listen", &new]);
    cluster.nodes[moved].start();
    // It was dialled at its new address, although every node was given the old one.
    eventually("all are connected", || {
        let connected = |node: &Node| {
            let status = node.status()?;
            status
                .connections
                .peers
                .iter()
                .all(|peer| peer.connected)
                .then_some(())
        };
        cluster.nodes.iter().try_for_each(connected)
    });
    for at in 0..3 {
        cluster.nodes[at].stop();
        cluster.nodes[at].start();
        write(&cluster, at, "with flags");
    }
    let other = cluster
        .followers()
        .into_iter()
        .find(|at| *at != moved)
        .unwrap_or(cluster.leader());
    eventually("it says what is ignored", || {
        let expected =
            format!("--peer is ignored, for the members are written down in the log: node {id} is at {new}");
        cluster.nodes[other].log().contains(&expected).then_some(())
    });
    let own: Vec<String> = members(&cluster.nodes[moved])
        .expect("it answers")
        .members
        .into_iter()
        .map(|member| member.peer_address)
        .collect();
    assert_eq!(own[moved], new);
    for (at, address) in own.iter().enumerate() {
        cluster.nodes[at].stop();
        (1..=3).for_each(|peer| cluster.nodes[at].forget_peer(peer));
        if at != moved {
            cluster.nodes[at].give(&["--peer-listen", address]);
        }
        cluster.nodes[at].start();
        write(&cluster, at, "without flags");
    }
}

#[test]
fn a_node_that_is_removed_stops_and_does_not_start_again() {
    let mut cluster = with_table();
    let gone = cluster.followers()[0];
    let leader = cluster.leader();
    let id = (gone + 1).to_string();
    let (code, text) = member(&cluster.nodes[gone], "remove", &[&id]);
    assert_eq!((code, text), (Some(0), format!("node {id} is removed\n")));
    assert_eq!(
        cluster.nodes[gone].wait().code(),
        Some(79),
        "{}",
        cluster.nodes[gone].log()
    );
    let log = cluster.nodes[gone].log();
    assert!(log.contains("this node was removed from the cluster"), "{log}");
    let (code, text) = cluster.nodes[gone].start_expecting_refusal();
    assert_eq!(code, Some(79));
    assert!(text.contains("its id is never used again"), "{text}");
    write(&cluster, leader, "two");
    let report = members(&cluster.nodes[leader]).expect("it answers");
    assert_eq!((report.members.len(), report.removed), (2, vec![gone as u64 + 1]));
    // It may have missed that.
    std::fs::remove_file(cluster.nodes[gone].dir.join("data/removed")).expect("it was written");
    let (code, text) = cluster.nodes[gone].start_expecting_refusal();
    assert_eq!(code, Some(79), "{text}");
}

#[test]
fn a_leader_that_is_removed_hands_over_and_stops() {
    let mut cluster = with_table();
    let first = cluster.leader();
    let term = cluster.nodes[first].status().expect("it answers").view.term;
    write(&cluster, first, "before");
    let id = (first + 1).to_string();
    let asked = cluster.followers()[0];
    let (code, text) = member(&cluster.nodes[asked], "remove", &[&id]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(cluster.nodes[first].wait().code(), Some(79));
    let status = cluster.nodes[asked].wait_for_leader();
    assert_eq!(
        status.view.term,
        term + 1,
        "handed over, not elected in its silence"
    );
    let mut client = cluster.nodes[asked].unix_client();
    assert_eq!(client.call(&["GET", "k"]), bulk("before"));
}

#[test]
fn what_would_leave_no_quorum_is_refused_in_words_and_can_be_forced() {
    let mut cluster = with_table();
    let (leader, followers) = (cluster.leader(), cluster.followers());
    cluster.nodes[followers[0]].kill();
    let [dead, other] = [followers[0], followers[1]].map(|at| (at + 1).to_string());
    eventually("the leader misses it", || {
        let peers = cluster.nodes[leader].status()?.connections.peers;
        peers.iter().any(|peer| !peer.connected).then_some(())
    });
    let (code, text) = member(&cluster.nodes[leader], "remove", &[&other]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("fewer than a quorum"), "{text}");
    let (code, text) = member(&cluster.nodes[leader], "promote", &["9"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("node 9 is no member; nothing was done"), "{text}");
    let (code, text) = member(&cluster.nodes[leader], "remove", &[&dead]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = member(&cluster.nodes[leader], "remove", &[&other, "--force"]);
    assert_eq!(code, Some(0), "{text}");
    let own = (leader + 1).to_string();
    let (code, text) = member(&cluster.nodes[leader], "remove", &[&own, "--force"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("is the last voter"), "{text}");
    assert_eq!(cluster.nodes[followers[1]].wait().code(), Some(79));
    write(&cluster, leader, "alone");
}

#[test]
fn a_node_that_lost_its_disk_begins_again_and_the_table_has_its_new_directory() {
    let mut cluster = with_table();
    let lost = cluster.followers()[0];
    let before = members(&cluster.nodes[lost]).expect("it answers").members[lost].clone();
    cluster.nodes[lost].kill();
    std::fs::remove_dir_all(cluster.nodes[lost].dir.join("data")).expect("removed");
    let mut args = vec!["rejoin"];
    for at in (0..3).filter(|at| *at != lost) {
        args.extend(["--from", &cluster.nodes[at].tcp]);
    }
    args.extend(cluster.nodes[lost].settings());
    let output = noraftd(&args);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    cluster.nodes[lost].start();
    eventually("the table has its new directory", || {
        let after = members(&cluster.nodes[lost])?.members.into_iter().nth(lost)?;
        assert_eq!(after.id, before.id);
        (after.incarnation != before.incarnation && after.role == "voter").then_some(())
    });
}
