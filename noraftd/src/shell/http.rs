//! HTTP for those who watch: metrics, whether the node lives and is ready, its status.
//!
//! Invariant: it changes nothing. A connection is for one request and has one deadline for all of it, from the first byte to the last, so
//! what a slow or hostile client holds is bounded: so many connections, each with one head of a request and one page. Where there are
//! too many, the oldest goes: a probe is not kept out by others that say nothing.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;

use super::clients::Clients;
use super::clock;
use super::descriptors::HTTP_CONNECTIONS;
use super::loading::Loading;
use super::rate_limited_warning::RateLimitedWarning;
use super::resources::Looks;
use super::sockets::{Listener, Stream};
use crate::local::figures::ProcessFigures;
use crate::local::readiness::{Condition, checks, details, is_ready, summary};

/// Answers over HTTP.
pub(super) struct Http {
    source: RefCell<Source>,
    data_dir: PathBuf,
    /// When the process started, in seconds since the Unix epoch.
    started_seconds: u64,
    looks: Looks,
    /// Conversations, the oldest first; some have ended.
    conversations: RefCell<VecDeque<AbortHandle>>,
    warnings: RateLimitedWarning,
}

/// What the answers are made of.
enum Source {
    /// The directory is being read.
    Loading(Rc<Loading>),
    /// The node runs.
    Running(Rc<Clients>),
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    status: StatusCode,
    kind: &'static str,
    text: String,
}

impl Http {
    /// Of a node that reads its directory.
    pub(super) fn new(data_dir: PathBuf, loading: Rc<Loading>) -> Rc<Self> {
        let uptime_seconds = clock::now().as_nanos() / 1_000_000_000;
        Rc::new(Self {
            source: RefCell::new(Source::Loading(loading)),
            data_dir,
            started_seconds: (clock::unix_micros() / 1_000_000).saturating_sub(uptime_seconds),
            looks: Looks::default(),
            conversations: RefCell::default(),
            warnings: RateLimitedWarning::default(),
        })
    }

    /// The node runs from now on.
    pub(super) fn runs(&self, clients: Rc<Clients>) {
        self.source.replace(Source::Running(clients));
    }

    /// Answers for as long as the process lives.
    pub(super) async fn accept(self: Rc<Self>, listener: Listener) {
        loop {
            match listener.accept().await {
                Ok(stream) => self.begin(stream),
                Err(error) => {
                    self.warnings
                        .warn(&format!("cannot accept a connection for HTTP: {error}"));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn begin(self: &Rc<Self>, stream: Stream) {
        let mut conversations = self.conversations.borrow_mut();
        conversations.retain(|conversation| !conversation.is_finished());
        if conversations.len() as u64 >= HTTP_CONNECTIONS
            && let Some(oldest) = conversations.pop_front()
        {
            oldest.abort();
            self.warnings
                .warn("too many connections for HTTP: the oldest is closed");
        }
        let conversation = tokio::task::spawn_local(Rc::clone(self).converse(stream));
        conversations.push_back(conversation.abort_handle());
    }

    async fn converse(self: Rc<Self>, stream: Stream) {
        let served = async {
            match stream {
                Stream::Tcp(stream) => self.serve(stream).await,
                Stream::Unix(stream) => self.serve(stream).await,
            }
        };
        // One that takes longer is not waited for, and needs no answer.
        let _ = tokio::time::timeout(DEADLINE, served).await;
    }

    async fn serve(self: &Rc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let answer = service_fn(|request: Request<Incoming>| {
            let this = Rc::clone(self);
            async move { Ok::<_, Infallible>(this.answer(&request).await.into_response()) }
        });
        let served = http1::Builder::new()
            .keep_alive(false)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), answer)
            .await;
        // A client that leaves, or speaks something else, is no concern of the node.
        if let Err(error) = served {
            tracing::debug!("a connection for HTTP ended: {error}");
        }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Page {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Page::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        }
        match request.uri().path() {
            "/" => Page::text(StatusCode::OK, INDEX),
            "/livez" => Page::text(StatusCode::OK, "ok\n"),
            "/readyz" => readiness(&self.condition(), request.uri().query()),
            "/status" => Page {
                kind: "application/json",
                ..Page::text(StatusCode::OK, self.status_json())
            },
            "/metrics" => {
                let process = self.looks.look(&self.data_dir, self.started_seconds).await;
                Page {
                    kind: "text/plain; version=0.0.4; charset=utf-8",
                    ..Page::text(StatusCode::OK, self.metrics(&process))
                }
            }
            _ => Page::text(StatusCode::NOT_FOUND, INDEX),
        }
    }

    fn condition(&self) -> Condition {
        match &*self.source.borrow() {
            Source::Loading(loading) => Condition::Loading(loading.progress()),
            Source::Running(clients) => clients.condition(),
        }
    }

    fn status_json(&self) -> String {
        match &*self.source.borrow() {
            Source::Loading(loading) => loading.status_json(),
            Source::Running(clients) => clients.status_json(),
        }
    }

    fn metrics(&self, process: &ProcessFigures) -> String {
        match &*self.source.borrow() {
            Source::Loading(loading) => loading.metrics(process),
            Source::Running(clients) => clients.metrics(process),
        }
    }
}

/// What `/readyz` says.
fn readiness(condition: &Condition, query: Option<&str>) -> Page {
    let checks = checks(condition);
    let is_verbose = query.is_some_and(|query| query.split('&').any(|word| word == "verbose"));
    let text = if is_verbose {
        details(&checks)
    } else {
        summary(&checks)
    };
    match is_ready(&checks) {
        true => Page::text(StatusCode::OK, text),
        false => Page::text(StatusCode::SERVICE_UNAVAILABLE, text),
    }
}

impl Page {
    fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            kind: "text/plain; charset=utf-8",
            text: text.into(),
        }
    }

    fn into_response(self) -> Response<String> {
        let mut response = Response::new(self.text);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}

const INDEX: &str = "\
/metrics          metrics, as Prometheus reads them
/livez            200 while the node answers at all
/readyz           200 while requests should be sent here
/readyz?verbose   the same, with each check
/status           what `noraftd status --json` prints
";

/// For a request and its answer together: a scrape is given up after ten seconds, too.
const DEADLINE: Duration = Duration::from_secs(10);
/// The head of a request; the least that the parser takes.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// When no file descriptor is left, one may be free again after this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::config::Settings;
    use crate::endpoint::Endpoint;
    use crate::local::readiness::Running;
    use crate::shell::loading::Progress;
    use crate::shell::test_support::run;

    #[test]
    fn readiness_is_a_status_a_line_and_more_when_asked() {
        let ready = Condition::Running(Running {
            leader: Some(1),
            election_timeout: Duration::from_millis(500),
            ..Running::default()
        });
        let page = readiness(&ready, None);
        assert_eq!((page.status, page.text.as_str()), (StatusCode::OK, "ok\n"));
        let alone = Condition::Running(Running {
            election_timeout: Duration::from_millis(500),
            ..Running::default()
        });
        let page = readiness(&alone, Some("verbosely"));
        assert_eq!(
            (page.status, page.text.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "failed: leader\n")
        );
        let page = readiness(&alone, Some("x=1&verbose"));
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(
            page.text
                .contains("[-] leader: failed: no leader is known\n[+] disk: ok\n"),
            "{}",
            page.text
        );
    }

    #[test]
    fn a_node_that_loads_answers_and_says_so() {
        run(async {
            let config = Settings::minimal().check().expect("good settings");
            let progress = Arc::new(Progress::default());
            progress.total.store(4 << 20, Ordering::Relaxed);
            let loading = Loading::new(&config, progress, 7, crate::shell::tls::Tls::off());
            let listener = Listener::bind(&"127.0.0.1:0".parse().expect("an address")).await;
            let listener = listener.expect("a free port");
            let Endpoint::Tcp(address) = listener.endpoint().expect("an address") else {
                panic!("it was bound to a port");
            };
            tokio::task::spawn_local(Http::new("/nowhere".into(), loading).accept(listener));
            for (path, status, part) in [
                ("/livez", "200", "ok\n"),
                ("/readyz", "503", "failed: loading\n"),
                (
                    "/readyz?verbose",
                    "503",
                    "[-] loading: failed: it reads its data directory: 0 of 4 MiB\n",
                ),
                ("/status", "200", "\"role\":\"loading\""),
                ("/metrics", "200", "\nnoraftd_loading 1\n"),
            ] {
                let mut stream = TcpStream::connect(&address).await.expect("it accepts");
                let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
                stream.write_all(request.as_bytes()).await.expect("a request");
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.expect("an answer");
                let is_so = answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(part);
                assert!(is_so, "{path}: {answer}");
            }
        });
    }

    #[test]
    fn an_answer_is_not_kept_and_says_what_else_may_be_asked() {
        let response = Page::text(StatusCode::METHOD_NOT_ALLOWED, "no").into_response();
        assert_eq!(response.headers()[ALLOW], "GET, HEAD");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert!(
            Page::text(StatusCode::OK, "")
                .into_response()
                .headers()
                .get(ALLOW)
                .is_none()
        );
    }
}
