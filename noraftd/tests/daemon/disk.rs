//! Disks that are full, fail or vanish under a real node.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::client::{Client, bulk, error_text, ok};
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::skip::skip;
use noraftd::protocol::resp::Value;
use noraftd::store::disk::{Disk, RealDisk};

/// A small file system of its own, where this is allowed.
pub(crate) struct SmallDisk(pub(crate) tempfile::TempDir);

impl SmallDisk {
    pub(crate) fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(dir.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(dir));
        }
        skip("mounting a small file system is not allowed here");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_disk_too_small_to_begin_with_is_named() {
    let Some(disk) = SmallDisk::mount("600k") else {
        return;
    };
    let (code, log) = Node::alone(disk.0.path()).start_expecting_refusal();
    assert_eq!(code, Some(73), "{log}");
    assert!(log.contains("No space left on device"), "{log}");
}

#[test]
fn a_disk_that_cannot_be_written_is_named() {
    let Some(disk) = SmallDisk::mount("8m") else {
        return;
    };
    let data = disk.0.path().join("data").display().to_string();
    let remounted = Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(disk.0.path())
        .status();
    assert!(remounted.expect("mount runs").success());
    let elsewhere = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(elsewhere.path());
    node.replace_data_dir(&data);
    let (code, log) = node.start_expecting_refusal();
    assert_eq!(code, Some(73), "{log}");
    assert!(
        log.contains(&data) && log.contains("Read-only file system"),
        "{log}"
    );
}

#[test]
fn a_full_disk_refuses_writes_loses_nothing_and_recovers() {
    let Some(disk) = SmallDisk::mount("6m") else {
        return;
    };
    let mut node = Node::alone(disk.0.path());
    node.start();
    node.wait_for_leader();
    let ballast = disk.0.path().join("ballast");
    // Whatever room is left is taken; the write fails once it is.
    let _ = fs::write(&ballast, vec![1; 16 << 20]);
    let mut client = node.client();
    let value = "x".repeat(64 << 10);
    let mut acknowledged = 0;
    let refusal = loop {
        match client.call(&["SET", &format!("k{acknowledged}"), &value]) {
            reply if reply == ok() => acknowledged += 1,
            reply => break reply,
        }
        assert!(acknowledged < 1000, "more than the disk holds");
    };
    error_text(&refusal);
    assert!(node.log().contains("no room on the disk"), "{}", node.log());
    assert!(node.status().expect("it still answers").storage.disk_full);
    let refused = client.call(&["SET", "other", "v"]);
    assert!(error_text(&refused).contains("disk"), "{refused:?}");
    fs::remove_file(&ballast).expect("removed");
    eventually("writes are taken again", || {
        (client.call(&["SET", "after", "v"]) == ok()).then_some(())
    });
    for n in 0..acknowledged {
        assert!(client.call(&["GET", &format!("k{n}")]) == bulk(&value), "k{n}");
    }
}

/// Writes until one is refused; how many were acknowledged.
fn fill(node: &Node) -> usize {
    let mut client = node.client();
    let value = "x".repeat(64 << 10);
    for n in 0..1000 {
        let reply = client.call(&["SET", &format!("k{n}"), &value]);
        if reply != ok() {
            error_text(&reply);
            return n;
        }
    }
    panic!("more than the disk holds")
}

#[test]
fn a_cluster_on_full_disks_refuses_writes_goes_on_reading_and_voting_and_recovers() {
    let Some(disk) = SmallDisk::mount("14m") else {
        return;
    };
    let mut cluster = Cluster::start_in(disk.0.path(), 3, PeersOver::Unix, &["--segment-bytes", "1MiB"]);
    let ballast = disk.0.path().join("ballast");
    let _ = fs::write(&ballast, vec![1; 32 << 20]);
    let acknowledged = fill(&cluster.nodes[cluster.leader()]);
    for at in 0..3 {
        let mut client = cluster.nodes[at].client();
        eventually("a definite refusal", || {
            let refused = client.call(&["SET", "other", "v"]);
            error_text(&refused).starts_with("DISKFULL").then_some(())
        });
        eventually("a read", || {
            matches!(client.call(&["GET", "k0"]), Value::Bulk(_)).then_some(())
        });
    }
    let leader = cluster.leader();
    cluster.nodes[leader].kill();
    let next = cluster.leader();
    assert_ne!(next, leader);
    let mut client = cluster.nodes[next].client();
    eventually("a read under the next leader", || {
        matches!(client.call(&["GET", "k0"]), Value::Bulk(_)).then_some(())
    });
    fs::remove_file(&ballast).expect("removed");
    eventually("writes are taken again", || {
        (client.call(&["SET", "after", "v"]) == ok()).then_some(())
    });
    let value = "x".repeat(64 << 10);
    for n in 0..acknowledged {
        assert!(client.call(&["GET", &format!("k{n}")]) == bulk(&value), "k{n}");
    }
}

fn shadowed(dir: &Path, spec: &str) -> Node {
    let args = ["--id", "1", "--segment-bytes", "256KiB", "--shadow-disk", spec];
    Node::new(dir, &args.map(String::from))
}

#[test]
fn a_failed_sync_ends_the_node_and_what_was_acknowledged_is_there_after_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = shadowed(dir.path(), "seed=1,fail-sync=40");
    node.start();
    let mut client = node.client();
    let mut acknowledged = 0;
    while client
        .try_call(&["SET", &format!("k{acknowledged}"), "v"])
        .is_ok_and(|reply| reply == ok())
    {
        acknowledged += 1;
    }
    assert_eq!(node.wait().code(), Some(74), "{}", node.log());
    let log = node.log();
    assert!(
        log.contains("syncing") && log.contains("Input/output error"),
        "{log}"
    );
    assert!(log.contains("segment-") || log.contains("hard_state"), "{log}");
    let mut node = shadowed(dir.path(), "1");
    node.start();
    node.wait_for_leader();
    let mut client = node.client();
    for n in 0..acknowledged {
        assert_eq!(
            client.call(&["GET", &format!("k{n}")]),
            bulk("v"),
            "k{n} of {acknowledged}"
        );
    }
}

#[test]
fn a_directory_that_vanishes_ends_the_node_before_it_promises_more() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(dir.path());
    node.start();
    node.wait_for_leader();
    let mut client = node.client();
    assert_eq!(client.call(&["SET", "k", "v"]), ok());
    fs::remove_dir_all(dir.path().join("data")).expect("removed");
    eventually("the node ends", || {
        let _ = Client::unix(&node.unix()).and_then(|mut client| client.try_call(&["SET", "k", "w"]));
        (!node.is_running()).then_some(())
    });
    assert_eq!(node.wait().code(), Some(74), "{}", node.log());
    let data = dir.path().join("data").display().to_string();
    assert!(
        node.log().contains(&format!("the data directory {data} is gone")),
        "{}",
        node.log()
    );
}

/// What the child of the test below does; in the test's own process it is nothing.
#[test]
fn reads_a_file_that_is_cut_short() {
    let Some(dir) = std::env::var_os("TEST_CUT_SHORT") else {
        return;
    };
    noraftd::store::name_lost_pages();
    let disk = RealDisk::open(Path::new(&dir)).expect("a directory");
    let file = disk.create("segment-0000000000000007").expect("a file");
    file.allocate(8 * 4096).expect("room");
    file.view(0, 1, &mut |_| {}).expect("mapped");
    fs::File::options()
        .write(true)
        .open(Path::new(&dir).join("segment-0000000000000007"))
        .and_then(|file| file.set_len(4096))
        .expect("cut short");
    let mut sum = 0;
    file.view(5 * 4096, 100, &mut |bytes| {
        sum = bytes.iter().map(|byte| u64::from(*byte)).sum()
    })
    .expect("it is mapped");
    panic!("read {sum} from where nothing is");
}

#[test]
fn a_page_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "disk::reads_a_file_that_is_cut_short", "--nocapture"])
        .env("TEST_CUT_SHORT", dir.path())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(74), "{said}");
    let wanted = "segment-0000000000000007, byte 20480: the page cannot be read (SIGBUS)";
    assert!(said.contains(wanted), "{said}");
}
