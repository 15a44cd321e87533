//! Libraries fail over by themselves: their Sentinel support finds the next leader while the one they write to is killed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use noraftd::protocol::resp::Value;

use crate::support::client::bulk;
use crate::support::cluster::{Cluster, PeersOver};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::skip::skip;
use crate::transactions::upgrade;

/// A program that writes through a library, and the lines it says.
struct Writer {
    child: Child,
    lines: Receiver<String>,
    /// The last line that was looked at.
    last: String,
}

impl Writer {
    fn start(mut command: Command, key: &str, cluster: &Cluster) -> Self {
        command
            .args([key, "noraft"])
            .args(cluster.nodes.iter().map(|node| &node.tcp));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (say, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if say.send(line).is_err() {
                    break;
                }
            }
        });
        let last = String::new();
        Self { child, lines, last }
    }

    /// Waits until the leader of then has taken some writes in a row; or many, if the leader changes under a library that keeps its
    /// connection, for then a follower passes them on.
    #[expect(
        clippy::disallowed_methods,
        reason = "another process writes, and may never succeed"
    )]
    fn goes_on(&mut self) {
        while let Ok(line) = self.lines.try_recv() {
            self.last = line;
        }
        let (mut by_leader, mut by_any) = (0, 0);
        let until = Instant::now() + PATIENCE;
        while by_leader < BY_LEADER && by_any < BY_ANY {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|end| panic!("{end} after '{}'", self.last));
            let is_written = line.starts_with("wrote ");
            by_any = if is_written { by_any + 1 } else { 0 };
            let is_leader = is_written && line.ends_with(" master");
            by_leader = if is_leader { by_leader + 1 } else { 0 };
            self.last = line;
        }
    }

    /// The last number that it said.
    fn counted(&mut self) -> i64 {
        while let Ok(line) = self.lines.try_recv() {
            self.last = line;
        }
        self.last.parse().unwrap_or_else(|_| panic!("'{}'", self.last))
    }

    /// Waits for a number like this, and gives it.
    fn waits_for(&mut self, wanted: impl Fn(i64) -> bool) -> i64 {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            self.last = line.unwrap_or_else(|end| panic!("{end} after '{}'", self.last));
            let number = self.counted();
            if wanted(number) {
                return number;
            }
        }
    }

    /// Ends it; the number that it said last.
    fn end_of_count(mut self) -> String {
        drop(self.child.stdin.take());
        let status = eventually("the program ends", || self.child.try_wait().expect("a child"));
        assert!(status.success(), "{status}");
        self.lines.iter().last().unwrap_or_else(|| self.last.clone())
    }

    /// Ends it; the number that it wrote last.
    fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let status = eventually("the program ends", || self.child.try_wait().expect("a child"));
        assert!(status.success(), "{status}");
        let last = self.lines.iter().last().unwrap_or_else(|| self.last.clone());
        let number = last.split(' ').nth(1);
        assert!(last.starts_with("wrote "), "{last}");
        number.expect("a number").to_owned()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Kills the leader twice under a program that writes.
fn check(command: Command, key: &str) {
    let mut cluster = Cluster::start(3, PeersOver::Tcp);
    let mut writer = Writer::start(command, key, &cluster);
    writer.goes_on();
    for _ in 0..2 {
        let leader = cluster.leader();
        cluster.nodes[leader].kill();
        cluster.leader();
        writer.goes_on();
        cluster.nodes[leader].start();
    }
    let last = writer.end();
    let reply = cluster.nodes[cluster.leader()].client().call(&["GET", key]);
    assert_eq!(reply, bulk(&last), "the last write is the last that was answered");
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// The program `name`, when node and the library that it takes are there.
fn javascript(name: &str, library: &str) -> Option<Command> {
    let modules = folder("target/libraries/node_modules");
    if !modules.join(library).is_dir() {
        skip(&format!("{library} is not installed; scripts/setup.sh libraries"));
        return None;
    }
    let mut command = Command::new("node");
    command
        .arg(folder("libraries").join(name))
        .env("NODE_PATH", modules);
    Some(command)
}

fn has_redis_py() -> bool {
    let knows = Command::new("python3").args(["-c", "import redis"]).output();
    let knows = knows.is_ok_and(|output| output.status.success());
    if !knows {
        skip("redis-py is not installed; scripts/setup.sh clients");
    }
    knows
}

#[test]
fn redis_py_fails_over() {
    if !has_redis_py() {
        return;
    }
    let mut command = Command::new("python3");
    command.arg(folder("libraries/failover.py"));
    check(command, "redis-py");
}

/// The program in the book, which goes on to count, while leaders are killed: each number is counted once.
#[test]
fn redis_py_retries_through_any_node_and_nothing_is_done_twice() {
    if !has_redis_py() {
        return;
    }
    let mut cluster = Cluster::start(3, PeersOver::Tcp);
    let ports = cluster.nodes.iter().map(|node| node.tcp.rsplit_once(':'));
    let ports: Option<Vec<&str>> = ports.map(|parts| parts.map(|(_, port)| port)).collect();
    let ports = ports.expect("addresses").join(", ");
    upgrade(&cluster);
    let page = std::fs::read_to_string(folder("docs/src/tasks/clients.md")).expect("the page");
    let mut blocks = page.split("```python\n");
    let block = blocks.find(|block| block.starts_with("import random"));
    let (block, _) = block
        .and_then(|block| block.split_once("```"))
        .expect("a program");
    let program = block.replace("7611, 7612, 7613", &ports) + COUNT_ON;
    assert!(program.contains(&ports), "{program}");
    let mut command = Command::new("python3");
    command.args(["-c", &program]);
    let mut writer = Writer::start(command, "paid", &cluster);
    let counted = writer.waits_for(|_| true);
    for _ in 0..2 {
        let leader = cluster.leader();
        cluster.nodes[leader].kill();
        let before = counted.max(writer.counted());
        writer.waits_for(|number| number > before + BY_LEADER as i64);
        cluster.nodes[leader].start();
    }
    let last = writer.end_of_count();
    let reply = cluster.nodes[cluster.leader()].client().call(&["GET", "paid"]);
    assert_eq!(reply, bulk(&last));
}

#[test]
fn ioredis_fails_over() {
    if let Some(command) = javascript("failover-ioredis.js", "ioredis") {
        check(command, "ioredis");
    }
}

#[test]
#[ignore = "one library of JavaScript is enough here; make test-libraries"]
fn node_redis_fails_over() {
    if let Some(command) = javascript("failover-node-redis.js", "redis") {
        check(command, "node-redis");
    }
}

#[test]
fn the_crate_redis_fails_over() {
    let program = folder("target/libraries/bin/failover-redis-rs");
    if !program.is_file() {
        return skip("the program with the crate redis is not built; scripts/setup.sh clients");
    }
    check(Command::new(program), "redis-rs");
}

/// A node that is alone has no others; one that lost the others has no majority.
#[test]
fn a_node_says_who_leads_and_how_many_have_a_write() {
    let mut cluster = Cluster::start(3, PeersOver::Tcp);
    let leader = cluster.leader();
    let (host, port) = cluster.nodes[leader].tcp.rsplit_once(':').expect("an address");
    let address = Value::Array(vec![bulk(host), bulk(port)]);
    let of_the_leader = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "noraft"];
    for node in &cluster.nodes {
        let mut client = node.client();
        eventually("every node knows where the leader is", || {
            (client.call(&of_the_leader) == address).then_some(())
        });
        client.call(&["SET", "k", "v"]);
        assert_eq!(client.call(&["WAIT", "1", "0"]), Value::Integer(1));
        let on_disks = Value::Array(vec![Value::Integer(1), Value::Integer(1)]);
        assert_eq!(client.call(&["WAITAOF", "1", "1", "0"]), on_disks);
    }
    check_switch(&mut cluster, leader);
}

/// Who listens at a follower hears of the next leader.
fn check_switch(cluster: &mut Cluster, leader: usize) {
    let listener = (leader + 1) % 3;
    let mut client = cluster.nodes[listener].client();
    let begun = client.call(&["PSUBSCRIBE", "+switch-*"]);
    let expected = [bulk("psubscribe"), bulk("+switch-*"), Value::Integer(1)];
    assert_eq!(begun, Value::Array(expected.to_vec()));
    cluster.nodes[leader].kill();
    let next = cluster.leader();
    let at = |node: &Node| node.tcp.replace(':', " ");
    let text = format!(
        "noraft {} {}",
        at(&cluster.nodes[leader]),
        at(&cluster.nodes[next])
    );
    let said = [
        bulk("pmessage"),
        bulk("+switch-*"),
        bulk("+switch-master"),
        bulk(&text),
    ];
    assert_eq!(client.receive().expect("a message"), Value::Array(said.to_vec()));
}

/// Goes on from the program in the book until nothing more is to be done: until its input ends.
const COUNT_ON: &str = "
import itertools, select, sys

for number in itertools.count(2):
    print(once(nodes, session, number, 'INCR', 'paid'), flush=True)
    if select.select([sys.stdin], [], [], 0)[0]:
        break
";
/// So many writes in a row are no accident.
const BY_LEADER: usize = 10;
const BY_ANY: usize = 500;
/// Libraries rest for seconds before they look again.
const PATIENCE: Duration = Duration::from_secs(60);
