//! A Redis for a test.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use bytes::{Bytes, BytesMut};
use noraftd::protocol::resp::{Value, ValueDecoder};

/// A Redis of its own, for as long as this lives.
pub(super) struct Redis {
    process: Child,
    socket: UnixStream,
    buffer: BytesMut,
    _folder: tempfile::TempDir,
}

impl Redis {
    /// Starts one; `None` when there is none to start.
    pub(super) fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("there is room for a socket");
        let path = folder.path().join("socket");
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&path)
            .arg("--dir")
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn();
        let mut process = match process {
            Ok(process) => process,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => panic!("redis-server cannot be started: {error}"),
        };
        // It says when it listens; a Redis that ends says nothing more.
        let mut output = process.stdout.take().expect("it is piped");
        let (mut said, mut byte) = (String::new(), [0]);
        while !said.contains("ready to accept connections") {
            let more = output.read(&mut byte).expect("a pipe can be read");
            assert!(more > 0, "redis-server ends: {said}");
            said.push(char::from(byte[0]));
        }
        let socket = UnixStream::connect(&path).expect("it listens");
        Some(Self {
            process,
            socket,
            buffer: BytesMut::new(),
            _folder: folder,
        })
    }

    pub(super) fn ask(&mut self, words: &[Bytes]) -> Value {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        self.socket.write_all(&request).expect("Redis listens");
        let (mut decoder, mut piece) = (ValueDecoder::new(), [0; 4096]);
        loop {
            if let Some(value) = decoder.next(&mut self.buffer).expect("Redis speaks RESP") {
                return value;
            }
            let more = self.socket.read(&mut piece).expect("Redis answers");
            assert!(more > 0, "Redis closed the connection after {words:?}");
            self.buffer.extend_from_slice(&piece[..more]);
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
