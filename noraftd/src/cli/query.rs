//! Asking a node a question over its client address, and waiting for the answer.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use noraft::LogPosition;
use serde::de::DeserializeOwned;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, ClientConnection, StreamOwned};

use super::tls_flags;
use crate::endpoint::Endpoint;
use crate::exit::Exit;
use crate::local::events::EventsReport;
use crate::local::members::MembersReport;
use crate::local::status::StatusReport;
use crate::local::vitals::VitalsReport;
use crate::protocol::resp::{Value, ValueDecoder, ValueError};
use crate::secret::{Secrets, SecretsError, from_hex, to_hex};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum QueryError {
    /// Nothing answers there.
    #[error("{0} does not answer: {1}")]
    Unreachable(Endpoint, io::Error),
    /// Something answers, but not as a node does.
    #[error("{0} is no noraftd node: {1}")]
    Strange(Endpoint, String),
    /// The two do not come together on TLS.
    #[error("{0}: TLS: {1}")]
    Tls(Endpoint, String),
    /// It does not do what was asked.
    #[error("{0} refuses: {1}")]
    Refused(Endpoint, String),
}

impl QueryError {
    /// How the process ends that asked.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Unreachable(..) => Exit::Unavailable,
            Self::Strange(..) | Self::Refused(..) | Self::Tls(..) => Exit::Failed,
        }
    }

    /// What TLS refuses is refused again; anything else may pass.
    fn of_io(endpoint: &Endpoint, error: io::Error) -> Self {
        let fault = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match fault {
            None => Self::Unreachable(endpoint.clone(), error),
            Some(rustls::Error::InvalidMessage(_)) => {
                Self::Tls(endpoint.clone(), "it does not speak TLS".to_owned())
            }
            Some(fault) => Self::Tls(endpoint.clone(), fault.to_string()),
        }
    }

    /// The answer is not the one that was hoped for: a refusal, or nothing that a node says.
    fn of_answer(endpoint: &Endpoint, answer: Value) -> Self {
        match answer {
            Value::Error(text) => Self::Refused(endpoint.clone(), text),
            other => Self::Strange(endpoint.clone(), format!("it says {other:?}")),
        }
    }
}

/// Asks the node at `endpoint` for its status; the text is the JSON as it came.
pub(super) fn ask_status(endpoint: &Endpoint) -> Result<(StatusReport, String), QueryError> {
    let strange = |text: String| QueryError::Strange(endpoint.clone(), text);
    match ask(endpoint, &STATUS)? {
        Value::Bulk(json) => {
            let report = serde_json::from_slice(&json).map_err(|error| strange(error.to_string()))?;
            Ok((report, String::from_utf8_lossy(&json).into_owned()))
        }
        Value::Error(text) => Err(strange(format!("it says '{text}'"))),
        other => Err(strange(format!("it says {other:?}"))),
    }
}

/// Asks the node at `endpoint` for its last events, or the newest `most` of them; the text is the JSON as it came.
pub(super) fn ask_for_events(
    endpoint: &Endpoint,
    most: Option<usize>,
) -> Result<(EventsReport, String), QueryError> {
    let most = most.map(|most| most.to_string());
    let count = most.as_deref().map(|most| ["COUNT", most]);
    let words: Vec<&str> = std::iter::once("NORAFT.EVENTS")
        .chain(count.into_iter().flatten())
        .collect();
    ask_for_json(endpoint, &words)
}

/// Asks the node at `endpoint` how it is set, and how its machine, disk and clock fare.
pub(super) fn ask_for_vitals(endpoint: &Endpoint) -> Result<VitalsReport, QueryError> {
    ask_for_json(endpoint, &["NORAFT.VITALS"]).map(|(report, _)| report)
}

/// Asks for what a node says in JSON; the text is that as it came.
fn ask_for_json<T: DeserializeOwned>(endpoint: &Endpoint, words: &[&str]) -> Result<(T, String), QueryError> {
    match ask(endpoint, words)? {
        Value::Bulk(json) => {
            let strange = |error: serde_json::Error| QueryError::Strange(endpoint.clone(), error.to_string());
            let report = serde_json::from_slice(&json).map_err(strange)?;
            Ok((report, String::from_utf8_lossy(&json).into_owned()))
        }
        other => Err(QueryError::of_answer(endpoint, other)),
    }
}

/// Asks for the index that covers every write that was acknowledged before; without a leader, the node refuses.
pub(super) fn ask_for_index(endpoint: &Endpoint) -> Result<u64, QueryError> {
    let strange = |text: String| QueryError::Strange(endpoint.clone(), text);
    match ask(endpoint, &["NORAFT.INDEX"])? {
        Value::Integer(index) => u64::try_from(index).map_err(|_| strange(format!("it says {index}"))),
        other => Err(QueryError::of_answer(endpoint, other)),
    }
}

/// Asks the node at `endpoint` to take a snapshot; the status shows when it exists.
pub(super) fn ask_for_snapshot(endpoint: &Endpoint) -> Result<(), QueryError> {
    match ask(endpoint, &["NORAFT.SNAPSHOT"])? {
        Value::Status(_) => Ok(()),
        other => Err(QueryError::Strange(
            endpoint.clone(),
            format!("it says {other:?}"),
        )),
    }
}

/// Asks the node at `endpoint` for a part of the snapshot at `position`, from byte `offset` on; empty at its end.
pub(super) fn ask_for_part(
    endpoint: &Endpoint,
    position: LogPosition,
    offset: u64,
) -> Result<Bytes, QueryError> {
    let [index, term, offset] = [position.index.get(), position.term.get(), offset].map(|n| n.to_string());
    match ask(endpoint, &["NORAFT.SNAPSHOT", "READ", &index, &term, &offset])? {
        Value::Bulk(bytes) => Ok(bytes),
        other => Err(QueryError::of_answer(endpoint, other)),
    }
}

/// Has the node at `endpoint` accept the data directory `incarnation` of `node`; returns the term of the node asked.
pub(super) fn ask_to_readmit(endpoint: &Endpoint, node: u64, incarnation: u64) -> Result<u64, QueryError> {
    let strange = |text: String| QueryError::Strange(endpoint.clone(), text);
    let (node, incarnation) = (node.to_string(), format!("{incarnation:016x}"));
    match ask(endpoint, &["NORAFT.READMIT", &node, &incarnation])? {
        Value::Bulk(term) => {
            let term = std::str::from_utf8(&term).ok().and_then(|term| term.parse().ok());
            term.ok_or_else(|| strange("its term is no number".to_owned()))
        }
        other => Err(QueryError::of_answer(endpoint, other)),
    }
}

/// Has the leader at `endpoint` make these nodes the voters, and waits until they are.
pub(super) fn ask_for_voters(endpoint: &Endpoint, voters: &[u64]) -> Result<(), QueryError> {
    let ids: Vec<String> = voters.iter().map(u64::to_string).collect();
    let words: Vec<&str> = std::iter::once("NORAFT.VOTERS")
        .chain(ids.iter().map(String::as_str))
        .collect();
    match ask(endpoint, &words)? {
        Value::Status(_) => Ok(()),
        other => Err(QueryError::of_answer(endpoint, other)),
    }
}

/// Asks the node at `endpoint` which members there are; the text is the JSON as it came.
pub(super) fn ask_for_members(endpoint: &Endpoint) -> Result<(MembersReport, String), QueryError> {
    ask_for_json(endpoint, &["NORAFT.MEMBERS"])
}

/// Has the node at `endpoint` change the membership table, and waits until that is committed. Returns an id where a new
/// one was given.
pub(super) fn ask_to_change_members(endpoint: &Endpoint, words: &[&str]) -> Result<i64, QueryError> {
    let words: Vec<&str> = std::iter::once("NORAFT.MEMBER")
        .chain(words.iter().copied())
        .collect();
    match ask(endpoint, &words)? {
        Value::Status(_) => Ok(0),
        Value::Integer(id) => Ok(id),
        other => Err(QueryError::of_answer(endpoint, other)),
    }
}

/// Has the leader at `endpoint` hand over to `to`, or to any other voter; returns the node that leads then.
pub(super) fn ask_to_transfer(endpoint: &Endpoint, to: Option<u64>) -> Result<i64, QueryError> {
    let to = to.map(|id| id.to_string());
    let words: Vec<&str> = std::iter::once("NORAFT.TRANSFER").chain(to.as_deref()).collect();
    match ask(endpoint, &words)? {
        Value::Integer(leader) => Ok(leader),
        other => Err(QueryError::of_answer(endpoint, other)),
    }
}

/// Has the cluster rise to the level that the node at `endpoint` supports; returns the level in force then.
pub(super) fn ask_to_upgrade(endpoint: &Endpoint) -> Result<i64, QueryError> {
    match ask(endpoint, &["NORAFT.UPGRADE"])? {
        Value::Integer(level) => Ok(level),
        other => Err(QueryError::of_answer(endpoint, other)),
    }
}

/// From now on this process proves to nodes that it knows the secrets in `file`, before it gives them orders. A process
/// carries out one verb, so what the verb knows, the process knows.
///
/// # Errors
///
/// When the file cannot be used.
pub(super) fn know_secrets(file: Option<&Path>) -> Result<(), SecretsError> {
    let secrets = file.map(Secrets::read).transpose()?;
    if let Some(secrets) = secrets {
        // What was known before stays known: a verb reads one file.
        SECRETS.get_or_init(|| secrets);
    }
    Ok(())
}

fn ask(endpoint: &Endpoint, words: &[&str]) -> Result<Value, QueryError> {
    let mut line = Line::to(endpoint)?;
    if let Some(secrets) = SECRETS.get()
        && words != STATUS
    {
        line.prove(secrets)?;
    }
    line.ask(words)
}

/// A connection to a node.
struct Line<'a> {
    endpoint: &'a Endpoint,
    stream: Box<dyn Connection>,
    decoder: ValueDecoder,
    buffer: BytesMut,
}

impl<'a> Line<'a> {
    fn to(endpoint: &'a Endpoint) -> Result<Self, QueryError> {
        let stream = connect(endpoint).map_err(|error| QueryError::of_io(endpoint, error))?;
        Ok(Self {
            endpoint,
            stream,
            decoder: ValueDecoder::new(),
            buffer: BytesMut::new(),
        })
    }

    fn ask(&mut self, words: &[&str]) -> Result<Value, QueryError> {
        let mut question = format!("*{}\r\n", words.len());
        for word in words {
            question.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        let unreachable = |error| QueryError::of_io(self.endpoint, error);
        self.stream.write_all(question.as_bytes()).map_err(unreachable)?;
        let mut chunk = vec![0; READ_BYTES];
        loop {
            let decoded = self.decoder.next(&mut self.buffer);
            if let Some(value) = decoded.map_err(|error: ValueError| self.strange(error.to_string()))? {
                return Ok(value);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(self.strange("it closed the connection".to_owned())),
                Ok(count) => self
                    .buffer
                    .extend_from_slice(chunk.get(..count).expect("a read fits its buffer")),
                Err(error) => return Err(QueryError::of_io(self.endpoint, error)),
            }
        }
    }

    /// Proves to the node that one of the secrets is known, if it wants to know that.
    fn prove(&mut self, secrets: &Secrets) -> Result<(), QueryError> {
        let mut refusal = None;
        for secret in secrets.iter() {
            let challenge = match self.ask(&["NORAFT.AUTH"])? {
                Value::Bulk(hex) => std::str::from_utf8(&hex).ok().and_then(from_hex),
                // It has no secret, or never heard of any.
                Value::Error(_) => return Ok(()),
                _ => None,
            };
            let challenge = challenge.ok_or_else(|| self.strange("its challenge is none".to_owned()))?;
            match self.ask(&["NORAFT.AUTH", &to_hex(&secret.admin_proof(&challenge))])? {
                Value::Status(_) => return Ok(()),
                Value::Error(text) => refusal = Some(QueryError::Refused(self.endpoint.clone(), text)),
                other => return Err(self.strange(format!("it says {other:?}"))),
            }
        }
        refusal.map_or(Ok(()), Err)
    }

    fn strange(&self, text: String) -> QueryError {
        QueryError::Strange(self.endpoint.clone(), text)
    }
}

trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

fn connect(endpoint: &Endpoint) -> io::Result<Box<dyn Connection>> {
    match endpoint {
        Endpoint::Tcp(address) => {
            let mut addresses = address.to_socket_addrs()?;
            let name = address;
            let address = addresses
                .next()
                .ok_or_else(|| io::Error::other("the name has no address"))?;
            let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            match tls_flags::in_use() {
                None => Ok(Box::new(stream)),
                Some(config) => Ok(Box::new(encrypt(name, stream, config)?)),
            }
        }
        Endpoint::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            Ok(Box::new(stream))
        }
    }
}

/// Agrees on TLS with the node at `address`.
fn encrypt(
    address: &str,
    mut stream: TcpStream,
    config: Arc<ClientConfig>,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(session, stream))
}

/// The question that anyone may ask.
const STATUS: [&str; 1] = ["NORAFT.STATUS"];

/// See [`know_secrets`].
static SECRETS: OnceLock<Secrets> = OnceLock::new();

const READ_BYTES: usize = 64 << 10;

/// A node answers from memory; one that takes longer is in trouble.
const TIMEOUT: Duration = Duration::from_secs(2);
