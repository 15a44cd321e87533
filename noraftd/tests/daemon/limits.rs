//! What the system lets a node have, and what clients can take of it.

use crate::support::client::{Client, bulk, encode, error_text, ok};
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::support::node::Node;
use noraftd::protocol::resp::Value;

/// Small segments and frequent snapshots: descriptors are needed all the time.
const BUSY_LOG: [&str; 4] = ["--segment-bytes", "256KiB", "--snapshot-log-bytes", "256KiB"];

fn clients_max(client: &mut Client) -> usize {
    let Value::Bulk(info) = client.call(&["INFO", "clients"]) else {
        panic!("INFO is a text");
    };
    let info = String::from_utf8_lossy(&info).into_owned();
    let line = info.lines().find_map(|line| line.strip_prefix("maxclients:"));
    line.expect("INFO names it").parse().expect("a number")
}

/// Connects until a client is refused.
fn fill(node: &Node) -> Vec<Client> {
    let mut held = Vec::new();
    loop {
        let mut client = node.client();
        if client.send(&["PING"]).is_err() {
            return held;
        }
        match client.receive() {
            Ok(Value::Status(_)) => held.push(client),
            Ok(refused) => {
                assert_eq!(error_text(&refused), "ERR max number of clients reached");
                return held;
            }
            // The refusal was overtaken by the end of the connection.
            Err(_) => return held,
        }
        assert!(held.len() < 4096, "no client is refused");
    }
}

#[test]
fn clients_leave_the_log_and_its_snapshots_their_descriptors() {
    let dir = tempfile::tempdir().expect("a directory");
    let args = [["--id", "1"].as_slice(), &BUSY_LOG].concat();
    let mut node = Node::new(
        dir.path(),
        &args.iter().map(ToString::to_string).collect::<Vec<_>>(),
    );
    node.limit_files(192);
    node.start();
    node.wait_for_leader();
    let mut writer = node.client();
    let most = clients_max(&mut writer);
    assert!((16..150).contains(&most), "{most} clients of 192 descriptors");
    let mut idle = fill(&node);
    assert_eq!(idle.len() + 1, most, "as many as INFO says");
    let value = "x".repeat(1000);
    for n in 0..3000 {
        let key = format!("k{}", n % 50);
        assert_eq!(writer.call(&["SET", &key, &value]), ok(), "write {n}");
    }
    assert!(
        node.log().contains("took a snapshot"),
        "segments and snapshots were needed: {}",
        node.log()
    );
    idle.truncate(most / 2);
    eventually("a seat is free again", || {
        node.client()
            .try_call(&["GET", "k0"])
            .ok()
            .filter(|reply| *reply == bulk(&value))
    });
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn idle_clients_do_not_end_a_cluster() {
    let mut cluster = Cluster::start_with_files(3, PeersOver::Tcp, &BUSY_LOG, 192);
    let (leader, follower) = (cluster.leader(), cluster.followers()[0]);
    let mut writer = cluster.nodes[leader].client();
    let idle: Vec<Vec<Client>> = cluster.nodes.iter().map(fill).collect();
    assert!(idle.iter().all(|held| held.len() > 16));
    for n in 0..1500 {
        assert_eq!(
            writer.call(&["SET", &format!("k{}", n % 9), &"y".repeat(1000)]),
            ok()
        );
    }
    // A peer that comes back is connected to, although clients hold whatever they can.
    cluster.nodes[follower].kill();
    cluster.nodes[follower].start();
    assert_eq!(writer.call(&["SET", "after", "1"]), ok());
    let applied = |node: &Node| node.status().map(|status| status.log.applied_index);
    eventually("the node that was away has caught up", || {
        (applied(&cluster.nodes[follower])? >= 1500).then_some(())
    });
    drop((writer, idle));
    for node in &mut cluster.nodes {
        assert_eq!(node.stop(), Some(0), "{}", node.log());
    }
}

#[test]
fn a_limit_too_small_to_work_with_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(dir.path());
    node.limit_files(48);
    let (code, log) = node.start_expecting_refusal();
    assert_eq!(code, Some(71), "{log}");
    assert!(log.contains("the limit of open files is 48"), "{log}");
}

/// Files of the node's log: on its disk, and those that its process has a descriptor of.
fn segments(node: &Node) -> (usize, usize) {
    let is_segment = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("segment-");
    let files = std::fs::read_dir(node.dir.join("data")).expect("a directory");
    let files = files.filter(|file| is_segment(&file.as_ref().expect("an entry").file_name()));
    let open = std::fs::read_dir(format!("/proc/{}/fd", node.id())).expect("it runs");
    let targets = open.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    let open = targets.filter(|target| target.file_name().is_some_and(is_segment));
    (files.count(), open.count())
}

#[test]
fn a_log_that_grows_takes_no_more_descriptors() {
    let dir = tempfile::tempdir().expect("a directory");
    let args = [
        "--id",
        "1",
        "--segment-bytes",
        "256KiB",
        "--snapshot-log-bytes",
        "1GiB",
    ];
    let mut node = Node::new(dir.path(), &args.map(String::from));
    node.limit_files(160);
    node.start();
    node.wait_for_leader();
    let mut writer = node.client();
    let mut idle = fill(&node);
    let value = "x".repeat(100_000);
    for n in 0..220 {
        let key = format!("k{}", n % 3);
        assert_eq!(writer.call(&["SET", &key, &value]), ok(), "write {n}");
    }
    let (files, open) = segments(&node);
    assert!(files > 100, "{files} segments");
    assert!(open <= 6, "{open} of {files} segments are open");
    idle.clear();
    node.kill();
    node.start();
    node.wait_for_leader();
    let (files, open) = segments(&node);
    assert!(files > 100 && open <= 6, "{open} of {files} segments are open");
    assert_eq!(node.client().call(&["GET", "k0"]), bulk(&value));
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn clients_leave_seats_to_operators() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(dir.path());
    node.limit_files(192);
    node.start();
    node.wait_for_leader();
    let admin = dir.path().join("data/admin.sock");
    let operator = || Client::unix(&admin).expect("the socket is there");
    let mut first = operator();
    assert_eq!(first.call(&["NORAFT.SNAPSHOT"]), ok());
    let mut clients = fill(&node);
    let most = clients_max(&mut clients[0]);
    assert_eq!(clients.len(), most, "who gives orders takes no client's seat");
    let mut others: Vec<Client> = (1..OPERATORS).map(|_| operator()).collect();
    for other in &mut others {
        assert_eq!(other.call(&["NORAFT.SNAPSHOT"]), ok());
    }
    let mut one_more = operator();
    let refused = one_more.try_call(&["PING"]);
    assert!(
        refused
            .as_ref()
            .map_or(true, |reply| error_text(reply).contains("max number")),
        "{refused:?}"
    );
    drop((others, one_more));
    eventually("a seat is free again", || {
        let reply = operator().try_call(&["NORAFT.SNAPSHOT"]).ok()?;
        (reply == ok()).then_some(())
    });
    assert_eq!(node.stop(), Some(0));
}

/// Connections to `admin.sock` that a node takes at once.
const OPERATORS: usize = 8;

#[test]
fn memory_that_the_system_does_not_give_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(dir.path());
    node.limit_memory(400_000);
    node.start();
    node.wait_for_leader();
    let (mut client, value) = (node.client(), "x".repeat(500_000));
    let acknowledged = (0..4000).take_while(|n| {
        let reply = client.try_call(&["SET", &format!("k{n}"), &value]);
        reply.is_ok_and(|reply| reply == ok())
    });
    let acknowledged = acknowledged.count();
    assert!((1..4000).contains(&acknowledged), "{acknowledged} writes");
    assert_eq!(node.wait().code(), Some(71), "{}", node.log());
    assert!(node.log().contains("gives no more memory"), "{}", node.log());
    node.lift_limit();
    node.start();
    node.wait_for_leader();
    let last = format!("k{}", acknowledged - 1);
    assert_eq!(node.client().call(&["GET", &last]), bulk(&value));
    assert_eq!(node.stop(), Some(0));
}

/// Memory that the process had at most, in MiB.
fn memory_peak(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.expect("a number of KiB") / 1024
}

fn node_with_a_large_value() -> (tempfile::TempDir, Node) {
    let dir = tempfile::tempdir().expect("a directory");
    let args = ["--id", "1", "--segment-bytes", "32MiB"].map(String::from);
    let mut node = Node::new(dir.path(), &args);
    node.start();
    node.wait_for_leader();
    assert_eq!(node.client().call(&["SET", "large", &"x".repeat(1 << 20)]), ok());
    (dir, node)
}

#[test]
fn a_client_that_reads_all_the_time_gets_every_reply() {
    let (_dir, mut node) = node_with_a_large_value();
    let mut client = node.client();
    let requests = encode(&["GET", "large"]).repeat(300);
    client.send_raw(&requests).expect("a few KiB fit a socket");
    for n in 0..300 {
        match client.receive() {
            Ok(Value::Bulk(value)) => assert_eq!(value.len(), 1 << 20, "reply {n}"),
            other => panic!("reply {n}: {other:?}"),
        }
    }
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn clients_that_do_not_read_cost_little_and_keep_no_other_waiting() {
    let (_dir, mut node) = node_with_a_large_value();
    let before = memory_peak(node.id());
    let deaf: Vec<Client> = (0..40)
        .map(|_| {
            let mut client = node.client();
            let requests = encode(&["GET", "large"]).repeat(1024);
            client.send_raw(&requests).expect("a few KiB fit a socket");
            client
        })
        .collect();
    let mut other = node.client();
    for n in 0..100 {
        assert_eq!(other.call(&["SET", "k", &n.to_string()]), ok());
    }
    let grown = memory_peak(node.id()) - before;
    assert!(grown < 400, "{grown} MiB for {} clients", deaf.len());
    assert_eq!(node.status().expect("it answers").connections.clients, 42);
    drop(deaf);
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn requests_that_do_not_arrive_share_a_budget_and_end() {
    let (_dir, mut node) = node_with_a_large_value();
    let before = memory_peak(node.id());
    let (ended, ends) = std::sync::mpsc::channel();
    for _ in 0..60 {
        let (mut client, ended) = (node.client(), ended.clone());
        std::thread::spawn(move || {
            let part = [
                b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$16000000\r\n".to_vec(),
                vec![b'x'; 15_000_000],
            ];
            // The node may have ended the connection before it took everything.
            let _ = client.send_raw(&part.concat());
            let _ = ended.send(client.receive());
        });
    }
    // Nothing is waited for but the node's own deadlines, which come sooner when memory is short.
    let first = ends.recv().expect("a client is answered");
    if let Ok(reply) = &first {
        assert!(error_text(reply).contains("did not arrive in time"), "{reply:?}");
    }
    let grown = memory_peak(node.id()) - before;
    assert!(grown < 700, "{grown} MiB for 900 MB of parts");
    assert_eq!(node.client().call(&["SET", "k", "v"]), ok());
    assert_eq!(node.stop(), Some(0));
}
