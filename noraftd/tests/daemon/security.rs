//! Attackers that reach a node's ports and do not know the secret: real processes, hostile bytes.

use std::net::{TcpListener, TcpStream};
use std::path::Path;

use crate::support::client::ok;
use crate::support::eventually;
use crate::support::guarded::{CLUSTER, OTHER, SECRET, all_proven, guarded, secret_file};
use crate::support::node::Node;
use crate::support::tamper::{Tamper, TamperingProxy};
use bytes::BytesMut;
use noraft::{LogIndex, LogPosition, NodeId, Term};
use noraftd::config::cluster_id;
use noraftd::local::status::StatusReport;
use noraftd::protocol::peer::{
    Challenge, Extensions, Features, Hello, HelloReply, Lane, PeerFrame, PeerMessage, ProofOfSecret, Reject,
    SharedSettings,
};
use noraftd::protocol::seal::SessionKeys;
use noraftd::secret::Secrets;

fn peer_address(node: &Node, id: u64) -> String {
    let prefix = format!("{id}=");
    let settings = node.settings();
    let found = settings.iter().find_map(|word| word.strip_prefix(&prefix));
    found.expect("every node has every address").to_owned()
}

fn frame(frame: &PeerFrame) -> BytesMut {
    let mut out = BytesMut::new();
    frame.encode(cluster_id(CLUSTER), Features::NONE, &mut out);
    out
}

/// What a node knows of itself, and an attacker of it; all but the secret.
struct Known {
    from: u64,
    to: u64,
    incarnation: u64,
    term: u64,
}

impl Known {
    fn hello(&self, nonce: Option<[u8; 32]>) -> BytesMut {
        self.hello_on(Lane::First, nonce)
    }

    fn hello_on(&self, lane: Lane, nonce: Option<[u8; 32]>) -> BytesMut {
        frame(&PeerFrame::Hello(Hello {
            cluster_id: cluster_id(CLUSTER),
            from: NodeId::new(self.from),
            to: NodeId::new(self.to),
            incarnation: self.incarnation,
            extensions: Extensions {
                nonce,
                ..Extensions::ours(SharedSettings::default()).on(lane)
            },
        }))
    }

    fn forged(&self) -> BytesMut {
        frame(&PeerFrame::Message(PeerMessage::RequestVote {
            term: Term::new(self.term + 1000),
            last_position: LogPosition {
                term: Term::new(self.term + 1000),
                index: LogIndex::new(1 << 40),
            },
            unanimous: true,
        }))
    }
}

/// A connection to a peer port.
struct Attacker {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Attacker {
    fn reach(address: &str) -> Self {
        Self {
            stream: TcpStream::connect(address).expect("the port is open"),
            buffer: BytesMut::new(),
        }
    }

    /// What is said after the end of the connection is lost, which is no fault.
    fn say(&mut self, bytes: &[u8]) {
        use std::io::Write;
        let _ = self.stream.write_all(bytes);
    }

    /// The next frame; `None` at the end of the connection.
    fn hear(&mut self) -> Option<(PeerFrame, BytesMut)> {
        use std::io::Read;
        loop {
            let mut bytes = self.buffer.clone();
            let decoded = PeerFrame::decode(cluster_id(CLUSTER), &mut self.buffer);
            if let Some(frame) = decoded.expect("a node sends frames") {
                bytes.truncate(bytes.len() - self.buffer.len());
                return Some((frame, bytes));
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
            }
        }
    }

    fn hears_only(&mut self, reject: Option<Reject>) {
        if let Some(reject) = reject {
            let (heard, _) = self.hear().expect("an answer");
            assert_eq!(heard, PeerFrame::Reject(reject));
        }
        assert!(self.hear().is_none(), "and then the end");
    }
}

fn proof_of(proofs: Vec<[u8; 16]>) -> BytesMut {
    frame(&PeerFrame::Proof(ProofOfSecret { proofs }))
}

fn keys_for(secret: &Path, hello: &[u8], challenge: &[u8]) -> SessionKeys {
    let secrets = Secrets::read(secret).expect("a secret");
    SessionKeys::derive(secrets.iter().next().expect("one"), hello, challenge)
}

#[test]
fn an_attacker_who_knows_everything_but_the_secret_gets_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let cluster = guarded(dir.path());
    let lead = cluster.leader();
    let statuses: Vec<StatusReport> = cluster
        .nodes
        .iter()
        .map(|node| node.status().expect("a status"))
        .collect();
    let impersonated = (lead + 1) % 3;
    let known = Known {
        from: statuses[impersonated].id,
        to: statuses[lead].id,
        incarnation: u64::from_str_radix(&statuses[impersonated].incarnation, 16).expect("hex"),
        term: statuses[lead].view.term,
    };
    let address = peer_address(&cluster.nodes[lead], known.to);
    let nonce = Some([7; 32]);

    let mut without_offer = Attacker::reach(&address);
    without_offer.say(&[known.hello(None), known.forged()].concat());
    without_offer.hears_only(Some(Reject::Unproven));

    for proofs in [vec![[0; 16]], vec![[0; 16], [0xff; 16]]] {
        let mut guessing = Attacker::reach(&address);
        guessing.say(&known.hello(nonce));
        assert!(matches!(guessing.hear(), Some((PeerFrame::Challenge(_), _))));
        guessing.say(&[proof_of(proofs), known.forged()].concat());
        guessing.hears_only(Some(Reject::Secret));
    }

    let other = secret_file(dir.path(), "other", OTHER);
    let mut with_another = Attacker::reach(&address);
    let hello = known.hello(nonce);
    with_another.say(&hello);
    let (_, challenge) = with_another.hear().expect("a challenge");
    with_another.say(&proof_of(vec![keys_for(&other, &hello, &challenge).proof]));
    with_another.hears_only(Some(Reject::Secret));

    let mut instead_of_a_proof = Attacker::reach(&address);
    instead_of_a_proof.say(&known.hello(nonce));
    assert!(matches!(
        instead_of_a_proof.hear(),
        Some((PeerFrame::Challenge(_), _))
    ));
    instead_of_a_proof.say(&known.forged());
    instead_of_a_proof.hears_only(None);

    let mut without_a_word = Attacker::reach(&address);
    without_a_word.say(&known.forged());
    without_a_word.hears_only(None);

    let mut huge = Attacker::reach(&address);
    huge.say(&[&(32_u32 << 20).to_le_bytes()[..], &[1, 1], &[0; 30]].concat());
    huge.hears_only(None);

    let after = cluster.nodes[lead].status().expect("a status");
    assert_eq!(
        (after.view.term, after.view.role),
        (known.term, "leader".to_owned())
    );
    assert_eq!(cluster.nodes[lead].client().call(&["SET", "k", "v"]), ok());
}

/// An attacker who knows the secret is a node; but a frame that no node would send still ends there.
#[test]
fn a_node_that_proves_itself_and_then_repeats_a_frame_is_cut_off() {
    let dir = tempfile::tempdir().expect("a directory");
    let cluster = guarded(dir.path());
    let lead = cluster.leader();
    let known = known_of(&cluster.nodes, (lead + 1) % 3, lead);
    let address = peer_address(&cluster.nodes[lead], known.to);
    // The node whose name it has may come back meanwhile, which ends the attacker's connection: then once more.
    eventually("the reason is in the log", || {
        repeat_a_frame(&known, &address, &dir.path().join("secret"));
        let log = cluster.nodes[lead].log();
        log.contains("the frame's seal does not fit").then_some(())
    });
}

fn repeat_a_frame(known: &Known, address: &str, secret: &Path) {
    let mut node = Attacker::reach(address);
    let hello = known.hello(Some([7; 32]));
    node.say(&hello);
    let (_, challenge) = node.hear().expect("a challenge");
    let keys = keys_for(secret, &hello, &challenge);
    node.say(&proof_of(vec![keys.proof]));
    let mut sealed = BytesMut::new();
    let harmless = PeerFrame::Message(PeerMessage::Vote {
        term: Term::ZERO,
        granted: false,
    });
    keys.to_acceptor()
        .append(&mut sealed, |out| out.extend_from_slice(&frame(&harmless)));
    node.say(&sealed);
    node.say(&sealed);
    // The reply itself is sealed, and so no frame that an outsider can read.
    use std::io::Read;
    let mut rest = Vec::new();
    let _ = node.stream.read_to_end(&mut rest);
    assert!(!rest.is_empty(), "the node consented first");
}

/// Three nodes; what is sent to the second passes an attacker.
fn with_a_man_in_the_middle(dir: &Path) -> (Vec<Node>, TamperingProxy) {
    let secret = secret_file(dir, "secret", SECRET).display().to_string();
    let held: Vec<_> = (0..3)
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("a free port"))
        .collect();
    let addresses: Vec<String> = held
        .iter()
        .map(|socket| socket.local_addr().expect("bound").to_string())
        .collect();
    drop(held);
    let proxy = TamperingProxy::start(&addresses[1]);
    let mut nodes: Vec<Node> = (1..=3)
        .map(|id| {
            let mut args = [
                "--segment-bytes",
                "1MiB",
                "--cluster",
                CLUSTER,
                "--peer-secret-file",
                &secret,
            ]
            .map(String::from)
            .to_vec();
            args.extend(["--id".to_owned(), id.to_string()]);
            for (peer, address) in (1..).zip(&addresses) {
                let address = if peer == 2 && id != 2 {
                    proxy.address()
                } else {
                    address
                };
                args.extend(["--peer".to_owned(), format!("{peer}={address}")]);
            }
            Node::new(&dir.join(format!("n{id}")), &args)
        })
        .collect();
    nodes.iter_mut().for_each(Node::start);
    (nodes, proxy)
}

#[test]
fn what_is_altered_repeated_left_out_moved_or_injected_on_the_way_ends_the_connection() {
    let dir = tempfile::tempdir().expect("a directory");
    let (nodes, proxy) = with_a_man_in_the_middle(dir.path());
    nodes[0].wait_for_leader();
    for tamper in Tamper::ALL {
        eventually("the links are up", || all_proven(&nodes));
        let before = proxy.ended();
        proxy.tamper(tamper);
        eventually("node 2 ends the connection", || {
            (proxy.ended() > before).then_some(())
        });
        assert!(proxy.has_tampered(), "{tamper:?}");
    }
    assert!(
        nodes[1].log().contains("the frame's seal does not fit"),
        "{}",
        nodes[1].log()
    );
    // Another connection is another one: what was said on the first means nothing on it.
    let mut replaying = Attacker::reach(&peer_address(&nodes[1], 2));
    replaying.say(&proxy.first_connection());
    assert!(matches!(replaying.hear(), Some((PeerFrame::Challenge(_), _))));
    replaying.hears_only(Some(Reject::Secret));
    eventually("the cluster goes on", || {
        (nodes[0].client().try_call(&["SET", "k", "after"]).ok()? == ok()).then_some(())
    });
}

#[test]
fn a_stranger_that_connects_again_and_again_is_logged_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let cluster = guarded(dir.path());
    let known = Known {
        from: 2,
        to: 1,
        incarnation: 3,
        term: 1,
    };
    let address = peer_address(&cluster.nodes[0], 1);
    for _ in 0..40 {
        let mut stranger = Attacker::reach(&address);
        stranger.say(&known.hello(None));
        stranger.hears_only(Some(Reject::Unproven));
    }
    let log = cluster.nodes[0].log();
    assert_eq!(
        log.matches("is closed: node 2 is refused: it does not prove itself")
            .count(),
        1,
        "{log}"
    );
}

#[test]
fn idle_strangers_do_not_keep_a_node_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut cluster = guarded(dir.path());
    let followers = cluster.followers();
    let address = peer_address(&cluster.nodes[followers[0]], followers[0] as u64 + 1);
    cluster.nodes[followers[1]].kill();
    let idle: Vec<Attacker> = (0..200).map(|_| Attacker::reach(&address)).collect();
    cluster.nodes[followers[1]].start();
    eventually("it is let in", || all_proven(&cluster.nodes));
    drop(idle);
}

/// What an attacker knows of a running follower, as the leader's peer.
fn known_of(nodes: &[Node], from: usize, to: usize) -> Known {
    let status = nodes[from].status().expect("a status");
    Known {
        from: status.id,
        to: to as u64 + 1,
        incarnation: u64::from_str_radix(&status.incarnation, 16).expect("hex"),
        term: status.view.term,
    }
}

#[test]
fn a_proof_is_that_of_one_hello_and_no_node_is_its_own_peer() {
    let dir = tempfile::tempdir().expect("a directory");
    let cluster = guarded(dir.path());
    let lead = cluster.leader();
    let term = cluster.nodes[lead].status().expect("a status").view.term;
    let known = known_of(&cluster.nodes, (lead + 1) % 3, lead);
    let address = peer_address(&cluster.nodes[lead], known.to);
    let (nonce, secret) = (Some([7; 32]), dir.path().join("secret"));

    let mut on_the_other_lane = Attacker::reach(&address);
    on_the_other_lane.say(&known.hello_on(Lane::Urgent, nonce));
    let (_, challenge) = on_the_other_lane.hear().expect("a challenge");
    let keys = keys_for(&secret, &known.hello(nonce), &challenge);
    on_the_other_lane.say(&proof_of(vec![keys.proof]));
    on_the_other_lane.hears_only(Some(Reject::Secret));

    let own = known_of(&cluster.nodes, lead, lead);
    let mut in_its_own_name = Attacker::reach(&address);
    in_its_own_name.say(&[own.hello(nonce), own.forged()].concat());
    in_its_own_name.hears_only(Some(Reject::NotMember));

    let after = cluster.nodes[lead].status().expect("a status");
    assert_eq!((after.view.term, after.view.role), (term, "leader".to_owned()));
}

/// The next connection of a node to the address of one that is gone, and its hello.
fn caller(listener: &TcpListener) -> (Attacker, Hello, BytesMut) {
    let (stream, _) = listener.accept().expect("a node dials again and again");
    let mut caller = Attacker {
        stream,
        buffer: BytesMut::new(),
    };
    match caller.hear() {
        Some((PeerFrame::Hello(hello), bytes)) => (caller, hello, bytes),
        other => panic!("{other:?}"),
    }
}

fn reply_in_the_name_of(hello: &Hello) -> BytesMut {
    frame(&PeerFrame::HelloReply(HelloReply {
        from: hello.to,
        incarnation: 7,
        extensions: Extensions::ours(SharedSettings::default()),
    }))
}

#[test]
fn a_false_node_at_the_address_of_a_real_one_is_not_believed() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut cluster = guarded(dir.path());
    let (lead, gone) = (cluster.leader(), cluster.followers()[0]);
    let term = cluster.nodes[lead].status().expect("a status").view.term;
    let address = peer_address(&cluster.nodes[gone], gone as u64 + 1);
    cluster.nodes[gone].kill();
    let listener = TcpListener::bind(&address).expect("nothing else listens there");
    let known = |hello: &Hello| Known {
        from: hello.to.get(),
        to: hello.from.get(),
        incarnation: 7,
        term,
    };

    let (mut without_a_challenge, hello, _) = caller(&listener);
    without_a_challenge.say(&[reply_in_the_name_of(&hello), known(&hello).forged()].concat());
    assert!(without_a_challenge.hear().is_none(), "the caller hangs up");

    let (mut unsealed, hello, _) = caller(&listener);
    unsealed.say(&frame(&PeerFrame::Challenge(Challenge { nonce: [9; 32] })));
    assert!(matches!(unsealed.hear(), Some((PeerFrame::Proof(_), _))));
    unsealed.say(&[reply_in_the_name_of(&hello), known(&hello).forged()].concat());
    assert!(unsealed.hear().is_none(), "the caller hangs up");

    // A hello that comes back to its sender names another node.
    let (mirror, hello, bytes) = caller(&listener);
    let own = hello.from.get();
    let mut mirrored = Attacker::reach(&peer_address(&cluster.nodes[own as usize - 1], own));
    mirrored.say(&bytes);
    mirrored.hears_only(Some(Reject::Node));
    drop(mirror);

    let after = cluster.nodes[lead].status().expect("a status");
    assert_eq!((after.view.term, after.view.role), (term, "leader".to_owned()));
    let peer = after
        .connections
        .peers
        .iter()
        .find(|peer| peer.id == gone as u64 + 1);
    assert!(peer.is_some_and(|peer| !peer.connected && !peer.proven));
    drop(listener);
    cluster.nodes[gone].start();
    eventually("the real one is believed", || all_proven(&cluster.nodes));
}
