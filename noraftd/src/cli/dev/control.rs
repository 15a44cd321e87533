//! How one `noraftd dev` is asked, by another process, to start a node again.
//!
//! The address is a name in Linux's abstract space that the port base gives (unix(7)): nothing to clean up, and one `dev` a
//! port base. A request is a line, `start N`; so is the answer, `ok ...` or `error ...`.
//!
//! Invariant: only the user who runs the cluster may ask; the kernel says who asks.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::getuid;

use super::nodes::Nodes;
use crate::exit::Exit;

/// Where requests arrive.
#[derive(Debug)]
pub(super) struct Control(UnixListener);

impl Control {
    /// Takes the address that belongs to `port_base`.
    ///
    /// # Errors
    ///
    /// `AddrInUse` when another cluster has it.
    pub(super) fn bind(port_base: u16) -> io::Result<Self> {
        Ok(Self(UnixListener::bind_addr(&address(port_base)?)?))
    }

    /// Answers for as long as the process lives. A child's death signal is bound to the thread that started the child, so
    /// this thread never ends.
    pub(super) fn serve(self, nodes: Arc<Nodes>) {
        std::thread::spawn(move || {
            for stream in self.0.incoming() {
                // A client that has gone away needs no answer.
                let _ = stream.and_then(|stream| answer(&stream, &nodes));
            }
        });
    }
}

fn address(port_base: u16) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("noraftd-dev-{port_base}"))
}

fn answer(stream: &UnixStream, nodes: &Nodes) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let asking = getsockopt(stream, PeerCredentials)?;
    let said = if asking.uid() == getuid().as_raw() {
        carry_out(&read_line(stream)?, nodes)
    } else {
        Err("another user's cluster".to_owned())
    };
    let line = match said {
        Ok(done) => format!("ok {done}\n"),
        Err(why) => format!("error {why}\n"),
    };
    (&*stream).write_all(line.as_bytes())
}

fn carry_out(request: &str, nodes: &Nodes) -> Result<String, String> {
    let id = request.strip_prefix("start ").and_then(|id| id.parse().ok());
    let id: u16 = id.ok_or_else(|| format!("'{request}' is no request"))?;
    match nodes.start(id) {
        Ok(pid) => Ok(format!("node {id} starts, pid {pid}")),
        Err(error) => Err(format!("node {id}: {error}")),
    }
}

fn read_line(stream: &UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// Why no node was started.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// No such process runs.
    #[error("no `noraftd dev` runs with --port-base {0}: {1}")]
    NotRunning(u16, io::Error),
    /// It does not answer.
    #[error("`noraftd dev` does not answer: {0}")]
    Silent(io::Error),
    /// It has a reason.
    #[error("{0}")]
    Refused(String),
}

impl AskError {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::NotRunning(..) => Exit::Unavailable,
            Self::Silent(_) | Self::Refused(_) => Exit::Failed,
        }
    }
}

/// Has the `noraftd dev` of `port_base` start node `id`; what it says.
///
/// # Errors
///
/// When there is none, or it does not start that node.
pub(super) fn ask_to_start(port_base: u16, id: u16) -> Result<String, AskError> {
    let connected = address(port_base).and_then(|address| UnixStream::connect_addr(&address));
    let mut stream = connected.map_err(|error| AskError::NotRunning(port_base, error))?;
    let mut ask = || {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("start {id}\n").as_bytes())?;
        read_line(&stream)
    };
    let said = ask().map_err(AskError::Silent)?;
    match said.split_once(' ') {
        Some(("ok", done)) => Ok(done.to_owned()),
        Some(("error", why)) => Err(AskError::Refused(why.to_owned())),
        Some(_) | None => Err(AskError::Refused(format!("it says '{said}'"))),
    }
}

/// It has little to do.
const PATIENCE: Duration = Duration::from_secs(5);
const LINE_BYTES_MAX: u64 = 1024;
