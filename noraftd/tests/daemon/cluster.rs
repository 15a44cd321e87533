//! Three real nodes: any of them serves, and nothing acknowledged is lost when they crash.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::support::client::{Client, bulk, error_text, ok};
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use noraftd::protocol::resp::Value;

/// Repeats a command until it is done; only for commands that may be done twice.
fn insist(mut connect: impl FnMut() -> std::io::Result<Client>, args: &[&str]) -> Value {
    eventually("the command is done", || {
        let reply = connect().ok()?.try_call(args).ok()?;
        (!matches!(reply, Value::Error(_))).then_some(reply)
    })
}

#[test]
fn every_node_takes_every_command_over_tcp_and_unix() {
    for over in [PeersOver::Unix, PeersOver::Tcp] {
        let cluster = Cluster::start(3, over);
        for (n, node) in (0..).zip(&cluster.nodes) {
            assert_eq!(
                node.client().call(&["INCR", "n"]),
                Value::Integer(2 * n + 1),
                "{over:?}"
            );
            assert_eq!(
                node.unix_client().call(&["INCR", "n"]),
                Value::Integer(2 * n + 2),
                "{over:?}"
            );
            for reader in &cluster.nodes {
                assert_eq!(
                    reader.client().call(&["GET", "n"]),
                    bulk(&(2 * n + 2).to_string()),
                    "{over:?}"
                );
            }
        }
        let followers = cluster.followers();
        eventually("all nodes are connected", || {
            let status = cluster.nodes[followers[0]].status()?;
            status
                .connections
                .peers
                .iter()
                .all(|peer| peer.connected)
                .then_some(())
        });
    }
}

#[test]
fn a_pipeline_through_a_follower_is_answered_in_order() {
    let cluster = Cluster::start(3, PeersOver::Unix);
    let mut client = cluster.nodes[cluster.followers()[0]].unix_client();
    for n in 1..=300 {
        client.send(&["INCR", "n"]).expect("sent");
        if n % 50 == 0 {
            client.send(&["GET", "n"]).expect("sent");
        }
    }
    for n in 1..=300 {
        assert_eq!(client.receive().expect("a reply"), Value::Integer(n));
        if n % 50 == 0 {
            assert_eq!(client.receive().expect("a reply"), bulk(&n.to_string()));
        }
    }
}

/// Writes `writer:n` to the nodes, one after the other, and notes what was acknowledged.
pub(crate) struct Writer {
    acknowledged: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Writer {
    fn start(name: usize, sockets: Vec<std::path::PathBuf>) -> Self {
        let (acknowledged, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (noted, stopped) = (Arc::clone(&acknowledged), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut client = None;
            for n in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let key = format!("{name}:{n}");
                let open: &mut Option<Client> = &mut client;
                if open.is_none() {
                    *open = Client::unix(&sockets[n % sockets.len()]).ok();
                }
                match open.as_mut().map(|client| client.try_call(&["SET", &key, &key])) {
                    Some(Ok(reply)) if reply == ok() => noted.lock().expect("no panic").push(key),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => client = None,
                }
            }
        });
        Self {
            acknowledged,
            stop,
            thread,
        }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().expect("no panic").len()
    }

    fn finish(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic");
        std::mem::take(&mut self.acknowledged.lock().expect("no panic"))
    }
}

pub(crate) fn start_writers(cluster: &Cluster) -> Vec<Writer> {
    let sockets: Vec<_> = cluster.nodes.iter().map(|node| node.unix()).collect();
    (0..4).map(|name| Writer::start(name, sockets.clone())).collect()
}

pub(crate) fn wait_for_more(writers: &[Writer]) {
    let before: Vec<_> = writers.iter().map(Writer::count).collect();
    eventually("every writer goes on", || {
        writers
            .iter()
            .zip(&before)
            .all(|(writer, before)| writer.count() > before + 20)
            .then_some(())
    });
}

pub(crate) fn check_all_there(cluster: &Cluster, writers: Vec<Writer>) {
    let acknowledged: Vec<String> = writers.into_iter().flat_map(Writer::finish).collect();
    assert!(acknowledged.len() > 100);
    for node in &cluster.nodes {
        for keys in acknowledged.chunks(500) {
            let args: Vec<&str> = std::iter::once("MGET")
                .chain(keys.iter().map(String::as_str))
                .collect();
            let expected: Vec<Value> = keys.iter().map(|key| bulk(key)).collect();
            assert_eq!(
                insist(|| Client::unix(&node.unix()), &args),
                Value::Array(expected)
            );
        }
    }
}

#[test]
fn acknowledged_writes_survive_the_kill_of_the_leader() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    let writers = start_writers(&cluster);
    for _ in 0..2 {
        wait_for_more(&writers);
        let leader = cluster.leader();
        cluster.nodes[leader].kill();
        wait_for_more(&writers);
        cluster.nodes[leader].start();
    }
    check_all_there(&cluster, writers);
}

#[test]
fn acknowledged_writes_survive_the_kill_of_all_nodes() {
    let mut cluster = Cluster::start(3, PeersOver::Tcp);
    let writers = start_writers(&cluster);
    wait_for_more(&writers);
    cluster.nodes.iter_mut().for_each(|node| node.kill());
    cluster.nodes.iter_mut().for_each(|node| node.start());
    wait_for_more(&writers);
    check_all_there(&cluster, writers);
}

#[test]
fn every_node_stops_in_order_and_comes_back() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    assert_eq!(
        insist(|| Client::unix(&cluster.nodes[0].unix()), &["SET", "k", "v"]),
        ok()
    );
    for node in &mut cluster.nodes {
        assert_eq!(node.stop(), Some(0), "{}", node.log());
    }
    cluster.nodes.iter_mut().for_each(|node| node.start());
    cluster.leader();
    assert_eq!(
        insist(|| Client::unix(&cluster.nodes[2].unix()), &["GET", "k"]),
        bulk("v")
    );
    assert!(
        cluster
            .nodes
            .iter()
            .all(|node| !node.log().contains("abstaining")),
        "a clean stop leaves no doubt"
    );
}

#[test]
fn a_minority_refuses_or_doubts_but_never_acknowledges() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    let (leader, followers) = (cluster.leader(), cluster.followers());
    for at in followers {
        cluster.nodes[at].kill();
    }
    let mut client = cluster.nodes[leader].client();
    for args in [vec!["SET", "k", "v"], vec!["GET", "k"], vec!["INCR", "n"]] {
        error_text(&client.call(&args));
    }
}

/// Where a node says that clients reach it.
fn port_of(node: &crate::support::node::Node) -> String {
    node.tcp.rsplit_once(':').expect("HOST:PORT").1.to_owned()
}

#[test]
fn nodes_report_where_clients_reach_the_others() {
    let cluster = Cluster::start(3, PeersOver::Unix);
    let leader = cluster.leader();
    let port = port_of(&cluster.nodes[leader]);
    for follower in cluster.followers() {
        let mut client = cluster.nodes[follower].client();
        eventually("the follower names the leader's address", || {
            let info = match client.call(&["INFO", "replication"]) {
                Value::Bulk(text) => String::from_utf8(text.to_vec()).expect("INFO is text"),
                other => panic!("{other:?}"),
            };
            let link = format!("master_host:127.0.0.1\r\nmaster_port:{port}\r\nmaster_link_status:up\r\n");
            info.contains(&link).then_some(())
        });
        let Value::Array(role) = client.call(&["ROLE"]) else {
            panic!("ROLE answers an array")
        };
        assert_eq!(role[1], Value::Bulk("127.0.0.1".into()));
        assert_eq!(role[2], Value::Integer(port.parse().expect("a port")));
    }
    let mut client = cluster.nodes[leader].client();
    let expected: Vec<String> = cluster
        .followers()
        .into_iter()
        .map(|at| format!("ip=127.0.0.1,port={},state=online,", port_of(&cluster.nodes[at])))
        .collect();
    eventually("the leader names its followers' addresses", || {
        let info = format!("{:?}", client.call(&["INFO", "replication"]));
        expected
            .iter()
            .all(|address| info.contains(address))
            .then_some(())
    });
}

#[test]
fn a_follower_that_hears_no_leader_names_none() {
    let mut cluster = Cluster::start(3, PeersOver::Unix);
    let followers = cluster.followers();
    let leader = cluster.leader();
    let alone = followers[0];
    cluster.nodes[leader].signal(nix::sys::signal::Signal::SIGSTOP);
    cluster.nodes[followers[1]].kill();
    let mut client = cluster.nodes[alone].client();
    eventually("the follower says that the link is down", || {
        let info = format!("{:?}", client.call(&["INFO", "replication"]));
        info.contains("master_link_status:down").then_some(())
    });
    assert_eq!(cluster.nodes[alone].status().expect("a status").view.leader, None);
    // Nothing is sent to a leader that is not heard, so a write is refused definitely.
    let refused = client.call(&["SET", "k", "v"]);
    assert!(error_text(&refused).starts_with("CLUSTERDOWN "), "{refused:?}");
    cluster.nodes[leader].signal(nix::sys::signal::Signal::SIGCONT);
}
