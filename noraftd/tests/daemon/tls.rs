//! TLS towards clients, with real processes: redis-cli, openssl and the verbs of noraftd.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::certs::{Authority, Shown};
use crate::support::client::{bulk, error_text, ok};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::program::{answer_of, complaint_of, said};
use crate::support::skip::skip;
use nix::sys::signal::Signal;

/// A node alone with these settings besides.
fn node(dir: &Path, settings: &[&str]) -> Node {
    let mut node = Node::alone(dir);
    node.give(settings);
    node
}

fn port(node: &Node) -> &str {
    node.tcp.rsplit_once(':').expect("an address").1
}

/// What redis-cli gets; `None` where there is no redis-cli.
fn redis_cli(node: &Node, flags: &[&str], words: &[&str]) -> Option<String> {
    let output = Command::new("redis-cli")
        .args(["-h", "127.0.0.1", "-p", port(node)])
        .args(flags)
        .args(words)
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => Some(said(&output)),
        Err(error) => {
            skip(&format!("redis-cli: {error}"));
            None
        }
    }
}

/// What `openssl s_client` says of a connection; `None` where there is no openssl.
fn s_client(node: &Node, flags: &[&str]) -> Option<String> {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &node.tcp])
        .args(flags)
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => Some(said(&output)),
        Err(error) => {
            skip(&format!("openssl: {error}"));
            None
        }
    }
}

/// Whether `noraftd status` gets an answer with these flags, and what it complains of.
fn status(node: &Node, flags: &[&str]) -> (bool, String) {
    let args = [&["status", &node.tcp][..], flags].concat();
    let (code, complaint) = complaint_of(&args);
    (code == Some(0), complaint)
}

#[test]
fn clients_speak_tls_and_those_that_do_not_hear_why() {
    let dir = tempfile::tempdir().expect("a directory");
    let (ours, other) = (
        Authority::new(&dir.path().join("ours")),
        Authority::new(&dir.path().join("other")),
    );
    let shown = ours.sign("node");
    let mut node = node(dir.path(), &shown.settings());
    node.start();
    node.wait_for_leader();
    let trust = ["--tls", "--cacert", ours.pem.as_str()];

    let reply = node.client().call(&["PING"]);
    assert!(error_text(&reply).contains("TLS only"), "{reply:?}");
    let (is_good, text) = status(&node, &[]);
    assert!(!is_good && text.contains("TLS only"), "{text}");
    assert_eq!(status(&node, &trust), (true, String::new()));
    let (code, members) = answer_of(&[&["member", "list", &node.tcp][..], &trust].concat());
    assert_eq!(code, Some(0), "{members}");
    let (is_good, text) = status(&node, &["--tls", "--cacert", &other.pem]);
    assert!(
        !is_good && text.contains("TLS: invalid peer certificate: UnknownIssuer"),
        "{text}"
    );
    // The name counts too.
    let port = port(&node);
    let (code, text) = complaint_of(&[&["status", &format!("localhost:{port}")][..], &trust].concat());
    assert!(code != Some(0) && text.contains("not valid for name"), "{text}");
    // What is on the way out is more than a socket takes, and more than a record.
    let large = "x".repeat(600 << 10);
    assert_eq!(node.unix_client().call(&["SET", "large", &large]), ok());
    if let Some(reply) = redis_cli(&node, &trust, &[&["MGET"][..], &["large"; 20]].concat()) {
        let lines: Vec<&str> = reply.lines().collect();
        assert!(lines == vec![large; 20], "{} bytes", reply.len());
    }
    if let Some(text) = redis_cli(&node, &["--tls", "--cacert", &other.pem], &["PING"]) {
        assert!(!text.contains("PONG"), "{text}");
    }
    for version in ["-tls1_2", "-tls1_3"] {
        if let Some(text) = s_client(&node, &[version, "-CAfile", &ours.pem]) {
            assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
        }
    }
    if let Some(text) = s_client(
        &node,
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-CAfile", &ours.pem],
    ) {
        assert!(text.contains("Cipher is (NONE)"), "{text}");
    }
    assert!(
        node.log()
            .contains("it does not speak TLS, which is required here"),
        "{}",
        node.log()
    );
}

#[test]
fn large_pipelines_come_through_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let ours = Authority::new(dir.path());
    let shown = ours.sign("node");
    let mut node = node(dir.path(), &shown.settings());
    node.start();
    node.wait_for_leader();
    let mut client = Command::new("redis-cli");
    client.args(["-p", port(&node), "--tls", "--cacert", &ours.pem, "--pipe"]);
    let spawned = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return skip(&format!("redis-cli: {error}")),
    };
    let mut input = child.stdin.take().expect("a pipe");
    let value = "v".repeat(1000);
    for n in 0..2000 {
        let key = format!("key:{n}");
        let text = format!(
            "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n$1000\r\n{value}\r\n",
            key.len()
        );
        input.write_all(text.as_bytes()).expect("written");
    }
    drop(input);
    let text = said(&child.wait_with_output().expect("a child"));
    assert!(text.contains("errors: 0, replies: 2000"), "{text}");
    let mut reader = node.unix_client();
    for n in 0..2000 {
        assert_eq!(reader.call(&["GET", &format!("key:{n}")]), bulk(&value));
    }
}

#[test]
fn clients_show_a_good_certificate_where_they_have_to() {
    let dir = tempfile::tempdir().expect("a directory");
    let (ours, other) = (
        Authority::new(&dir.path().join("ours")),
        Authority::new(&dir.path().join("other")),
    );
    let shown = ours.sign("node");
    let settings = [&shown.settings()[..], &["--client-ca", &ours.pem]].concat();
    let mut node = node(dir.path(), &settings);
    node.start();
    node.wait_for_leader();
    let good = ours.sign("spiffe://prod/app");
    assert_eq!(status(&node, &good.flags(&ours)), (true, String::new()));
    if let Some(reply) = redis_cli(&node, &good.flags(&ours), &["PING"]) {
        assert_eq!(reply.trim(), "PONG");
    }
    let bad: [(&str, Option<Shown>, &str, &str); 3] = [
        (
            "none",
            None,
            "TLS: received fatal alert: CertificateRequired",
            "peer sent no certificates",
        ),
        (
            "of another CA",
            Some(other.sign("app")),
            "TLS: received fatal alert",
            "UnknownIssuer",
        ),
        (
            "expired",
            Some(ours.sign_expired("app")),
            "TLS: received fatal alert",
            "expired",
        ),
    ];
    for (what, shown, complaint, logged) in bad {
        let trust = ["--tls", "--cacert", ours.pem.as_str()];
        let flags = shown
            .as_ref()
            .map_or(trust.to_vec(), |shown| shown.flags(&ours).to_vec());
        let (is_good, text) = status(&node, &flags);
        assert!(!is_good && text.contains(complaint), "{what}: {text}");
        eventually("the log says why", || node.log().contains(logged).then_some(()));
        if let Some(reply) = redis_cli(&node, &flags, &["PING"]) {
            assert!(!reply.contains("PONG"), "{what}: {reply}");
        }
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let ours = Authority::new(&dir.path().join("ours"));
    let (one, two) = (ours.sign("one"), ours.sign("two"));
    let garbage = dir.path().join("garbage").display().to_string();
    fs::write(&garbage, "no PEM").expect("written");
    let broken = dir.path().join("broken").display().to_string();
    fs::write(
        &broken,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .expect("written");
    let cases: [(&[&str], &str); 8] = [
        (
            &["--tls-cert", "/nowhere/c", "--tls-key", &one.key],
            "the certificate in /nowhere/c: No such file",
        ),
        (
            &["--tls-cert", &garbage, "--tls-key", &one.key],
            "it holds no certificate in PEM",
        ),
        (
            &["--tls-cert", &broken, "--tls-key", &one.key],
            "the certificate in ",
        ),
        (&["--tls-cert", &one.cert, "--tls-key", &garbage], "the key in "),
        (
            &["--tls-cert", &one.cert, "--tls-key", &two.key],
            "do not fit together",
        ),
        (
            &[
                "--tls-cert",
                &one.cert,
                "--tls-key",
                &one.key,
                "--client-ca",
                &one.key,
            ],
            "the CA's certificate in ",
        ),
        (&["--tls-cert", &one.cert], "tls_key is missing"),
        (
            &[
                "--tls-cert",
                &one.cert,
                "--tls-key",
                &one.key,
                "--peer-ca",
                &ours.pem,
            ],
            "peer_allowed is missing",
        ),
    ];
    for (at, (settings, text)) in cases.into_iter().enumerate() {
        let (code, log) = node(&dir.path().join(at.to_string()), settings).start_expecting_refusal();
        assert_eq!(code, Some(78), "{settings:?}: {log}");
        assert!(log.contains(text), "{settings:?}: {log}");
    }
    let args = ["status", "127.0.0.1:9", "--tls", "--cacert", &garbage];
    let (code, text) = complaint_of(&args);
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("the CA's certificate in "), "{text}");
}

#[test]
fn certificates_are_read_again_while_the_node_serves() {
    let dir = tempfile::tempdir().expect("a directory");
    let (old, new) = (
        Authority::new(&dir.path().join("old")),
        Authority::new(&dir.path().join("new")),
    );
    let used = Shown {
        cert: dir.path().join("c.pem").display().to_string(),
        key: dir.path().join("c.key").display().to_string(),
    };
    let put = |shown: &Shown| {
        fs::copy(&shown.key, &used.key).expect("written");
        fs::copy(&shown.cert, &used.cert).expect("written");
    };
    put(&old.sign("node"));
    let mut node = node(dir.path(), &used.settings());
    node.start();
    node.wait_for_leader();
    let (id, old_trust, new_trust) = (
        node.id(),
        ["--tls", "--cacert", old.pem.as_str()],
        ["--tls", "--cacert", new.pem.as_str()],
    );
    assert!(status(&node, &old_trust).0 && !status(&node, &new_trust).0);
    put(&new.sign("node"));
    eventually("it notices by itself", || {
        status(&node, &new_trust).0.then_some(())
    });
    assert!(!status(&node, &old_trust).0);
    assert!(
        node.log()
            .contains("the TLS files have changed: certificates and keys were read again")
    );

    fs::write(&used.cert, "no PEM").expect("written");
    node.signal(Signal::SIGHUP);
    eventually("it says what is wrong", || {
        node.log()
            .contains("SIGHUP: certificates and keys stay as they were: the certificate in ")
            .then_some(())
    });
    assert!(status(&node, &new_trust).0, "what was read before stays in force");
    put(&old.sign("node"));
    node.signal(Signal::SIGHUP);
    eventually("they are back", || status(&node, &old_trust).0.then_some(()));
    assert_eq!(node.id(), id);
    assert!(node.is_running());
}

#[test]
fn with_accept_both_kinds_of_clients_are_served_at_one_port() {
    let dir = tempfile::tempdir().expect("a directory");
    let ours = Authority::new(&dir.path().join("ours"));
    let shown = ours.sign("node");
    let settings = [&shown.settings()[..], &["--tls-mode", "accept"]].concat();
    let mut node = node(dir.path(), &settings);
    node.start();
    node.wait_for_leader();
    let idle = node.client();
    assert!(status(&node, &["--tls", "--cacert", &ours.pem]).0);
    assert!(status(&node, &[]).0);
    let mut client = idle;
    assert_eq!(client.call(&["ECHO", "x"]), bulk("x"));
    // What looks like TLS at first and goes on differently is no request.
    let mut odd = TcpStream::connect(&node.tcp).expect("connected");
    odd.write_all(&[22, 3, 1, 0, 1, 0]).expect("written");
    let mut rest = Vec::new();
    // However it ends, it ends.
    let _ = odd.read_to_end(&mut rest);
    assert!(status(&node, &[]).0);
}

#[test]
fn handshakes_under_way_are_bounded() {
    let dir = tempfile::tempdir().expect("a directory");
    let ours = Authority::new(&dir.path().join("ours"));
    let shown = ours.sign("node");
    let mut node = node(dir.path(), &shown.settings());
    node.start();
    node.wait_for_leader();
    let flood: Vec<TcpStream> = (0..400)
        .map(|_| {
            let mut stream = TcpStream::connect(&node.tcp).expect("connected");
            stream.write_all(&[22, 3, 1, 2]).expect("written");
            stream.set_nonblocking(true).expect("a socket");
            stream
        })
        .collect();
    assert!(
        status(&node, &["--tls", "--cacert", &ours.pem]).0,
        "the others get in"
    );
    eventually("the oldest are ended, and with time all", || {
        let has_ended = |stream: &TcpStream| {
            let mut stream = stream;
            let mut bytes = [0; 64];
            // An alert may come before the end.
            loop {
                match stream.read(&mut bytes) {
                    Ok(1..) => {}
                    Ok(0) => return true,
                    Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
                }
            }
        };
        flood.iter().all(has_ended).then_some(())
    });
    let log = node.log();
    assert!(log.contains("too many TLS handshakes are under way"), "{log}");
    assert!(log.contains("no TLS handshake within"), "{log}");
}

#[test]
fn a_trial_is_made_with_two_commands() {
    let dir = tempfile::tempdir().expect("a directory");
    let tls = dir.path().join("tls").display().to_string();
    let made = |args: &[&str]| complaint_of(&[&["cert"][..], args].concat());
    assert_eq!(made(&["ca", &tls]), (Some(0), String::new()));
    assert_eq!(
        made(&["leaf", &tls, "node1", "--also", "127.0.0.1"]),
        (Some(0), String::new())
    );
    let (code, text) = made(&["leaf", &tls, "node1"]);
    assert!(
        code == Some(73) && text.contains("node1.key: File exists"),
        "{text}"
    );
    let (code, text) = made(&["leaf", &tls, "../node1"]);
    assert!(code == Some(64) && text.contains("'../node1'"), "{code:?} {text}");
    use std::os::unix::fs::PermissionsExt;
    let mode = |file: &str| {
        let found = fs::metadata(dir.path().join("tls").join(file)).expect("a file");
        found.permissions().mode() & 0o777
    };
    assert_eq!((mode("ca.key"), mode("node1.key")), (0o600, 0o600));
    let at = |file: &str| dir.path().join("tls").join(file).display().to_string();
    let mut node = node(
        dir.path(),
        &["--tls-cert", &at("node1.pem"), "--tls-key", &at("node1.key")],
    );
    node.start();
    node.wait_for_leader();
    assert_eq!(
        status(&node, &["--tls", "--cacert", &at("ca.pem")]),
        (true, String::new())
    );
    if let Some(text) = s_client(&node, &["-CAfile", &at("ca.pem"), "-x509_strict"]) {
        assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
    }
}
