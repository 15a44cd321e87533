//! The tools that people use: redis-cli, redis-py, and noraftd's own verbs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use crate::support::client::{Client, bulk, ok};
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::program::{answer_of, noraftd, said};
use crate::support::skip::skip;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use noraftd::protocol::resp::Value;

/// Runs a program; `None`, with a message, when it is not installed.
fn installed(program: &str, args: &[&str]) -> Option<Output> {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .ok();
    if output.as_ref().is_none_or(|output| !output.status.success()) {
        skip(&format!("'{program} {}' does not work here", args.join(" ")));
        return None;
    }
    output
}

fn redis_cli(address: &[&str], args: &[&str]) -> String {
    let output = Command::new("redis-cli")
        .args(address)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

#[test]
fn redis_cli_drives_any_node_over_tcp_and_unix() {
    if installed("redis-cli", &["--version"]).is_none() {
        return;
    }
    let cluster = Cluster::start(3, PeersOver::Unix);
    let mut count = 0;
    for node in &cluster.nodes {
        let (host, port) = node.tcp.rsplit_once(':').expect("host and port");
        let socket = node.unix().display().to_string();
        for address in [&["-h", host, "-p", port][..], &["-s", &socket]] {
            count += 1;
            assert_eq!(redis_cli(address, &["SET", "k", "some text"]), "OK");
            assert_eq!(redis_cli(address, &["GET", "k"]), "some text");
            assert_eq!(redis_cli(address, &["INCR", "count"]), count.to_string());
            assert_eq!(redis_cli(address, &["-3", "GET", "none"]), "");
            assert!(redis_cli(address, &["XADD", "s", "*", "f", "v"]).contains('-'));
            assert_eq!(redis_cli(address, &["XLEN", "s"]), count.to_string());
            assert!(redis_cli(address, &["INFO"]).contains("loading:0"));
            assert!(redis_cli(address, &["NOSUCH"]).starts_with("ERR unknown command"));
        }
    }
}

/// What a program that uses redis-py does; the address comes as its argument.
const PYTHON: &str = r#"
import sys, redis
client = redis.Redis.from_url(sys.argv[1])
assert client.ping()
assert client.set("py", "v1") and client.get("py") == b"v1"
assert client.set("py", "v2", nx=True) is None
assert client.mset({"py:a": "1", "py:b": "2"}) and client.mget("py:a", "none", "py:b") == [b"1", None, b"2"]
before = int(client.get("py:n") or 0)
with client.pipeline(transaction=False) as pipe:
    for _ in range(20):
        pipe.incr("py:n")
    assert pipe.execute() == list(range(before + 1, before + 21))
name = client.xadd("py:s", {"field": "value"})
assert (name, {b"field": b"value"}) in client.xrange("py:s")
assert client.xread({"py:s": "0"})
assert client.info()["loading"] == 0
try:
    client.pfadd("py", "x")
    raise SystemExit("an unsupported command was accepted")
except redis.ResponseError as error:
    assert "unknown command" in str(error), error
print("done")
"#;

#[test]
fn redis_py_drives_any_node_over_tcp_and_unix() {
    let Some(version) = installed("python3", &["-c", "import redis; print(redis.__version__)"]) else {
        return;
    };
    eprintln!("redis-py {}", String::from_utf8_lossy(&version.stdout).trim_end());
    let cluster = Cluster::start(3, PeersOver::Unix);
    for node in &cluster.nodes {
        let addresses = [
            format!("redis://{}", node.tcp),
            format!("unix://{}", node.unix().display()),
        ];
        for address in addresses {
            let output = Command::new("python3")
                .args(["-c", PYTHON, &address])
                .output()
                .expect("it runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success() && output.stdout == b"done\n",
                "{address}: {said}"
            );
        }
    }
}

#[test]
fn status_describes_a_node_in_words_and_in_json() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(dir.path());
    node.start();
    node.wait_for_leader();
    assert_eq!(node.client().call(&["SET", "k", "v"]), ok());
    let (code, text) = answer_of(&["status", &node.tcp]);
    assert_eq!(code, Some(0));
    for part in [
        "role       leader",
        "leader     node 1",
        "last sync took",
        "recovered 0 entries",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (code, json) = answer_of(&["status", &node.unix().display().to_string(), "--json"]);
    assert_eq!(code, Some(0));
    let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (report["role"].as_str(), report["id"].as_u64()),
        (Some("leader"), Some(1))
    );
    assert_eq!(report["commit_index"], report["applied_index"]);
}

#[test]
fn inspect_shows_what_a_directory_holds_and_what_damage_means() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(dir.path());
    node.start();
    node.wait_for_leader();
    for n in 0..20 {
        assert_eq!(node.client().call(&["SET", "k", &n.to_string()]), ok());
    }
    assert_eq!(node.stop(), Some(0));
    let data = dir.path().join("data");
    let (code, text) = answer_of(&["inspect", &data.display().to_string(), "--records"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.matches("COMMAND").count() >= 20, "{text}");
    let (code, _) = answer_of(&["inspect", "/nowhere/at/all"]);
    assert_eq!(code, Some(1));
}

#[test]
fn verify_gives_each_file_a_verdict_and_finds_every_flipped_bit_of_a_payload() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::new(
        dir.path(),
        &["--id", "1", "--segment-bytes", "256KiB"].map(String::from),
    );
    node.start();
    node.wait_for_leader();
    let value = "v".repeat(8 << 10);
    for n in 0..60 {
        assert_eq!(node.client().call(&["SET", &format!("k{n}"), &value]), ok());
    }
    assert_eq!(node.stop(), Some(0));
    let data = dir.path().join("data");
    let verify = || answer_of(&["inspect", "--verify", &data.display().to_string()]);
    let (code, text) = verify();
    assert_eq!(code, Some(0), "{text}");
    assert!(text.ends_with("every checksum holds\n"), "{text}");
    for file in [
        "hard_state ",
        "segment-0000000000000001 ",
        "segment-0000000000000002 ",
    ] {
        assert!(
            text.lines()
                .any(|line| line.starts_with(file) && line.contains("intact")),
            "{text}"
        );
    }
    let segment = data.join("segment-0000000000000001");
    let intact = std::fs::read(&segment).expect("readable");
    for at in [100, 9000, 20_000, 120_000, intact.len() - 4000] {
        let mut damaged = intact.clone();
        damaged[at] ^= 4;
        std::fs::write(&segment, &damaged).expect("writable");
        let (code, text) = verify();
        // A page that is all zeros and follows the log belongs to nothing.
        let is_unused = intact[at] == 0;
        assert!(code == Some(65) || is_unused, "byte {at}: {text}");
        if code == Some(65) {
            let line = text
                .lines()
                .find(|line| line.starts_with("segment-0000000000000001"));
            assert!(
                line.is_some_and(|line| line.contains("DAMAGED")),
                "byte {at}: {text}"
            );
        }
    }
    std::fs::write(&segment, &intact).expect("writable");
    std::fs::write(data.join("hard_state"), [0; 8192]).expect("writable");
    let (code, text) = verify();
    assert_eq!(code, Some(65), "{text}");
    assert!(text.contains("0 of 2 slots"), "{text}");
    let (code, _) = answer_of(&["inspect", "--verify", "/nowhere/at/all"]);
    assert_eq!(code, Some(1));
}

/// `noraftd dev`, and the lines it prints.
struct Dev {
    child: std::process::Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Dev {
    fn start(dir: Option<&std::path::Path>) -> Self {
        // Ports are taken from the ephemeral range in steps; one in use makes the cluster give up and this
        // helper try the next ones.
        eventually("three free ports", || {
            let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
            let base = free.local_addr().expect("bound").port().min(64_000);
            drop(free);
            let mut command = Command::new(env!("CARGO_BIN_EXE_noraftd"));
            command.args(["dev", "--nodes", "3", "--port-base", &base.to_string()]);
            if let Some(dir) = dir {
                command.arg("--dir").arg(dir);
            }
            let log = dir.map_or(Stdio::inherit(), |dir| {
                std::fs::File::create(dir.join("log")).expect("a log").into()
            });
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
            let mut child = command.spawn().expect("it starts");
            let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
            let mut dev = Self { child, lines };
            let found = dev.line_with("3 nodes in").is_some();
            let led = found.then(|| dev.line_with("leads")).flatten().is_some();
            if !led {
                dev.child.wait().expect("a child");
            }
            led.then_some(dev)
        })
    }

    fn line_with(&mut self, text: &str) -> Option<String> {
        self.lines
            .by_ref()
            .map_while(Result::ok)
            .find(|line| line.contains(text))
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("it runs");
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.signal(Signal::SIGTERM);
            let _ = self.child.wait();
        }
    }
}

#[test]
fn dev_runs_a_cluster_in_a_directory_and_stops_it_on_ctrl_c() {
    let dir = tempfile::tempdir().expect("a directory");
    for round in 0..2 {
        let mut dev = Dev::start(Some(dir.path()));
        for id in 1..=3 {
            let mut client = Client::unix(&dir.path().join(format!("client-{id}.sock"))).expect("it serves");
            assert_eq!(client.call(&["SET", &format!("k{round}{id}"), "v"]), ok());
            assert_eq!(client.call(&["GET", "k01"]), bulk("v"));
            // An experiment may start over; any other cluster may not.
            eventually("the cluster has risen to the level of FLUSHALL", || {
                (client.call(&["FLUSHALL"]) == ok()).then_some(())
            });
            assert_eq!(client.call(&["FLUSHDB", "ASYNC"]), ok());
            assert_eq!(client.call(&["EXISTS", "k01"]), Value::Integer(0));
            assert_eq!(client.call(&["SET", "k01", "v"]), ok());
        }
        dev.signal(Signal::SIGINT);
        assert_eq!(dev.child.wait().expect("a child").code(), Some(0));
    }
}

#[test]
fn dev_says_when_a_node_dies_and_goes_on_with_the_others() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut dev = Dev::start(Some(dir.path()));
    let (_, json) = answer_of(&[
        "status",
        &dir.path().join("client-2.sock").display().to_string(),
        "--json",
    ]);
    let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let pid = report["process_id"].as_u64().expect("a process id");
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).expect("it runs");
    let log = dir.path().join("log");
    eventually("a line about it", || {
        let log = std::fs::read_to_string(&log).expect("a log");
        log.contains("node 2 ended: signal: 9").then_some(())
    });
    let socket = dir.path().join("client-1.sock");
    eventually("the others go on", || {
        let reply = Client::unix(&socket).ok()?.try_call(&["SET", "k", "v"]).ok()?;
        (reply == ok()).then_some(())
    });
    dev.signal(Signal::SIGTERM);
    assert_eq!(dev.child.wait().expect("a child").code(), Some(0));
}

#[test]
fn the_nodes_of_dev_do_not_outlive_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut dev = Dev::start(Some(dir.path()));
    dev.signal(Signal::SIGKILL);
    dev.child.wait().expect("a child");
    for id in 1..=3 {
        let socket = dir.path().join(format!("client-{id}.sock"));
        eventually("the node ends", || Client::unix(&socket).is_err().then_some(()));
    }
}

#[test]
fn the_help_teaches() {
    for verb in ["", "serve", "dev", "status", "member", "voters", "inspect"] {
        let args: Vec<&str> = [verb, "--help"]
            .into_iter()
            .filter(|arg| !arg.is_empty())
            .collect();
        let (code, text) = answer_of(&args);
        assert_eq!(code, Some(0));
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        insta::assert_snapshot!(format!("help_{verb}"), lines.join("\n"));
    }
}

#[test]
fn check_disk_measures_and_leaves_the_directory_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().display().to_string();
    let output = noraftd(&["check-disk", &path, "--time", "20ms", "--json"]);
    // Whether a timeout is long enough for the disk of this machine is not known.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", said(&output));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let batches = result["batches"].as_array().expect("a row for each size");
    assert_eq!(batches.len(), 3, "{result}");
    for batch in batches {
        let [p50, slowest] = ["p50_us", "slowest_us"].map(|name| batch[name].as_u64());
        assert!(
            batch["count"].as_u64() >= Some(1) && p50 <= slowest && slowest > Some(0),
            "{batch}"
        );
    }
    assert_eq!(fs::read_dir(dir.path()).expect("it is there").count(), 0);
    let short = noraftd(&["check-disk", &path, "--time", "20ms", "--election-timeout", "1ms"]);
    let text = said(&short);
    assert!(text.contains("BATCH") && text.contains("1.00ms is "), "{text}");
    let gone = noraftd(&["check-disk", &format!("{path}/gone")]);
    assert_eq!(gone.status.code(), Some(73), "{}", said(&gone));
}
