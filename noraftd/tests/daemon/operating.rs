//! What an operator meets: modes of files, the status of several nodes, `dev` on ports that another process has.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::program::{noraftd, said};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn mode(path: &Path) -> u32 {
    let metadata = fs::metadata(path).expect("it is there");
    metadata.permissions().mode() & 0o777
}

#[test]
fn a_new_directory_is_private_and_one_that_is_there_keeps_its_mode() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(dir.path());
    node.start();
    node.wait_for_leader();
    let data = dir.path().join("data");
    assert_eq!(mode(&data), 0o700);
    for entry in fs::read_dir(&data).expect("readable") {
        let path = entry.expect("an entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    let backup = dir.path().join("backup");
    let saved = noraftd(&["snapshot", "save", &node.tcp, &backup.display().to_string()]);
    assert!(saved.status.success(), "{}", said(&saved));
    assert_eq!(mode(&backup), 0o600);
    assert_eq!(node.log().matches("other users").count(), 0);
    assert_eq!(node.stop(), Some(0));
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).expect("ours");
    node.start();
    assert_eq!(node.log().matches("other users may look into").count(), 1);
    assert_eq!(mode(&data), 0o755);
}

#[test]
fn the_status_of_several_nodes_is_a_table_and_an_exit_code() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    let addresses: Vec<String> = cluster.nodes.iter().map(|node| node.tcp.clone()).collect();
    let all: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let well = noraftd(&[&["status"][..], &all, &["--wait", "60s"]].concat());
    assert_eq!(well.status.code(), Some(0), "{}", said(&well));
    let table = said(&well);
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.starts_with("ADDRESS"), "{table}");
    assert_eq!(table.matches(" leader ").count(), 1, "{table}");
    let gone = cluster.followers();
    cluster.nodes[gone[0]].kill();
    let partly = noraftd(&[&["status"][..], &all].concat());
    assert_eq!(partly.status.code(), Some(69), "{}", said(&partly));
    assert!(said(&partly).contains("does not answer: "), "{}", said(&partly));
    cluster.nodes[gone[1]].kill();
    let last = (0..3).find(|at| !gone.contains(at)).expect("three nodes");
    eventually("the last node knows no leader", || {
        let alone = noraftd(&["status", all[last]]);
        let knows_none = said(&alone).contains("knows no leader");
        assert!(knows_none == (alone.status.code() == Some(1)), "{}", said(&alone));
        knows_none.then_some(())
    });
    let json = noraftd(&["status", all[last], all[gone[0]], "--json"]);
    let lines: Vec<serde_json::Value> = String::from_utf8_lossy(&json.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0]["role"].is_string() && lines[1]["error"].is_string());
}

/// The first of three ports in a row that are free.
fn free_ports() -> u16 {
    eventually("three free ports", || {
        let first = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let base = first.local_addr().expect("bound").port().min(64_000);
        let others: Result<Vec<_>, _> = (1..3)
            .map(|more| TcpListener::bind(("127.0.0.1", base + more)))
            .collect();
        others.is_ok().then_some(base)
    })
}

#[test]
fn dev_does_not_take_another_cluster_for_its_own() {
    let base = free_ports();
    let taken = TcpListener::bind(("127.0.0.1", base + 1)).expect("a free port");
    let refused = noraftd(&["dev", "--port-base", &base.to_string()]);
    assert_eq!(refused.status.code(), Some(69), "{}", said(&refused));
    let expected = format!("node 2 cannot have 127.0.0.1:{}", base + 1);
    assert!(said(&refused).contains(&expected), "{}", said(&refused));
    assert!(!said(&refused).contains("leads"), "{}", said(&refused));
    drop(taken);

    let mut first = Command::new(env!("CARGO_BIN_EXE_noraftd"))
        .args(["dev", "--port-base", &base.to_string(), "--log", "info"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(first.stdout.take().expect("piped")).lines();
    let leads = lines
        .by_ref()
        .map_while(Result::ok)
        .any(|line| line.contains("leads"));
    assert!(leads, "it announces its leader");
    let second = noraftd(&["dev", "--port-base", &base.to_string()]);
    assert_eq!(second.status.code(), Some(69), "{}", said(&second));
    assert!(
        said(&second).contains("another `noraftd dev` runs"),
        "{}",
        said(&second)
    );
    kill(Pid::from_raw(first.id() as i32), Signal::SIGTERM).expect("it runs");
    let ended = first.wait_with_output().expect("a child");
    assert_eq!(ended.status.code(), Some(0));
    let log = String::from_utf8_lossy(&ended.stderr).into_owned();
    for id in 1..=3 {
        assert!(log.contains(&format!("node {id}: ")), "{log}");
    }
    assert!(log.lines().all(|line| line.starts_with("node ")), "{log}");
    let unanswered = noraftd(&["dev", "start", "1", "--port-base", &base.to_string()]);
    assert_eq!(unanswered.status.code(), Some(69), "{}", said(&unanswered));
}
