//! Asking a node a question over its client address, and waiting for the answer.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::BytesMut;

use crate::protocol::resp::{Value, ValueDecoder, ValueError};
use crate::shell::board::StatusReport;
use crate::shell::endpoint::Endpoint;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum QueryError {
    /// Nobody answers there.
    #[error("{0} does not answer: {1}")]
    Unreachable(Endpoint, io::Error),
    /// Somebody answers, but not as a node does.
    #[error("{0} is no noraftd node: {1}")]
    Strange(Endpoint, String),
}

/// Asks the node at `endpoint` for its status; the text is the JSON as it came.
pub(super) fn ask_status(endpoint: &Endpoint) -> Result<(StatusReport, String), QueryError> {
    let strange = |text: String| QueryError::Strange(endpoint.clone(), text);
    match ask(endpoint, b"*1\r\n$13\r\nNORAFT.STATUS\r\n")? {
        Value::Bulk(json) => {
            let report = serde_json::from_slice(&json).map_err(|error| strange(error.to_string()))?;
            Ok((report, String::from_utf8_lossy(&json).into_owned()))
        }
        Value::Error(text) => Err(strange(format!("it says '{text}'"))),
        other => Err(strange(format!("it says {other:?}"))),
    }
}

/// Asks the node at `endpoint` to take a snapshot; the status tells when it is there.
pub(super) fn ask_for_snapshot(endpoint: &Endpoint) -> Result<(), QueryError> {
    match ask(endpoint, b"*1\r\n$15\r\nNORAFT.SNAPSHOT\r\n")? {
        Value::Status(_) => Ok(()),
        other => Err(QueryError::Strange(
            endpoint.clone(),
            format!("it says {other:?}"),
        )),
    }
}

fn ask(endpoint: &Endpoint, question: &[u8]) -> Result<Value, QueryError> {
    let mut stream = connect(endpoint).map_err(|error| QueryError::Unreachable(endpoint.clone(), error))?;
    stream
        .write_all(question)
        .map_err(|error| QueryError::Unreachable(endpoint.clone(), error))?;
    let (mut decoder, mut buffer) = (ValueDecoder::new(), BytesMut::new());
    let mut chunk = [0; 4096];
    loop {
        let decoded = decoder.next(&mut buffer);
        if let Some(value) =
            decoded.map_err(|error: ValueError| QueryError::Strange(endpoint.clone(), error.to_string()))?
        {
            return Ok(value);
        }
        match stream.read(&mut chunk) {
            Ok(0) => {
                return Err(QueryError::Strange(
                    endpoint.clone(),
                    "it closed the connection".to_owned(),
                ));
            }
            Ok(count) => buffer.extend_from_slice(chunk.get(..count).expect("a read fits its buffer")),
            Err(error) => return Err(QueryError::Unreachable(endpoint.clone(), error)),
        }
    }
}

trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

fn connect(endpoint: &Endpoint) -> io::Result<Box<dyn Connection>> {
    match endpoint {
        Endpoint::Tcp(address) => {
            let mut addresses = address.to_socket_addrs()?;
            let address = addresses
                .next()
                .ok_or_else(|| io::Error::other("the name has no address"))?;
            let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            Ok(Box::new(stream))
        }
        Endpoint::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            Ok(Box::new(stream))
        }
    }
}

/// A node answers from memory; one that takes longer is in trouble.
const TIMEOUT: Duration = Duration::from_secs(2);
