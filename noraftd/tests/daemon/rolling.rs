//! A running cluster of the first release is changed over to nodes that require proof, one node at a time.
//!
//! Needs the first release's program: `NORAFTD_OLD=/path/to/noraftd cargo test -p noraftd --test daemon rolling::`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::client::{Client, bulk, ok};
use crate::support::eventually;
use crate::support::guarded::{CLUSTER, SECRET, all_proven, secret_file};
use crate::support::node::Node;
use crate::support::program::{noraftd, said};
use crate::support::skip::skip;

/// How a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The first release, which knows of no secret.
    Old,
    Accept,
    Require,
}

struct Rolling {
    dir: PathBuf,
    old: PathBuf,
    secret: String,
    /// For clients and for peers: the same before and after.
    addresses: Vec<(String, String)>,
    nodes: Vec<Node>,
    written: u64,
}

impl Rolling {
    fn start(dir: &Path, old: PathBuf) -> Self {
        let held: Vec<_> = (0..6)
            .map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("a free port"))
            .collect();
        let name = |at: usize| held[at].local_addr().expect("bound").to_string();
        let mut rolling = Self {
            dir: dir.to_owned(),
            old,
            secret: secret_file(dir, "secret", SECRET).display().to_string(),
            addresses: (0..3).map(|at| (name(at), name(at + 3))).collect(),
            nodes: Vec::new(),
            written: 0,
        };
        drop(held);
        rolling.nodes = (0..3).map(|at| rolling.node(at, Step::Old)).collect();
        rolling.nodes.iter_mut().for_each(Node::start);
        rolling
    }

    fn node(&self, at: usize, step: Step) -> Node {
        let mut args = ["--segment-bytes", "1MiB", "--cluster", CLUSTER]
            .map(String::from)
            .to_vec();
        args.extend([
            "--id".to_owned(),
            (at + 1).to_string(),
            "--listen".to_owned(),
            self.addresses[at].0.clone(),
        ]);
        for (peer, (_, address)) in (1..).zip(&self.addresses) {
            args.extend(["--peer".to_owned(), format!("{peer}={address}")]);
        }
        let mode = match step {
            Step::Old => None,
            Step::Accept => Some("accept"),
            Step::Require => Some("require"),
        };
        if let Some(mode) = mode {
            args.extend(["--peer-secret-file", &self.secret, "--peer-auth", mode].map(String::from));
        }
        let mut node = Node::new(&self.dir.join(format!("n{}", at + 1)), &args);
        if step == Step::Old {
            node.use_program(&self.old);
        }
        node
    }

    /// Stops a node in order and starts it as `step` has it; the cluster goes on.
    fn roll(&mut self, at: usize, step: Step) {
        assert_eq!(self.nodes[at].stop(), Some(0));
        self.write(&format!("without node {}", at + 1));
        self.nodes[at] = self.node(at, step);
        self.nodes[at].start();
        self.write(&format!("node {} is {step:?}", at + 1));
        // It takes part: what it answers it has from the leader.
        let last = format!("key {}", self.written);
        eventually("the node has caught up", || {
            let mut client = Client::tcp(&self.addresses[at].0).ok()?;
            (client.try_call(&["GET", &last]).ok()? == bulk("v")).then_some(())
        });
    }

    /// Writes at whatever node takes it.
    fn write(&mut self, when: &str) {
        self.written += 1;
        let key = format!("key {}", self.written);
        eventually(when, || {
            self.addresses.iter().find_map(|(address, _)| {
                let reply = Client::tcp(address).ok()?.try_call(&["SET", &key, "v"]).ok()?;
                (reply == ok()).then_some(())
            })
        });
    }
}

#[test]
fn a_cluster_of_the_first_release_is_rolled_over_to_require_without_a_stop() {
    let Some(old) = std::env::var_os("NORAFTD_OLD").map(PathBuf::from) else {
        skip("NORAFTD_OLD does not name the program of the first release");
        return;
    };
    let dir = tempfile::tempdir().expect("a directory");
    let mut rolling = Rolling::start(dir.path(), old);
    rolling.write("as it was");
    let addresses: Vec<String> = rolling
        .addresses
        .iter()
        .map(|(client, _)| client.clone())
        .collect();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| write_all_the_time(&addresses, &is_over));
        (0..3).for_each(|at| rolling.roll(at, Step::Accept));
        eventually("every link is proven", || all_proven(&rolling.nodes));
        // There is a way back as long as the others accept.
        rolling.roll(1, Step::Old);
        rolling.roll(1, Step::Accept);
        (0..3).for_each(|at| rolling.roll(at, Step::Require));
        eventually("every link is proven", || all_proven(&rolling.nodes));
        is_over.store(true, Ordering::SeqCst);
        let acknowledged = writer.join().expect("no panic");
        assert!(!acknowledged.is_empty(), "it wrote meanwhile");
        let mut client = rolling.nodes[0].client();
        for key in acknowledged {
            assert_eq!(client.call(&["GET", &key]), bulk("v"), "{key} was acknowledged");
        }
    });
    for node in &rolling.nodes {
        assert_eq!(node.status().expect("a status").connections.peer_auth, "require");
    }
    // A node of the first release does not come in any more; and comes back as one that proves itself.
    assert_eq!(rolling.nodes[2].stop(), Some(0));
    rolling.nodes[2] = rolling.node(2, Step::Old);
    rolling.nodes[2].start();
    eventually("it is refused", || {
        rolling.nodes[0]
            .log()
            .contains("node 3 is refused: it does not prove itself")
            .then_some(())
    });
    rolling.write("without it");
    rolling.roll(2, Step::Require);
}

/// What was acknowledged while the nodes come and go. Any other answer proves nothing.
fn write_all_the_time(addresses: &[String], is_over: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for (n, address) in addresses.iter().cycle().enumerate() {
        if is_over.load(Ordering::SeqCst) {
            break;
        }
        let key = format!("all the time {n}");
        let reply = Client::tcp(address).and_then(|mut client| client.try_call(&["SET", &key, "v"]));
        if reply.is_ok_and(|reply| reply == ok()) {
            acknowledged.push(key);
        }
        thread::yield_now();
    }
    acknowledged
}

/// Until the level rises, the first release opens what this version wrote; afterwards no other node listens to it.
#[test]
fn a_node_goes_back_to_the_first_release_until_the_level_rises() {
    let Some(old) = std::env::var_os("NORAFTD_OLD").map(PathBuf::from) else {
        skip("NORAFTD_OLD does not name the program of the first release");
        return;
    };
    let dir = tempfile::tempdir().expect("a directory");
    let mut rolling = Rolling::start(dir.path(), old);
    let upgrade = |rolling: &Rolling| {
        let secret = rolling.secret.clone();
        let output = noraftd(&["upgrade", &rolling.addresses[0].0, "--peer-secret-file", &secret]);
        (output.status.code(), said(&output))
    };
    // More than a segment, so that snapshots and seals are among what is read again.
    let fill = |rolling: &mut Rolling, what: &str| {
        for n in 0..30 {
            let value = "v".repeat(100_000);
            eventually(what, || {
                let mut client = Client::tcp(&rolling.addresses[0].0).ok()?;
                let reply = client.try_call(&["SET", &format!("large {n}"), &value]).ok()?;
                (reply == ok()).then_some(())
            });
        }
    };
    (0..2).for_each(|at| rolling.roll(at, Step::Accept));
    fill(&mut rolling, "two new ones and an old one");
    let (code, text) = upgrade(&rolling);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("node 3 supports level 0"), "{text}");
    (0..2).for_each(|at| rolling.roll(at, Step::Old));
    fill(&mut rolling, "all of the first release again");
    (0..3).for_each(|at| rolling.roll(at, Step::Accept));
    fill(&mut rolling, "all new");
    (1..3).for_each(|at| rolling.roll(at, Step::Old));
    (1..3).for_each(|at| rolling.roll(at, Step::Accept));
    eventually("it rises", || (upgrade(&rolling).0 == Some(0)).then_some(()));
    assert_eq!(rolling.nodes[2].stop(), Some(0));
    rolling.nodes[2] = rolling.node(2, Step::Old);
    rolling.nodes[2].start();
    eventually("it is refused", || {
        let refused = "node 3 is refused: it supports level 0, and the cluster is at level 1";
        rolling.nodes[0].log().contains(refused).then_some(())
    });
    rolling.write("without it");
    rolling.roll(2, Step::Accept);
}
