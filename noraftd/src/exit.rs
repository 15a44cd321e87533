//! How the process ends: one exit code for each kind of reason (sysexits(3)).

use std::process::ExitCode;

/// Why the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything was done.
    Done = 0,
    /// A question was asked of a node that gave no answer, or a wrong one.
    Failed = 1,
    /// The command line is wrong.
    Usage = 64,
    /// The data directory is damaged or belongs to another node.
    Data = 65,
    /// An address is in use or cannot be listened on; or a node cannot be reached.
    Unavailable = 69,
    /// The program itself is wrong.
    Software = 70,
    /// The system is out of file descriptors, memory or threads.
    System = 71,
    /// The data directory cannot be created or written.
    CannotCreate = 73,
    /// The disk failed: a sync, a write, or a read.
    Disk = 74,
    /// Another process is using the data directory.
    InUse = 75,
    /// The node that was asked still reads its data directory.
    Loading = 76,
    /// The log or the state is of a level that only a later version supports.
    UnknownEntry = 77,
    /// The configuration is wrong.
    Config = 78,
    /// The node was removed from its cluster.
    Removed = 79,
}

impl Exit {
    /// Ends the process from any thread, without cleaning up: what is not durable by now does not count.
    pub fn now(self) -> ! {
        std::process::exit(i32::from(self as u8))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// The codes as the help shows them.
pub const EXIT_CODES: &str = "\
Exit codes:
  0   success, or a clean stop
  1   a node gave no answer, or a wrong one
  64  the command line is wrong
  65  the data directory is damaged, or belongs to another node or cluster
  69  an address is in use or cannot be listened on; a node cannot be reached
  70  a bug in noraftd
  71  the system is out of file descriptors, memory or threads
  73  the data directory cannot be created or written
  74  the disk failed
  75  another process is using the data directory
  76  the node is alive, but is still reading its data directory
  77  the cluster has risen to a level that only a later version of noraftd supports
  78  the configuration is wrong
  79  the node was removed from its cluster";
