//! Every example in every help text, carried out: a node alone, a cluster of three, its backups, damage, a lost disk, `dev`.
//!
//! The texts are used unchanged, but for addresses, directories and ports: each is replaced by one that a test may
//! use; what follows a `|` is left out. An example that no scene carries out fails the last check.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::client::{Client, ok};
use crate::support::eventually;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const NORAFTD: &str = env!("CARGO_BIN_EXE_noraftd");

/// Every help text there is.
const VERBS: [&str; 13] = [
    "",
    "serve",
    "dev",
    "dev start",
    "status",
    "member",
    "voters",
    "inspect",
    "snapshot",
    "snapshot save",
    "snapshot restore",
    "repair",
    "rejoin",
];

/// Where the examples are carried out, and which were.
struct Stage {
    dir: tempfile::TempDir,
    /// Replaces 10.0.0 and 127.0.0: a part of 127.0.0.0/8 that no other test uses.
    network: String,
    port_base: u16,
    open: RefCell<BTreeSet<String>>,
}

fn help(verb: &str) -> String {
    let output = Command::new(NORAFTD)
        .args(verb.split_whitespace())
        .arg("--help")
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "noraftd {verb} --help");
    String::from_utf8(output.stdout).expect("text")
}

/// The commands in a help text: their continuation lines joined, and without what explains them.
fn examples_in(text: &str) -> Vec<String> {
    let Some((_, examples)) = text.split_once("Examples:\n") else {
        return Vec::new();
    };
    let examples = examples.split("Exit codes:").next().unwrap_or_default();
    let joined = examples.replace("\\\n", " ");
    let commands = joined.lines().map(str::trim).filter(|line| {
        ["noraftd ", "mv ", "redis-cli "]
            .iter()
            .any(|word| line.starts_with(word))
    });
    commands
        .map(|line| {
            // Words are one blank apart, explanations follow after several; a continuation is indented.
            let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
            let explained = line
                .find("  ")
                .filter(|at| !line[*at..].trim_start().starts_with("--"));
            explained.map_or_else(|| words.join(" "), |at| line[..at].to_owned())
        })
        .collect()
}

impl Stage {
    fn new() -> Self {
        let mut open: BTreeSet<String> = VERBS.iter().flat_map(|verb| examples_in(&help(verb))).collect();
        open.retain(|example| !example.starts_with("redis-cli"));
        let pid = std::process::id();
        Self {
            dir: tempfile::tempdir().expect("a directory"),
            network: format!("127.{}.{}", 1 + pid % 250, pid / 250 % 250),
            // Below the ports that the system gives to connections by itself.
            port_base: 20_000 + u16::try_from(pid % 1200).expect("small") * 10,
            open: RefCell::new(open),
        }
    }

    /// The example that begins like this and was not carried out yet.
    fn take(&self, begins: &str) -> String {
        let mut open = self.open.borrow_mut();
        let found = open.iter().find(|example| example.starts_with(begins)).cloned();
        let found = found.unwrap_or_else(|| panic!("no example begins with '{begins}': {open:#?}"));
        open.remove(&found);
        found
    }

    /// `text` as node `id` would have it.
    fn placed(&self, text: &str, id: u64) -> String {
        let home = self.home(id);
        text.replace("10.0.0.", &format!("{}.", self.network))
            .replace("127.0.0.1:", &format!("{}.{id}:", self.network))
            .replace("/var/lib", &home.join("lib").display().to_string())
            .replace("/etc/", &format!("{}/", self.dir.path().display()))
            .replace("/run/", &format!("{}/", home.display()))
    }

    fn home(&self, id: u64) -> PathBuf {
        let home = self.dir.path().join(id.to_string());
        fs::create_dir_all(home.join("lib")).expect("a directory");
        home
    }

    fn address(&self, id: u64) -> String {
        format!("{}.{id}:7601", self.network)
    }

    /// The words of an example, as node `id` would give them.
    fn words(&self, example: &str, id: u64) -> Vec<String> {
        let command = example.split(" | ").next().unwrap_or_default();
        let command = command.split(" && ").next().unwrap_or_default();
        self.placed(command, id)
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    }

    fn command(&self, words: &[String]) -> Command {
        let (program, arguments) = words.split_first().expect("a program");
        let mut command = Command::new(if program == "noraftd" { NORAFTD } else { program });
        command.args(arguments).current_dir(self.dir.path());
        command.stdin(Stdio::null());
        command
    }

    /// Carries out what ends by itself: with success, or this says why not.
    fn try_out(&self, words: &[String]) -> Result<String, String> {
        let output = self.command(words).output().expect("the program runs");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        if output.status.success() {
            Ok(said)
        } else {
            Err(format!("{words:?}: {:?}: {said}", output.status.code()))
        }
    }

    fn carry_out(&self, begins: &str, id: u64) -> String {
        let words = self.words(&self.take(begins), id);
        self.try_out(&words).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts a node and waits until it serves.
    fn serve(&self, words: &[String], id: u64) -> Served {
        let log = self.home(id).join("log");
        let mut command = self.command(words);
        command.stderr(File::create(&log).expect("a log"));
        let mut served = Served {
            child: command.spawn().expect("it starts"),
            log,
        };
        eventually("the node serves clients", || {
            let ended = served.child.try_wait().expect("a child");
            assert!(ended.is_none(), "{words:?}: {}", served.log());
            served.log().contains("serves clients on").then_some(())
        });
        served
    }
}

/// A process that is stopped at the end.
struct Served {
    child: Child,
    log: PathBuf,
}

impl Served {
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("it runs");
    }

    fn wait(mut self) -> Option<i32> {
        self.child.wait().expect("a child").code()
    }

    fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        assert_eq!(
            self.child.wait().expect("a child").code(),
            Some(0),
            "{}",
            self.log()
        );
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.log());
        }
    }
}

/// The file in the help of `serve`, for node `id`.
fn write_config(stage: &Stage, id: u64) {
    let text = help("serve");
    let (_, file) = text.split_once("node1.toml:\n").expect("the help shows a file");
    let file: Vec<&str> = file
        .lines()
        .take_while(|line| line.starts_with("    "))
        .map(str::trim)
        .collect();
    let file = file.join("\n").replace("id = 1", &format!("id = {id}"));
    let file = file.replace("listen = [\"10.0.0.1", &format!("listen = [\"10.0.0.{id}"));
    let path = stage.dir.path().join(format!("node{id}.toml"));
    fs::write(path, stage.placed(&file, id)).expect("written");
}

fn alone(stage: &Stage) {
    let words = stage.words(
        &stage.take("noraftd serve --id 1 --data-dir /var/lib/noraft --listen 127."),
        9,
    );
    stage.serve(&words, 9).stop();
    for example in ["--records", "--verify"] {
        stage.carry_out(&format!("noraftd inspect /var/lib/noraft {example}"), 9);
    }
    stage.carry_out("noraftd inspect /var/lib/noraft", 9);
}

fn backups(stage: &Stage) {
    stage.carry_out("noraftd snapshot save 127.0.0.1:7601 backup.snapshot", 1);
    stage.carry_out("noraftd snapshot show backup.snapshot", 1);
    stage.carry_out("noraftd snapshot restore backup.snapshot", 8);
    assert!(stage.home(8).join("lib/copy").is_dir());
}

/// Node 2 is stopped; its log is replaced, twice.
fn repairs(stage: &Stage) {
    stage.carry_out("noraftd repair --from", 2);
    stage.carry_out("noraftd snapshot save 10.0.0.1:7601 healthy.snapshot", 1);
    stage.carry_out("noraftd repair healthy.snapshot", 2);
}

/// The leader makes these the voters, whichever node it is.
fn voters(stage: &Stage, example: &str) {
    let words = stage.words(example, 1);
    eventually("the voters are changed", || {
        (1..=3).find_map(|id| {
            let mut words = words.clone();
            words[2] = stage.address(id);
            stage.try_out(&words).ok()
        })
    });
}

fn cluster(stage: &Stage) {
    fs::write(
        stage.dir.path().join("noraft.secret"),
        "the secret of the examples\n",
    )
    .expect("written");
    (1..=3).for_each(|id| write_config(stage, id));
    let by_flags = stage.words(
        &stage.take("noraftd serve --id 1 --data-dir /var/lib/noraft --listen 10."),
        1,
    );
    let by_file = |id: u64| stage.words(&format!("noraftd serve --config node{id}.toml"), id);
    let mut first = stage.serve(&by_flags, 1);
    let second = stage.serve(&by_file(2), 2);
    let third = stage.serve(&by_file(3), 3);
    stage.carry_out("noraftd status 10.0.0.1:7601 10.0.0.2:7601", 1);
    // The same node from a file.
    first.stop();
    first = stage.serve(
        &stage.words(&stage.take("noraftd serve --config node1.toml"), 1),
        1,
    );
    let again = stage.words("noraftd status 127.0.0.1:7601 --wait 60s", 1);
    stage.try_out(&again).unwrap_or_else(|error| panic!("{error}"));
    stage.carry_out("noraftd status 127.0.0.1:7601 --json", 1);
    stage.carry_out("noraftd status 127.0.0.1:7601", 1);
    stage.carry_out("noraftd status /run/noraft.sock", 1);
    let mut client = Client::tcp(&stage.address(1)).expect("it serves");
    assert_eq!(client.call(&["SET", "k", "v"]), ok());
    backups(stage);
    voters(stage, &stage.take("noraftd voters 10.0.0.1:7601 1 2 3"));
    second.stop();
    repairs(stage);
    let second = stage.serve(&by_file(2), 2);
    third.stop();
    stage.carry_out("mv /var/lib/noraft /var/lib/noraft.lost", 3);
    stage.carry_out("noraftd rejoin", 3);
    let third = stage.serve(
        &stage.words(&stage.take("noraftd serve --config node3.toml"), 3),
        3,
    );
    eventually("node 3 has caught up", || {
        let words = stage.words("noraftd status 10.0.0.3:7601", 3);
        let said = stage.try_out(&words).ok()?;
        (!said.contains(", abstaining until caught up")).then_some(())
    });
    voters(stage, &stage.take("noraftd voters 10.0.0.1:7601 1 2"));
    let fourth = members(stage);
    assert_eq!(third.wait(), Some(79));
    [first, second, fourth].into_iter().for_each(Served::stop);
}

/// The cluster rises, a machine joins it as node 4, and node 3, which does not vote any more, leaves.
fn members(stage: &Stage) -> Served {
    let upgrade = stage.words(
        "noraftd upgrade 10.0.0.1:7601 --peer-secret-file /etc/noraft.secret",
        1,
    );
    eventually("the level rises", || stage.try_out(&upgrade).ok());
    let listed = stage.words(&stage.take("noraftd member list"), 1);
    eventually("the members are written down", || {
        let said = stage.try_out(&listed).ok()?;
        (!said.contains("no membership table")).then_some(())
    });
    let joined = stage.serve(&stage.words(&stage.take("noraftd serve --join"), 4), 4);
    let replaced = stage.words(&stage.take("noraftd member replace"), 1);
    eventually("node 4 takes the place of node 3", || {
        stage.try_out(&replaced).ok()
    });
    stage.carry_out("noraftd member set-address", 1);
    joined
}

/// A `dev` that announces its leader; its port base is the stage's.
fn dev(stage: &Stage, begins: &str, meanwhile: impl FnOnce(&[String])) {
    let mut words = stage.words(&stage.take(begins), 1);
    match words.iter().position(|word| word == "--port-base") {
        Some(at) => words[at + 1] = stage.port_base.to_string(),
        None => words.extend(["--port-base".to_owned(), stage.port_base.to_string()]),
    }
    let mut command = stage.command(&words);
    let log = stage.dir.path().join("dev.log");
    command
        .stdout(Stdio::piped())
        .stderr(File::create(&log).expect("a log"));
    let mut child = command.spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let served = Served { child, log };
    let mut printed = Vec::new();
    while !printed
        .last()
        .is_some_and(|line: &String| line.starts_with("`kill PID`"))
    {
        let line = lines
            .next()
            .unwrap_or_else(|| panic!("{words:?}: {printed:?}: {}", served.log()));
        printed.push(line.expect("text"));
    }
    meanwhile(&printed);
    served.stop();
}

fn devs(stage: &Stage) {
    dev(stage, "noraftd dev --nodes 5", |_| {});
    dev(stage, "noraftd dev --dir ./cluster", |_| {});
    assert!(stage.dir.path().join("cluster/node-1").is_dir());
    let start = stage.take("noraftd dev start 2");
    dev(stage, "noraftd dev", |printed| {
        let line = printed
            .iter()
            .find(|line| line.starts_with("  node 2: "))
            .expect("node 2");
        let pid: i32 = line
            .rsplit(' ')
            .next()
            .and_then(|pid| pid.parse().ok())
            .expect("its pid");
        let mut words = stage.words(&start, 1);
        words.extend(["--port-base".to_owned(), stage.port_base.to_string()]);
        let refused = stage.try_out(&words).expect_err("it runs");
        assert!(refused.contains("node 2: it runs already"), "{refused}");
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs");
        eventually("it is started again", || stage.try_out(&words).ok());
        let address = format!("127.0.0.1:{}", stage.port_base + 1);
        eventually("it serves again", || {
            Client::tcp(&address).ok()?.try_call(&["PING"]).ok()
        });
    });
}

#[test]
fn every_example_of_every_help_text_can_be_carried_out() {
    let stage = Stage::new();
    alone(&stage);
    cluster(&stage);
    devs(&stage);
    let left = stage.open.into_inner();
    assert!(left.is_empty(), "not carried out: {left:#?}");
    assert!(Path::new(NORAFTD).is_file());
}
