//! An encrypted connection, once both sides have agreed on it.
//!
//! Bytes are encrypted when the socket has taken what was encrypted before, so little of them waits here, and a reply counts
//! as written when its ciphertext has left.
//!
//! Invariant: [`TlsLine::try_write`] that gives `WouldBlock` may have encrypted a part of what it was given: it has to be
//! called again with the same bytes, and more after them.

use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, Read, Write};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll, ready};

use nix::sys::socket::{Shutdown, shutdown};
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio_rustls::rustls::Connection;

/// Both directions.
#[derive(Debug)]
pub(super) struct TlsLine {
    socket: TcpStream,
    session: RefCell<Connection>,
    /// Bytes that were encrypted, and are not reported as written.
    owed: Cell<usize>,
}

impl TlsLine {
    pub(super) fn new(socket: TcpStream, session: impl Into<Connection>) -> Self {
        Self {
            socket,
            session: RefCell::new(session.into()),
            owed: Cell::default(),
        }
    }

    /// Writes what the socket takes now.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        if self.owed.get() == 0 {
            self.send(&mut session)?;
            match session.writer().write(bytes)? {
                0 if !bytes.is_empty() => return Err(io::ErrorKind::WriteZero.into()),
                taken => self.owed.set(taken),
            }
        }
        self.send(&mut session)?;
        Ok(self.owed.replace(0))
    }

    /// Waits until the socket takes bytes again.
    pub(super) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    fn send(&self, session: &mut Connection) -> io::Result<()> {
        while session.wants_write() {
            session.write_tls(&mut Socket(&self.socket))?;
        }
        Ok(())
    }

    /// Reads what is there, or waits for some; nothing at the end.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if take_plain(&mut self.session.borrow_mut(), buf)? {
                return Poll::Ready(Ok(()));
            }
            ready!(self.socket.poll_read_ready(cx))?;
            let mut session = self.session.borrow_mut();
            match session.read_tls(&mut Socket(&self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Poll::Ready(Err(error)),
            }
            let processed = session.process_new_packets();
            // An answer of the protocol, or the alert that says what was wrong. What the socket does not take goes later.
            let _ = self.send(&mut session);
            if let Err(error) = processed {
                let text = format!("TLS: {error}");
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
            }
        }
    }

    /// Ends one direction or both, and says so to the other side.
    pub(super) fn shutdown(&self, how: Shutdown) {
        if how != Shutdown::Read {
            let mut session = self.session.borrow_mut();
            session.send_close_notify();
            let _ = self.send(&mut session);
        }
        // The only failure is a connection that has ended already.
        let _ = shutdown(self.socket.as_raw_fd(), how);
    }
}

/// Takes what was decrypted, as far as it fits; false when there is nothing yet.
fn take_plain(session: &mut Connection, buf: &mut ReadBuf<'_>) -> io::Result<bool> {
    let before = buf.filled().len();
    while buf.remaining() > 0 {
        let mut reader = session.reader();
        let count = match reader.fill_buf() {
            Ok([]) => return Ok(true),
            Ok(chunk) => {
                let chunk = chunk.get(..buf.remaining()).unwrap_or(chunk);
                buf.put_slice(chunk);
                chunk.len()
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(buf.filled().len() > before),
            // What came before an end without a word is still good.
            Err(_) if buf.filled().len() > before => return Ok(true),
            Err(error) => return Err(error),
        };
        reader.consume(count);
    }
    Ok(true)
}

/// The socket, as rustls wants it.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buf)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.try_write(buf)
    }

    fn write_vectored(&mut self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
