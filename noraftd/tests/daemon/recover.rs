//! `noraftd recover`: a cluster begins again out of one directory, and the nodes that were left behind are not heard.

use std::path::{Path, PathBuf};

use crate::members::members;
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::program::{noraftd, said};

/// What the verb says, with these words behind it.
fn recover(directory: &Path, more: &[&str]) -> (Option<i32>, String) {
    let directory = directory.display().to_string();
    let args = [&["recover", "--force-new-cluster", &directory], more].concat();
    let output = noraftd(&args);
    (output.status.code(), said(&output))
}

/// The data directory of a running node.
fn directory_of(node: &Node) -> PathBuf {
    node.status().expect("it runs").directory.data_dir.into()
}

fn set(node: &Node, key: &str) {
    eventually(&format!("{key} is written"), || {
        let reply = node.unix_client().try_call(&["SET", key, "v"]).ok()?;
        (format!("{reply:?}").contains("OK")).then_some(())
    });
}

fn has(node: &Node, key: &str) {
    eventually(&format!("{key} is there"), || {
        let reply = node.unix_client().try_call(&["GET", key]).ok()?;
        (format!("{reply:?}").contains('v')).then_some(())
    });
}

/// Three nodes, of which two are gone; the directory of the one that is left.
fn with_one_left(raises: bool) -> (Cluster, PathBuf) {
    let mut cluster = Cluster::start(3, PeersOver::Tcp);
    if raises {
        let address = cluster.nodes[0].unix().display().to_string();
        eventually("the level rises", || {
            (noraftd(&["upgrade", &address]).status.code() == Some(0)).then_some(())
        });
        for node in &cluster.nodes {
            eventually("the table begins", || {
                members(node).filter(|report| report.written)
            });
        }
    }
    set(&cluster.nodes[0], "before");
    has(&cluster.nodes[0], "before");
    let directory = directory_of(&cluster.nodes[0]);
    for node in &mut cluster.nodes {
        node.kill();
    }
    (cluster, directory)
}

#[test]
fn a_majority_is_gone_and_the_rest_begins_again_and_grows() {
    let (mut cluster, directory) = with_one_left(true);
    let (code, text) = recover(&directory, &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("node 1; its log ends with entry"), "{text}");
    assert!(
        text.contains("is lost") && text.contains("with --yes it is"),
        "{text}"
    );
    let (code, text) = recover(&directory, &["--yes"]);
    assert_eq!(code, Some(0), "{text}");

    cluster.nodes[0].start();
    let status = eventually("it leads alone", || {
        let status = cluster.nodes[0].status()?;
        (status.view.role == "leader" && status.view.voters == [1]).then_some(status)
    });
    let generation = status.generation.expect("it is shown");
    assert!(text.contains(&generation), "{text} {generation}");
    has(&cluster.nodes[0], "before");
    set(&cluster.nodes[0], "after");

    // The others know nothing of it: they come back, are a majority, and are not heard.
    cluster.nodes[1].start();
    cluster.nodes[2].start();
    eventually("the others lead themselves", || {
        let leads = |at: usize| Some(cluster.nodes[at].status()?.view.role == "leader");
        (leads(1)? || leads(2)?).then_some(())
    });
    eventually("it says why", || {
        let log = cluster.nodes[0].log() + &cluster.nodes[1].log() + &cluster.nodes[2].log();
        log.contains("generation").then_some(())
    });
    let alone = cluster.nodes[0].status().expect("it runs");
    assert_eq!(alone.view.voters, [1]);
    assert!(
        cluster.nodes[1].is_running() && cluster.nodes[2].is_running(),
        "none was removed"
    );

    // A new machine is of the new generation.
    let dir = tempfile::tempdir().expect("a directory");
    let by = cluster.nodes[0].unix().display().to_string();
    let own = [
        "--segment-bytes",
        "1MiB",
        "--peer-listen",
        "127.0.0.1:0",
        "--join",
        &by,
    ];
    let own: Vec<String> = own.iter().map(ToString::to_string).collect();
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let peer = held.local_addr().expect("bound").to_string();
    drop(held);
    let own = own
        .into_iter()
        .map(|word| if word == "127.0.0.1:0" { peer.clone() } else { word });
    let mut joined = Node::new(&dir.path().join("n4"), &own.collect::<Vec<_>>());
    joined.start();
    has(&joined, "after");
    let status = joined.status().expect("it runs");
    assert_eq!(status.generation, Some(generation));
    eventually("both vote", || {
        let voters = cluster.nodes[0].status()?.view.voters;
        (voters == [1, 4]).then_some(())
    });
}

#[test]
fn a_cluster_of_the_first_level_begins_again_too_and_keeps_its_mark() {
    let (mut cluster, directory) = with_one_left(false);
    let (code, text) = recover(&directory, &["--yes"]);
    assert_eq!(code, Some(0), "{text}");
    for _ in 0..2 {
        cluster.nodes[0].start();
        has(&cluster.nodes[0], "before");
        let status = cluster.nodes[0].status().expect("it runs");
        assert_eq!(status.view.voters, [1]);
        assert_ne!(status.generation(), 0, "it is shown for good");
        cluster.nodes[0].kill();
    }
}

#[test]
fn a_directory_in_use_or_without_a_store_is_left_alone() {
    let cluster = Cluster::start(1, PeersOver::Tcp);
    let directory = directory_of(&cluster.nodes[0]);
    let (code, text) = recover(&directory, &["--yes"]);
    assert_ne!(code, Some(0), "{text}");
    assert_eq!(cluster.nodes[0].status().expect("it runs").generation, None);
    let empty = tempfile::tempdir().expect("a directory");
    let (code, text) = recover(empty.path(), &["--yes"]);
    assert_eq!(code, Some(65), "{text}");
    assert_eq!(std::fs::read_dir(empty.path()).expect("it is there").count(), 0);
}
