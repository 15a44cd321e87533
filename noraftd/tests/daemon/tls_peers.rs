//! TLS between nodes: which certificates are those of nodes, and how a cluster moves to it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use crate::cluster::{check_all_there, start_writers, wait_for_more};
use crate::support::certs::{Authority, Shown};
use crate::support::client::{Client, ok};
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::program::complaint_of;
use noraftd::level::Level;

/// Writes the settings of nodes that show this, and say `mode`.
fn write_settings(at: &Path, authority: &Authority, shown: &Shown, mode: &str) {
    let text = format!(
        "tls_cert = '{}'\ntls_key = '{}'\ntls_mode = '{mode}'\npeer_ca = '{}'\n\
         peer_allowed = ['spiffe://prod/node']\npeer_tls_mode = '{mode}'\n",
        shown.cert, shown.key, authority.pem
    );
    fs::write(at, text).expect("written");
}

/// When every node has encrypted connections to all others.
fn all_encrypted(nodes: &[Node]) -> Option<()> {
    let encrypted = nodes.iter().all(|node| {
        node.status().is_some_and(|status| {
            let mut peers = status.connections.peers.iter();
            peers.all(|peer| peer.connected && peer.encrypted)
        })
    });
    encrypted.then_some(())
}

/// Three nodes that require TLS of clients and of each other, and have no secret.
fn encrypted(dir: &Path, authority: &Authority) -> Cluster {
    let shown = authority.sign("spiffe://prod/node");
    let settings = dir.join("settings.toml");
    write_settings(&settings, authority, &shown, "require");
    let settings = settings.display().to_string();
    let flags = ["--segment-bytes", "1MiB", "--config", &settings];
    Cluster::start_in(dir, 3, PeersOver::Tcp, &flags)
}

#[test]
fn a_cluster_moves_to_tls_node_by_node_under_load_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let ours = Authority::new(&dir.path().join("ours"));
    let shown = ours.sign("spiffe://prod/node");
    let settings = dir.path().join("settings.toml");
    fs::write(&settings, "").expect("written");
    let path = settings.display().to_string();
    let flags = ["--segment-bytes", "1MiB", "--config", &path];
    let mut cluster = Cluster::start_in(dir.path(), 3, PeersOver::Tcp, &flags);
    let writers = start_writers(&cluster);
    wait_for_more(&writers);
    for mode in ["accept", "require"] {
        write_settings(&settings, &ours, &shown, mode);
        for at in 0..3 {
            assert_eq!(cluster.nodes[at].stop(), Some(0));
            cluster.nodes[at].start();
            // With one of three away the others may not write: each is back before the next goes.
            eventually("it follows again", || {
                let status = cluster.nodes[at].status()?;
                let mut peers = status.connections.peers.iter();
                (status.view.leader.is_some() && peers.all(|peer| peer.connected)).then_some(())
            });
            wait_for_more(&writers);
        }
        eventually("every link is encrypted", || all_encrypted(&cluster.nodes));
        let is_plain_served = Client::tcp(&cluster.nodes[0].tcp)
            .is_ok_and(|mut client| client.call(&["SET", "plain", "v"]) == ok());
        assert_eq!(is_plain_served, mode == "accept");
    }
    check_all_there(&cluster, writers);
    let status = cluster.nodes[0].status().expect("a status");
    assert_eq!(
        (
            status.connections.tls.as_str(),
            status.connections.peer_tls.as_str()
        ),
        ("require", "require")
    );
}

#[test]
fn a_node_without_the_right_certificate_is_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let (ours, other) = (
        Authority::new(&dir.path().join("ours")),
        Authority::new(&dir.path().join("other")),
    );
    let mut cluster = encrypted(dir.path(), &ours);
    eventually("every link is encrypted", || all_encrypted(&cluster.nodes));
    let settings = dir.path().join("settings.toml");
    let at = cluster.followers()[0];
    let good = ours.sign("spiffe://prod/node");
    let bad = [
        (
            ours.sign("spiffe://prod/nodes"),
            "'spiffe://prod/nodes', and none of the names in --peer-allowed",
        ),
        (
            ours.sign("client"),
            "'client', and none of the names in --peer-allowed",
        ),
        (other.sign("spiffe://prod/node"), "UnknownIssuer"),
        (ours.sign_expired("spiffe://prod/node"), "expired"),
    ];
    for (shown, why) in bad {
        cluster.nodes[at].stop();
        write_settings(&settings, &ours, &shown, "require");
        cluster.nodes[at].start();
        write_settings(&settings, &ours, &good, "require");
        let lead = cluster.leader();
        eventually("both sides say why", || {
            let from_it = cluster.nodes[lead].log();
            let to_it = cluster.nodes[lead].status()?.connections.peers;
            let id = at as u64 + 1;
            let error = to_it.into_iter().find(|peer| peer.id == id)?.error?;
            let refused = from_it
                .lines()
                .any(|line| line.contains("a connection from") && line.contains(why));
            let said = cluster.nodes[at].log().contains("TLS: received fatal alert");
            (refused && said && error.contains(why)).then_some(())
        });
        let status = cluster.nodes[at].status().expect("a status");
        assert_eq!(status.view.leader, None, "{why}");
        assert!(
            status.connections.peers.iter().all(|peer| !peer.connected),
            "{why}"
        );
    }
    cluster.nodes[at].stop();
    cluster.nodes[at].start();
    eventually("every link is encrypted", || all_encrypted(&cluster.nodes));
}

#[test]
fn a_node_without_tls_hears_that_it_is_required() {
    let dir = tempfile::tempdir().expect("a directory");
    let ours = Authority::new(&dir.path().join("ours"));
    let mut cluster = encrypted(dir.path(), &ours);
    let settings = dir.path().join("settings.toml");
    let at = cluster.followers()[0];
    cluster.nodes[at].stop();
    fs::write(&settings, "").expect("written");
    cluster.nodes[at].start();
    eventually("each side says what the other one lacks", || {
        let lead = &cluster.nodes[cluster.leader()];
        let is_logged = lead
            .log()
            .contains("it does not speak TLS, which is required here");
        let peers = lead.status()?.connections.peers;
        let error = peers
            .iter()
            .find(|peer| peer.id == at as u64 + 1)?
            .error
            .clone()?;
        let heard = cluster.nodes[at].log().contains("it takes nodes with TLS only");
        (is_logged && heard && error.contains("--peer-tls-mode require")).then_some(())
    });
    let status = cluster.nodes[at].status().expect("a status");
    assert_eq!(status.view.leader, None);
}

/// Strangers get neither the greeting's answer nor a place that a node needs.
#[test]
fn strangers_at_the_port_for_nodes_get_nowhere() {
    let dir = tempfile::tempdir().expect("a directory");
    let ours = Authority::new(&dir.path().join("ours"));
    let mut cluster = encrypted(dir.path(), &ours);
    let lead = cluster.leader();
    let to = cluster.nodes[lead]
        .settings()
        .iter()
        .find_map(|arg| arg.strip_prefix(&format!("{}=", lead + 1)))
        .expect("its own address")
        .to_owned();
    let flood: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(&to).expect("connected");
            // A hello of TLS that does not go on.
            stream.write_all(&[22, 3, 1, 2, 0]).expect("written");
            stream
        })
        .collect();
    let at = (lead + 1) % 3;
    cluster.nodes[at].kill();
    cluster.nodes[at].start();
    eventually("a node gets in beside them", || all_encrypted(&cluster.nodes));
    let mut plain = TcpStream::connect(&to).expect("connected");
    plain.write_all(&[0; 20]).expect("written");
    let mut heard = Vec::new();
    let _ = plain.read_to_end(&mut heard);
    assert!(heard.len() <= 29, "a rejection, and nothing more: {heard:?}");
    eventually("they are ended", || {
        flood
            .iter()
            .all(|mut stream| !matches!(stream.read(&mut [0; 64]), Ok(1..)))
            .then_some(())
    });
}

#[test]
fn a_machine_joins_over_tls_with_its_certificate() {
    let dir = tempfile::tempdir().expect("a directory");
    let ours = Authority::new(&dir.path().join("ours"));
    let cluster = encrypted(dir.path(), &ours);
    let lead = &cluster.nodes[cluster.leader()];
    let trust = ["--tls", "--cacert", ours.pem.as_str()];
    eventually("every link is encrypted", || all_encrypted(&cluster.nodes));
    let (code, text) = complaint_of(&[&["upgrade", &lead.tcp][..], &trust].concat());
    assert_eq!(code, Some(0), "{text}");
    let settings = dir.path().join("settings.toml").display().to_string();
    let flags = [
        "--config",
        &settings,
        "--segment-bytes",
        "1MiB",
        "--join",
        &lead.tcp,
    ];
    let peer = ["--peer-listen", "127.0.0.1:0", "--peer-advertise", "127.0.0.1:9"];
    let args: Vec<String> = [&flags[..], &peer, &trust]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let mut fourth = Node::new(&dir.path().join("n4"), &args);
    fourth.start();
    let known = eventually("it is a member", || {
        let status = lead.status()?;
        status
            .connections
            .peers
            .iter()
            .any(|peer| peer.id == 4)
            .then_some(status)
    });
    assert_eq!(known.view.level, Level::SUPPORTED.get());
}
