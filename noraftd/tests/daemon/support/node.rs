//! One `noraftd serve` process.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use noraftd::local::status::StatusReport;

use super::client::Client;
use super::eventually;
use noraftd::protocol::resp::Value;

/// A node, running or not, and where it lives.
pub struct Node {
    pub dir: PathBuf,
    program: PathBuf,
    args: Vec<String>,
    child: Option<Child>,
    /// Arguments for `ulimit` before it starts.
    limit: Option<String>,
    /// The address it serves on, once it does.
    pub tcp: String,
}

impl Node {
    /// A node that keeps everything below `dir` and is given `args` besides.
    pub fn new(dir: &Path, args: &[String]) -> Self {
        fs::create_dir_all(dir).expect("a directory");
        let mut all = vec!["serve".to_owned(), "--listen".into(), "127.0.0.1:0".into()];
        all.extend([
            "--listen".into(),
            format!("unix:{}", dir.join("client.sock").display()),
        ]);
        all.extend(["--data-dir".into(), dir.join("data").display().to_string()]);
        all.extend_from_slice(args);
        Self {
            dir: dir.to_owned(),
            program: env!("CARGO_BIN_EXE_noraftd").into(),
            args: all,
            child: None,
            limit: None,
            tcp: String::new(),
        }
    }

    /// A cluster of one.
    pub fn alone(dir: &Path) -> Self {
        Self::new(dir, &["--id", "1", "--segment-bytes", "1MiB"].map(String::from))
    }

    /// A cluster of one with these settings, which leads.
    pub fn leading_alone(dir: &Path, more: &[&str]) -> Self {
        let mut node = Self::alone(dir);
        node.give(more);
        node.start();
        node.wait_for_leader();
        node
    }

    /// Runs this program from the next start on.
    pub fn use_program(&mut self, program: &Path) {
        program.clone_into(&mut self.program);
    }

    /// What `serve` is given, for another verb.
    pub fn settings(&self) -> Vec<&str> {
        self.args.iter().skip(1).map(String::as_str).collect()
    }

    /// Adds to its settings.
    pub fn give(&mut self, args: &[&str]) {
        self.args.extend(args.iter().map(ToString::to_string));
    }

    /// Takes the address of `peer` out of its settings.
    pub fn forget_peer(&mut self, peer: usize) {
        let prefix = format!("{peer}=");
        let at = self.args.iter().position(|arg| arg.starts_with(&prefix));
        let at = at.expect("it was given the peer's address");
        self.args.drain(at - 1..=at);
    }

    /// Lets it have at most this many files open.
    pub fn limit_files(&mut self, most: u32) {
        self.limit = Some(format!("-n {most}"));
    }

    /// Lets it have at most this much address space.
    pub fn limit_memory(&mut self, kib: u32) {
        self.limit = Some(format!("-v {kib}"));
    }

    /// Lets it have whatever this process may have.
    pub fn lift_limit(&mut self) {
        self.limit = None;
    }

    /// Points it at the directory of another one.
    pub fn replace_data_dir(&mut self, data_dir: &str) {
        let at = self
            .args
            .iter()
            .position(|arg| arg == "--data-dir")
            .expect("every node has one");
        data_dir.clone_into(&mut self.args[at + 1]);
    }

    pub fn start(&mut self) {
        self.spawn();
        self.tcp = eventually("the node serves clients", || {
            assert!(self.is_running(), "the node ended: {}", self.log());
            self.log_line("serves clients on ")
        });
    }

    /// Starts without waiting for anything.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = File::create(self.dir.join("log")).expect("a log");
        let program = self.program.as_path();
        let mut command = match &self.limit {
            None => Command::new(program),
            Some(limit) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", "ulimit $0 && exec \"$@\"", limit]);
                shell.arg(program);
                shell
            }
        };
        command.args(&self.args).stdin(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().expect("the program starts"));
    }

    /// Starts and expects it to give up: its exit code and what it said.
    pub fn start_expecting_refusal(&mut self) -> (Option<i32>, String) {
        self.spawn();
        let status = self.wait();
        (status.code(), self.log())
    }

    fn log_line(&self, marker: &str) -> Option<String> {
        let log = self.log();
        let line = log.lines().find(|line| line.contains(marker))?;
        line.split(marker).nth(1)?.split(',').next().map(str::to_owned)
    }

    /// What it wrote to stderr since its start.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    pub fn is_running(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_some_and(|child| child.try_wait().expect("a child").is_none())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.as_ref().expect("it runs").id() as i32)
    }

    /// The process's number.
    pub fn id(&self) -> i32 {
        self.pid().as_raw()
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it runs");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.take().expect("it runs").wait().expect("a child")
    }

    /// As a crash of the process does it.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        assert_eq!(self.wait().signal(), Some(9));
    }

    /// As an operator does it.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.wait().code()
    }

    /// The address at which it serves HTTP.
    pub fn http(&self) -> String {
        eventually("the node serves HTTP", || self.log_line("are served on http://"))
    }

    pub fn unix(&self) -> PathBuf {
        self.dir.join("client.sock")
    }

    pub fn client(&self) -> Client {
        Client::tcp(&self.tcp).expect("the node accepts clients")
    }

    pub fn unix_client(&self) -> Client {
        Client::unix(&self.unix()).expect("the node accepts clients")
    }

    /// What the node says about itself; `None` while it does not answer.
    pub fn status(&self) -> Option<StatusReport> {
        let mut client = Client::unix(&self.unix()).ok()?;
        match client.try_call(&["NORAFT.STATUS"]).ok()? {
            Value::Bulk(json) => Some(serde_json::from_slice(&json).expect("a status report")),
            other => panic!("no status: {other:?}"),
        }
    }

    /// Waits until the node knows a leader.
    pub fn wait_for_leader(&self) -> StatusReport {
        eventually("a leader", || {
            self.status().filter(|status| status.view.leader.is_some())
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
            if std::thread::panicking() {
                eprintln!("--- log in {}\n{}", self.dir.display(), self.log());
            }
        }
    }
}
