//! Two ends of the way between nodes, over real sockets.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use noraft::{LogPosition, NodeId, Term};
use tokio::net::UnixListener;

use super::inbox::Inbox;
use super::keyring::Keyring;
use super::peer_line::Introduction;
use super::peer_listener::PeerListener;
use super::peers::{Peers, QUEUE_BYTES_MAX};
use super::sockets::Listener;
use super::test_support::run;
use super::tls::Tls;
use crate::config::PeerAuth;
use crate::endpoint::Endpoint;
use crate::protocol::command::{Class, Command, Request};
use crate::protocol::peer::{PeerMessage, TERM_LEAP_MAX};
use crate::replica::event::Input;
use crate::store::KnownPeers;

const ONE: NodeId = NodeId::new(1);
const TWO: NodeId = NodeId::new(2);

fn introduction(id: NodeId) -> Introduction {
    Introduction {
        cluster_id: 9,
        id,
        client_address: None,
        starts: None,
        incarnation: 100 + id.get(),
        members: Some(1),
        payload_bytes_max: 1000,
        generation: 0,
        level: Rc::default(),
        places: Rc::default(),
        keyring: Rc::new(Keyring::none()),
        tls: Tls::off(),
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
    let met = KnownPeers::load(std::sync::Arc::new(disk)).expect("it can be read");
    let peers = PeerListener::new(introduction, [ONE].into(), met, Rc::clone(&inbox));
    tokio::task::spawn_local(peers.accept(listener));
    inbox
}

fn connect(dir: &Path, introduction: Introduction) -> (Rc<Peers>, Rc<Inbox>) {
    let inbox = Rc::new(Inbox::default());
    let members = BTreeMap::from([(TWO, address(dir))]);
    (Peers::connect(&introduction, &members, &inbox), inbox)
}

async fn next(inbox: &Inbox) -> Vec<Input> {
    loop {
        let mut inputs = all_of(inbox).await;
        inputs.retain(|input| !is_about_second(input));
        if !inputs.is_empty() {
            return inputs;
        }
    }
}

async fn all_of(inbox: &Inbox) -> Vec<Input> {
    let mut inputs = Vec::new();
    inbox.woken().await;
    inbox.take(&mut inputs);
    inputs
}

/// The second connection begins once the first one is established, at any time.
fn is_about_second(input: &Input) -> bool {
    matches!(
        input,
        Input::UrgentConnected { .. } | Input::UrgentDisconnected { .. }
    )
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
fn pulses_take_the_second_connection_and_votes_take_both() {
    run(async {
        let dir = tempfile::tempdir().expect("a directory");
        let received = listen(dir.path(), introduction(TWO)).await;
        let (peers, inbox) = connect(dir.path(), introduction(ONE));
        while !all_of(&inbox).await.iter().any(is_about_second) {}
        let pulse = PeerMessage::Pulse {
            term: Term::new(1),
            pulse: 7,
            last_index: noraft::LogIndex::ZERO,
        };
        peers.send(TWO, &vote(1));
        peers.send(TWO, &pulse);
        peers.flush();
        let mut messages = Vec::new();
        while messages.len() < 3 {
            for input in next(&received).await {
                let Input::Peer { from: ONE, message } = input else {
                    panic!("{input:?}");
                };
                messages.push(message);
            }
        }
        assert_eq!(messages.iter().filter(|message| **message == vote(1)).count(), 2);
        assert_eq!(messages.iter().filter(|message| **message == pulse).count(), 1);
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
fn a_stranger_learns_the_kind_of_the_refusal() {
    let cases = [
        (
            Introduction {
                cluster_id: 8,
                ..introduction(ONE)
            },
            "it belongs to another cluster",
        ),
        (introduction(NodeId::new(3)), "this node is not a member"),
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
        assert!(
            error_of(&peers)
                .await
                .contains("refuses this node: it is not the node that was meant")
        );
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

/// Node `id` with these secrets in its file.
fn with_secrets(dir: &Path, id: NodeId, mode: PeerAuth, secrets: &str) -> Introduction {
    let path = dir.join(format!("secrets-{}", id.get()));
    std::fs::write(&path, secrets).expect("written");
    let keyring = Keyring::open(mode, Some(path)).expect("secrets");
    Introduction {
        keyring: Rc::new(keyring),
        ..introduction(id)
    }
}

/// Whether node 1 reaches node 2, and over a proven connection; or why not.
fn meets(one: impl Fn(&Path) -> Introduction, two: impl Fn(&Path) -> Introduction) -> Result<bool, String> {
    let mut met = Err(String::new());
    run(async {
        let dir = tempfile::tempdir().expect("a directory");
        let received = listen(dir.path(), two(dir.path())).await;
        let (peers, inbox) = connect(dir.path(), one(dir.path()));
        tokio::select! {
            inputs = next(&inbox) => {
                assert!(matches!(inputs[..], [Input::Connected { peer: TWO, .. }]));
                peers.send(TWO, &vote(1));
                peers.flush();
                assert!(matches!(&next(&received).await[..], [Input::Peer { message, .. }] if *message == vote(1)));
                met = Ok(peers.report()[0].proven);
            }
            error = error_of(&peers) => met = Err(error),
        }
    });
    met
}

const SECRET: &str = "the secret of all nodes";
const OTHER: &str = "the secret of some others";

#[test]
fn what_speaks_what_to_whom() {
    let plain = |id| move |_: &Path| introduction(id);
    let with = |id, mode, secrets: &'static str| move |dir: &Path| with_secrets(dir, id, mode, secrets);
    for mode in [PeerAuth::Accept, PeerAuth::Require] {
        for other in [PeerAuth::Accept, PeerAuth::Require] {
            let (one, two) = (with(ONE, mode, SECRET), with(TWO, other, SECRET));
            assert_eq!(meets(one, two), Ok(true), "{mode:?} and {other:?}");
        }
    }
    assert_eq!(meets(plain(ONE), with(TWO, PeerAuth::Accept, SECRET)), Ok(false));
    assert_eq!(meets(with(ONE, PeerAuth::Accept, SECRET), plain(TWO)), Ok(false));
    let error = meets(plain(ONE), with(TWO, PeerAuth::Require, SECRET)).expect_err("refused");
    assert!(error.contains("demands proof"), "{error}");
    let error = meets(with(ONE, PeerAuth::Require, SECRET), plain(TWO)).expect_err("refused");
    assert!(
        error.contains("does not prove that it knows the secret"),
        "{error}"
    );
}

#[test]
fn nodes_with_different_secrets_do_not_meet_and_with_one_in_common_they_do() {
    let with = |id, mode, secrets: &'static str| move |dir: &Path| with_secrets(dir, id, mode, secrets);
    for mode in [PeerAuth::Accept, PeerAuth::Require] {
        let error = meets(with(ONE, mode, SECRET), with(TWO, mode, OTHER)).expect_err("refused");
        assert!(error.contains("it knows another secret"), "{error}");
    }
    const BOTH: &str = "the secret of some others\nthe secret of all nodes\n";
    for secrets in [SECRET, OTHER, BOTH] {
        let (one, both) = (
            with(ONE, PeerAuth::Require, secrets),
            with(TWO, PeerAuth::Require, BOTH),
        );
        assert_eq!(meets(one, both), Ok(true), "{secrets}");
        let (both, two) = (
            with(ONE, PeerAuth::Require, BOTH),
            with(TWO, PeerAuth::Require, secrets),
        );
        assert_eq!(meets(both, two), Ok(true), "{secrets}");
    }
}

#[test]
fn a_connection_does_not_outlive_its_secret() {
    run(async {
        let dir = tempfile::tempdir().expect("a directory");
        let two = with_secrets(
            dir.path(),
            TWO,
            PeerAuth::Require,
            "the secret of all nodes\nthe secret of some others",
        );
        let _received = listen(dir.path(), two).await;
        let one = with_secrets(dir.path(), ONE, PeerAuth::Require, SECRET);
        let keyring = Rc::clone(&one.keyring);
        let (peers, inbox) = connect(dir.path(), one);
        next(&inbox).await;
        assert_eq!(keyring.reload(), Ok(Some(1)));
        assert_eq!(peers.drop_outdated(), 0, "the secret is the same");
        let file = dir.path().join("secrets-1");
        std::fs::write(&file, "short").expect("written");
        keyring.reload().expect_err("it is no secret");
        assert_eq!(peers.drop_outdated(), 0, "what was in force stays");
        std::fs::write(&file, OTHER).expect("written");
        assert_eq!(keyring.reload(), Ok(Some(1)));
        assert_eq!(peers.drop_outdated(), 1);
        assert!(matches!(
            next(&inbox).await[..],
            [Input::Disconnected { peer: TWO }]
        ));
        assert!(matches!(
            next(&inbox).await[..],
            [Input::Connected { peer: TWO, .. }]
        ));
        assert!(peers.report()[0].proven, "with the secret that is left");
    });
}

#[test]
fn nodes_whose_settings_differ_are_refused_by_the_settings_names() {
    let base = || introduction(ONE);
    let cases = [
        (
            Introduction {
                members: Some(2),
                ..base()
            },
            "peers",
        ),
        (
            Introduction {
                payload_bytes_max: 999,
                ..base()
            },
            "segment_bytes",
        ),
        (
            Introduction {
                members: Some(2),
                payload_bytes_max: 999,
                ..base()
            },
            "peers and segment_bytes",
        ),
    ];
    for (one, names) in cases {
        let error = meets(|_| one.clone(), |_| introduction(TWO)).expect_err("refused");
        let expected = format!("settings that every node has to share differ: {names}");
        assert!(error.ends_with(&expected), "{error}");
    }
    let unsure = Introduction {
        members: None,
        ..base()
    };
    assert_eq!(
        meets(|_| unsure.clone(), |_| introduction(TWO)),
        Ok(false),
        "nothing to compare"
    );
}

#[test]
fn a_message_from_far_ahead_ends_the_connection_and_does_not_reach_the_replica() {
    run(async {
        let dir = tempfile::tempdir().expect("a directory");
        let received = listen(dir.path(), introduction(TWO)).await;
        let (peers, inbox) = connect(dir.path(), introduction(ONE));
        next(&inbox).await;
        peers.send(TWO, &vote(TERM_LEAP_MAX));
        peers.send(TWO, &vote(TERM_LEAP_MAX + 1));
        peers.flush();
        assert!(
            matches!(&next(&received).await[..], [Input::Peer { message, .. }] if *message == vote(TERM_LEAP_MAX))
        );
        assert!(matches!(
            next(&inbox).await[..],
            [Input::Disconnected { peer: TWO }]
        ));
    });
}
