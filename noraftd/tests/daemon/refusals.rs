//! Bad input to a real node: one clear error each, and nothing lost.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::support::client::{bulk, encode, error_text, ok};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::program::complaint_of;
use noraft::NodeId;
use noraftd::config::cluster_id;
use noraftd::protocol::peer::{Features, Hello, PeerFrame, Reject};
use noraftd::protocol::resp::Value;

/// A node of a cluster of three whose others do not run, or of one.
fn one_of_three(dir: &Path) -> Node {
    let mut args = ["--id", "1", "--segment-bytes", "1MiB", "--cluster", "tested"]
        .map(String::from)
        .to_vec();
    for id in 1..=3 {
        args.extend([
            "--peer".to_owned(),
            format!("{id}=unix:{}", dir.join(format!("p{id}")).display()),
        ]);
    }
    Node::new(dir, &args)
}

fn still_serves(node: &Node) {
    assert_eq!(node.client().call(&["PING"]), Value::Status("PONG".into()));
}

#[test]
fn bytes_that_are_no_resp_end_the_connection_with_an_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(dir.path());
    node.start();
    node.wait_for_leader();
    assert_eq!(node.client().call(&["SET", "k", "v"]), ok());
    let cases: [&[u8]; 6] = [
        b"*x\r\n",
        b"*1\r\n+PING\r\n",
        b"*99999999\r\n",
        b"*1\r\n$999999999999\r\n",
        b"*2\r\n$3\r\nGET\r\n$-5\r\n",
        b"*1\r\n$4\r\nPINGxx",
    ];
    for bytes in cases {
        let mut client = node.client();
        // A good command before it is still answered.
        client
            .send_raw(&[&encode(&["GET", "k"]), bytes].concat())
            .expect("sent");
        assert_eq!(client.receive().expect("a reply"), bulk("v"));
        let reply = client.receive().expect("an error");
        assert!(
            error_text(&reply).starts_with("ERR Protocol error"),
            "{bytes:?}: {reply:?}"
        );
        assert!(client.is_ended(), "{bytes:?}");
    }
    still_serves(&node);
}

#[test]
fn a_command_too_large_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(dir.path());
    node.start();
    node.wait_for_leader();
    let mut client = node.client();
    assert_eq!(client.call(&["SET", "k", "v"]), ok());
    let huge = vec![b'x'; 17 << 20];
    client
        .send_raw(format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", huge.len()).as_bytes())
        .expect("sent");
    client.send_raw(&huge).expect("the node reads it to its end");
    client.send_raw(b"\r\n").expect("sent");
    let reply = client.receive().expect("an error in its place");
    assert!(
        error_text(&reply).starts_with("ERR an argument may have at most"),
        "{reply:?}"
    );
    assert_eq!(client.call(&["GET", "k"]), bulk("v"), "the connection goes on");
}

#[test]
fn a_command_that_no_segment_holds_is_refused_by_every_node() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::new(
        dir.path(),
        &["--id", "1", "--segment-bytes", "256KiB"].map(String::from),
    );
    node.start();
    node.wait_for_leader();
    let mut client = node.client();
    let reply = client.call(&["SET", "k", &"x".repeat(300 << 10)]);
    assert!(error_text(&reply).contains("raise segment_bytes"), "{reply:?}");
    let fits = "y".repeat(200 << 10);
    assert_eq!(client.call(&["SET", "k", &fits]), ok());
    assert!(client.call(&["GET", "k"]) == bulk(&fits));
}

#[test]
fn wrong_arguments_are_refused_by_name_and_the_connection_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(dir.path());
    node.start();
    node.wait_for_leader();
    let mut client = node.client();
    for args in [
        &["GET"][..],
        &["SET", "k"],
        &["NOSUCH", "x"],
        &["INCRBY", "k", "x"],
        &["XADD", "s"],
    ] {
        assert!(error_text(&client.call(args)).starts_with("ERR"), "{args:?}");
    }
    assert_eq!(client.call(&["SET", "k", "v"]), ok());
    // What follows is meant for another database, until one is selected that is there.
    for args in [&["SELECT", "1"][..], &["SET", "k", "other"]] {
        assert!(error_text(&client.call(args)).starts_with("ERR"), "{args:?}");
    }
    assert_eq!(client.call(&["SELECT", "0"]), ok());
    assert_eq!(client.call(&["GET", "k"]), bulk("v"));
}

/// Connects as a node would and says `bytes`; what comes back until the end.
fn say_to_peer_port(path: &Path, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(path).expect("the node listens");
    stream.write_all(bytes).expect("sent");
    let mut answer = Vec::new();
    // A reset ends it as well.
    let _ = stream.read_to_end(&mut answer);
    answer
}

fn hello(cluster: &str, from: u64, to: u64) -> Vec<u8> {
    let id = cluster_id(cluster);
    let frame = PeerFrame::Hello(Hello {
        cluster_id: id,
        from: NodeId::new(from),
        to: NodeId::new(to),
        incarnation: 7,
        extensions: Default::default(),
    });
    let mut out = bytes::BytesMut::new();
    frame.encode(id, Features::NONE, &mut out);
    out.to_vec()
}

#[test]
fn nodes_that_do_not_belong_are_turned_away_with_the_kind_of_reason() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = one_of_three(dir.path());
    node.start();
    let here = cluster_id("tested");
    let cases = [
        (
            hello("other", 2, 1),
            Reject::Cluster,
            "the sender belongs to cluster",
        ),
        (
            hello("tested", 2, 3),
            Reject::Node,
            "node 2 is refused: it means node 3",
        ),
        (
            hello("tested", 9, 1),
            Reject::NotMember,
            "node 9 is refused: it is not a member",
        ),
        (
            hello("tested", 1, 1),
            Reject::NotMember,
            "node 1 is refused: it is not a member",
        ),
    ];
    for (greeting, expected, logged) in cases {
        let mut answer = bytes::BytesMut::from(&say_to_peer_port(&dir.path().join("p1"), &greeting)[..]);
        let frame = PeerFrame::decode(here, &mut answer).expect("a frame");
        assert_eq!(frame, Some(PeerFrame::Reject(expected)));
        eventually("the reason is in the log", || {
            node.log().contains(logged).then_some(())
        });
    }
    still_serves(&node);
}

#[test]
fn a_member_with_another_directory_is_turned_away() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = one_of_three(dir.path());
    node.start();
    let here = cluster_id("tested");
    let _first = {
        let mut stream = UnixStream::connect(dir.path().join("p1")).expect("the node listens");
        stream.write_all(&hello("tested", 2, 1)).expect("sent");
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        stream
    };
    let frame = PeerFrame::Hello(Hello {
        cluster_id: here,
        from: NodeId::new(2),
        to: NodeId::new(1),
        incarnation: 8,
        extensions: Default::default(),
    });
    let mut out = bytes::BytesMut::new();
    frame.encode(here, Features::NONE, &mut out);
    let mut answer = bytes::BytesMut::from(&say_to_peer_port(&dir.path().join("p1"), &out)[..]);
    let frame = PeerFrame::decode(here, &mut answer).expect("a frame");
    assert_eq!(frame, Some(PeerFrame::Reject(Reject::Incarnation)));
}

#[test]
fn malformed_peer_frames_end_the_connection_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = one_of_three(dir.path());
    node.start();
    let path = dir.path().join("p1");
    let greeting = hello("tested", 2, 1);
    let mut flipped = greeting.clone();
    *flipped.last_mut().expect("bytes") ^= 1;
    let oversize = [&u32::MAX.to_le_bytes()[..], &[1; 60]].concat();
    let twice = [greeting.clone(), greeting.clone()].concat();
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0; 8192],
        vec![0xff; 64],
        flipped,
        oversize,
    ] {
        say_to_peer_port(&path, &bytes);
        eventually("a line in the log", || {
            node.log().contains("is closed").then_some(())
        });
    }
    let answer = say_to_peer_port(&path, &twice);
    assert!(!answer.is_empty(), "the greeting itself is good");
    still_serves(&node);
}

#[test]
fn a_node_that_calls_another_cluster_says_so_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = one_of_three(dir.path());
    node.start();
    let mut args = ["--id", "2", "--cluster", "other"].map(String::from).to_vec();
    for id in 1..=2 {
        args.extend([
            "--peer".to_owned(),
            format!("{id}=unix:{}", dir.path().join(format!("p{id}")).display()),
        ]);
    }
    let mut stranger = Node::new(&dir.path().join("stranger"), &args);
    stranger.start();
    eventually("both say so", || {
        let refused = stranger
            .log()
            .contains("refuses this node: it belongs to another cluster");
        (refused && node.log().contains("belongs to cluster")).then_some(())
    });
    let status = stranger.status().expect("a status");
    assert!(
        status.connections.peers[0]
            .error
            .as_ref()
            .is_some_and(|error| error.contains("refuses this node")),
        "{status:?}"
    );
    assert_eq!(stranger.log().matches("refuses this node").count(), 1);
}

#[test]
fn a_directory_serves_one_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(dir.path());
    node.start();
    let second_home = dir.path().join("second");
    let data = dir.path().join("data").display().to_string();
    let mut second = Node::new(&second_home, &["--id", "1"].map(String::from));
    second.replace_data_dir(&data);
    let (code, log) = second.start_expecting_refusal();
    assert_eq!(code, Some(75), "{log}");
    assert!(log.contains("in use by another process"), "{log}");
    node.wait_for_leader();
    assert_eq!(node.client().call(&["SET", "k", "v"]), ok());
}

#[test]
fn a_directory_belongs_to_its_node_and_cluster() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(dir.path());
    node.start();
    node.wait_for_leader();
    assert_eq!(node.client().call(&["SET", "k", "v"]), ok());
    assert_eq!(node.stop(), Some(0));
    for args in [&["--id", "2"][..], &["--id", "1", "--cluster", "another"]] {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let (code, log) = Node::new(dir.path(), &args).start_expecting_refusal();
        assert_eq!(code, Some(65), "{log}");
        assert!(log.contains("data"), "names the directory: {log}");
    }
    let peer = format!("2=unix:{}", dir.path().join("p2").display());
    let own = format!("1=unix:{}", dir.path().join("p1").display());
    // The log says which nodes vote; another node in the settings is one that could become a voter.
    let more = ["--id", "1", "--peer", &peer, "--peer", &own].map(String::from);
    let mut more = Node::new(dir.path(), &more);
    more.start();
    assert_eq!(more.wait_for_leader().view.voters, [1]);
    assert_eq!(more.stop(), Some(0));
    node.start();
    node.wait_for_leader();
    assert_eq!(node.client().call(&["GET", "k"]), bulk("v"));
}

#[test]
fn a_directory_that_cannot_be_made_or_written_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("data"), "a file is in the way").expect("written");
    let (code, log) = Node::alone(dir.path()).start_expecting_refusal();
    assert_eq!(code, Some(73), "{log}");
    assert!(
        log.contains("the data directory") && log.contains("cannot be used"),
        "{log}"
    );
}

#[test]
fn an_address_in_use_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let (code, log) = Node::new(dir.path(), &["--id", "1", "--listen", &address].map(String::from))
        .start_expecting_refusal();
    assert_eq!(code, Some(69), "{log}");
    assert!(
        log.contains(&format!("cannot listen on {address}: the address is in use")),
        "{log}"
    );
}

#[test]
fn bad_configuration_is_one_line_and_an_exit_code() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("node.toml");
    fs::write(&file, "id = 1\ndata_dri = '/tmp/x'\n").expect("written");
    let file = file.display().to_string();
    let cases: [(&[&str], i32, &str); 7] = [
        (&["serve"], 78, "id is missing"),
        (&["serve", "--id", "1"], 78, "data_dir is missing"),
        (
            &["serve", "--id", "1", "--data-dir", "/x", "--listen", "nowhere"],
            78,
            "listen: 'nowhere'",
        ),
        (
            &["serve", "--id", "1", "--data-dir", "/x", "--peer", "2"],
            78,
            "peers: '2'",
        ),
        (&["serve", "--config", &file], 78, "data_dri"),
        (&["serve", "--id", "one"], 64, "invalid value 'one'"),
        (&["serv"], 64, "serv"),
    ];
    for (args, code, text) in cases {
        let (found, stderr) = complaint_of(args);
        assert_eq!(found, Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(text), "{args:?}: {stderr}");
        // Of a file, the place is shown.
        let lines = if text == "data_dri" { 6 } else { 1 };
        assert!(
            code == 64 || stderr.trim_end().lines().count() == lines,
            "{args:?}: {stderr}"
        );
    }
}

#[test]
fn asking_an_address_without_a_node_for_a_status_says_so() {
    let free = TcpListener::bind("127.0.0.1:0")
        .expect("a free port")
        .local_addr()
        .expect("bound")
        .to_string();
    let (code, stderr) = complaint_of(&["status", &free]);
    assert_eq!(code, Some(69), "{stderr}");
    assert!(stderr.contains(&format!("{free} does not answer")), "{stderr}");
}
