//! The client protocol of NATS (docs.nats.io, "Client Protocol"): lines, and payloads of a length that their line says.
//!
//! It is written here, and not taken from NATS's own client, because that one connects again by itself, to another server, and
//! sends again: then no one could say of which server's answer an operation is, and whether it was done once.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::CallError;

/// A connection with a subscription to its own answers.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    incoming: BytesMut,
    inbox: String,
    /// The number of the last request.
    requests: u64,
}

/// An answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Somebody answered.
    Payload(Bytes),
    /// No one listens to the subject, so no one got the request.
    NoResponders,
}

/// What a server sends.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Message { subject: String, answer: Answer },
    Ping,
    Pong,
    Info,
    Error(String),
}

impl Wire {
    /// Connects and subscribes.
    pub(super) async fn connect(address: SocketAddr) -> Result<Self, CallError> {
        let unreachable = |error: std::io::Error| CallError::Unreachable(error.to_string());
        let stream = TcpStream::connect(address).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let own = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        let mut wire = Self {
            stream,
            incoming: BytesMut::with_capacity(4096),
            inbox: format!("_INBOX.{}x{own}", std::process::id()),
            requests: 0,
        };
        let hello = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"lang\":\"rust\",\
             \"version\":\"1\",\"protocol\":1}}\r\nSUB {}.* 1\r\nPING\r\n",
            wire.inbox
        );
        // Nothing was asked for yet: whatever fails, no operation was sent.
        let greeted = async {
            wire.stream.write_all(hello.as_bytes()).await.map_err(lost)?;
            loop {
                match wire.next().await? {
                    Said::Pong => return Ok(()),
                    Said::Error(said) => return Err(CallError::Lost(said)),
                    Said::Info | Said::Ping | Said::Message { .. } => {}
                }
            }
        };
        greeted
            .await
            .map_err(|error| CallError::Unreachable(error.to_string()))?;
        Ok(wire)
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn request(
        &mut self,
        subject: &str,
        header: Option<(&str, u64)>,
        payload: &[u8],
    ) -> Result<Answer, CallError> {
        self.requests += 1;
        let reply = format!("{}.{}", self.inbox, self.requests);
        let mut message = match header {
            None => format!("PUB {subject} {reply} {}\r\n", payload.len()).into_bytes(),
            Some((name, value)) => {
                let header = format!("NATS/1.0\r\n{name}: {value}\r\n\r\n");
                let total = header.len() + payload.len();
                format!("HPUB {subject} {reply} {} {total}\r\n{header}", header.len()).into_bytes()
            }
        };
        message.extend_from_slice(payload);
        message.extend_from_slice(b"\r\n");
        self.stream.write_all(&message).await.map_err(lost)?;
        loop {
            match self.next().await? {
                Said::Message { subject, answer } if subject == reply => return Ok(answer),
                Said::Ping => self.stream.write_all(b"PONG\r\n").await.map_err(lost)?,
                Said::Error(said) => return Err(CallError::Lost(said)),
                Said::Message { .. } | Said::Pong | Said::Info => {}
            }
        }
    }

    async fn next(&mut self) -> Result<Said, CallError> {
        loop {
            if let Some((said, length)) = parse(&self.incoming).map_err(CallError::Malformed)? {
                let _ = self.incoming.split_to(length);
                return Ok(said);
            }
            if self.stream.read_buf(&mut self.incoming).await.map_err(lost)? == 0 {
                return Err(CallError::Lost("the node closed it".to_owned()));
            }
        }
    }
}

fn lost(error: std::io::Error) -> CallError {
    CallError::Lost(error.to_string())
}

/// The first thing in `bytes`, and its length; `None` when more bytes are needed.
fn parse(bytes: &[u8]) -> Result<Option<(Said, usize)>, String> {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        return match bytes.len() > LINE_BYTES_MAX {
            true => Err("an endless line".to_owned()),
            false => Ok(None),
        };
    };
    let line = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let after = end + 2;
    match words.as_slice() {
        ["MSG", subject, _, .., length] => message(bytes, subject, after, "0", length),
        ["HMSG", subject, _, .., header, length] => message(bytes, subject, after, header, length),
        ["PING"] => Ok(Some((Said::Ping, after))),
        ["PONG" | "+OK"] => Ok(Some((Said::Pong, after))),
        ["INFO", ..] => Ok(Some((Said::Info, after))),
        ["-ERR", ..] => Ok(Some((Said::Error(line), after))),
        _ => Err(format!("a line that is none of the protocol: {line:?}")),
    }
}

fn message(
    bytes: &[u8],
    subject: &str,
    at: usize,
    header: &str,
    length: &str,
) -> Result<Option<(Said, usize)>, String> {
    let number = |text: &str| {
        let number = text
            .parse::<usize>()
            .ok()
            .filter(|number| *number <= PAYLOAD_BYTES_MAX);
        number.ok_or_else(|| format!("{text:?} is no length of a payload"))
    };
    let (header, length) = (number(header)?, number(length)?);
    let Some(whole) = bytes.get(at..at + length + 2) else {
        return Ok(None);
    };
    let Some((header, payload)) = whole[..length].split_at_checked(header) else {
        return Err("a header longer than its message".to_owned());
    };
    let answer = match header.starts_with(b"NATS/1.0 503") {
        true => Answer::NoResponders,
        false => Answer::Payload(Bytes::copy_from_slice(payload)),
    };
    let subject = subject.to_owned();
    Ok(Some((Said::Message { subject, answer }, at + length + 2)))
}

/// Names the inboxes of this process's connections.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
/// The greeting of a large cluster is a few kilobytes.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Far above what any workload writes.
const PAYLOAD_BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(subject: &str, answer: Answer) -> Said {
        Said::Message {
            subject: subject.to_owned(),
            answer,
        }
    }

    #[test]
    fn messages_are_read_whole_with_and_without_headers() {
        let payload = |bytes: &'static [u8]| Answer::Payload(Bytes::from_static(bytes));
        for (bytes, said) in [
            (&b"MSG a 1 3\r\nx\r\n\r\n"[..], answer("a", payload(b"x\r\n"))),
            (b"MSG a 1 reply 2\r\nxy\r\n", answer("a", payload(b"xy"))),
            (
                b"HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nxy\r\n",
                answer("a", payload(b"xy")),
            ),
            (
                b"HMSG a 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
                answer("a", Answer::NoResponders),
            ),
            (b"PING\r\n", Said::Ping),
            (
                b"-ERR 'Slow Consumer'\r\n",
                Said::Error("-ERR 'Slow Consumer'".to_owned()),
            ),
        ] {
            let longer = [bytes, b"PING\r\n"].concat();
            assert_eq!(parse(&longer), Ok(Some((said, bytes.len()))));
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut]), Ok(None), "{cut} of {bytes:?}");
            }
        }
    }

    #[test]
    fn garbage_is_refused() {
        for garbage in [
            "HELLO\r\n",
            "MSG a 1 many\r\n",
            "HMSG a 1 9 3\r\nabc\r\n",
            "MSG a 1 99999999999\r\n",
        ] {
            assert!(parse(garbage.as_bytes()).is_err(), "{garbage:?}");
        }
    }
}
