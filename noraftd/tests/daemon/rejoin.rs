//! A real node that forgot what it voted: the others do not let it back under its id, until a person says so.

use std::path::Path;

use crate::support::client::{bulk, ok};
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::program::{noraftd, text};
use noraftd::protocol::resp::Value;

fn write(cluster: &Cluster, from: u32, to: u32) {
    let mut client = cluster.nodes[cluster.leader()].unix_client();
    for n in from..to {
        assert_eq!(client.call(&["SET", &format!("key-{n}"), &n.to_string()]), ok());
    }
}

/// Waits until `node` has tried to reach all others, and each has refused it because its directory is another one.
fn wait_for_refusals(node: &Node, others: usize) {
    wait_until_refused(node, others, "data directory was replaced");
}

fn wait_until_refused(node: &Node, others: usize, because: &str) {
    eventually("all others refuse it, and say why", || {
        let peers = node.status()?.connections.peers;
        let refused = peers.iter().filter(|peer| {
            let error = peer.error.as_deref().unwrap_or_default();
            error.contains(because) && error.contains("noraftd rejoin")
        });
        (refused.count() == others).then_some(())
    });
}

#[test]
fn a_node_without_its_vote_begins_again_only_on_command() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    write(&cluster, 0, 50);
    let lost = cluster.followers()[0];
    let others: Vec<usize> = (0..3).filter(|at| *at != lost).collect();
    cluster.nodes[lost].kill();
    let data = cluster.nodes[lost].dir.join("data");
    std::fs::write(data.join("hard_state"), vec![0xff; 8192]).expect("damaged");
    let (code, said) = cluster.nodes[lost].start_expecting_refusal();
    assert_eq!(code, Some(65), "{said}");
    assert!(
        said.contains("hard state lost") && said.contains("noraftd rejoin"),
        "{said}"
    );

    // With an empty directory it runs, but no node listens to it: not even those that were restarted meanwhile.
    std::fs::rename(&data, cluster.nodes[lost].dir.join("lost")).expect("put aside");
    cluster.nodes[lost].start();
    wait_for_refusals(&cluster.nodes[lost], 2);
    cluster.nodes[lost].kill();
    for at in &others {
        cluster.nodes[*at].kill();
    }
    for at in &others {
        cluster.nodes[*at].start();
    }
    cluster.leader();
    cluster.nodes[lost].start();
    wait_for_refusals(&cluster.nodes[lost], 2);
    write(&cluster, 50, 60);

    cluster.nodes[lost].kill();
    let rejoin = |cluster: &Cluster, from: &[usize]| {
        let mut args = vec!["rejoin"];
        for at in from {
            args.extend(["--from", &cluster.nodes[*at].tcp]);
        }
        args.extend(cluster.nodes[lost].settings());
        noraftd(&args)
    };
    let occupied = rejoin(&cluster, &others);
    assert_eq!(occupied.status.code(), Some(73), "{}", text(&occupied.stderr));
    std::fs::remove_dir_all(&data).expect("removed");
    let partly = rejoin(&cluster, &others[..1]);
    assert_eq!(partly.status.code(), Some(78), "{}", text(&partly.stderr));
    assert!(
        text(&partly.stderr).contains("every other node"),
        "{}",
        text(&partly.stderr)
    );
    let done = rejoin(&cluster, &others);
    assert!(done.status.success(), "{}", text(&done.stderr));
    cluster.nodes[lost].start();
    eventually("it has caught up and votes again", || {
        let (status, other) = (cluster.nodes[lost].status()?, cluster.nodes[others[0]].status()?);
        let connected = status.connections.peers.iter().all(|peer| peer.connected);
        (connected && status.log.applied_index == other.log.applied_index && !status.health.abstaining)
            .then_some(())
    });
    let leader = cluster.leader();
    let gone = if leader == lost { others[0] } else { leader };
    cluster.nodes[gone].kill();
    write(&cluster, 60, 70);
    let mut client = cluster.nodes[lost].unix_client();
    for n in 0..70 {
        assert_eq!(client.call(&["GET", &format!("key-{n}")]), bulk(&n.to_string()));
    }

    // The directory that was put aside belongs to no member any more.
    cluster.nodes[lost].kill();
    cluster.nodes[gone].start();
    std::fs::rename(&data, cluster.nodes[lost].dir.join("new")).expect("put aside");
    std::fs::rename(cluster.nodes[lost].dir.join("lost"), &data).expect("put back");
    let (code, said) = cluster.nodes[lost].start_expecting_refusal();
    assert_eq!(code, Some(65), "{said}");
}

#[test]
fn a_directory_in_use_is_not_made_a_stranger_to_the_others() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    write(&cluster, 0, 10);
    let live = cluster.followers()[0];
    let rejoin = |cluster: &Cluster| {
        let mut args = args_of_rejoin(cluster, live);
        args.extend(cluster.nodes[live].settings());
        noraftd(&args)
    };
    let refused = rejoin(&cluster);
    assert_eq!(refused.status.code(), Some(73), "{}", text(&refused.stderr));
    assert!(
        text(&refused.stderr).contains("in use"),
        "{}",
        text(&refused.stderr)
    );

    cluster.nodes[live].kill();
    let stopped = rejoin(&cluster);
    assert_eq!(stopped.status.code(), Some(73), "{}", text(&stopped.stderr));
    cluster.nodes[live].start();
    eventually("the others still know it", || {
        let peers = cluster.nodes[live].status()?.connections.peers;
        peers.iter().all(|peer| peer.connected).then_some(())
    });
}

fn wait_until_connected(node: &Node) {
    eventually("all others have admitted it", || {
        let peers = node.status()?.connections.peers;
        peers.iter().all(|peer| peer.connected).then_some(())
    });
}

/// Copies a data directory, of which no process is running.
fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}

#[test]
fn an_old_copy_of_a_directory_is_not_heard_until_the_node_rejoins() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    write(&cluster, 0, 10);
    let node = cluster.followers()[0];
    let (data, copy) = (
        cluster.nodes[node].dir.join("data"),
        cluster.nodes[node].dir.join("copy"),
    );
    cluster.nodes[node].kill();
    copy_directory(&data, &copy);
    for _ in 0..2 {
        cluster.nodes[node].start();
        wait_until_connected(&cluster.nodes[node]);
        cluster.nodes[node].kill();
    }
    write(&cluster, 10, 20);

    std::fs::remove_dir_all(&data).expect("removed");
    std::fs::rename(&copy, &data).expect("put back");
    cluster.nodes[node].start();
    wait_until_refused(&cluster.nodes[node], 2, "old copy");
    // Those that heard of the later start remember it.
    let others: Vec<usize> = (0..3).filter(|at| *at != node).collect();
    for at in &others {
        cluster.nodes[*at].kill();
    }
    for at in &others {
        cluster.nodes[*at].start();
    }
    cluster.leader();
    cluster.nodes[node].kill();
    // However often it is started: after this the copy was started more often than the directory that was lost.
    for _ in 0..3 {
        cluster.nodes[node].start();
        wait_until_refused(&cluster.nodes[node], 2, "old copy");
        cluster.nodes[node].kill();
    }
    cluster.nodes[node].start();
    wait_until_refused(&cluster.nodes[node], 2, "old copy");
    write(&cluster, 20, 30);

    cluster.nodes[node].kill();
    std::fs::remove_dir_all(&data).expect("removed");
    let mut args = args_of_rejoin(&cluster, node);
    args.extend(cluster.nodes[node].settings());
    let done = noraftd(&args);
    assert!(done.status.success(), "{}", text(&done.stderr));
    cluster.nodes[node].start();
    wait_until_connected(&cluster.nodes[node]);
}

#[test]
fn of_two_processes_with_copies_of_one_directory_one_is_not_heard() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    write(&cluster, 0, 10);
    let node = cluster.followers()[0];
    cluster.nodes[node].kill();
    let dir = cluster.nodes[node].dir.join("clone");
    copy_directory(&cluster.nodes[node].dir.join("data"), &dir.join("data"));
    let mut args: Vec<String> = cluster.nodes[node].settings()[6..]
        .iter()
        .map(ToString::to_string)
        .collect();
    // It listens elsewhere; the others are where they were.
    let own = format!("{}=", node + 1);
    let address = args.iter().position(|arg| arg.starts_with(&own));
    args[address.expect("it has an address")] = format!("{own}unix:{}", dir.join("peer.sock").display());
    let mut clone = Node::new(&dir, &args);

    cluster.nodes[node].start();
    wait_until_connected(&cluster.nodes[node]);
    clone.start();
    wait_until_refused(&clone, 2, "old copy");
    wait_until_connected(&cluster.nodes[node]);
    write(&cluster, 10, 20);
    clone.kill();
}

/// A node that is no voter any more hears no leader after its next start: it has applied nothing, and nothing to give. Named first, it
/// was asked for the state, without end.
#[test]
fn the_state_comes_from_a_node_that_has_one() {
    let mut cluster = Cluster::start(4, PeersOver::Unix);
    write(&cluster, 0, 10);
    let mut client = cluster.nodes[cluster.leader()].unix_client();
    assert_eq!(client.call(&["NORAFT.VOTERS", "1", "2", "3"]), ok());
    let idle = 3;
    cluster.nodes[idle].kill();
    cluster.nodes[idle].start();
    let of_idle = eventually("it has read its directory", || {
        let status = cluster.nodes[idle].status()?;
        (status.view.role != "loading").then_some(status)
    });
    assert_eq!(of_idle.log.applied_index, 0);
    let lost = (0..idle).find(|at| *at != cluster.leader()).expect("a follower");
    cluster.nodes[lost].kill();
    std::fs::remove_dir_all(cluster.nodes[lost].dir.join("data")).expect("removed");
    let mut args = vec!["rejoin"];
    let others = (0..cluster.nodes.len()).rev().filter(|at| *at != lost);
    for at in others {
        args.extend(["--from", &cluster.nodes[at].tcp]);
    }
    args.extend(cluster.nodes[lost].settings());
    let done = noraftd(&args);
    assert!(done.status.success(), "{}", text(&done.stderr));
    cluster.nodes[lost].start();
    eventually("it has caught up and votes again", || {
        let status = cluster.nodes[lost].status()?;
        (status.log.applied_index > 10 && !status.health.abstaining).then_some(())
    });
}

fn args_of_rejoin(cluster: &Cluster, node: usize) -> Vec<&str> {
    let mut args = vec!["rejoin"];
    for at in (0..cluster.nodes.len()).filter(|at| *at != node) {
        args.extend(["--from", &cluster.nodes[at].tcp]);
    }
    args
}

#[test]
fn an_old_copy_of_a_directory_is_refused_after_its_node_began_again() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    write(&cluster, 0, 10);
    let lost = cluster.followers()[0];
    let others: Vec<usize> = (0..3).filter(|at| *at != lost).collect();
    assert_eq!(cluster.nodes[lost].stop(), Some(0));
    let data = cluster.nodes[lost].dir.join("data");
    std::fs::rename(&data, cluster.nodes[lost].dir.join("old")).expect("put aside");
    let mut args = vec!["rejoin"];
    for at in &others {
        args.extend(["--from", &cluster.nodes[*at].tcp]);
    }
    args.extend(cluster.nodes[lost].settings());
    let done = noraftd(&args);
    assert!(done.status.success(), "{}", text(&done.stderr));
    std::fs::remove_dir_all(&data).expect("removed");
    std::fs::rename(cluster.nodes[lost].dir.join("old"), &data).expect("put back");
    cluster.nodes[lost].start();
    wait_for_refusals(&cluster.nodes[lost], 2);
    let leader = cluster.leader();
    let mut client = cluster.nodes[leader].unix_client();
    assert_eq!(
        client.call(&["NORAFT.READMIT", "9", "1"]),
        refused("node 9 is not another member")
    );
    assert!(matches!(client.call(&["NORAFT.READMIT", "9"]), Value::Error(_)));
    assert!(matches!(
        client.call(&["NORAFT.SNAPSHOT", "READ", "1", "x", "0"]),
        Value::Error(_)
    ));
    let part = client.call(&["NORAFT.SNAPSHOT", "READ", "123456", "1", "0"]);
    assert!(matches!(part, Value::Error(_)), "{part:?}");
}

fn refused(why: &str) -> Value {
    Value::Error(format!("ERR {why} of this cluster"))
}
