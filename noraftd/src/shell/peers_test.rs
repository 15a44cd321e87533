//! Two ends of the way between nodes, over real sockets.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use noraft::{LogPosition, NodeId, Term};
use tokio::net::UnixListener;

use super::endpoint::{Endpoint, Listener};
use super::inbox::Inbox;
use super::peer_listener::PeerListener;
use super::peers::{Introduction, Peers, QUEUE_BYTES_MAX};
use super::test_support::run;
use crate::protocol::command::{Class, Command, Request};
use crate::protocol::peer::PeerMessage;
use crate::replica::event::Input;
use crate::store::Met;

const ONE: NodeId = NodeId::new(1);
const TWO: NodeId = NodeId::new(2);

fn introduction(id: NodeId) -> Introduction {
    Introduction {
        cluster_id: 9,
        id,
        incarnation: 100 + id.get(),
    }
}

fn address(dir: &Path) -> Endpoint {
    Endpoint::Unix(dir.join("two"))
}

/// Node 2 listens; its inbox.
async fn listen(dir: &Path, introduction: Introduction) -> Rc<Inbox> {
    let inbox = Rc::new(Inbox::default());
    let listener = Listener::bind(&address(dir)).await.expect("a free path");
    let disk = crate::store::disk::RealDisk::open(dir).expect("a directory");
    let met = Met::load(std::sync::Arc::new(disk)).expect("it can be read");
    let peers = PeerListener::new(introduction, [ONE].into(), 1000, met, Rc::clone(&inbox));
    tokio::task::spawn_local(peers.accept(listener));
    inbox
}

fn connect(dir: &Path, introduction: Introduction) -> (Rc<Peers>, Rc<Inbox>) {
    let inbox = Rc::new(Inbox::default());
    let members = BTreeMap::from([(TWO, address(dir))]);
    (Peers::connect(introduction, &members, &inbox), inbox)
}

async fn next(inbox: &Inbox) -> Vec<Input> {
    let mut inputs = Vec::new();
    inbox.woken().await;
    inbox.take(&mut inputs);
    inputs
}

async fn error_of(peers: &Peers) -> String {
    loop {
        if let Some(error) = peers.report()[0].error.clone() {
            return error;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

fn vote(term: u64) -> PeerMessage {
    PeerMessage::RequestVote {
        term: Term::new(term),
        last_position: LogPosition::ZERO,
        unanimous: false,
    }
}

#[test]
fn messages_arrive_in_order_after_the_replica_heard_of_the_connection() {
    run(async {
        let dir = tempfile::tempdir().expect("a directory");
        let received = listen(dir.path(), introduction(TWO)).await;
        let (peers, inbox) = connect(dir.path(), introduction(ONE));
        peers.send(TWO, &vote(0));
        assert_eq!(
            peers.report()[0].dropped,
            1,
            "nothing is kept for a peer that is not connected"
        );
        assert!(matches!(
            next(&inbox).await[..],
            [Input::Connected { peer: TWO, .. }]
        ));
        for term in 1..=100 {
            peers.send(TWO, &vote(term));
        }
        peers.flush();
        let mut messages = Vec::new();
        while messages.len() < 100 {
            messages.extend(next(&received).await);
        }
        for (input, term) in messages.into_iter().zip(1..) {
            assert!(matches!(input, Input::Peer { from: ONE, message } if message == vote(term)));
        }
        let report = peers.report().remove(0);
        assert_eq!((report.connected, report.error, report.dropped), (true, None, 1));
    });
}

#[test]
fn a_payload_that_no_segment_holds_does_not_reach_the_replica() {
    run(async {
        let dir = tempfile::tempdir().expect("a directory");
        let received = listen(dir.path(), introduction(TWO)).await;
        let (peers, inbox) = connect(dir.path(), introduction(ONE));
        next(&inbox).await;
        let get = |key: &[u8]| Request::encode(&Command::Get { key }).expect("small enough");
        let overhead = get(b"").body.len();
        for bytes in [1000, 1001] {
            let request = get(&vec![b'k'; bytes - overhead]);
            assert_eq!(request.body.len(), bytes);
            peers.send(
                TWO,
                &PeerMessage::Forward {
                    id: 1,
                    boot: 1,
                    term: Term::new(1),
                    request,
                },
            );
        }
        peers.flush();
        assert!(matches!(next(&received).await[..], [Input::Peer { .. }]));
        assert!(matches!(
            next(&inbox).await[..],
            [Input::Disconnected { peer: TWO }]
        ));
        assert!(
            matches!(next(&inbox).await[..], [Input::Connected { peer: TWO, .. }]),
            "a new connection"
        );
    });
}

#[test]
fn a_stranger_is_told_why_it_is_refused() {
    let cases = [
        (
            Introduction {
                cluster_id: 8,
                ..introduction(ONE)
            },
            "this node belongs to cluster 0000000000000009",
        ),
        (introduction(NodeId::new(3)), "the sender is not a member"),
    ];
    for (stranger, reason) in cases {
        run(async {
            let dir = tempfile::tempdir().expect("a directory");
            let _received = listen(dir.path(), introduction(TWO)).await;
            let (peers, _inbox) = connect(dir.path(), stranger);
            let error = error_of(&peers).await;
            assert!(
                error.starts_with("refuses this node: ") && error.contains(reason),
                "{error}"
            );
        });
    }
}

#[test]
fn the_wrong_address_of_a_member_is_noticed() {
    run(async {
        let dir = tempfile::tempdir().expect("a directory");
        let _received = listen(dir.path(), introduction(NodeId::new(3))).await;
        let (peers, _inbox) = connect(dir.path(), introduction(ONE));
        assert!(error_of(&peers).await.contains("refuses this node: this node is"));
    });
}

#[test]
fn a_peer_that_comes_late_is_found() {
    run(async {
        let dir = tempfile::tempdir().expect("a directory");
        let (peers, inbox) = connect(dir.path(), introduction(ONE));
        error_of(&peers).await;
        let _received = listen(dir.path(), introduction(TWO)).await;
        assert!(matches!(
            next(&inbox).await[..],
            [Input::Connected { peer: TWO, .. }]
        ));
        assert_eq!(peers.report()[0].error, None);
    });
}

#[test]
fn a_member_that_lost_its_directory_is_refused() {
    run(async {
        let dir = tempfile::tempdir().expect("a directory");
        let _received = listen(dir.path(), introduction(TWO)).await;
        let (_peers, inbox) = connect(dir.path(), introduction(ONE));
        next(&inbox).await;
        let wiped = Introduction {
            incarnation: 7,
            ..introduction(ONE)
        };
        let (peers, _inbox) = connect(dir.path(), wiped);
        assert!(error_of(&peers).await.contains("data directory was replaced"));
    });
}

#[test]
fn what_a_slow_peer_does_not_take_is_bounded() {
    run(async {
        let dir = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(dir.path().join("two")).expect("a free path");
        let (peers, inbox) = connect(dir.path(), introduction(ONE));
        // Greets as node 2 and then reads nothing more.
        let (stream, _) = listener.accept().await.expect("node 1 comes");
        let reply = crate::protocol::peer::PeerFrame::HelloReply(crate::protocol::peer::HelloReply {
            from: TWO,
            incarnation: 1,
            extensions: crate::protocol::peer::Extensions::default(),
        });
        let mut out = bytes::BytesMut::new();
        reply.encode(9, crate::protocol::peer::Features::NONE, &mut out);
        stream.writable().await.expect("open");
        assert_eq!(stream.try_write(&out).expect("room"), out.len());
        next(&inbox).await;
        let body = bytes::Bytes::from(vec![0; 1 << 20]);
        let request = Request {
            class: Class::Write,
            body,
        };
        let message = PeerMessage::Forward {
            id: 1,
            boot: 1,
            term: Term::new(1),
            request,
        };
        let sent = 2 * (QUEUE_BYTES_MAX >> 20) as u64;
        for _ in 0..sent {
            peers.send(TWO, &message);
            peers.flush();
        }
        let dropped = peers.report()[0].dropped;
        assert!(dropped > sent / 4 && dropped < sent, "{dropped} of {sent}");
    });
}
