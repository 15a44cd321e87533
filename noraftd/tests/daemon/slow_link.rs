//! Large values over slow links between the nodes: the leader stays, and everything ends.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::support::client::ok;
use crate::support::eventually;
use crate::support::node::Node;
use noraftd::protocol::resp::Value;

/// What a link carries.
const BYTES_PER_SECOND: u64 = 5_000_000;
/// Taken from the link at once: a few milliseconds' worth, in which the other connections wait.
const CHUNK_BYTES: usize = 16 << 10;

/// A link of limited speed to `target`, for all connections together; the address to dial instead.
fn slow_link(target: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let wire = Arc::new(Mutex::new(now()));
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            // Not there yet: the node that dials tries again.
            let Ok(far) = TcpStream::connect(&target) else {
                continue;
            };
            let both = (near.try_clone(), far.try_clone());
            let (Ok(near_back), Ok(far_back)) = both else {
                continue;
            };
            let wire = Arc::clone(&wire);
            std::thread::spawn(move || carry(near, far, Some(&wire)));
            std::thread::spawn(move || carry(far_back, near_back, None));
        }
    });
    address
}

/// Carries one direction until it ends; at the wire's speed, where there is one.
#[expect(
    clippy::disallowed_methods,
    reason = "a link takes time, and nothing signals its end"
)]
fn carry(mut from: TcpStream, mut to: TcpStream, wire: Option<&Mutex<Instant>>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(read @ 1..) = from.read(&mut chunk) {
        if let Some(wire) = wire {
            let takes = Duration::from_nanos(read as u64 * 1_000_000_000 / BYTES_PER_SECOND);
            // In the order of arrival: the wire is free again when this has left.
            let mut free_at = wire.lock().unwrap_or_else(PoisonError::into_inner);
            *free_at = (*free_at).max(now()) + takes;
            let left_at = *free_at;
            drop(free_at);
            std::thread::sleep(left_at.saturating_duration_since(now()));
        }
        if to.write_all(&chunk[..read]).is_err() {
            break;
        }
    }
    // The other direction ends as well, whichever end is gone.
    let _ = (
        from.shutdown(std::net::Shutdown::Both),
        to.shutdown(std::net::Shutdown::Both),
    );
}

#[expect(clippy::disallowed_methods, reason = "a link of this test has a speed")]
fn now() -> Instant {
    Instant::now()
}

/// The default, and much less than the six seconds that two such values take on a link.
const ELECTION_TIMEOUT: &str = "500ms";

fn free_address() -> String {
    let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
    held.local_addr().expect("bound").to_string()
}

fn slow_cluster(dir: &std::path::Path) -> Vec<Node> {
    let addresses: Vec<String> = (0..3).map(|_| free_address()).collect();
    let mut nodes: Vec<Node> = (0..3)
        .map(|at| {
            let mut args: Vec<String> = [
                "--election-timeout",
                ELECTION_TIMEOUT,
                "--request-timeout",
                "120s",
                "--segment-bytes",
                "64MiB",
                "--snapshot-log-bytes",
                "1GiB",
            ]
            .map(String::from)
            .to_vec();
            args.extend(["--id".to_owned(), (at + 1).to_string()]);
            args.extend(["--peer-listen".to_owned(), addresses[at].clone()]);
            for (to, address) in addresses.iter().enumerate() {
                let dialled = if to == at {
                    address.clone()
                } else {
                    slow_link(address.clone())
                };
                args.extend(["--peer".to_owned(), format!("{}={dialled}", to + 1)]);
            }
            Node::new(&dir.join(format!("n{}", at + 1)), &args)
        })
        .collect();
    nodes.iter_mut().for_each(Node::start);
    nodes
}

fn leader_of(nodes: &[Node]) -> (usize, u64) {
    eventually("a leader that all know", || {
        let views: Vec<_> = nodes.iter().filter_map(Node::status).collect();
        let leader = views.iter().find(|view| view.view.role == "leader")?;
        let all = views.iter().all(|view| view.view.leader == Some(leader.id));
        (all && views.len() == nodes.len()).then_some((leader.id as usize - 1, leader.view.term))
    })
}

#[test]
fn values_of_16_mib_over_slow_links_depose_no_leader() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut nodes = slow_cluster(dir.path());
    let (leader, term) = leader_of(&nodes);
    let mut small = nodes[leader].client();
    let mut large = nodes[leader].client();
    let value = "v".repeat((16 << 20) - 4096);
    for n in 0..2 {
        large
            .send(&["SET", &format!("large{n}"), &value])
            .expect("the node reads");
    }
    for n in 0..20 {
        assert_eq!(small.call(&["SET", "small", &n.to_string()]), ok());
        assert!(matches!(small.call(&["GET", "small"]), Value::Bulk(_)));
    }
    for n in 0..2 {
        assert_eq!(large.receive().expect("an answer"), ok(), "large value {n}");
    }
    assert_eq!(leader_of(&nodes), (leader, term), "the leader stayed in office");
    drop((small, large));
    for node in &mut nodes {
        assert_eq!(node.stop(), Some(0), "{}", node.log());
    }
}
