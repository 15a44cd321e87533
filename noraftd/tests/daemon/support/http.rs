//! A small HTTP client: one request a connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The status line and the headers, in lower case.
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The value of the sample that is written like this.
    pub fn sample(&self, written: &str) -> Option<f64> {
        let line = self.body.lines().find_map(|line| line.strip_prefix(written));
        line.and_then(|rest| rest.strip_prefix(' ')?.parse().ok())
    }
}

/// Asks for a page.
pub fn get(address: &str, path: &str) -> Answer {
    ask(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"),
    )
}

/// Says this, and reads until the end.
pub fn ask(address: &str, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the node accepts HTTP");
    stream.set_read_timeout(Some(HANG)).expect("a socket");
    stream.write_all(request.as_bytes()).expect("it takes a request");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the whole answer");
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("no status: {head}")),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

/// An answer that takes longer never comes.
const HANG: Duration = Duration::from_secs(30);
