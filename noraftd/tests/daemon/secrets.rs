//! Secrets, signals and orders, as an operator meets them: real processes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use crate::support::client::{error_text, ok};
use crate::support::eventually;
use crate::support::guarded::{CLUSTER, OTHER, SECRET, all_proven, guarded, secret_file};
use crate::support::node::Node;
use crate::support::program::complaint_of;
use nix::sys::signal::Signal;
use noraft::{LogIndex, LogPosition, NodeId, Term};
use noraftd::config::cluster_id;
use noraftd::local::status::StatusReport;
use noraftd::machine::Machine;
use noraftd::record::{Base, SnapshotHead, genesis_config};
use noraftd::store::disk::RealDisk;
use noraftd::store::{Identity, Options, Owner, SetUp, SpareBy, Store, Vacant};
use noraftd::time::Stamp;

#[test]
fn a_peer_port_that_others_reach_needs_a_secret_or_a_word() {
    let dir = tempfile::tempdir().expect("a directory");
    let secret = secret_file(dir.path(), "secret", SECRET).display().to_string();
    let node = |name: &str, more: &[&str]| {
        let mut args = [
            "--id",
            "1",
            "--peer",
            "2=127.0.0.1:9",
            "--peer-listen",
            "0.0.0.0:0",
            "--segment-bytes",
            "1MiB",
        ]
        .map(String::from)
        .to_vec();
        args.extend(more.iter().map(ToString::to_string));
        Node::new(&dir.path().join(name), &args)
    };
    let (code, log) = node("exposed", &[]).start_expecting_refusal();
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains("anyone who reaches it owns the cluster"), "{log}");
    let (code, log) =
        node("off", &["--peer-secret-file", &secret, "--peer-auth", "off"]).start_expecting_refusal();
    assert_eq!(
        code,
        Some(78),
        "a secret that is not asked for protects nothing: {log}"
    );

    let mut insecure = node("insecure", &["--insecure-peers"]);
    for _ in 0..2 {
        insecure.start();
        assert!(
            insecure.log().contains("--insecure-peers: 0.0.0.0:"),
            "said at each start"
        );
        assert_eq!(insecure.stop(), Some(0));
    }
    let mut accepting = node(
        "accept",
        &["--peer-secret-file", &secret, "--peer-auth", "accept"],
    );
    accepting.start();
    assert!(accepting.log().contains("--peer-auth accept: 0.0.0.0:"));
    let mut guarded = node("guarded", &["--peer-secret-file", &secret]);
    guarded.start();
    assert!(!guarded.log().contains("WARN"), "{}", guarded.log());
    assert_eq!(
        guarded.status().expect("a status").connections.peer_auth,
        "require"
    );
}

#[test]
fn secrets_that_cannot_be_used_are_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let short = secret_file(dir.path(), "short", "too short")
        .display()
        .to_string();
    let cases: [(&[&str], &str); 4] = [
        (&["--peer-secret-file", &short], "a secret has 16 to 1024 bytes"),
        (
            &["--peer-secret-file", "/nowhere/secret"],
            "/nowhere/secret: No such file",
        ),
        (&["--peer-auth", "require"], "peer_auth: 'require' needs a secret"),
        (
            &["--peer-auth", "yes"],
            "peer_auth: 'yes' is none of off, accept, require",
        ),
    ];
    for (at, (flags, text)) in cases.into_iter().enumerate() {
        let args: Vec<String> = ["--id", "1"]
            .iter()
            .chain(flags)
            .map(ToString::to_string)
            .collect();
        let (code, log) = Node::new(&dir.path().join(at.to_string()), &args).start_expecting_refusal();
        assert_eq!(code, Some(78), "{log}");
        assert!(log.contains(text), "{log}");
    }
}

#[test]
fn a_secret_is_exchanged_while_the_cluster_serves() {
    let dir = tempfile::tempdir().expect("a directory");
    let cluster = guarded(dir.path());
    let secret = dir.path().join("secret");
    let write = |key: &str| {
        assert_eq!(
            cluster.nodes[cluster.leader()].client().call(&["SET", key, "v"]),
            ok()
        )
    };
    let hang_up_all = |said: &str| {
        for node in &cluster.nodes {
            node.signal(Signal::SIGHUP);
            eventually("it says so", || node.log().contains(said).then_some(()));
        }
    };
    eventually("every link is proven", || all_proven(&cluster.nodes));
    fs::write(&secret, format!("{SECRET}\n{OTHER}\n")).expect("written");
    hang_up_all("SIGHUP: 2 peer secrets are in force");
    write("both");
    fs::write(&secret, format!("{OTHER}\n")).expect("written");
    hang_up_all("SIGHUP: 1 peer secrets are in force");
    eventually("every link is proven with the new one", || {
        all_proven(&cluster.nodes)
    });
    write("new");
    fs::write(&secret, "x").expect("written");
    hang_up_all("SIGHUP: the peer secrets stay as they were");
    write("still");
}

#[test]
fn signals_that_ask_do_not_end_a_node() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(dir.path());
    node.start();
    node.signal(Signal::SIGHUP);
    node.signal(Signal::SIGUSR1);
    let line = eventually("both answers", || {
        let log = node.log();
        let nothing = log.contains("SIGHUP: there is nothing to read again");
        let line = log
            .lines()
            .find(|line| line.contains("SIGUSR1: status "))?
            .to_owned();
        nothing.then_some(line)
    });
    let json = line.split("SIGUSR1: status ").nth(1).expect("found by it");
    let report: StatusReport = serde_json::from_str(json).expect("a status");
    assert_eq!(report.id, 1);
    assert!(node.is_running());
}

#[test]
fn nodes_that_were_set_up_differently_refuse_each_other_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = |id: u64| format!("{id}=unix:{}", dir.path().join(format!("p{id}")).display());
    let node = |id: u64, members: std::ops::RangeInclusive<u64>, size: &str| {
        let mut args = vec![
            "--id".to_owned(),
            id.to_string(),
            "--segment-bytes".into(),
            size.into(),
        ];
        members.for_each(|member| args.extend(["--peer".to_owned(), socket(member)]));
        Node::new(&dir.path().join(format!("n{id}")), &args)
    };
    let mut nodes = [
        node(1, 1..=3, "1MiB"),
        node(2, 1..=3, "512KiB"),
        node(3, 1..=4, "1MiB"),
    ];
    nodes.iter_mut().for_each(Node::start);
    for (at, text) in [
        (1, "settings that every node has to share differ: segment_bytes"),
        (2, "settings that every node has to share differ: peers"),
    ] {
        eventually("both sides say so", || {
            let refused = nodes[at].log().contains(text);
            (refused && nodes[0].log().contains("what every node has to share differs")).then_some(())
        });
    }
    assert_eq!(
        nodes[0].status().expect("a status").view.leader,
        None,
        "no majority agrees"
    );
}

#[test]
fn orders_take_the_admin_socket_or_a_proof() {
    let dir = tempfile::tempdir().expect("a directory");
    let cluster = guarded(dir.path());
    let lead = &cluster.nodes[cluster.leader()];
    let admin = lead.dir.join("data/admin.sock");
    let mode = fs::metadata(&admin).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only its user opens it");
    for order in [
        &["NORAFT.SNAPSHOT"][..],
        &["NORAFT.SNAPSHOT", "READ", "1", "1", "0"],
        &["NORAFT.READMIT", "2", "77"],
        &["NORAFT.VOTERS", "1"],
    ] {
        for mut client in [lead.client(), lead.unix_client()] {
            let reply = client.call(order);
            assert!(error_text(&reply).starts_with("NOAUTH"), "{order:?}: {reply:?}");
        }
    }
    assert_eq!(lead.status().expect("any client may ask").view.voters, [1, 2, 3]);
    let tcp = lead.tcp.as_str();
    let (code, text) = complaint_of(&["voters", tcp, "1", "2", "3"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("--peer-secret-file"), "says what to do: {text}");
    let other = secret_file(dir.path(), "other", OTHER).display().to_string();
    let (code, text) = complaint_of(&["voters", tcp, "--peer-secret-file", &other, "1", "2", "3"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("the peer secret differs"), "{text}");
    let both = secret_file(dir.path(), "both", &format!("{OTHER}\n{SECRET}"))
        .display()
        .to_string();
    let (code, text) = complaint_of(&["voters", tcp, "--peer-secret-file", &both, "1", "2", "3"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = complaint_of(&["voters", &admin.display().to_string(), "1", "2", "3"]);
    assert_eq!(code, Some(0), "{text}");
    let copy = dir.path().join("copy").display().to_string();
    let (code, text) = complaint_of(&["snapshot", "save", tcp, &copy, "--peer-secret-file", &both]);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn a_node_without_a_secret_takes_orders_from_its_own_machine() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(dir.path());
    node.start();
    node.wait_for_leader();
    for mut client in [node.client(), node.unix_client()] {
        assert_eq!(client.call(&["NORAFT.SNAPSHOT"]), ok());
    }
    // A verb that knows a secret gives its orders here too.
    let secret = secret_file(dir.path(), "secret", SECRET).display().to_string();
    let (code, text) = complaint_of(&["voters", &node.tcp, "--peer-secret-file", &secret, "1"]);
    assert_eq!(code, Some(0), "{text}");
    node.kill();
    node.start();
    let admin = dir.path().join("data/admin.sock");
    let (code, text) = complaint_of(&["voters", &admin.display().to_string(), "1"]);
    assert_eq!(code, Some(0), "what a killed process left is replaced: {text}");
}

/// Such a term is durable where a node of the first release was attacked.
#[test]
fn a_start_that_finds_a_term_at_the_end_says_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    fs::create_dir_all(&data).expect("a directory");
    let owner = Owner {
        cluster_id: cluster_id(CLUSTER),
        node_id: NodeId::new(1),
    };
    let identity = Identity {
        owner,
        incarnation: 7,
    };
    let options = Options {
        segment_bytes: 1 << 20,
        spare: SpareBy::Caller,
        clock: noraftd::shell::clock::now,
        salt_seed: 1,
    };
    let head = SnapshotHead {
        base: Base {
            position: LogPosition {
                term: Term::new(3),
                index: LogIndex::new(5),
            },
            config: genesis_config([1, 2, 3].map(NodeId::new)),
            chain: None,
        },
        stamp: Stamp::default(),
    };
    let disk = RealDisk::open(&data).expect("a directory");
    let vacant = Vacant::look(Arc::new(disk), SetUp::Rejoin).expect("an empty directory");
    let term = Term::new(u64::MAX);
    let empty = Machine::new();
    let mut state = empty.chunks();
    drop(Store::create_rejoining(vacant, options, identity, term, &head, &mut state).expect("a store"));
    let args = ["--id", "1", "--segment-bytes", "1MiB", "--cluster", CLUSTER].map(String::from);
    let (code, log) = Node::new(dir.path(), &args).start_expecting_refusal();
    assert_eq!(code, Some(65), "{log}");
    for text in ["term 18446744073709551615", "noraftd rejoin", "snapshot restore"] {
        assert!(log.contains(text), "{text}: {log}");
    }
}
