//! A blocking RESP client over TCP or a Unix socket.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use noraftd::protocol::resp::{Value, ValueDecoder};

/// A connection to a node.
pub struct Client {
    socket: Socket,
    decoder: ValueDecoder,
    buffer: BytesMut,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Client {
    pub fn tcp(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(HANG))?;
        Ok(Self::over(Socket::Tcp(stream)))
    }

    pub fn unix(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(HANG))?;
        Ok(Self::over(Socket::Unix(stream)))
    }

    fn over(socket: Socket) -> Self {
        Self {
            socket,
            decoder: ValueDecoder::new(),
            buffer: BytesMut::new(),
        }
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.socket {
            Socket::Tcp(stream) => stream.write_all(bytes),
            Socket::Unix(stream) => stream.write_all(bytes),
        }
    }

    /// Sends a command without waiting for its reply.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<()> {
        self.send_raw(&encode(args))
    }

    /// Ends this client's direction.
    pub fn end(&mut self) {
        match &mut self.socket {
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Socket::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
        .expect("an open connection");
    }

    /// The next reply; an error at the end of the connection.
    pub fn receive(&mut self) -> io::Result<Value> {
        let mut chunk = [0; 64 << 10];
        loop {
            if let Some(value) = self.decoder.next(&mut self.buffer).map_err(io::Error::other)? {
                return Ok(value);
            }
            let read = match &mut self.socket {
                Socket::Tcp(stream) => stream.read(&mut chunk),
                Socket::Unix(stream) => stream.read(&mut chunk),
            };
            let count = match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buffer.extend_from_slice(&chunk[..count]);
        }
    }

    /// True when the node has ended the connection.
    pub fn is_ended(&mut self) -> bool {
        self.receive().is_err_and(|e| {
            matches!(
                e.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
            )
        })
    }

    /// Asks and waits for the reply.
    pub fn try_call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<Value> {
        self.send(args)?;
        self.receive()
    }

    /// Asks and waits for the reply.
    pub fn call(&mut self, args: &[&str]) -> Value {
        self.try_call(args)
            .unwrap_or_else(|error| panic!("{args:?}: {error}"))
    }
}

/// A command as clients send it.
pub fn encode<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args.iter().map(AsRef::as_ref) {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// The reply `+OK`.
pub fn ok() -> Value {
    Value::Status("OK".into())
}

/// A bulk reply.
pub fn bulk(text: &str) -> Value {
    Value::Bulk(Bytes::copy_from_slice(text.as_bytes()))
}

/// The text of an error reply.
pub fn error_text(value: &Value) -> &str {
    match value {
        Value::Error(text) => text,
        other => panic!("expected an error, got {other:?}"),
    }
}

/// A reply that takes longer never comes.
const HANG: Duration = Duration::from_secs(30);
