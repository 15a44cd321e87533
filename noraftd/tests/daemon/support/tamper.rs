//! A man in the middle of one link between two nodes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::BytesMut;
use noraftd::protocol::frame::{self, Frame};

/// What is done to one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tamper {
    /// A bit of the message, with a crc that fits.
    AlterMessage,
    /// A bit of the seal, with a crc that fits.
    AlterSeal,
    /// The seal is taken off.
    Unseal,
    /// It comes twice.
    Repeat,
    /// It does not come.
    LeaveOut,
    /// It comes after the one behind it.
    Move,
    /// One that no node said comes before it.
    Inject,
}

impl Tamper {
    pub const ALL: [Self; 7] = [
        Self::AlterMessage,
        Self::AlterSeal,
        Self::Unseal,
        Self::Repeat,
        Self::LeaveOut,
        Self::Move,
        Self::Inject,
    ];
}

#[derive(Default)]
struct Shared {
    /// What is to be done to the next message.
    wish: Mutex<Option<Tamper>>,
    has_tampered: AtomicBool,
    ended: AtomicU64,
    /// What the first connection said.
    first: Mutex<Option<Vec<u8>>>,
}

/// Passes connections on to one address, and what is said on them as it likes.
pub struct TamperingProxy {
    address: String,
    shared: Arc<Shared>,
}

impl TamperingProxy {
    pub fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let shared = Arc::new(Shared::default());
        let (target, for_all) = (target.to_owned(), Arc::clone(&shared));
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                // The target may not run yet: then the near side sees a closed connection.
                let Ok(far) = TcpStream::connect(&target) else {
                    continue;
                };
                let shared = Arc::clone(&for_all);
                thread::spawn(move || pass(&near, &far, &shared));
            }
        });
        Self { address, shared }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Does this to the next message.
    pub fn tamper(&self, tamper: Tamper) {
        self.shared.has_tampered.store(false, Ordering::SeqCst);
        *self.shared.wish.lock().expect("no panic") = Some(tamper);
    }

    /// True when the last wish was carried out.
    pub fn has_tampered(&self) -> bool {
        self.shared.has_tampered.load(Ordering::SeqCst)
    }

    /// Connections that the far side has ended.
    pub fn ended(&self) -> u64 {
        self.shared.ended.load(Ordering::SeqCst)
    }

    /// What the near side said on the first connection that was tampered with.
    pub fn first_connection(&self) -> Vec<u8> {
        let first = self.shared.first.lock().expect("no panic");
        first.clone().expect("a connection was tampered with")
    }
}

fn pass(near: &TcpStream, far: &TcpStream, shared: &Arc<Shared>) {
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut from, mut to) = (far, near);
            // However it ends, it ends.
            let _ = std::io::copy(&mut from, &mut to);
            shared.ended.fetch_add(1, Ordering::SeqCst);
            let _ = near.shutdown(Shutdown::Both);
        });
        let _ = pass_tampered(near, far, shared);
        let _ = far.shutdown(Shutdown::Both);
    });
}

fn pass_tampered(mut near: &TcpStream, mut far: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let (mut buffer, mut chunk, mut kept) = (BytesMut::new(), [0; 64 << 10], None);
    let mut said = Vec::new();
    loop {
        let before = buffer.clone();
        if let Ok(Some(frame)) = frame::decode(&mut buffer) {
            let bytes = before[..before.len() - buffer.len()].to_vec();
            said.extend_from_slice(&bytes);
            // The greeting has kinds below 16.
            let wish = if frame.kind < 16 {
                None
            } else {
                shared.wish.lock().expect("no panic").take()
            };
            let mut out = match wish {
                Some(tamper) => {
                    shared.has_tampered.store(true, Ordering::SeqCst);
                    shared
                        .first
                        .lock()
                        .expect("no panic")
                        .get_or_insert_with(|| said.clone());
                    tampered(tamper, &frame, &bytes, &mut kept)
                }
                None => bytes,
            };
            if wish.is_none() {
                out.extend(kept.take().into_iter().flatten());
            }
            far.write_all(&out)?;
            continue;
        }
        match near.read(&mut chunk)? {
            0 => return Ok(()),
            count => buffer.extend_from_slice(&chunk[..count]),
        }
    }
}

fn tampered(tamper: Tamper, frame: &Frame, bytes: &[u8], kept: &mut Option<Vec<u8>>) -> Vec<u8> {
    let with_body = |body: &[u8]| {
        let mut out = BytesMut::new();
        frame::encode(frame.kind, frame.cluster_id, &mut out, |out| {
            out.extend_from_slice(body)
        });
        out.to_vec()
    };
    let mut body = frame.body.to_vec();
    match tamper {
        Tamper::AlterMessage => {
            body[0] ^= 1;
            with_body(&body)
        }
        Tamper::AlterSeal => {
            *body.last_mut().expect("a seal") ^= 1;
            with_body(&body)
        }
        Tamper::Unseal => with_body(&body[..body.len() - 16]),
        Tamper::Repeat => [bytes, bytes].concat(),
        Tamper::LeaveOut => Vec::new(),
        Tamper::Move => {
            *kept = Some(bytes.to_vec());
            Vec::new()
        }
        Tamper::Inject => [with_body(&body[..body.len() - 16]), bytes.to_vec()].concat(),
    }
}
