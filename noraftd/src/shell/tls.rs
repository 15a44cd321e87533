//! How connections over TCP begin: with a TLS handshake, or without, as the modes say.
//!
//! A connection that arrives is known by its first bytes, which are looked at and left where they are: a TLS record has a
//! type and a version that no request and no frame between nodes begins with. Where a mode is `off`, nothing is looked at.
//!
//! Invariant: where a mode is `require`, nothing that came without TLS is read. Handshakes have a deadline, and so many are
//! under way at most. What the files say counts only once they were read whole and fit together; until then what was in
//! force stays so.

use std::cell::RefCell;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::rate_limited_warning::RateLimitedWarning;
use super::sockets::{ReadHalf, Stream, TlsReadHalf, TlsWriteHalf, WriteHalf};
use super::tls_line::TlsLine;
use super::unfinished::Unfinished;
use crate::endpoint::Endpoint;
use crate::protocol::peer::Reject;
use crate::tls::{Material, TlsConfig, TlsError, TlsMode, describe};

/// What this node shows and demands.
#[derive(Debug)]
pub(super) struct Tls {
    config: TlsConfig,
    material: RefCell<Material>,
    /// What the files were like when they were read last.
    read: RefCell<Vec<Print>>,
    /// Handshakes with clients.
    clients: Rc<Unfinished>,
    warnings: RateLimitedWarning,
}

/// A file as far as its name shows: another one, or one that was written again, has another print.
type Print = Option<(u64, u64, i64, i64)>;

/// A connection that has begun.
pub(super) struct Entered {
    pub(super) read: ReadHalf,
    pub(super) write: WriteHalf,
    pub(super) is_encrypted: bool,
    /// The other side has shown the certificate of a node.
    pub(super) is_node: bool,
}

impl Entered {
    fn plain(stream: Stream) -> Self {
        let (read, write) = stream.into_split();
        Self {
            read,
            write,
            is_encrypted: false,
            is_node: false,
        }
    }

    fn encrypted(line: TlsLine, is_node: bool) -> Self {
        let line = Rc::new(line);
        Self {
            read: ReadHalf::Tls(TlsReadHalf(Rc::clone(&line))),
            write: WriteHalf::Tls(TlsWriteHalf(line)),
            is_encrypted: true,
            is_node,
        }
    }
}

/// Why a connection does not begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoEntry {
    #[error("TLS: {}", describe(.0))]
    Handshake(io::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it does not speak TLS, which is required here")]
    Plain,
    #[error("no TLS handshake within {HANDSHAKE_TIMEOUT:?}")]
    Slow,
    #[error("too many TLS handshakes are under way: the oldest is ended")]
    Crowded,
}

impl Tls {
    /// Reads the files for the first time.
    ///
    /// # Errors
    ///
    /// When one of them cannot be used.
    pub(super) fn open(config: TlsConfig) -> Result<Rc<Self>, TlsError> {
        let read = prints(&config);
        let material = Material::load(&config)?;
        Ok(Rc::new(Self {
            config,
            material: RefCell::new(material),
            read: RefCell::new(read),
            clients: Unfinished::new(HANDSHAKES_MAX),
            warnings: RateLimitedWarning::default(),
        }))
    }

    /// Nothing is encrypted.
    #[cfg(test)]
    pub(super) fn off() -> Rc<Self> {
        Self::open(TlsConfig::default()).expect("nothing is read")
    }

    /// Reads the files again; false when there are none.
    ///
    /// # Errors
    ///
    /// When one of them cannot be used: then nothing has changed.
    pub(super) fn reload(&self) -> Result<bool, TlsError> {
        if !self.config.is_used() {
            return Ok(false);
        }
        self.read.replace(prints(&self.config));
        let material = Material::load(&self.config)?;
        self.material.replace(material);
        Ok(true)
    }

    /// Reads the files again whenever they have changed.
    pub(super) async fn watch(self: Rc<Self>) {
        if !self.config.is_used() {
            return;
        }
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if *self.read.borrow() == prints(&self.config) {
                continue;
            }
            match self.reload() {
                Ok(_) => tracing::info!("the TLS files have changed: certificates and keys were read again"),
                Err(error) => {
                    tracing::warn!(
                        "the TLS files have changed; what was read before stays in force: {error}"
                    );
                }
            }
        }
    }

    /// Begins with a client that has connected.
    pub(super) async fn take_client(&self, stream: Stream) -> Result<Entered, NoEntry> {
        let socket = match (stream, self.config.clients) {
            (Stream::Tcp(socket), TlsMode::Accept | TlsMode::Require) => socket,
            (stream, _) => return Ok(Entered::plain(stream)),
        };
        // A client may wait as long as it likes before it says anything; it has its seat.
        if self.config.clients == TlsMode::Accept && !speaks_tls(&socket).await? {
            return Ok(Entered::plain(Stream::Tcp(socket)));
        }
        let (beginning, is_crowded) = self.clients.begin();
        if is_crowded {
            self.warnings.warn(&NoEntry::Crowded.to_string());
        }
        let taken = tokio::time::timeout(HANDSHAKE_TIMEOUT, self.take_encrypted_client(socket));
        tokio::select! {
            taken = taken => taken.unwrap_or(Err(NoEntry::Slow)),
            () = beginning.is_over() => Err(NoEntry::Crowded),
        }
    }

    async fn take_encrypted_client(&self, mut socket: TcpStream) -> Result<Entered, NoEntry> {
        if !speaks_tls(&socket).await? {
            let _ = socket.write_all(TLS_ONLY).await;
            discard(socket).await;
            return Err(NoEntry::Plain);
        }
        let (config, peers) = {
            let material = self.material.borrow();
            let config = material
                .for_clients
                .clone()
                .expect("there is one unless the mode is off");
            (config, material.peers.clone())
        };
        let (line, shown) = shake_hands(socket, config).await?;
        let is_node = peers.is_some_and(|peers| peers.nodes.is_node(&shown));
        Ok(Entered::encrypted(line, is_node))
    }

    /// Begins with a node that has connected. The caller has a deadline.
    pub(super) async fn take_peer(&self, stream: Stream) -> Result<Entered, NoEntry> {
        let socket = match (stream, self.config.peers) {
            (Stream::Tcp(socket), TlsMode::Accept | TlsMode::Require) => socket,
            (stream, _) => return Ok(Entered::plain(stream)),
        };
        match (speaks_tls(&socket).await?, self.config.peers) {
            (true, _) => {}
            (false, TlsMode::Require) => {
                let mut answer = BytesMut::new();
                Reject::Tls.encode(&mut answer);
                let mut socket = socket;
                let _ = socket.write_all(&answer).await;
                discard(socket).await;
                return Err(NoEntry::Plain);
            }
            (false, TlsMode::Accept | TlsMode::Off) => return Ok(Entered::plain(Stream::Tcp(socket))),
        }
        let config = self.of_peers(|peers| Arc::clone(&peers.from));
        let (line, _) = shake_hands(socket, config).await?;
        Ok(Entered::encrypted(line, true))
    }

    /// Connects to a node. `prepare` is done to the socket first.
    pub(super) async fn reach_peer(
        &self,
        address: &Endpoint,
        prepare: impl Fn(&Stream) -> io::Result<()>,
    ) -> io::Result<Entered> {
        let connect = async || {
            let stream = Stream::connect(address).await?;
            prepare(&stream)?;
            Ok::<_, io::Error>(stream)
        };
        let (socket, name) = match (connect().await?, address, self.config.peers) {
            (Stream::Tcp(socket), Endpoint::Tcp(at), TlsMode::Accept | TlsMode::Require) => {
                (socket, server_name(at))
            }
            (stream, _, _) => return Ok(Entered::plain(stream)),
        };
        let config: Arc<ClientConfig> = self.of_peers(|peers| Arc::clone(&peers.to));
        match TlsConnector::from(config).connect(name, socket).await {
            Ok(stream) => {
                let (socket, session) = stream.into_inner();
                Ok(Entered::encrypted(TlsLine::new(socket, session), true))
            }
            Err(error) if !speaks_no_tls(&error) => {
                Err(io::Error::new(error.kind(), format!("TLS: {}", describe(&error))))
            }
            Err(_) if self.config.peers == TlsMode::Accept => Ok(Entered::plain(connect().await?)),
            Err(error) => {
                let text = format!("it does not speak TLS, which --peer-tls-mode require demands: {error}");
                Err(io::Error::new(io::ErrorKind::InvalidData, text))
            }
        }
    }

    fn of_peers<T>(&self, part: impl FnOnce(&crate::tls::PeerMaterial) -> T) -> T {
        let material = self.material.borrow();
        part(
            material
                .peers
                .as_ref()
                .expect("there is one unless the mode is off"),
        )
    }
}

/// Lets the other side in that has connected; gives what it has shown of itself.
async fn shake_hands(
    socket: TcpStream,
    config: Arc<ServerConfig>,
) -> Result<(TlsLine, Vec<rustls::pki_types::CertificateDer<'static>>), NoEntry> {
    match TlsAcceptor::from(config).accept(socket).into_fallible().await {
        Ok(stream) => {
            let (socket, session) = stream.into_inner();
            let shown = session.peer_certificates().unwrap_or_default().to_vec();
            Ok((TlsLine::new(socket, session), shown))
        }
        Err((error, socket)) => {
            discard(socket).await;
            Err(NoEntry::Handshake(error))
        }
    }
}

/// Closing with unread bytes would reset the connection, and destroy the last word on its way.
async fn discard(mut socket: TcpStream) {
    let _ = socket.shutdown().await;
    let ends = async {
        let mut bytes = [0; 1024];
        while let Ok(1..) = socket.read(&mut bytes).await {}
    };
    let _ = tokio::time::timeout(DISCARD, ends).await;
}

/// True when the first bytes are those of a TLS record (RFC 8446, 5.1): they stay where they are.
async fn speaks_tls(socket: &TcpStream) -> io::Result<bool> {
    for _ in 0..LOOKS_MAX {
        let mut first = [0; 3];
        let count = socket.peek(&mut first).await?;
        match first.get(..count) {
            Some([HANDSHAKE, MAJOR, 0..=4]) => return Ok(true),
            Some([HANDSHAKE] | [HANDSHAKE, MAJOR]) => tokio::time::sleep(LOOK_AGAIN).await,
            Some(_) | None => return Ok(false),
        }
    }
    Ok(false)
}

/// A node that does not know TLS closes the connection, or answers with a frame.
fn speaks_no_tls(error: &io::Error) -> bool {
    let fault = error.get_ref().and_then(|inner| inner.downcast_ref());
    match (error.kind(), fault) {
        (_, Some(rustls::Error::InvalidMessage(_))) => true,
        (io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe, _) => {
            true
        }
        (_, _) => false,
    }
}

/// The host to ask for. Where it cannot be asked for, any name does: nodes are known by the list of names.
fn server_name(address: &str) -> ServerName<'static> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    ServerName::try_from(host)
        .unwrap_or_else(|_| ServerName::try_from("noraftd.invalid").expect("a good name"))
}

fn prints(config: &TlsConfig) -> Vec<Print> {
    let print = |path| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
    };
    config.files().map(print).collect()
}

/// The type of the record that begins a handshake.
const HANDSHAKE: u8 = 22;
/// What the version of every record begins with.
const MAJOR: u8 = 3;
/// What a client without TLS gets where it is required.
const TLS_ONLY: &[u8] =
    b"-ERR this address takes connections with TLS only (redis-cli --tls, noraftd --tls)\r\n";
/// A handshake takes some round trips; one that takes longer is none.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Handshakes with clients at once; each costs some 20 KiB.
const HANDSHAKES_MAX: usize = 256;
/// How long the other side may go on sending after a handshake that failed.
const DISCARD: Duration = Duration::from_millis(500);
/// Three bytes come together but for networks that are very odd.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const LOOKS_MAX: u32 = 50;
/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(2);
