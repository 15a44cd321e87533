//! The daemon on the disk: its clients before the crash, and what they find after it.
//!
//! Invariant: an append counts as acknowledged from the event on that was the last when its answer had come, so a crash after that
//! event came after the answer.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use noraftd::prng::Prng;
use tokio::time::{Instant, sleep};

use super::ground::Ground;
use super::{CrashPointsError, Options};
use crate::client::{CallError, Client, Reply};
use crate::cluster::{Forms, Launch, Process, last_lines};
use crate::systems::Stop;

/// A cluster of one.
#[derive(Debug)]
pub(super) struct Node {
    process: Process,
    address: SocketAddr,
}

/// An append that was answered.
#[derive(Debug, Clone, Copy)]
struct Acknowledged {
    stream: usize,
    number: u64,
    /// Events when its answer had come.
    at: usize,
}

/// What clients wrote.
#[derive(Debug, Default)]
pub(super) struct Written {
    acknowledged: Vec<Acknowledged>,
    /// The last number that was sent, for each stream.
    sent: [u64; STREAMS],
}

impl Written {
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.len() as u64
    }

    /// The last number that was acknowledged before a crash after `point` events.
    fn before(&self, stream: usize, point: usize) -> u64 {
        let of_stream = |append: &&Acknowledged| append.stream == stream && append.at <= point;
        let appends = self.acknowledged.iter().filter(of_stream);
        appends.map(|append| append.number).max().unwrap_or(0)
    }
}

impl Node {
    pub(super) fn new(folder: &Path, data_dir: PathBuf, options: &Options) -> Result<Self, CrashPointsError> {
        let address = free_address().map_err(|error| CrashPointsError::Trouble(error.to_string()))?;
        let mut arguments = vec!["serve".into(), "--data-dir".into(), data_dir.into_os_string()];
        let listen = address.to_string();
        for (name, value) in SETTINGS.into_iter().chain([("--listen", listen.as_str())]) {
            arguments.extend([name.into(), value.into()]);
        }
        let launch = Launch {
            guard: options.harness.clone(),
            namespace: None,
            forms: Forms::only(options.noraftd.clone()),
            arguments,
            log: folder.join("node.log"),
            stop: Stop::default(),
        };
        Ok(Self {
            process: Process::new(launch),
            address,
        })
    }

    /// Starts it. An error is one of the harness.
    pub(super) fn start(&self) -> Result<(), String> {
        // What earlier starts said is of other crashes.
        std::fs::write(self.process.log(), "").map_err(|error| error.to_string())?;
        self.process.start().map_err(|error| error.to_string())
    }

    /// Waits until it answers. An error is what is wrong with it.
    pub(super) async fn until_it_serves(&self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(mut client) = Client::connect(self.address, CALL_MAX).await
                && client.call(&["XLEN", "s0"], CALL_MAX).await.is_ok()
            {
                return Ok(());
            }
            if self.process.pid().is_none() || Instant::now() > deadline {
                return Err(self.last_words("does not serve"));
            }
            sleep(STEP).await;
        }
    }

    fn last_words(&self, what: &str) -> String {
        let state = match self.process.exit_code() {
            Some(code) if self.process.pid().is_none() => format!("; it ended with {code}"),
            Some(_) | None => String::new(),
        };
        let log = last_lines(self.process.log(), LINES_SHOWN).join("\n");
        format!("the node {what}{state}:\n{log}")
    }

    pub(super) async fn kill(&self) -> Result<(), String> {
        match self.process.kill().await {
            // It ended by itself, which was noticed before.
            Ok(_) | Err(crate::cluster::ProcessError::NotRunning) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Clients append for `time`.
    pub(super) async fn written(&self, ground: &Ground, time: Duration) -> Result<Written, String> {
        let until = Instant::now() + time;
        let appends = |stream| self.appends(ground, stream, until);
        let (first, second, third, fourth) = tokio::join!(appends(0), appends(1), appends(2), appends(3));
        let mut written = Written::default();
        let streams: [_; STREAMS] = [first, second, third, fourth];
        for (stream, appends) in streams.into_iter().enumerate() {
            let (acknowledged, sent) = appends?;
            written.acknowledged.extend(acknowledged);
            written.sent[stream] = sent;
        }
        Ok(written)
    }

    async fn appends(
        &self,
        ground: &Ground,
        stream: usize,
        until: Instant,
    ) -> Result<(Vec<Acknowledged>, u64), String> {
        let failed = |error: CallError| self.last_words(&format!("answered an append with {error}"));
        let mut client = Client::connect(self.address, PATIENCE).await.map_err(failed)?;
        let padding = "x".repeat(PADDING);
        let mut acknowledged = Vec::new();
        let mut number = 0;
        while Instant::now() < until {
            number += 1;
            let (name, id) = (format!("s{stream}"), format!("{number}-1"));
            let append = ["XADD", &name, &id, "n", &padding];
            client.call(&append, PATIENCE).await.map_err(failed)?;
            acknowledged.push(Acknowledged {
                stream,
                number,
                at: ground.events(),
            });
        }
        Ok((acknowledged, number))
    }

    /// Starts it after a crash, and says what is wrong; leaves it killed. An error is one of the harness.
    pub(super) async fn judged(&self, written: &Written, point: usize) -> Result<Option<String>, String> {
        self.start()?;
        let wrong = match self.until_it_serves().await {
            Ok(()) => self.look(written, point).await.err(),
            Err(wrong) => Some(wrong),
        };
        self.kill().await?;
        Ok(wrong)
    }

    async fn look(&self, written: &Written, point: usize) -> Result<(), String> {
        let failed = |error: CallError| self.last_words(&format!("answered a read with {error}"));
        let mut client = Client::connect(self.address, PATIENCE).await.map_err(failed)?;
        for stream in 0..STREAMS {
            let name = format!("s{stream}");
            let length = client.call(&["XLEN", &name], PATIENCE).await.map_err(failed)?;
            let last = ["XREVRANGE", &name, "+", "-", "COUNT", "1"];
            let last = client.call(&last, PATIENCE).await.map_err(failed)?;
            let acknowledged = written.before(stream, point);
            let sent = written.sent[stream];
            if let Some(wrong) = difference(&length, &last, acknowledged, sent) {
                return Err(format!("{name} {wrong}"));
            }
        }
        Ok(())
    }
}

/// What is wrong with a stream of this length and this last entry.
fn difference(length: &Reply, last: &Reply, acknowledged: u64, sent: u64) -> Option<String> {
    let (Reply::Integer(length), Some(last)) = (length, number_of(last)) else {
        return Some(format!("is {length:?} long and ends with {last:?}"));
    };
    let length = u64::try_from(*length).unwrap_or(0);
    if last < acknowledged {
        return Some(format!("ends with {last}, and {acknowledged} was acknowledged"));
    }
    if last > sent {
        return Some(format!("ends with {last}, and {sent} was the last that was sent"));
    }
    (length != last).then(|| format!("has {length} entries, the last of which is {last}"))
}

/// The number of the last entry; 0 of none.
fn number_of(entries: &Reply) -> Option<u64> {
    let Reply::Array(entries) = entries else {
        return None;
    };
    let Some(entry) = entries.first() else {
        return Some(0);
    };
    let Reply::Array(parts) = entry else { return None };
    let (number, _) = parts.first()?.text()?.split_once('-')?;
    number.parse().ok()
}

/// One address of loopback where no other node listens.
fn free_address() -> std::io::Result<SocketAddr> {
    let mut prng = Prng::new(u64::from(std::process::id()));
    let mut failure = None;
    for _ in 0..ATTEMPTS {
        let parts = [127, prng.between(1, 254) as u8, prng.between(0, 254) as u8, 1];
        let address = SocketAddr::from((parts, PORT));
        match TcpListener::bind(address) {
            Ok(_) => return Ok(address),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| std::io::Error::other("no attempt was made")))
}

/// Small segments and snapshots, so that a few seconds have many rolls, compactions and renames in them.
const SETTINGS: [(&str, &str); 5] = [
    ("--id", "1"),
    ("--segment-bytes", "256KiB"),
    ("--snapshot-log-bytes", "64KiB"),
    ("--heartbeat", "20ms"),
    ("--election-timeout", "100ms"),
];
/// One for each client.
const STREAMS: usize = 4;
const PADDING: usize = 400;
const PORT: u16 = 7601;
const ATTEMPTS: usize = 20;
/// A node that recovers answers within milliseconds; on a machine with other work to do, within seconds.
const PATIENCE: Duration = Duration::from_secs(60);
const CALL_MAX: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(5);
const LINES_SHOWN: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str) -> Reply {
        let id = Reply::Bulk(id.to_owned().into());
        Reply::Array(vec![Reply::Array(vec![id, Reply::Null])])
    }

    #[test]
    fn a_stream_has_what_was_acknowledged_no_gap_and_nothing_else() {
        let none = Reply::Array(Vec::new());
        assert_eq!(difference(&Reply::Integer(0), &none, 0, 9), None);
        for last in [5, 7, 9] {
            let reply = entry(&format!("{last}-1"));
            assert_eq!(difference(&Reply::Integer(last), &reply, 5, 9), None);
        }
        let wrong = |length, last: &Reply| difference(&Reply::Integer(length), last, 5, 9).unwrap();
        assert_eq!(wrong(0, &none), "ends with 0, and 5 was acknowledged");
        assert_eq!(wrong(4, &entry("4-1")), "ends with 4, and 5 was acknowledged");
        assert_eq!(
            wrong(10, &entry("10-1")),
            "ends with 10, and 9 was the last that was sent"
        );
        assert_eq!(wrong(6, &entry("7-1")), "has 6 entries, the last of which is 7");
        assert!(wrong(6, &Reply::Null).starts_with("is Integer(6) long"));
    }

    #[test]
    fn an_append_counts_from_the_event_on_that_was_the_last_before_its_answer() {
        let append = |stream, number, at| Acknowledged { stream, number, at };
        let written = Written {
            acknowledged: vec![append(0, 1, 10), append(1, 1, 12), append(0, 2, 20)],
            sent: [3; STREAMS],
        };
        let before = |point| (written.before(0, point), written.before(1, point));
        assert_eq!([9, 10, 19, 20].map(before), [(0, 0), (1, 0), (1, 1), (2, 1)]);
        assert_eq!(written.acknowledged(), 3);
    }
}
