//! What a node shows to those who watch it over HTTP.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use noraftd::local::status::StatusReport;

use crate::disk::SmallDisk;
use crate::support::client::{bulk, error_text, ok};
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::support::http::{Answer, ask, get};
use crate::support::node::Node;
use crate::support::skip::skip;

const HTTP: [&str; 4] = ["--segment-bytes", "1MiB", "--http", "127.0.0.1:0"];

fn alone(dir: &Path, more: &[&str]) -> Node {
    let args = [&["--id", "1"][..], &HTTP, more].concat();
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    Node::new(dir, &args)
}

fn started(dir: &Path) -> Node {
    let mut node = alone(dir, &[]);
    node.start();
    node.wait_for_leader();
    node
}

/// Asks for `path` until the answer is as it should be.
fn until(node: &Node, path: &str, is_so: impl Fn(&Answer) -> bool) -> Answer {
    let address = node.http();
    eventually(path, || Some(get(&address, path)).filter(&is_so))
}

#[test]
fn without_an_address_nothing_is_served_and_the_start_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(dir.path());
    node.start();
    assert_eq!(node.log().matches("no --http address was given").count(), 1);
    assert!(!node.log().contains("http://"), "{}", node.log());
}

#[test]
fn metrics_count_what_clients_did() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = started(dir.path());
    let mut client = node.client();
    for n in 0..5 {
        assert_eq!(client.call(&["SET", &format!("k{n}"), "v"]), ok());
    }
    assert_eq!(client.call(&["GET", "k1"]), bulk("v"));
    error_text(&client.call(&["no-\"such\\command"]));
    let page = get(&node.http(), "/metrics");
    assert_eq!(page.status, 200);
    assert!(
        page.head.contains("content-type: text/plain; version=0.0.4"),
        "{}",
        page.head
    );
    let status = node.status().expect("it answers");
    let expected = [
        ("noraftd_request_duration_seconds_count{command=\"set\"}", 5.0),
        ("noraftd_request_duration_seconds_count{command=\"get\"}", 1.0),
        (
            "noraftd_request_duration_seconds_bucket{command=\"set\",le=\"+Inf\"}",
            5.0,
        ),
        ("noraftd_commit_duration_seconds_count", 5.0),
        ("noraftd_propose_queue_duration_seconds_count", 5.0),
        ("noraftd_keys", 5.0),
        ("noraftd_role{role=\"leader\"}", 1.0),
        ("noraftd_role{role=\"follower\"}", 0.0),
        ("noraftd_leader_id", 1.0),
        ("noraftd_leader_changes_total", 1.0),
        ("noraftd_elections_total{reason=\"timeout\"}", 1.0),
        ("noraftd_elections_won_total", 1.0),
        ("noraftd_ready", 1.0),
        ("noraftd_loading", 0.0),
        ("noraftd_disk_full", 0.0),
        ("noraftd_term", status.view.term as f64),
        ("noraftd_applied_index", status.log.applied_index as f64),
    ];
    for (name, value) in expected {
        assert_eq!(page.sample(name), Some(value), "{name} in\n{}", page.body);
    }
    let positive = [
        "noraftd_sync_duration_seconds_sum",
        "noraftd_sync_duration_seconds_count",
        "noraftd_sync_queue_duration_seconds_count",
        "noraftd_apply_duration_seconds_count",
        "noraftd_round_duration_seconds_count",
        "noraftd_client_connections",
        "noraftd_client_connections_max",
        "noraftd_store_segment_bytes",
        "noraftd_disk_size_bytes",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_open_fds",
    ];
    for name in positive {
        assert!(
            page.sample(name).is_some_and(|value| value > 0.0),
            "{name} in\n{}",
            page.body
        );
    }
    assert!(
        !page.body.contains("such"),
        "a client invented a label:\n{}",
        page.body
    );
}

#[test]
fn each_endpoint_answers_and_nothing_else_does() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = started(dir.path());
    let address = node.http();
    assert_eq!(get(&address, "/livez").body, "ok\n");
    assert_eq!(until(&node, "/readyz", |page| page.status == 200).body, "ok\n");
    // A slow disk may be a warning for a while.
    let verbose = until(&node, "/readyz?verbose", |page| {
        page.body.matches("[+] ").count() == 7
    });
    for name in ["serving", "loading", "leader", "disk", "room", "lag", "clock"] {
        assert!(
            verbose.body.contains(&format!("[+] {name}: ok\n")),
            "{}",
            verbose.body
        );
    }
    let status = get(&address, "/status");
    assert!(
        status.head.contains("content-type: application/json"),
        "{}",
        status.head
    );
    let report: StatusReport = serde_json::from_str(&status.body).expect("a report");
    assert_eq!((report.id, report.view.role.as_str()), (1, "leader"));
    let index = get(&address, "/");
    assert!(
        index.status == 200 && index.body.contains("/readyz?verbose"),
        "{index:?}"
    );
    assert_eq!(get(&address, "/metricsx").status, 404);
    let posted = ask(
        &address,
        "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    );
    assert!(
        posted.status == 405 && posted.head.contains("allow: get, head"),
        "{posted:?}"
    );
    let head = ask(&address, "HEAD /status HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.status == 200 && head.body.is_empty(), "{head:?}");
    let garbage = ask(&address, "SET k v\r\n\r\n");
    assert_eq!(garbage.status, 400);
}

#[test]
fn promtool_accepts_the_metrics_of_every_node_and_the_leader_knows_the_others() {
    let cluster = Cluster::start_with(3, PeersOver::Tcp, &HTTP);
    let leader = &cluster.nodes[cluster.leader()];
    let mut client = leader.client();
    for n in 0..20 {
        assert_eq!(client.call(&["SET", "k", &n.to_string()]), ok());
    }
    for peer in (1..=3).filter(|id| *id as usize != cluster.leader() + 1) {
        let label = format!("{{peer=\"{peer}\"}}");
        let page = until(leader, "/metrics", |page| {
            page.sample(&format!("noraftd_peer_lag_entries{label}")) == Some(0.0)
        });
        for (name, least) in [
            ("peer_connected", 1.0),
            ("peer_heard", 1.0),
            ("peer_sent_bytes_total", 100.0),
        ] {
            let value = page.sample(&format!("noraftd_{name}{label}"));
            assert!(
                value.is_some_and(|value| value >= least),
                "{name} of {peer}:\n{}",
                page.body
            );
        }
    }
    for node in &cluster.nodes {
        check_with_promtool(&get(&node.http(), "/metrics").body);
    }
}

fn check_with_promtool(metrics: &str) {
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match started {
        Ok(promtool) => promtool,
        Err(error) => {
            return skip(&format!(
                "promtool: {error}; the Debian package prometheus has it"
            ));
        }
    };
    let mut input = promtool.stdin.take().expect("piped");
    input.write_all(metrics.as_bytes()).expect("it reads");
    drop(input);
    let output = promtool.wait_with_output().expect("a child");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn a_node_without_a_leader_lives_and_is_not_ready() {
    let mut cluster = Cluster::start_with(3, PeersOver::Unix, &HTTP);
    let leader = cluster.leader();
    for at in 0..3 {
        until(&cluster.nodes[at], "/readyz", |page| page.status == 200);
    }
    let last = cluster.followers()[0];
    for at in (0..3).filter(|at| *at != last) {
        cluster.nodes[at].kill();
    }
    let node = &cluster.nodes[last];
    let page = until(node, "/readyz?verbose", |page| {
        page.body.contains("[-] leader: failed: no leader is known\n")
    });
    assert!(
        page.status == 503 && page.body.contains("\nfailed: leader"),
        "{page:?}"
    );
    assert_eq!(get(&node.http(), "/livez").status, 200);
    let page = get(&node.http(), "/metrics");
    assert_eq!(
        (page.sample("noraftd_leader_id"), page.sample("noraftd_ready")),
        (Some(0.0), Some(0.0))
    );
    let gone = format!("noraftd_peer_connected{{peer=\"{}\"}}", leader + 1);
    until(node, "/metrics", |page| page.sample(&gone) == Some(0.0));
}

#[test]
fn a_node_on_a_full_disk_is_not_ready_until_there_is_room_again() {
    let Some(disk) = SmallDisk::mount("6m") else {
        return;
    };
    let node = started(disk.0.path());
    until(&node, "/readyz", |page| page.status == 200);
    let ballast = disk.0.path().join("ballast");
    // Whatever room is left is taken; the write fails once it is.
    let _ = fs::write(&ballast, vec![1; 16 << 20]);
    let mut client = node.client();
    let value = "x".repeat(64 << 10);
    let is_full = (0..1000).any(|n| client.call(&["SET", &format!("k{n}"), &value]) != ok());
    assert!(is_full, "more than the disk holds");
    let page = until(&node, "/readyz?verbose", |page| {
        page.body.contains("[-] room: failed: ")
    });
    assert_eq!(page.status, 503);
    let page = get(&node.http(), "/metrics");
    assert_eq!(page.sample("noraftd_disk_full"), Some(1.0), "{}", page.body);
    assert_eq!(get(&node.http(), "/livez").status, 200);
    fs::remove_file(&ballast).expect("removed");
    until(&node, "/readyz", |page| page.status == 200);
    assert_eq!(
        get(&node.http(), "/metrics").sample("noraftd_disk_full"),
        Some(0.0)
    );
}

#[test]
fn a_disk_that_does_not_answer_fails_its_check() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = alone(
        dir.path(),
        &[
            "--shadow-disk",
            "seed=1,sync=1000ms",
            "--election-timeout",
            "100ms",
            "--heartbeat",
            "20ms",
        ],
    );
    node.start();
    let mut client = node.client();
    let address = node.http();
    let page = eventually("a batch that is with the disk for too long", || {
        // Something is written all the time.
        client.send(&["SET", "k", "v"]).expect("it is connected");
        Some(get(&address, "/readyz?verbose"))
            .filter(|page| page.body.contains("[-] disk: failed: a batch has been"))
    });
    assert_eq!(page.status, 503);
}

#[test]
fn clients_that_say_nothing_or_read_nothing_hold_up_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = started(dir.path());
    let address = node.http();
    let connect = || TcpStream::connect(&address).expect("it accepts");
    let silent: Vec<TcpStream> = (0..100).map(|_| connect()).collect();
    let halves: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = connect();
            // Those that are closed already may refuse it.
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Endless: ");
            stream
        })
        .collect();
    assert_eq!(get(&address, "/livez").status, 200);
    assert!(get(&address, "/metrics").body.contains("noraftd_term"));
    assert_eq!(node.client().call(&["SET", "k", "v"]), ok());
    let mut oldest = &silent[0];
    oldest
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a socket");
    assert_eq!(
        oldest.read(&mut [0; 8]).expect("its end"),
        0,
        "the oldest is closed"
    );
    drop(halves);
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(64 << 10));
    let mut stream = connect();
    // It is refused while it is sent.
    let _ = stream.write_all(long.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(get(&address, "/livez").status, 200);
}

#[test]
fn a_wrong_address_for_http_ends_the_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = started(&dir.path().join("a"));
    let taken = node.http();
    let mut other = Node::new(
        &dir.path().join("b"),
        &["--id", "1", "--http", &taken].map(String::from),
    );
    let (code, log) = other.start_expecting_refusal();
    assert!(
        code != Some(0) && log.contains(&format!("cannot listen on {taken}")),
        "{code:?}: {log}"
    );
}
