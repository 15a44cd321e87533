//! A connection to etcd, version 3: Put, Range and Status, in gRPC over HTTP/2.
//!
//! gRPC ("gRPC over HTTP2" in its documentation): a request is a POST whose body is one message behind a
//! flag byte and a length of four bytes; the outcome is in the trailers.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{RecvStream, client};
use http::{HeaderMap, Request as HttpRequest};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, spawn_local};

use crate::protobuf::{append_bytes, find_bytes, find_varint};
use crate::wire::{CallError, Key, VALUE_BYTES};
use crate::workload::Request;

/// One HTTP/2 connection; a task of its own moves its frames.
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    base: String,
    driver: JoinHandle<()>,
    message: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, CallError> {
        let stream = TcpStream::connect(address).await.map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        let (sender, connection) = client::handshake(stream).await.map_err(broken)?;
        let driver = spawn_local(async move {
            // An error also ends the calls under way, which report it.
            let _ = connection.await;
        });
        Ok(Self {
            sender,
            base: format!("http://{address}/"),
            driver,
            message: Vec::new(),
        })
    }

    /// Sends the request for one key after the other: gRPC has no pipeline to compare with RESP's.
    pub(crate) async fn call(
        &mut self,
        request: Request,
        keys: &[Key],
        value: &[u8],
    ) -> Result<(), CallError> {
        for key in keys {
            match request {
                Request::Write => self.put(*key, value).await?,
                Request::Read => self.range(*key).await?,
            }
        }
        Ok(())
    }

    async fn put(&mut self, key: Key, value: &[u8]) -> Result<(), CallError> {
        self.begin(key);
        append_bytes(&mut self.message, PUT_VALUE, value);
        self.exchange("etcdserverpb.KV/Put").await.map(drop)
    }

    /// A Range without `serializable`: linearizable.
    async fn range(&mut self, key: Key) -> Result<(), CallError> {
        self.begin(key);
        let response = self.exchange("etcdserverpb.KV/Range").await?;
        let pair = find_bytes(message_of(&response)?, RANGE_PAIRS);
        match find_bytes(pair, PAIR_VALUE).len() {
            VALUE_BYTES => Ok(()),
            bytes => Err(CallError::Refused(format!("Range gave a value of {bytes} bytes"))),
        }
    }

    /// Asks the node whether it leads.
    pub(crate) async fn leads(&mut self) -> Result<bool, CallError> {
        self.message.clear();
        self.message.extend_from_slice(&[0; PREFIX_BYTES]);
        let response = self.exchange("etcdserverpb.Maintenance/Status").await?;
        let status = message_of(&response)?;
        let own = find_varint(find_bytes(status, STATUS_HEADER), HEADER_MEMBER);
        Ok(own != 0 && own == find_varint(status, STATUS_LEADER))
    }

    fn begin(&mut self, key: Key) {
        self.message.clear();
        self.message.extend_from_slice(&[0; PREFIX_BYTES]);
        let mut name = Vec::new();
        key.append_to(&mut name);
        append_bytes(&mut self.message, REQUEST_KEY, &name);
    }

    async fn exchange(&mut self, method: &str) -> Result<BytesMut, CallError> {
        let length = u32::try_from(self.message.len() - PREFIX_BYTES).expect("a small message");
        let (prefix, _) = self.message.split_at_mut(PREFIX_BYTES);
        prefix[1..].copy_from_slice(&length.to_be_bytes());
        let request = HttpRequest::post(format!("{}{method}", self.base))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .map_err(broken)?;
        self.sender = self.sender.clone().ready().await.map_err(broken)?;
        let (response, mut stream) = self.sender.send_request(request, false).map_err(broken)?;
        stream
            .send_data(Bytes::copy_from_slice(&self.message), true)
            .map_err(broken)?;
        let response = response.await.map_err(broken)?;
        if response.headers().contains_key(GRPC_STATUS) {
            check_status(response.headers())?;
        }
        read_body(response.into_body()).await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn read_body(mut stream: RecvStream) -> Result<BytesMut, CallError> {
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
        None => return Err(CallError::Refused("a response without trailers".into())),
    }
    Ok(body)
}

fn message_of(body: &[u8]) -> Result<&[u8], CallError> {
    body.get(PREFIX_BYTES..)
        .ok_or_else(|| CallError::Refused("a response without a message".into()))
}

fn check_status(headers: &HeaderMap) -> Result<(), CallError> {
    let text = |name| {
        let value = headers
            .get(name)
            .map(|value| value.as_bytes())
            .unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    };
    match text(GRPC_STATUS).as_str() {
        "0" => Ok(()),
        code => Err(CallError::Refused(format!(
            "gRPC status {code}: {}",
            text("grpc-message")
        ))),
    }
}

fn broken(error: impl std::fmt::Display) -> CallError {
    CallError::Broken(format!("connection: {error}"))
}

const GRPC_STATUS: &str = "grpc-status";

/// A flag (0: not compressed) and the message's length.
const PREFIX_BYTES: usize = 5;

// Field numbers of etcd's `rpc.proto` and `kv.proto`.
const REQUEST_KEY: u32 = 1;
const PUT_VALUE: u32 = 2;
const RANGE_PAIRS: u64 = 2;
const PAIR_VALUE: u64 = 5;
const STATUS_HEADER: u64 = 1;
const STATUS_LEADER: u64 = 4;
const HEADER_MEMBER: u64 = 2;
