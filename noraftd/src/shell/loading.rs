//! A node that still reads its directory: it is bound, and says so.
//!
//! As Redis does it: commands that need no state are answered, all others get `LOADING`, which is definite.
//!
//! Invariant: nothing that is said here depends on the state, nothing that needs it is accepted, and nothing is done.
//! Other nodes find the port bound, but get no greeting: for them the node is not there yet.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use tokio::task::JoinSet;

use super::clock;
use super::read_buffer::ReadBuffer;
use super::sockets::{Listener, Stream, WriteHalf};
use super::tls::{Entered, Tls};
use crate::config::ServeConfig;
use crate::local::facts::{ProcessFacts, ServerFacts};
use crate::local::figures::{ProcessFigures, Scrape};
use crate::local::metrics::render;
use crate::local::session::Session;
use crate::local::status::{DirectoryReport, LoadingReport, ProcessReport, StatusReport, ViewReport};
use crate::protocol::command::table::CommandSpec;
use crate::protocol::command::{Parsed, parse};
use crate::protocol::http::is_http;
use crate::protocol::resp::{Reply, RequestParser};
use crate::replica::event::Status;

/// How far the reading is. Written by the thread that reads.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Bytes of the log and of snapshots that were there at the start.
    pub(super) total: AtomicU64,
    /// Bytes of the log that were read.
    pub(super) log: Arc<AtomicU64>,
    /// Bytes of a state that were read.
    pub(super) state: AtomicU64,
}

impl Progress {
    /// What is to be read, as far as the names in the directory show.
    pub(super) fn expect(&self, directory: &std::path::Path) -> io::Result<()> {
        let mut total = 0;
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("segment-") || name.starts_with("snapshot-") {
                total += entry.metadata()?.len();
            }
        }
        self.total.store(total, Ordering::Relaxed);
        Ok(())
    }

    fn report(&self) -> LoadingReport {
        let read = self.log.load(Ordering::Relaxed) + self.state.load(Ordering::Relaxed);
        let total_bytes = self.total.load(Ordering::Relaxed);
        LoadingReport {
            total_bytes,
            read_bytes: read.min(total_bytes),
        }
    }
}

/// What is said meanwhile.
pub(super) struct Loading {
    config: ServeConfig,
    progress: Arc<Progress>,
    boot: u64,
    tls: Rc<Tls>,
}

impl Loading {
    pub(super) fn new(config: &ServeConfig, progress: Arc<Progress>, boot: u64, tls: Rc<Tls>) -> Rc<Self> {
        Rc::new(Self {
            config: config.clone(),
            progress,
            boot,
            tls,
        })
    }

    /// How far it is.
    pub(super) fn progress(&self) -> LoadingReport {
        self.progress.report()
    }

    /// What the thread that reads writes down.
    pub(super) fn written(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// What `/metrics` says meanwhile.
    pub(super) fn metrics(&self, process: &ProcessFigures) -> String {
        render(&Scrape {
            report: &self.report(),
            process,
            running: None,
        })
    }

    /// Answers clients until the tasks are shut down.
    pub(super) fn serve(self: &Rc<Self>, listeners: &[Rc<Listener>]) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn_local(Rc::clone(self).report_progress());
        for listener in listeners {
            tasks.spawn_local(Rc::clone(self).accept(Rc::clone(listener)));
        }
        tasks
    }

    /// Says in the log how far it is, now and then.
    async fn report_progress(self: Rc<Self>) {
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + REPORT_EVERY, REPORT_EVERY);
        loop {
            ticks.tick().await;
            tracing::info!("reading the data directory: {}", self.progress.report());
        }
    }

    /// Its conversations end with it.
    async fn accept(self: Rc<Self>, listener: Rc<Listener>) {
        let mut conversations = JoinSet::new();
        loop {
            match listener.accept().await {
                Ok(stream) if conversations.len() < CLIENTS_MAX => {
                    conversations.spawn_local(Rc::clone(&self).converse(stream));
                }
                Ok(stream) => drop(stream),
                Err(error) => {
                    tracing::warn!("cannot accept a client: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            while conversations.try_join_next().is_some() {}
        }
    }

    async fn converse(self: Rc<Self>, stream: Stream) {
        let mut session = Session::new(0, stream.peer_name());
        let Ok(Entered { mut read, write, .. }) = self.tls.take_client(stream).await else {
            return;
        };
        let (mut parser, mut input) = (RequestParser::new(), ReadBuffer::default());
        let mut output = BytesMut::new();
        loop {
            let mut ends = false;
            while !ends {
                let (reply, close) = match parser.next(&mut input.bytes) {
                    Ok(Some(args)) if is_http(&args) => return,
                    Ok(Some(args)) => self.answer(&mut session, args),
                    Ok(None) => break,
                    Err(error) => (Reply::Error(format!("ERR Protocol error: {error}")), true),
                };
                reply.encode(session.version, &mut output);
                ends = close;
                if output.len() >= OUTPUT_BYTES_MAX && write_all(&write, &mut output).await.is_err() {
                    return;
                }
            }
            if write_all(&write, &mut output).await.is_err() || ends {
                return;
            }
            match input.read(&mut read).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// The reply, and whether the connection ends with it.
    fn answer(&self, session: &mut Session, args: Vec<Bytes>) -> (Reply, bool) {
        let name = args.first().cloned().unwrap_or_default();
        if args.len() == 1 && name.eq_ignore_ascii_case(b"NORAFT.STATUS") {
            return (Reply::Bulk(self.status_json().into()), false);
        }
        let needs_state = CommandSpec::find(&name).is_some_and(|spec| !spec.flags.contains(&"loading"));
        if needs_state || name.to_ascii_uppercase().starts_with(b"NORAFT.") {
            return (self.refusal(), false);
        }
        match parse(args) {
            Ok(Parsed::Local(local)) => {
                let answer = session.answer(local, &self.status(), &self.facts(), &[]);
                (answer.reply, answer.close)
            }
            Ok(Parsed::Replicated(_) | Parsed::Own(_) | Parsed::Transaction(_)) => (self.refusal(), false),
            Err(reply) => (reply, false),
        }
    }

    fn refusal(&self) -> Reply {
        Reply::Error(format!(
            "LOADING the node reads its data directory: {}; nothing was done",
            self.progress.report()
        ))
    }

    pub(super) fn status_json(&self) -> String {
        serde_json::to_string(&self.report()).expect("a report is plain data")
    }

    fn report(&self) -> StatusReport {
        StatusReport {
            process: ProcessReport {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                process_id: std::process::id(),
                uptime_ms: clock::now().as_nanos() / 1_000_000,
            },
            cluster: self.config.cluster.clone(),
            id: self.config.id.get(),
            view: ViewReport {
                role: "loading".to_owned(),
                loading: Some(self.progress.report()),
                ..ViewReport::default()
            },
            directory: DirectoryReport {
                data_dir: self.config.data_dir.display().to_string(),
                ..DirectoryReport::default()
            },
            ..StatusReport::default()
        }
    }

    fn status(&self) -> Status {
        Status::unknown(self.config.id)
    }

    fn facts(&self) -> ServerFacts {
        let LoadingReport {
            total_bytes,
            read_bytes,
        } = self.progress.report();
        ServerFacts {
            process: ProcessFacts {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                id: std::process::id(),
                boot: self.boot,
                uptime_seconds: clock::now().as_nanos() / 1_000_000_000,
                unix_micros: clock::unix_micros(),
            },
            cluster: self.config.cluster.clone(),
            cluster_id: self.config.cluster_id,
            log_level: crate::log::level().to_string(),
            loading: Some((read_bytes, total_bytes)),
            ..ServerFacts::default()
        }
    }
}

async fn write_all(write: &WriteHalf, output: &mut BytesMut) -> io::Result<()> {
    while !output.is_empty() {
        match write.try_write(output) {
            Ok(count) => drop(output.split_to(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => write.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Clients of one address that are answered meanwhile: probes, and clients that come back.
const CLIENTS_MAX: usize = 128;
/// Replies to a pipeline leave when they are so many bytes; they are short.
const OUTPUT_BYTES_MAX: usize = 64 << 10;
/// When no file descriptor is left, one may be free again after this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Often enough to see that it goes on.
const REPORT_EVERY: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn loading(read: u64, total: u64) -> Rc<Loading> {
        let settings = Settings::minimal();
        let progress = Progress::default();
        progress.total.store(total, Ordering::Relaxed);
        progress.log.store(read, Ordering::Relaxed);
        Loading::new(
            &settings.check().expect("good settings"),
            Arc::new(progress),
            7,
            Tls::off(),
        )
    }

    fn say(loading: &Loading, line: &str) -> (Reply, bool) {
        let words = line
            .split(' ')
            .map(|word| Bytes::copy_from_slice(word.as_bytes()));
        let mut session = Session::new(1, "a test".to_owned());
        loading.answer(&mut session, words.collect())
    }

    fn error(loading: &Loading, line: &str) -> String {
        match say(loading, line) {
            (Reply::Error(text), false) => text,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn what_needs_the_state_is_refused_and_says_how_far_the_reading_is() {
        let loading = loading(3 << 20, 10 << 20);
        for line in [
            "GET k",
            "SET k v",
            "PING",
            "XADD s * f v",
            "NORAFT.INDEX",
            "NORAFT.SNAPSHOT",
        ] {
            let said = error(&loading, line);
            assert!(
                said.starts_with("LOADING ") && said.contains("3 of 10 MiB"),
                "{said}"
            );
        }
        assert!(error(&loading, "NONSENSE").starts_with("ERR unknown command"));
    }

    #[test]
    fn what_needs_no_state_is_answered() {
        let loading = loading(1 << 20, 4 << 20);
        let (Reply::Bulk(info), false) = say(&loading, "INFO persistence") else {
            panic!("no INFO");
        };
        let info = String::from_utf8_lossy(&info).into_owned();
        assert!(
            info.contains("loading:1\r\n") && info.contains("loading_loaded_perc:25.00\r\n"),
            "{info}"
        );
        for line in [
            "HELLO 3",
            "CLIENT SETNAME probe",
            "COMMAND COUNT",
            "ROLE",
            "TIME",
            "SELECT 0",
        ] {
            assert!(!matches!(say(&loading, line).0, Reply::Error(_)), "{line}");
        }
        assert!(say(&loading, "QUIT").1, "the connection ends");
    }

    #[test]
    fn the_status_is_a_report_that_says_so() {
        let (Reply::Bulk(json), false) = say(&loading(5, 5), "noraft.status") else {
            panic!("no status");
        };
        let report: StatusReport = serde_json::from_slice(&json).expect("a report");
        assert_eq!((report.view.role.as_str(), report.id), ("loading", 1));
        assert_eq!(report.view.loading.map(|loading| loading.read_bytes), Some(5));
    }
}
