//! Listeners and streams: TCP and Unix sockets behind one type each.
//!
//! Invariant: a Unix socket file is replaced only when no process listens on it, and removed only by the listener that made it.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use nix::sys::socket::{Shutdown, setsockopt, shutdown, sockopt};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream, tcp, unix};

use super::tls_line::TlsLine;
use crate::endpoint::Endpoint;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process has it.
    #[error("cannot listen on {0}: the address is in use by another process")]
    InUse(Endpoint),
    /// The path of a Unix socket is taken by something else.
    #[error("cannot listen on {0}: the path exists and is not a socket")]
    NotASocket(Endpoint),
    /// Anything else that the system says.
    #[error("cannot listen on {0}: {1}")]
    Io(Endpoint, io::Error),
}

/// A socket that accepts connections.
#[derive(Debug)]
pub struct Listener {
    socket: ListenerSocket,
    /// The socket file to remove at the end.
    path: Option<PathBuf>,
}

#[derive(Debug)]
enum ListenerSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Listens at `endpoint`.
    ///
    /// # Errors
    ///
    /// When the address is in use, is something else than a socket, or cannot be bound.
    pub async fn bind(endpoint: &Endpoint) -> Result<Self, BindError> {
        match endpoint {
            Endpoint::Tcp(address) => {
                let bound = TcpListener::bind(address.as_str()).await;
                let socket = bound.map_err(|error| bind_error(endpoint, error))?;
                Ok(Self {
                    socket: ListenerSocket::Tcp(socket),
                    path: None,
                })
            }
            Endpoint::Unix(path) => {
                remove_if_stale(path, endpoint)?;
                let socket = UnixListener::bind(path).map_err(|error| bind_error(endpoint, error))?;
                Ok(Self {
                    socket: ListenerSocket::Unix(socket),
                    path: Some(path.clone()),
                })
            }
        }
    }

    /// The address in use: port 0 has become a real one.
    ///
    /// # Errors
    ///
    /// When the system does not report the address.
    pub fn endpoint(&self) -> io::Result<Endpoint> {
        match (&self.socket, &self.path) {
            (ListenerSocket::Unix(_), Some(path)) => Ok(Endpoint::Unix(path.clone())),
            (ListenerSocket::Unix(_), None) => Err(io::Error::other("a Unix socket without a path")),
            (ListenerSocket::Tcp(socket), _) => Ok(Endpoint::Tcp(socket.local_addr()?.to_string())),
        }
    }

    /// The socket's file has another name now.
    pub(super) fn moved_to(&mut self, path: PathBuf) {
        self.path = Some(path);
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// When the system refuses, for one because no file descriptor is left.
    pub async fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            ListenerSocket::Tcp(socket) => {
                let (stream, _) = socket.accept().await?;
                stream.set_nodelay(true)?;
                keep_alive(&stream)?;
                Ok(Stream::Tcp(stream))
            }
            ListenerSocket::Unix(socket) => Ok(Stream::Unix(socket.accept().await?.0)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(path) = &self.path
            && let Err(error) = std::fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove the socket {}: {error}", path.display());
        }
    }
}

fn bind_error(endpoint: &Endpoint, error: io::Error) -> BindError {
    match error.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse(endpoint.clone()),
        _ => BindError::Io(endpoint.clone(), error),
    }
}

/// A socket file outlives its process; it is stale when no process accepts on it.
fn remove_if_stale(path: &Path, endpoint: &Endpoint) -> Result<(), BindError> {
    let io_error = |error| BindError::Io(endpoint.clone(), error);
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(BindError::NotASocket(endpoint.clone()));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(io_error)
        }
        Ok(_) | Err(_) => Err(BindError::InUse(endpoint.clone())),
    }
}

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP, without Nagle's delay.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

impl Stream {
    /// Connects to `endpoint`.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn connect(endpoint: &Endpoint) -> io::Result<Self> {
        match endpoint {
            Endpoint::Tcp(address) => {
                let stream = TcpStream::connect(address.as_str()).await?;
                stream.set_nodelay(true)?;
                keep_alive(&stream)?;
                Ok(Self::Tcp(stream))
            }
            Endpoint::Unix(path) => Ok(Self::Unix(UnixStream::connect(path).await?)),
        }
    }

    /// Gives the connection up when sent bytes stay unacknowledged this long, instead of retrying with
    /// growing pauses for minutes: after a network failure a new connection works at once.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn give_up_after(&self, timeout: Duration) -> io::Result<()> {
        let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        match self {
            Self::Tcp(stream) => Ok(setsockopt(stream, sockopt::TcpUserTimeout, &millis)?),
            Self::Unix(_) => Ok(()),
        }
    }

    /// The other side's address, for people.
    pub fn peer_name(&self) -> String {
        match self {
            Self::Tcp(stream) => stream
                .peer_addr()
                .map_or_else(|_| "unknown".to_owned(), |at| at.to_string()),
            Self::Unix(_) => "unix".to_owned(),
        }
    }

    /// The other side's address without the port, which is another one each time.
    pub fn peer_host(&self) -> String {
        match self {
            Self::Tcp(stream) => stream
                .peer_addr()
                .map_or_else(|_| "unknown".to_owned(), |at| at.ip().to_string()),
            Self::Unix(_) => "unix".to_owned(),
        }
    }

    /// True when the other side is a process of this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream
                .peer_addr()
                .is_ok_and(|at| at.ip().to_canonical().is_loopback()),
            Self::Unix(_) => true,
        }
    }

    /// The two directions.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Tcp(read), WriteHalf::Tcp(write))
            }
            Self::Unix(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Unix(read), WriteHalf::Unix(write))
            }
        }
    }
}

/// The incoming direction of a [`Stream`].
#[derive(Debug)]
pub enum ReadHalf {
    /// Of a TCP connection.
    Tcp(tcp::OwnedReadHalf),
    /// Of a Unix socket.
    Unix(unix::OwnedReadHalf),
    /// Of an encrypted connection.
    Tls(TlsReadHalf),
}

/// See [`ReadHalf`].
#[derive(Debug)]
pub struct TlsReadHalf(pub(super) Rc<TlsLine>);

impl AsyncRead for ReadHalf {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_read(cx, buf),
            Self::Unix(half) => Pin::new(half).poll_read(cx, buf),
            Self::Tls(half) => half.0.poll_read(cx, buf),
        }
    }
}

/// The outgoing direction of a [`Stream`]; dropping it ends that direction.
#[derive(Debug)]
pub enum WriteHalf {
    /// Of a TCP connection.
    Tcp(tcp::OwnedWriteHalf),
    /// Of a Unix socket.
    Unix(unix::OwnedWriteHalf),
    /// Of an encrypted connection.
    Tls(TlsWriteHalf),
}

/// See [`WriteHalf`].
#[derive(Debug)]
pub struct TlsWriteHalf(pub(super) Rc<TlsLine>);

impl Drop for TlsWriteHalf {
    fn drop(&mut self) {
        self.0.shutdown(Shutdown::Write);
    }
}

impl WriteHalf {
    /// Writes what the socket takes now. After `WouldBlock`, the next call has to begin with the same bytes.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when it takes nothing, or what the system says.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(half) => half.try_write(bytes),
            Self::Unix(half) => half.try_write(bytes),
            Self::Tls(half) => half.0.try_write(bytes),
        }
    }

    /// Waits until the socket takes bytes again.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(half) => half.writable().await,
            Self::Unix(half) => half.writable().await,
            Self::Tls(half) => half.0.writable().await,
        }
    }

    /// Ends one direction or both: a reader there sees the end.
    pub fn shutdown(&self, how: Shutdown) {
        let descriptor = match self {
            Self::Tcp(half) => half.as_ref().as_raw_fd(),
            Self::Unix(half) => half.as_ref().as_raw_fd(),
            Self::Tls(half) => return half.0.shutdown(how),
        };
        // The only failure is a connection that has ended already.
        let _ = shutdown(descriptor, how);
    }
}

/// Asks from time to time whether the other side is still there: one that lost its power says nothing, and its
/// connection would stay open forever.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &KEEPALIVE_IDLE_SECONDS)?;
    setsockopt(stream, sockopt::TcpKeepInterval, &KEEPALIVE_INTERVAL_SECONDS)?;
    Ok(setsockopt(stream, sockopt::TcpKeepCount, &KEEPALIVE_COUNT)?)
}

/// With the two below: a host that has vanished is noticed within two minutes.
const KEEPALIVE_IDLE_SECONDS: u32 = 60;
const KEEPALIVE_INTERVAL_SECONDS: u32 = 15;
const KEEPALIVE_COUNT: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::test_support::run;

    fn endpoint(text: &str) -> Endpoint {
        text.parse().expect("a good address")
    }

    #[test]
    fn a_port_in_use_is_one_clear_error() {
        run(async {
            let first = Listener::bind(&endpoint("127.0.0.1:0"))
                .await
                .expect("a free port");
            let taken = first.endpoint().expect("an address");
            let error = Listener::bind(&taken)
                .await
                .expect_err("the port is taken")
                .to_string();
            assert_eq!(
                error,
                format!("cannot listen on {taken}: the address is in use by another process")
            );
        });
    }

    #[test]
    fn a_unix_socket_is_replaced_only_when_no_process_listens() {
        run(async {
            let dir = tempfile::tempdir().expect("a directory");
            let at = Endpoint::Unix(dir.path().join("s"));
            let mut first = Listener::bind(&at).await.expect("a new path");
            assert!(matches!(Listener::bind(&at).await, Err(BindError::InUse(_))));
            first.path = None; // as a killed process leaves it
            drop(first);
            drop(Listener::bind(&at).await.expect("a stale socket is replaced"));
            assert!(!dir.path().join("s").exists(), "a listener removes its socket");
        });
    }

    #[test]
    fn a_file_is_never_replaced_by_a_socket() {
        run(async {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("precious");
            std::fs::write(&path, "data").expect("a file");
            let bound = Listener::bind(&Endpoint::Unix(path.clone())).await;
            assert!(matches!(bound, Err(BindError::NotASocket(_))));
            assert_eq!(std::fs::read(&path).expect("still there"), b"data");
        });
    }
}
