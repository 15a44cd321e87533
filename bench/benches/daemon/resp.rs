//! A RESP2 connection: SET, GET and ROLE.

use std::io::{self, Write};
use std::net::SocketAddr;

use bytes::BytesMut;
use noraftd::protocol::resp::{Value, ValueDecoder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::wire::{CallError, KEY_BYTES, Key, VALUE_BYTES};
use crate::workload::Request;

/// One connection.
pub(crate) struct Connection {
    stream: TcpStream,
    decoder: ValueDecoder,
    input: BytesMut,
    output: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, CallError> {
        let stream = TcpStream::connect(address).await.map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        Ok(Self {
            stream,
            decoder: ValueDecoder::new(),
            input: BytesMut::with_capacity(READ_BYTES),
            output: Vec::new(),
        })
    }

    /// Sends one command for each key, all at once, and reads all replies.
    pub(crate) async fn call(
        &mut self,
        request: Request,
        keys: &[Key],
        value: &[u8],
    ) -> Result<(), CallError> {
        self.output.clear();
        for key in keys {
            append_command(&mut self.output, request, *key, value);
        }
        self.stream.write_all(&self.output).await.map_err(broken)?;
        let mut outcome = Ok(());
        for _ in keys {
            let reply = self.reply().await?;
            outcome = outcome.and(check(request, &reply));
        }
        outcome
    }

    /// Asks the node whether it leads.
    pub(crate) async fn leads(&mut self) -> Result<bool, CallError> {
        self.stream
            .write_all(b"*1\r\n$4\r\nROLE\r\n")
            .await
            .map_err(broken)?;
        match self.reply().await? {
            Value::Array(items) => match items.first() {
                Some(Value::Bulk(role)) => Ok(role.as_ref() == b"master"),
                Some(Value::Status(role)) => Ok(role == "master"),
                other => Err(CallError::Refused(format!("ROLE began with {other:?}"))),
            },
            other => Err(CallError::Refused(format!("ROLE was answered with {other:?}"))),
        }
    }

    async fn reply(&mut self) -> Result<Value, CallError> {
        loop {
            if let Some(value) = self.decoder.next(&mut self.input).map_err(broken)? {
                return Ok(value);
            }
            self.input.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.input).await.map_err(broken)? == 0 {
                return Err(CallError::Broken("the server closed the connection".into()));
            }
        }
    }
}

fn append_command(out: &mut Vec<u8>, request: Request, key: Key, value: &[u8]) {
    let head = match request {
        Request::Write => "*3\r\n$3\r\nSET",
        Request::Read => "*2\r\n$3\r\nGET",
    };
    append_fmt(out, format_args!("{head}\r\n${KEY_BYTES}\r\n"));
    key.append_to(out);
    match request {
        Request::Write => {
            append_fmt(out, format_args!("\r\n${}\r\n", value.len()));
            out.extend_from_slice(value);
        }
        Request::Read => {}
    }
    out.extend_from_slice(b"\r\n");
}

fn append_fmt(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a vector takes all bytes");
}

fn check(request: Request, reply: &Value) -> Result<(), CallError> {
    let is_right = match (request, reply) {
        (Request::Write, Value::Status(status)) => status == "OK",
        (Request::Read, Value::Bulk(value)) => value.len() == VALUE_BYTES,
        (Request::Write | Request::Read, _) => false,
    };
    match reply {
        _ if is_right => Ok(()),
        Value::Error(text) => Err(CallError::Refused(text.clone())),
        other => Err(CallError::Refused(format!(
            "{request:?} was answered with {other:?}"
        ))),
    }
}

fn broken(error: impl Into<Box<dyn std::error::Error>>) -> CallError {
    let error: Box<dyn std::error::Error> = error.into();
    match error.downcast_ref::<io::Error>() {
        Some(io) => CallError::Broken(format!("connection: {io}")),
        None => CallError::Broken(error.to_string()),
    }
}

/// Room for the replies to a pipeline of reads.
const READ_BYTES: usize = 8 << 10;
