//! Pages and files over HTTP, for people on the same machine.
//!
//! | module | what it owns |
//! |-|-|
//! | `request` | which requests are answered |
//! | `answer` | what they are answered with |
//! | `body` | a page, or a file in pieces |
//!
//! Invariant: reads only. Answered are `GET` and `HEAD`, for a host that is this server, so that no page of another origin can read
//! results through a name that it points here (DNS rebinding). Files are those that the catalogue lists, opened beneath the folder; a
//! browser runs no script of theirs with the rights of the pages.

mod answer;
mod body;
mod request;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::answer::{Answer, Answers};
use self::body::Body;
use self::request::Hosts;
use super::catalogue::{Catalogue, Reader};

/// Connections at a time; more wait.
const CONNECTIONS_MAX: usize = 64;
/// For the head of a request. A connection without a request is closed then, too.
const HEAD_PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// For answers that are being sent when the server is to end.
const END_PATIENCE: Duration = Duration::from_secs(3);
/// Between connections that could not be accepted: no descriptor is left, for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    answers: Arc<Answers>,
    hosts: Arc<Hosts>,
}

impl Server {
    /// Listens on `listen`, for the results in `folder`. `names` are hosts that it is called by, besides addresses and `localhost`.
    ///
    /// # Errors
    ///
    /// When it cannot listen there.
    pub async fn bind(reader: Reader, listen: SocketAddr, names: &[String]) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            answers: Arc::new(Answers::new(reader)),
            hosts: Arc::new(Hosts::new(names)),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What there is now.
    pub fn catalogue(&self) -> Catalogue {
        self.answers.catalogue()
    }

    /// Answers requests until `stop` says true.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                accepted = self.accept(&room) => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let Some((stream, place)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let (answers, hosts, stop) = (Arc::clone(&self.answers), Arc::clone(&self.hosts), stop.clone());
            connections.spawn(async move {
                connection(stream, answers, hosts, stop).await;
                drop(place);
            });
        }
        drop(self.listener);
        let ended = async { while connections.join_next().await.is_some() {} };
        // A client that does not read its answer would keep the server running.
        if timeout(END_PATIENCE, ended).await.is_err() {
            connections.abort_all();
        }
    }

    /// A connection, and its place among those that there may be.
    async fn accept(&self, room: &Arc<Semaphore>) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
        let place = Arc::clone(room).acquire_owned().await.ok()?;
        let (stream, _) = self.listener.accept().await.ok()?;
        Some((stream, place))
    }
}

async fn connection(
    stream: TcpStream,
    answers: Arc<Answers>,
    hosts: Arc<Hosts>,
    mut stop: watch::Receiver<bool>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (answers, hosts) = (Arc::clone(&answers), Arc::clone(&hosts));
        async move { Ok::<_, Infallible>(respond(answers, &hosts, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = stop.wait_for(|stop| *stop) => None,
    };
    if ended.is_none() {
        connection.as_mut().graceful_shutdown();
        // That a client went away is no news.
        let _ = connection.await;
    }
}

async fn respond(answers: Arc<Answers>, hosts: &Hosts, request: Request<Incoming>) -> Response<Body> {
    let is_head = request.method() == hyper::Method::HEAD;
    let answer = match hosts.wanted(&request) {
        Err(refusal) => Answer::refused(refusal),
        Ok(wanted) => {
            // Reads files: not on the thread that moves bytes.
            let made = tokio::task::spawn_blocking(move || answers.answer(&wanted)).await;
            made.unwrap_or_else(|error| Answer::failed(&error.to_string()))
        }
    };
    answer.into_response(is_head)
}

/// The lock of what is read again by the next request, whatever the last one did.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
