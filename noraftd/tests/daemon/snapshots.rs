//! Real nodes whose log does not grow without bound: snapshots, catching up with one, backups.

use std::path::Path;
use std::process::Output;

use crate::support::client::{Client, bulk, ok};
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::program::{noraftd, text};
use noraftd::protocol::resp::Value;

pub(crate) const SMALL: [&str; 4] = ["--segment-bytes", "256KiB", "--snapshot-log-bytes", "256KiB"];

/// Writes `count` values of 1 KiB under a hundred keys, and one entry each to a stream.
pub(crate) fn fill(client: &mut Client, from: usize, count: usize) {
    for n in from..from + count {
        let value = format!("{n:0>1024}");
        client
            .send(&["SET", &format!("key-{}", n % 100), &value])
            .expect("sent");
        client
            .send(&["XADD", "log", &format!("0-{}", n + 1), "n", &n.to_string()])
            .expect("sent");
        if n % 50 == 49 || n + 1 == from + count {
            for _ in 0..2 * (n % 50 + 1).min(n + 1 - from) {
                let reply = client.receive().expect("a reply");
                assert!(!matches!(reply, Value::Error(_)), "{reply:?}");
            }
        }
    }
}

fn check(client: &mut Client, count: usize) {
    assert_eq!(client.call(&["XLEN", "log"]), Value::Integer(count as i64));
    for n in count - 100..count {
        assert_eq!(
            client.call(&["GET", &format!("key-{}", n % 100)]),
            bulk(&format!("{n:0>1024}"))
        );
    }
}

fn files(node: &Node, prefix: &str) -> Vec<String> {
    let names = std::fs::read_dir(node.dir.join("data")).expect("a data directory");
    let names = names.map(|entry| entry.expect("an entry").file_name().into_string().expect("ours"));
    names.filter(|name| name.starts_with(prefix)).collect()
}

#[test]
fn a_log_stays_bounded_and_a_restart_goes_on_from_a_snapshot() {
    let dir = tempfile::tempdir().expect("a directory");
    let args: Vec<String> = ["--id", "1"]
        .iter()
        .chain(&SMALL)
        .map(ToString::to_string)
        .collect();
    let mut node = Node::new(dir.path(), &args);
    node.start();
    let mut client = node.unix_client();
    fill(&mut client, 0, 1000);
    eventually("two snapshots and a log that begins later", || {
        let status = node.status()?;
        (status.directory.snapshot_index > 0 && status.directory.base_index > 0).then_some(())
    });
    fill(&mut client, 1000, 3000);
    eventually("old segments and snapshots are gone", || {
        (files(&node, "segment-").len() <= 12 && files(&node, "snapshot-").len() <= 3).then_some(())
    });
    node.kill();
    node.start();
    let status = node.status().expect("it runs");
    assert!(status.directory.base_index > 1000, "{status:?}");
    check(&mut node.unix_client(), 4000);
}

#[test]
fn a_node_that_was_away_takes_over_a_snapshot() {
    let mut cluster = Cluster::start_with(3, PeersOver::Unix, &SMALL);
    let away = cluster.followers()[0];
    cluster.nodes[away].kill();
    let leader = cluster.leader();
    fill(&mut cluster.nodes[leader].unix_client(), 0, 2000);
    cluster.nodes[away].start();
    let caught_up = eventually("the node has caught up", || {
        let (status, leads) = (cluster.nodes[away].status()?, cluster.nodes[leader].status()?);
        (status.log.applied_index == leads.log.applied_index).then_some(status)
    });
    assert!(
        caught_up.directory.snapshot_index > 0 && caught_up.directory.base_index > 0,
        "{caught_up:?}"
    );
    // It has what only the others received.
    cluster.nodes[leader].kill();
    let next = cluster.leader();
    check(&mut cluster.nodes[next].unix_client(), 2000);
    cluster.nodes[leader].start();
    for node in &mut cluster.nodes {
        node.kill();
    }
    cluster.nodes.iter_mut().for_each(Node::start);
    cluster.leader();
    check(&mut cluster.nodes[away].unix_client(), 2000);
}

#[test]
fn a_backup_of_a_running_node_begins_a_new_cluster() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let mut node = Node::alone(&dir.path().join("old"));
    node.start();
    fill(&mut node.unix_client(), 0, 300);
    let (file, address) = (path("backup.snapshot"), node.tcp.clone());
    let saved = noraftd(&["snapshot", "save", &address, &file]);
    assert!(saved.status.success(), "{}", text(&saved.stderr));
    assert!(
        text(&saved.stdout).contains("101 keys"),
        "{}",
        text(&saved.stdout)
    );
    let again = noraftd(&["snapshot", "save", &address, &file]);
    assert!(
        !again.status.success() && text(&again.stderr).contains("exists"),
        "{again:?}"
    );
    // What comes later is not in it.
    assert_eq!(node.unix_client().call(&["SET", "later", "1"]), ok());

    let shown = noraftd(&["snapshot", "show", &file]);
    assert!(
        text(&shown.stdout).contains("101 keys"),
        "{}",
        text(&shown.stdout)
    );
    restore(&file, &path("new/data"));
    let twice = noraftd(&restore_args(&file, &path("new/data")));
    assert_eq!(twice.status.code(), Some(73), "{}", text(&twice.stderr));
    let mut new = Node::new(
        Path::new(&path("new")),
        &["--id", "7", "--cluster", "copy"].map(String::from),
    );
    new.start();
    let mut client = new.unix_client();
    check(&mut client, 300);
    assert_eq!(client.call(&["GET", "later"]), Value::Null);
    assert_eq!(client.call(&["SET", "later", "2"]), ok());
    new.kill();
    new.start();
    assert_eq!(new.unix_client().call(&["GET", "later"]), bulk("2"));
}

fn restore_args<'a>(file: &'a str, data_dir: &'a str) -> [&'a str; 9] {
    [
        "snapshot",
        "restore",
        file,
        "--cluster",
        "copy",
        "--id",
        "7",
        "--data-dir",
        data_dir,
    ]
}

fn restore(file: &str, data_dir: &str) {
    let restored = noraftd(&restore_args(file, data_dir));
    assert!(restored.status.success(), "{}", text(&restored.stderr));
}

#[test]
fn a_damaged_backup_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(&dir.path().join("old"));
    node.start();
    fill(&mut node.unix_client(), 0, 20);
    let file = dir.path().join("backup.snapshot");
    let saved = noraftd(&["snapshot", "save", &node.tcp, &file.display().to_string()]);
    assert!(saved.status.success(), "{}", text(&saved.stderr));
    let mut bytes = std::fs::read(&file).expect("the backup");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("written");
    let shown = noraftd(&["snapshot", "show", &file.display().to_string()]);
    assert_eq!(shown.status.code(), Some(65), "{}", text(&shown.stderr));
    assert!(
        text(&shown.stderr).contains("not what was written"),
        "{}",
        text(&shown.stderr)
    );
}

/// A cluster of three, one of which has lost its snapshots and does not start; the leader, and that one.
fn with_a_broken_node() -> (Cluster, usize, usize) {
    let mut cluster = Cluster::start_with(3, PeersOver::Unix, &SMALL);
    let leader = cluster.leader();
    fill(&mut cluster.nodes[leader].unix_client(), 0, 1500);
    let broken = cluster.followers()[0];
    eventually("the log begins later", || {
        (cluster.nodes[broken].status()?.directory.base_index > 0).then_some(())
    });
    cluster.nodes[broken].kill();
    let data = cluster.nodes[broken].dir.join("data");
    for name in files(&cluster.nodes[broken], "snapshot-") {
        std::fs::remove_file(data.join(name)).expect("removed");
    }
    let (code, said) = cluster.nodes[broken].start_expecting_refusal();
    assert_eq!(code, Some(65), "{said}");
    assert!(
        said.contains("snapshot lost") && said.contains("noraftd repair"),
        "{said}"
    );
    (cluster, leader, broken)
}

fn check_repaired(cluster: &mut Cluster, leader: usize, broken: usize) {
    cluster.nodes[broken].start();
    eventually("the node has caught up and votes again", || {
        let (status, leads) = (cluster.nodes[broken].status()?, cluster.nodes[leader].status()?);
        (status.log.applied_index == leads.log.applied_index && !status.health.abstaining).then_some(())
    });
    cluster.nodes[leader].kill();
    let next = cluster.leader();
    check(&mut cluster.nodes[next].unix_client(), 1500);
}

#[test]
fn a_node_whose_snapshots_are_gone_is_repaired_with_a_file_of_another() {
    let (mut cluster, leader, broken) = with_a_broken_node();
    let file = cluster.nodes[leader]
        .dir
        .join("healthy.snapshot")
        .display()
        .to_string();
    let saved = noraftd(&["snapshot", "save", &cluster.nodes[leader].tcp, &file]);
    assert!(saved.status.success(), "{}", text(&saved.stderr));
    let (id, other) = ((broken + 1).to_string(), ["--cluster", "another"]);
    let data = cluster.nodes[broken].dir.join("data").display().to_string();
    let args = ["repair", &file, "--id", &id, "--data-dir", &data];
    let wrong = noraftd(&[&args[..], &other[..]].concat());
    assert!(
        !wrong.status.success() && text(&wrong.stderr).contains("another cluster"),
        "{wrong:?}"
    );
    let repaired = noraftd(&args);
    assert!(repaired.status.success(), "{}", text(&repaired.stderr));
    check_repaired(&mut cluster, leader, broken);
}

#[test]
fn a_node_whose_snapshots_are_gone_is_repaired_over_the_network() {
    let (mut cluster, leader, broken) = with_a_broken_node();
    let id = (broken + 1).to_string();
    let data = cluster.nodes[broken].dir.join("data").display().to_string();
    let from = |address: &str| noraftd(&["repair", "--from", address, "--id", &id, "--data-dir", &data]);
    let unanswered = from("127.0.0.1:1");
    assert_eq!(unanswered.status.code(), Some(69), "{}", text(&unanswered.stderr));
    let repaired = from(&cluster.nodes[leader].tcp);
    assert!(repaired.status.success(), "{}", text(&repaired.stderr));
    assert!(files(&cluster.nodes[broken], "fetched").is_empty());
    check_repaired(&mut cluster, leader, broken);
}

/// The keys that a backup says it has.
fn saved_keys(said: &Output) -> u64 {
    assert!(said.status.success(), "{}", text(&said.stderr));
    let line = text(&said.stdout);
    let before = line.split(" keys").next().expect("a number of keys");
    let number = before.rsplit(' ').next().expect("a number");
    number.parse().expect("a number of keys")
}

#[test]
fn a_backup_of_any_node_has_every_acknowledged_write_and_without_a_leader_there_is_none() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    let dir = tempfile::tempdir().expect("a directory");
    let save = |node: &Node, name: &str, stale: bool| {
        let file = dir.path().join(name).display().to_string();
        let mut args = vec!["snapshot", "save", &node.tcp, &file];
        args.extend(stale.then_some("--stale"));
        noraftd(&args)
    };
    let followers = cluster.followers();
    for n in 0..20 {
        let mut client = cluster.nodes[cluster.leader()].unix_client();
        assert_eq!(client.call(&["SET", &format!("key-{n}"), "v"]), ok());
        let saved = save(&cluster.nodes[followers[n % 2]], &format!("backup-{n}"), false);
        assert_eq!(saved_keys(&saved), n as u64 + 1);
    }
    let alone = followers[0];
    for at in (0..3).filter(|at| *at != alone) {
        cluster.nodes[at].kill();
    }
    eventually("it knows no leader", || {
        cluster.nodes[alone].status()?.view.leader.is_none().then_some(())
    });
    let refused = save(&cluster.nodes[alone], "refused", false);
    assert!(!refused.status.success());
    assert!(
        text(&refused.stderr).contains("CLUSTERDOWN"),
        "{}",
        text(&refused.stderr)
    );
    assert!(!dir.path().join("refused").exists());
    let stale = save(&cluster.nodes[alone], "stale", true);
    assert!(text(&stale.stdout).contains("STALE"), "{}", text(&stale.stdout));
    assert!(saved_keys(&stale) >= 19);
}

#[test]
fn an_interrupted_restore_is_no_new_node_and_the_same_command_takes_it_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut source = Node::alone(&dir.path().join("source"));
    source.start();
    source.wait_for_leader();
    assert_eq!(source.client().call(&["SET", "key", "value"]), ok());
    let file = dir.path().join("backup").display().to_string();
    assert!(
        noraftd(&["snapshot", "save", &source.tcp, &file])
            .status
            .success()
    );

    let mut copy = Node::new(
        &dir.path().join("copy"),
        &["--id", "1", "--cluster", "copy", "--segment-bytes", "1MiB"].map(String::from),
    );
    let data = copy.dir.join("data");
    std::fs::create_dir_all(&data).expect("a directory");
    std::fs::write(data.join("unfinished"), "noraftd snapshot restore").expect("a marker");
    let (code, said) = copy.start_expecting_refusal();
    assert_eq!(code, Some(65), "{said}");
    assert!(
        said.contains("`noraftd snapshot restore` was interrupted"),
        "{said}"
    );
    assert!(said.contains("run the same command again"), "{said}");

    let mut args = vec!["snapshot", "restore", &file];
    args.extend(copy.settings());
    let restored = noraftd(&args);
    assert!(restored.status.success(), "{}", text(&restored.stderr));
    copy.start();
    copy.wait_for_leader();
    assert_eq!(copy.client().call(&["GET", "key"]), bulk("value"));
}
