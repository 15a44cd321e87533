//! Real machines that join, replace others and leave, while clients write.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use noraftd::local::members::MembersReport;
use noraftd::protocol::resp::Value;

use crate::members::{member, members};
use crate::support::client::{Client, error_text};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::program::{noraftd, said};

/// Machines with numbers of their own: the ids are the cluster's.
struct Machines {
    dir: tempfile::TempDir,
    nodes: Vec<Node>,
    made: std::cell::Cell<usize>,
    /// Where clients find those that run.
    open: Arc<Mutex<Vec<PathBuf>>>,
}

impl Machines {
    /// One node, at level 1.
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut machines = Self {
            dir,
            nodes: Vec::new(),
            made: std::cell::Cell::new(0),
            open: Arc::default(),
        };
        machines.run(&["--id", "1"]);
        let address = machines.nodes[0].unix().display().to_string();
        eventually("the level rises", || {
            (noraftd(&["upgrade", &address]).status.code() == Some(0)).then_some(())
        });
        eventually("the table begins", || {
            members(&machines.nodes[0]).filter(|report| report.written)
        });
        machines
    }

    /// Another machine; its place.
    fn run(&mut self, args: &[&str]) -> usize {
        let node = self.prepare(args);
        self.nodes.push(node);
        let node = self.nodes.last_mut().expect("it was just added");
        node.start();
        self.open.lock().expect("no thread panicked").push(node.unix());
        self.nodes.len() - 1
    }

    fn prepare(&self, args: &[&str]) -> Node {
        let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let peer = held.local_addr().expect("bound").to_string();
        let own = [
            "--segment-bytes",
            "1MiB",
            "--snapshot-log-bytes",
            "256KiB",
            "--peer-listen",
            &peer,
        ];
        let all: Vec<String> = own.iter().chain(args).map(ToString::to_string).collect();
        let number = self.made.replace(self.made.get() + 1);
        Node::new(&self.dir.path().join(format!("m{number}")), &all)
    }

    /// A new machine joins by way of machine `by`; its place.
    fn join(&mut self, by: usize, rest: &[&str]) -> usize {
        let address = self.nodes[by].unix().display().to_string();
        self.run(&[&["--join", &address], rest].concat())
    }

    fn id(&self, at: usize) -> u64 {
        self.nodes[at].status().expect("it runs").id
    }

    /// Waits until these machines vote, and no others.
    fn check_voters(&self, at: &[usize]) {
        let ids: BTreeSet<u64> = at.iter().map(|at| self.id(*at)).collect();
        eventually(&format!("{ids:?} vote"), || {
            let report = members(&self.nodes[at[0]])?;
            (voters(&report) == ids && !report.changing).then_some(())
        });
    }

    /// Carries out an order until it is not refused for the moment.
    fn order(&self, by: usize, verb: &str, rest: &[&str]) {
        eventually(verb, || {
            let (code, text) = member(&self.nodes[by], verb, rest);
            let passes = ["TRYAGAIN", "INPROGRESS", "CLUSTERDOWN", "NOTLEADER", "INDEFINITE"];
            assert!(
                code == Some(0) || passes.iter().any(|word| text.contains(word)),
                "{text}"
            );
            (code == Some(0)).then_some(())
        });
    }

    /// This machine is no member any more, and its process says so.
    fn check_gone(&mut self, at: usize) {
        let path = self.nodes[at].unix();
        self.open
            .lock()
            .expect("no thread panicked")
            .retain(|open| *open != path);
        assert_eq!(self.nodes[at].wait().code(), Some(79), "{}", self.nodes[at].log());
    }
}

fn voters(report: &MembersReport) -> BTreeSet<u64> {
    let voters = report.members.iter().filter(|member| member.role == "voter");
    voters.map(|member| member.id).collect()
}

/// A client that appends one token after the other to a key of its own.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Written>,
}

/// What a writer heard.
#[derive(Default)]
struct Written {
    key: String,
    acknowledged: Vec<u64>,
    unknown: BTreeSet<u64>,
}

impl Writer {
    fn start(name: &str, open: &Arc<Mutex<Vec<PathBuf>>>) -> Self {
        let (stop, open) = (Arc::new(AtomicBool::new(false)), Arc::clone(open));
        let (until, key) = (Arc::clone(&stop), format!("log-{name}"));
        let thread = std::thread::spawn(move || {
            let mut written = Written {
                key,
                ..Written::default()
            };
            let mut client = None;
            let mut token = 0;
            while !until.load(Ordering::Relaxed) {
                token += 1;
                written.append(&mut client, &open, token);
            }
            written
        });
        Self { stop, thread }
    }

    fn finish(self) -> Written {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("a writer does not panic")
    }
}

impl Written {
    /// Appends it, again while it is refused definitely.
    fn append(&mut self, client: &mut Option<Client>, open: &Mutex<Vec<PathBuf>>, token: u64) {
        let words = ["APPEND".to_owned(), self.key.clone(), format!("{token};")];
        for attempt in 0.. {
            if client.is_none() {
                let open = open.lock().expect("no thread panicked").clone();
                *client = connect(&open[(token as usize + attempt) % open.len()]);
                continue;
            }
            match client.as_mut().expect("just made").try_call(&words) {
                Ok(Value::Integer(_)) => return self.acknowledged.push(token),
                Ok(reply) if !error_text(&reply).starts_with("INDEFINITE") => {}
                Ok(_) | Err(_) => {
                    *client = None;
                    self.unknown.insert(token);
                    return;
                }
            }
        }
    }

    /// Every token that was acknowledged is there once, and no other but what was left open.
    fn check(&self, node: &Node) {
        let Value::Bulk(bytes) = node.unix_client().call(&["GET", &self.key]) else {
            panic!("{} is gone", self.key)
        };
        let text = String::from_utf8(bytes.to_vec()).expect("tokens");
        let found: Vec<u64> = text
            .split_terminator(';')
            .map(|token| token.parse().expect("a token"))
            .collect();
        assert!(
            found.is_sorted_by(|one, next| one < next),
            "{}: doubled or out of order",
            self.key
        );
        let found: BTreeSet<u64> = found.into_iter().collect();
        let acknowledged: BTreeSet<u64> = self.acknowledged.iter().copied().collect();
        let lost: Vec<_> = acknowledged.difference(&found).collect();
        assert!(lost.is_empty(), "{}: lost {lost:?}", self.key);
        let strange = found
            .iter()
            .find(|token| !acknowledged.contains(token) && !self.unknown.contains(token));
        assert_eq!(strange, None, "{}: refused, and there", self.key);
        assert!(
            acknowledged.len() > 100,
            "{}: only {} writes",
            self.key,
            acknowledged.len()
        );
    }
}

fn connect(path: &Path) -> Option<Client> {
    Client::unix(path).ok()
}

#[test]
fn one_node_grows_to_five_moves_to_five_others_and_shrinks_to_one_under_load() {
    let mut machines = Machines::start();
    let writers = ["a", "b"].map(|name| Writer::start(name, &machines.open));
    for by in [0, 0, 1, 2] {
        machines.join(by, &[]);
        let all: Vec<usize> = (0..machines.nodes.len()).collect();
        machines.check_voters(&all);
    }
    for old in 0..5 {
        let new = machines.join(4 - old % 2, &["--learner"]);
        let ids = [old, new].map(|at| machines.id(at).to_string());
        machines.order(new, "replace", &[&ids[0], &ids[1]]);
        machines.check_gone(old);
    }
    machines.check_voters(&[5, 6, 7, 8, 9]);
    for leaves in 5..9 {
        let id = machines.id(leaves).to_string();
        machines.order(9, "remove", &[&id]);
        machines.check_gone(leaves);
    }
    machines.check_voters(&[9]);
    let written = writers.map(Writer::finish);
    written
        .iter()
        .for_each(|written| written.check(&machines.nodes[9]));
    let report = members(&machines.nodes[9]).expect("it answers");
    assert_eq!(report.removed.len(), 9);
}

#[test]
fn a_join_that_is_interrupted_and_asked_for_again_is_the_same_member() {
    let mut machines = Machines::start();
    let address = machines.nodes[0].unix().display().to_string();
    let mut joiner = machines.prepare(&["--join", &address, "--learner"]);
    joiner.spawn();
    eventually("it is a member", || {
        let report = members(&machines.nodes[0])?;
        (report.members.len() == 2).then_some(())
    });
    joiner.kill();
    for _ in 0..2 {
        joiner.start();
        let status = joiner.wait_for_leader();
        assert_eq!((status.id, status.view.voters), (2, vec![1]));
        joiner.kill();
    }
    assert_eq!(members(&machines.nodes[0]).expect("it answers").members.len(), 2);
    let log = {
        joiner.start();
        joiner.log()
    };
    assert!(log.contains("--join is ignored"), "{log}");
    // It is a member that never became a voter, and can be removed.
    machines.order(0, "remove", &["2"]);
    assert_eq!(joiner.wait().code(), Some(79));
    let again = machines.join(0, &[]);
    assert_eq!(machines.id(again), 3, "ids are never used again");
    machines.check_voters(&[0, again]);
}

#[test]
fn a_machine_that_was_expected_has_the_id_that_it_was_given() {
    let mut machines = Machines::start();
    let (code, text) = member(&machines.nodes[0], "add", &["--peer", "127.0.0.1:1"]);
    assert_eq!((code, text.as_str()), (Some(0), "node 2 is expected\n"));
    let report = members(&machines.nodes[0]).expect("it answers");
    assert_eq!(report.members[1].role, "expected");
    let place = machines.join(0, &["--id", "2"]);
    assert_eq!(machines.id(place), 2);
    machines.check_voters(&[0, place]);
    let address = machines.nodes[0].unix().display().to_string();
    let mut other = machines.prepare(&["--join", &address, "--id", "2"]);
    let (code, text) = other.start_expecting_refusal();
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("node 2 has another data directory"), "{text}");
}

#[test]
fn what_cannot_join_is_told_why() {
    let machines = Machines::start();
    let address = machines.nodes[0].unix().display().to_string();
    for (args, code, words) in [
        (&["--cluster", "other"][..], 78, "belongs to cluster 'noraft'"),
        (&["--peer", "1=127.0.0.1:1"], 78, "--join joins one"),
        (&["--id", "1"], 1, "node 1 has another data directory"),
        (&["--id", "7"], 1, "node 7 is no member"),
    ] {
        let mut joiner = machines.prepare(&[&["--join", &address], args].concat());
        let (found, text) = joiner.start_expecting_refusal();
        assert_eq!(found, Some(code), "{args:?}: {text}");
        assert!(text.contains(words), "{args:?}: {text}");
        std::fs::remove_dir_all(joiner.dir.join("data")).ok();
    }
    let output = noraftd(&["serve", "--learner", "--data-dir", "/tmp/none"]);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
}
