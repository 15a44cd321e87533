//! Calls of gRPC, one at a time.
//!
//! gRPC ("gRPC over HTTP2" in its documentation): a request is a POST whose body is one message behind a flag byte and a length
//! of four bytes; the outcome is in the trailers.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{RecvStream, client};
use http::{HeaderMap, Request};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// One HTTP/2 connection; a task of its own moves its frames.
#[derive(Debug)]
pub struct Grpc {
    sender: SendRequest<Bytes>,
    base: String,
    driver: JoinHandle<()>,
}

/// Why a call has no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrpcError {
    /// There is no connection; this request was not sent.
    #[error("connection: {0}")]
    NotSent(String),
    /// The server says why not.
    #[error("gRPC status {code}: {message}")]
    Status {
        /// The number of the status.
        code: u32,
        /// What it says.
        message: String,
    },
    /// The connection broke, or the answer is none.
    #[error("connection: {0}")]
    Broken(String),
}

impl Grpc {
    /// Connects.
    ///
    /// # Errors
    ///
    /// [`GrpcError::NotSent`].
    pub async fn connect(address: SocketAddr) -> Result<Self, GrpcError> {
        let stream = TcpStream::connect(address).await.map_err(not_sent)?;
        stream.set_nodelay(true).map_err(not_sent)?;
        let (sender, connection) = client::handshake(stream).await.map_err(not_sent)?;
        let driver = tokio::spawn(async move {
            // An error also ends the calls under way, which report it.
            let _ = connection.await;
        });
        Ok(Self {
            sender,
            base: format!("http://{address}/"),
            driver,
        })
    }

    /// Calls `method`, such as `etcdserverpb.KV/Put`, with one message; gives the response's.
    ///
    /// # Errors
    ///
    /// Any [`GrpcError`].
    pub async fn call(&mut self, method: &str, message: &[u8]) -> Result<BytesMut, GrpcError> {
        let length = u32::try_from(message.len()).map_err(not_sent)?;
        let mut body = BytesMut::with_capacity(PREFIX_BYTES + message.len());
        body.put_u8(0);
        body.put_u32(length);
        body.put_slice(message);
        let request = Request::post(format!("{}{method}", self.base))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .map_err(not_sent)?;
        self.sender = self.sender.clone().ready().await.map_err(not_sent)?;
        let (response, mut stream) = self.sender.send_request(request, false).map_err(broken)?;
        stream.send_data(body.freeze(), true).map_err(broken)?;
        let response = response.await.map_err(broken)?;
        if response.headers().contains_key(GRPC_STATUS) {
            check_status(response.headers())?;
        }
        let mut body = read_body(response.into_body()).await?;
        if body.len() < PREFIX_BYTES {
            return Err(GrpcError::Broken("a response without a message".to_owned()));
        }
        Ok(body.split_off(PREFIX_BYTES))
    }
}

impl Drop for Grpc {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn read_body(mut stream: RecvStream) -> Result<BytesMut, GrpcError> {
    let mut body = BytesMut::new();
    while let Some(data) = stream.data().await {
        let data = data.map_err(broken)?;
        stream
            .flow_control()
            .release_capacity(data.len())
            .map_err(broken)?;
        body.extend_from_slice(&data);
    }
    match stream.trailers().await.map_err(broken)? {
        Some(trailers) => check_status(&trailers)?,
        None => return Err(GrpcError::Broken("a response without trailers".to_owned())),
    }
    Ok(body)
}

fn check_status(headers: &HeaderMap) -> Result<(), GrpcError> {
    let text = |name| {
        let value = headers
            .get(name)
            .map(|value| value.as_bytes())
            .unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    };
    match text(GRPC_STATUS).parse() {
        Ok(0) => Ok(()),
        code => Err(GrpcError::Status {
            code: code.unwrap_or(UNKNOWN),
            message: text("grpc-message"),
        }),
    }
}

fn not_sent(error: impl std::fmt::Display) -> GrpcError {
    GrpcError::NotSent(error.to_string())
}

fn broken(error: impl std::fmt::Display) -> GrpcError {
    GrpcError::Broken(error.to_string())
}

const GRPC_STATUS: &str = "grpc-status";
/// "Unknown", of the numbers of gRPC.
const UNKNOWN: u32 = 2;
/// A flag (0: not compressed) and the message's length.
const PREFIX_BYTES: usize = 5;
