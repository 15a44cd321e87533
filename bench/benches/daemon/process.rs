//! One server process.
//!
//! Invariant: it dies with its [`Process`], by its own process id; and with this program, by the kernel's
//! hand (prctl(2), PR_SET_PDEATHSIG), when nothing here can run any more.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::getppid;

/// How a process is started.
#[derive(Debug)]
pub(crate) struct Start {
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
    /// Takes what it prints.
    pub(crate) log: PathBuf,
}

/// A running process.
#[derive(Debug)]
pub(crate) struct Process(Child);

/// Memory that a process holds, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// All of it that is in RAM, mapped files too.
    pub(crate) resident: u64,
    /// The part that is its own and no file's.
    pub(crate) anonymous: u64,
}

impl Process {
    /// Starts it, in a process group of its own: a signal from the terminal reaches this program alone.
    pub(crate) fn start(start: &Start) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(&start.log)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(GUARD_VERB).arg(std::process::id().to_string());
        command.arg(&start.program).args(&start.arguments);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ETCD_") {
                command.env_remove(name);
            }
        }
        if cfg!(target_arch = "aarch64") {
            command.env("ETCD_UNSUPPORTED_ARCH", "arm64");
        }
        command.process_group(0).spawn().map(Self)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub(crate) fn kill(mut self) -> io::Result<()> {
        self.0.kill()?;
        self.0.wait().map(drop)
    }

    /// What ended it, when it has ended.
    pub(crate) fn ended(&mut self) -> io::Result<Option<String>> {
        Ok(self.0.try_wait()?.map(|status| status.to_string()))
    }

    /// CPU time of all its threads so far, in user and kernel mode (proc(5), `/proc/PID/stat`).
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        let stat = fs::read_to_string(self.proc_file("stat"))?;
        cpu_of_stat(&stat).ok_or_else(|| io::Error::other(format!("cannot read CPU time from {stat:?}")))
    }

    /// The memory it holds (proc(5), `/proc/PID/status`).
    pub(crate) fn memory(&self) -> io::Result<Memory> {
        let status = fs::read_to_string(self.proc_file("status"))?;
        let field = |name| field_of_status(&status, name);
        match (field("VmRSS:"), field("RssAnon:")) {
            (Some(resident), Some(anonymous)) => Ok(Memory { resident, anonymous }),
            _ => Err(io::Error::other("cannot read memory from /proc/PID/status")),
        }
    }

    fn proc_file(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.0.id().to_string()).join(name)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The command that this process was started to become, when it was: see [`Process::start`].
pub(crate) fn guarded_command() -> Option<Vec<OsString>> {
    let mut arguments = std::env::args_os().skip(1);
    (arguments.next()? == GUARD_VERB).then(|| arguments.collect())
}

/// Ties this process to its parent's life and becomes the command. Returns only when that fails.
pub(crate) fn become_guarded(arguments: &[OsString]) -> io::Error {
    let [parent, program, arguments @ ..] = arguments else {
        return io::Error::other("the guard takes a process id and a command");
    };
    if let Err(errno) = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL) {
        return errno.into();
    }
    if parent.to_str() != Some(getppid().to_string().as_str()) {
        return io::Error::other("the benchmark ended before its server could start");
    }
    Command::new(program).args(arguments).exec()
}

fn cpu_of_stat(stat: &str) -> Option<Duration> {
    // The program's name, in parentheses, may contain anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(FIELDS_BEFORE_UTIME);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + kernel) * TICK_MILLIS))
}

fn field_of_status(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// The hidden first argument of a process that is to become a server.
const GUARD_VERB: &str = "become-server";

/// Fields between the program's name and `utime`.
const FIELDS_BEFORE_UTIME: usize = 11;

/// USER_HZ, which Linux fixes at 100 for user space.
const TICK_MILLIS: u64 = 10;
