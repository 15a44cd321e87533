//! Connections to nodes, and what their errors mean: here the one that speaks RESP, beside it the other protocols.
//!
//! Invariant: an error is *definite* only when the request cannot have taken effect, now or later. After
//! anything else the connection is not used again, for a late reply would be taken for the next one.

mod door;
pub mod etcd;
mod nats;
pub mod own;
mod protocol;
mod redis;
mod reply;
mod view;
mod wish;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub use door::Door;
pub use protocol::{Access, Protocol, Session};
pub use reply::{MalformedReply, Reply, parse};
pub use view::NodeView;

/// A connection to one node.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    incoming: BytesMut,
    outgoing: Vec<u8>,
}

/// Why a call has no reply, or not the wanted one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No connection was made; nothing was sent.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// The node refused: nothing was done and nothing will be.
    #[error("refused: {0}")]
    Refused(String),
    /// The node says that it does not know the outcome.
    #[error("{0}")]
    Indefinite(String),
    /// No reply in time.
    #[error("no reply within {0:?}")]
    Timeout(Duration),
    /// The connection broke after the request was sent.
    #[error("connection lost: {0}")]
    Lost(String),
    /// The reply is not what the protocol promises.
    #[error("{0}")]
    Malformed(String),
}

impl CallError {
    /// Whether the request certainly has no effect, now or later.
    pub fn is_definite(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Refused(_) => true,
            Self::Indefinite(_) | Self::Timeout(_) | Self::Lost(_) | Self::Malformed(_) => false,
        }
    }

    /// Whether the connection can serve the next call.
    pub fn keeps_connection(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Indefinite(_) => true,
            Self::Unreachable(_) | Self::Timeout(_) | Self::Lost(_) | Self::Malformed(_) => false,
        }
    }

    /// A word for counting: the first one of the node's error, or what happened to the connection.
    pub fn code(&self) -> &str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Refused(said) | Self::Indefinite(said) => {
                said.split_ascii_whitespace().next().unwrap_or("ERR")
            }
            Self::Timeout(_) => "timeout",
            Self::Lost(_) => "connection-lost",
            Self::Malformed(_) => "malformed-reply",
        }
    }

    /// What an error reply means: only the code `INDEFINITE` leaves the outcome open.
    pub fn from_error_reply(said: String) -> Self {
        if said.split_ascii_whitespace().next() == Some("INDEFINITE") {
            Self::Indefinite(said)
        } else {
            Self::Refused(said)
        }
    }
}

impl Client {
    /// Connects to a node's client address.
    ///
    /// # Errors
    ///
    /// [`CallError::Unreachable`].
    pub async fn connect(address: SocketAddr, patience: Duration) -> Result<Self, CallError> {
        let stream = match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(CallError::Unreachable(error.to_string())),
            Err(_) => {
                return Err(CallError::Unreachable(format!(
                    "not accepted within {patience:?}"
                )));
            }
        };
        stream
            .set_nodelay(true)
            .map_err(|error| CallError::Unreachable(error.to_string()))?;
        Ok(Self {
            stream,
            incoming: BytesMut::with_capacity(4096),
            outgoing: Vec::with_capacity(256),
        })
    }

    /// Sends one command and waits for its reply. An error reply is an `Err`.
    ///
    /// # Errors
    ///
    /// Any [`CallError`] but `Unreachable`; see [`CallError::keeps_connection`].
    pub async fn call<A: AsRef<[u8]>>(
        &mut self,
        arguments: &[A],
        patience: Duration,
    ) -> Result<Reply, CallError> {
        match self.ask(arguments, patience).await {
            Ok(Reply::Error(said)) => Err(CallError::from_error_reply(said)),
            result => result,
        }
    }

    /// The same, for a caller that knows better what an error reply means: it is an `Ok`.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub async fn ask<A: AsRef<[u8]>>(
        &mut self,
        arguments: &[A],
        patience: Duration,
    ) -> Result<Reply, CallError> {
        timeout(patience, self.exchange(arguments))
            .await
            .unwrap_or(Err(CallError::Timeout(patience)))
    }

    async fn exchange<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Result<Reply, CallError> {
        let lost = |error: std::io::Error| CallError::Lost(error.to_string());
        encode(arguments, &mut self.outgoing);
        self.stream.write_all(&self.outgoing).await.map_err(lost)?;
        loop {
            let parsed = parse(&self.incoming).map_err(|error| CallError::Malformed(error.to_string()))?;
            if let Some((reply, length)) = parsed {
                return self.take(reply, length);
            }
            if self.stream.read_buf(&mut self.incoming).await.map_err(lost)? == 0 {
                return Err(CallError::Lost("the node closed it".to_owned()));
            }
        }
    }

    /// One request is answered by exactly one reply.
    fn take(&mut self, reply: Reply, length: usize) -> Result<Reply, CallError> {
        if length != self.incoming.len() {
            return Err(CallError::Malformed("more bytes than one reply".to_owned()));
        }
        self.incoming.clear();
        Ok(reply)
    }
}

fn encode<A: AsRef<[u8]>>(arguments: &[A], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(format!("*{}\r\n", arguments.len()).as_bytes());
    for argument in arguments {
        let argument = argument.as_ref();
        out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// What a client makes of a node that reads a request, answers `reply`, and closes.
    async fn answered(reply: &'static [u8]) -> Result<Reply, CallError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let node = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 14];
            stream.read_exact(&mut request).await.unwrap();
            assert_eq!(&request, b"*1\r\n$4\r\nPING\r\n");
            stream.write_all(reply).await.unwrap();
        });
        let mut client = Client::connect(address, PATIENCE).await.unwrap();
        let result = client.call(&["PING"], PATIENCE).await;
        node.await.unwrap();
        result
    }

    #[tokio::test]
    async fn a_reply_is_returned() {
        assert_eq!(answered(b"+PONG\r\n").await, Ok(Reply::Status("PONG".into())));
    }

    #[tokio::test]
    async fn only_an_error_that_says_indefinite_leaves_the_outcome_open() {
        let open = answered(b"-INDEFINITE lost leadership\r\n").await.unwrap_err();
        assert_eq!(
            (open.is_definite(), open.code(), open.keeps_connection()),
            (false, "INDEFINITE", true)
        );
        let closed = answered(b"-NOLEADER try again\r\n").await.unwrap_err();
        assert_eq!(
            (closed.is_definite(), closed.code(), closed.keeps_connection()),
            (true, "NOLEADER", true)
        );
        let similar = answered(b"-INDEFINITELY busy\r\n").await.unwrap_err();
        assert!(similar.is_definite());
    }

    #[tokio::test]
    async fn a_connection_that_breaks_after_the_request_leaves_the_outcome_open() {
        for reply in [&b""[..], b"$10\r\nhalf"] {
            let error = answered(reply).await.unwrap_err();
            assert_eq!(
                (error.is_definite(), error.code(), error.keeps_connection()),
                (false, "connection-lost", false)
            );
        }
        let error = answered(b"!what\r\n").await.unwrap_err();
        assert_eq!((error.is_definite(), error.code()), (false, "malformed-reply"));
        let error = answered(b"+PONG\r\n+PONG\r\n").await.unwrap_err();
        assert_eq!((error.is_definite(), error.code()), (false, "malformed-reply"));
    }

    #[tokio::test]
    async fn nobody_listening_is_definite() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = Client::connect(address, PATIENCE).await.unwrap_err();
        assert_eq!(
            (error.is_definite(), error.code(), error.keeps_connection()),
            (true, "unreachable", false)
        );
    }

    #[tokio::test]
    async fn silence_leaves_the_outcome_open() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = Client::connect(listener.local_addr().unwrap(), PATIENCE)
            .await
            .unwrap();
        let error = client
            .call(&["PING"], Duration::from_millis(20))
            .await
            .unwrap_err();
        assert_eq!(
            (error.is_definite(), error.code(), error.keeps_connection()),
            (false, "timeout", false)
        );
    }
}
