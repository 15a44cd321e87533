//! Clients that do not wait for answers: each appends to a list of its own and reads it, in turn.
//!
//! Invariant: what is asked over one connection is checked in its order (`checker::session`); a new connection begins a
//! new list. Requests whose answers never come are not looked at.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use noraftd::prng::Prng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::checker::session::{Said, Session, numbers};
use crate::client::{Reply, parse};
use crate::results::{CheckResult, Outcome};

/// What all of them have found.
#[derive(Debug, Default)]
pub(super) struct Pipelines {
    reads: AtomicU64,
    connections: AtomicU64,
    broken: Mutex<Option<String>>,
}

impl Pipelines {
    /// Runs one client until `stop` says true.
    pub(super) async fn run(
        &self,
        nodes: &[(u64, SocketAddr)],
        mut prng: Prng,
        mut stop: watch::Receiver<bool>,
    ) {
        while !*stop.borrow() {
            let (node, address) = *prng.choose(nodes).expect("a cluster has nodes");
            tokio::select! {
                () = self.converse(node, address, &mut prng) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            sleep(PAUSE).await;
        }
    }

    /// One connection, for some bursts or until it is of no use.
    async fn converse(&self, node: u64, address: SocketAddr, prng: &mut Prng) {
        let Ok(Ok(stream)) = timeout(PATIENCE, TcpStream::connect(address)).await else {
            return;
        };
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let mut pipeline = Pipeline {
            key: format!("pipeline:{number}"),
            stream,
            incoming: BytesMut::new(),
            session: Session::default(),
            written: 0,
        };
        for _ in 0..prng.between(1, BURSTS_MAX) {
            let asked = pipeline.choose(prng);
            match timeout(PATIENCE, pipeline.burst(&asked)).await {
                Ok(Ok(reads)) => {
                    self.reads.fetch_add(reads, Ordering::Relaxed);
                }
                Ok(Err(Trouble::Lost)) | Err(_) => return,
                Ok(Err(Trouble::Broken(said))) => {
                    let said = format!("connection {number} to n{node}: {said}");
                    let mut broken = self.broken.lock().expect("no thread panics while holding it");
                    broken.get_or_insert(said);
                    return;
                }
            }
            sleep(Duration::from_millis(prng.below(PAUSE_MAX_MS))).await;
        }
    }

    /// What was found.
    pub(super) fn result(&self, seconds: f64) -> CheckResult {
        let (reads, connections) = (
            self.reads.load(Ordering::Relaxed),
            self.connections.load(Ordering::Relaxed),
        );
        let broken = self
            .broken
            .lock()
            .expect("no thread panics while holding it")
            .clone();
        let verdict = match (&broken, reads) {
            (Some(_), _) => Outcome::Invalid,
            (None, 0) => Outcome::Unknown,
            (None, _) => Outcome::Valid,
        };
        let seen =
            format!("{reads} reads in pipelines of {connections} connections saw their connection's order");
        CheckResult {
            model: "pipelines".to_owned(),
            verdict,
            operations: reads,
            seconds,
            summary: Some(broken.unwrap_or(seen)),
            explanation: None,
            account: None,
            usage: None,
        }
    }
}

enum Trouble {
    /// The connection is gone, or of no use.
    Lost,
    /// The order is broken.
    Broken(String),
}

struct Pipeline {
    key: String,
    stream: TcpStream,
    incoming: BytesMut,
    session: Session,
    written: u64,
}

impl Pipeline {
    /// What to ask: a number to append, or nothing to read.
    fn choose(&mut self, prng: &mut Prng) -> Vec<Option<u64>> {
        let count = prng.between(1, BURST_MAX);
        let mut choose = |_| {
            prng.chance(1, 2).then(|| {
                self.written += 1;
                self.written
            })
        };
        (0..count).map(&mut choose).collect()
    }

    /// Sends all at once, and looks at the answers; gives how many reads there were.
    async fn burst(&mut self, asked: &[Option<u64>]) -> Result<u64, Trouble> {
        let mut bytes = Vec::new();
        for number in asked {
            let key = &self.key;
            let text = match number {
                Some(number) => {
                    let value = format!("{number},");
                    format!(
                        "*3\r\n$6\r\nAPPEND\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n",
                        key.len(),
                        value.len()
                    )
                }
                None => format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len()),
            };
            bytes.extend_from_slice(text.as_bytes());
        }
        self.stream.write_all(&bytes).await.map_err(|_| Trouble::Lost)?;
        let mut reads = 0;
        for number in asked {
            let reply = self.receive().await?;
            match (number, reply) {
                (Some(number), Reply::Integer(_)) => self.session.wrote(*number, Said::Done),
                (Some(number), Reply::Error(said)) if said.starts_with("INDEFINITE") => {
                    self.session.wrote(*number, Said::Unknown);
                }
                (Some(number), Reply::Error(_)) => self.session.wrote(*number, Said::Refused),
                (None, Reply::Error(_)) => {}
                (None, Reply::Null) => self.look(b"", &mut reads)?,
                (None, Reply::Bulk(value)) => self.look(&value, &mut reads)?,
                (_, other) => return Err(Trouble::Broken(format!("{number:?} was answered by {other:?}"))),
            }
        }
        Ok(reads)
    }

    fn look(&mut self, value: &[u8], reads: &mut u64) -> Result<(), Trouble> {
        *reads += 1;
        let list =
            numbers(value).ok_or_else(|| Trouble::Broken("a list is not made of numbers".to_owned()))?;
        let checked = self.session.read(&list);
        checked.map_err(|said| Trouble::Broken(format!("a read after {} appends: {said}", self.written)))
    }

    async fn receive(&mut self) -> Result<Reply, Trouble> {
        loop {
            let parsed = parse(&self.incoming).map_err(|error| Trouble::Broken(error.to_string()))?;
            if let Some((reply, length)) = parsed {
                let _ = self.incoming.split_to(length);
                return Ok(reply);
            }
            let read = self.stream.read_buf(&mut self.incoming).await;
            if !read.is_ok_and(|count| count > 0) {
                return Err(Trouble::Lost);
            }
        }
    }
}

/// Longer than a node takes to answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// Between two connections.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two bursts, at most.
const PAUSE_MAX_MS: u64 = 20;
/// Requests sent together.
const BURST_MAX: u64 = 16;
/// Bursts over one connection: its list, and so its reads, stay small.
const BURSTS_MAX: u64 = 60;
