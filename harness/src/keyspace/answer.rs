//! What a command is answered, and its bytes in RESP2.

use bytes::Bytes;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// `+OK`
    Status(&'static str),
    /// `-ERR message`
    Error(String),
    /// `:1`
    Integer(i64),
    /// `$3` and three bytes.
    Bulk(Bytes),
    /// `$-1`
    Nil,
    /// `*-1`
    NilList,
    /// `*2` and two answers.
    List(Vec<Answer>),
}

impl Answer {
    pub(super) fn ok() -> Self {
        Self::Status("OK")
    }

    pub(super) fn status(word: &'static str) -> Self {
        Self::Status(word)
    }

    pub(super) fn error(text: impl Into<String>) -> Self {
        Self::Error(text.into())
    }

    pub(super) fn syntax_error() -> Self {
        Self::error("ERR syntax error")
    }

    pub(super) fn not_an_integer() -> Self {
        Self::error("ERR value is not an integer or out of range")
    }

    pub(super) fn wrong_arity(name: &str) -> Self {
        Self::Error(format!("ERR wrong number of arguments for '{name}' command"))
    }

    pub(super) fn wrong_type() -> Self {
        Self::error("WRONGTYPE Operation against a key holding the wrong kind of value")
    }

    pub(super) fn count(n: usize) -> Self {
        Self::Integer(i64::try_from(n).expect("less than 2^63 of anything fits in memory"))
    }

    /// The answer as it is written in RESP2.
    pub fn to_resp(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Status(word) => out.extend_from_slice(format!("+{word}\r\n").as_bytes()),
            // An error is one line, whatever part of a request it repeats.
            Self::Error(text) => {
                out.extend_from_slice(format!("-{}\r\n", text.replace(['\r', '\n'], " ")).as_bytes())
            }
            Self::Integer(n) => out.extend_from_slice(format!(":{n}\r\n").as_bytes()),
            Self::Bulk(bytes) => {
                out.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
                out.extend_from_slice(bytes);
                out.extend_from_slice(b"\r\n");
            }
            Self::Nil => out.extend_from_slice(b"$-1\r\n"),
            Self::NilList => out.extend_from_slice(b"*-1\r\n"),
            Self::List(items) => {
                out.extend_from_slice(format!("*{}\r\n", items.len()).as_bytes());
                items.iter().for_each(|item| item.write(out));
            }
        }
    }
}
