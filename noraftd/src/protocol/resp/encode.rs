//! Writes replies in either version of RESP.
//!
//! Invariant: an error or a status stays one line whatever text is in it, so that no text of a client can
//! forge a second reply.

use bytes::{BufMut, BytesMut};

use super::number::write_i64;
use super::{Reply, RespVersion};

impl Reply {
    /// Appends the reply to `out`, as a connection that speaks `version` expects it.
    pub fn encode(&self, version: RespVersion, out: &mut BytesMut) {
        match self {
            Self::Status(text) => line(b'+', text, out),
            Self::Line(text) => line(b'+', text, out),
            Self::Error(text) => line(b'-', text, out),
            Self::Integer(n) => header(b':', *n, out),
            Self::Bulk(bytes) => bulk(bytes, out),
            Self::Double(number) => match version {
                RespVersion::V2 => bulk(&number.to_bytes(), out),
                RespVersion::V3 => {
                    out.put_u8(b',');
                    out.extend_from_slice(&number.to_bytes());
                    out.extend_from_slice(b"\r\n");
                }
            },
            Self::Null => out.extend_from_slice(nothing(version, b"$-1\r\n")),
            Self::NullArray => out.extend_from_slice(nothing(version, b"*-1\r\n")),
            Self::Array(items) => {
                count(b'*', items.len(), out);
                items.iter().for_each(|item| item.encode(version, out));
            }
            Self::Map(pairs) => {
                match version {
                    RespVersion::V2 => count(b'*', pairs.len() * 2, out),
                    RespVersion::V3 => count(b'%', pairs.len(), out),
                }
                pairs.iter().for_each(|pair| encode_pair(pair, version, out));
            }
            Self::Pairs(pairs) => encode_pairs(pairs, version, out),
            Self::Rows(rows) => {
                match version {
                    RespVersion::V2 => count(b'*', rows.len() * 2, out),
                    RespVersion::V3 => count(b'*', rows.len(), out),
                }
                for row in rows {
                    match version {
                        RespVersion::V2 => {}
                        RespVersion::V3 => count(b'*', 2, out),
                    }
                    encode_pair(row, version, out);
                }
            }
            Self::Push(items) | Self::Set(items) => {
                let tag = match (version, self) {
                    (RespVersion::V2, _) => b'*',
                    (RespVersion::V3, Self::Set(_)) => b'~',
                    (RespVersion::V3, _) => b'>',
                };
                count(tag, items.len(), out);
                items.iter().for_each(|item| item.encode(version, out));
            }
            Self::Several(replies) => replies.iter().for_each(|reply| reply.encode(version, out)),
        }
    }
}

fn encode_pairs(pairs: &[(Reply, Reply)], version: RespVersion, out: &mut BytesMut) {
    match version {
        RespVersion::V2 => count(b'*', pairs.len(), out),
        RespVersion::V3 => count(b'%', pairs.len(), out),
    }
    for pair in pairs {
        match version {
            RespVersion::V2 => count(b'*', 2, out),
            RespVersion::V3 => {}
        }
        encode_pair(pair, version, out);
    }
}

fn encode_pair((key, value): &(Reply, Reply), version: RespVersion, out: &mut BytesMut) {
    key.encode(version, out);
    value.encode(version, out);
}

fn nothing(version: RespVersion, in_version_2: &'static [u8]) -> &'static [u8] {
    match version {
        RespVersion::V2 => in_version_2,
        RespVersion::V3 => b"_\r\n",
    }
}

fn bulk(bytes: &[u8], out: &mut BytesMut) {
    out.reserve(bytes.len() + BULK_OVERHEAD);
    count(b'$', bytes.len(), out);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn line(tag: u8, text: &str, out: &mut BytesMut) {
    out.put_u8(tag);
    let start = out.len();
    out.extend_from_slice(text.as_bytes());
    for byte in out
        .iter_mut()
        .skip(start)
        .filter(|byte| matches!(**byte, b'\r' | b'\n'))
    {
        *byte = b' ';
    }
    out.extend_from_slice(b"\r\n");
}

fn count(tag: u8, n: usize, out: &mut BytesMut) {
    header(
        tag,
        i64::try_from(n).expect("no collection has more than 2^63 elements"),
        out,
    );
}

fn header(tag: u8, n: i64, out: &mut BytesMut) {
    out.put_u8(tag);
    write_i64(n, out);
    out.extend_from_slice(b"\r\n");
}

/// Tag, twenty digits at most, and two line ends.
const BULK_OVERHEAD: usize = 25;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::protocol::resp::Double;

    fn check(reply: &Reply, version_2: &str, version_3: &str) {
        for (version, expected) in [(RespVersion::V2, version_2), (RespVersion::V3, version_3)] {
            let mut out = BytesMut::new();
            reply.encode(version, &mut out);
            assert_eq!(
                String::from_utf8_lossy(&out),
                expected,
                "{version:?} of {reply:?}"
            );
        }
    }

    #[test]
    fn replies_are_written_in_both_versions() {
        let pair = || (Reply::Bulk(Bytes::from_static(b"k")), Reply::Integer(7));
        check(&Reply::Status("OK"), "+OK\r\n", "+OK\r\n");
        check(
            &Reply::Integer(i64::MIN),
            ":-9223372036854775808\r\n",
            ":-9223372036854775808\r\n",
        );
        check(&Reply::Bulk(Bytes::new()), "$0\r\n\r\n", "$0\r\n\r\n");
        check(&Reply::Null, "$-1\r\n", "_\r\n");
        check(&Reply::NullArray, "*-1\r\n", "_\r\n");
        check(
            &Reply::Array(vec![Reply::Integer(-1), Reply::Null]),
            "*2\r\n:-1\r\n$-1\r\n",
            "*2\r\n:-1\r\n_\r\n",
        );
        check(
            &Reply::Map(vec![pair()]),
            "*2\r\n$1\r\nk\r\n:7\r\n",
            "%1\r\n$1\r\nk\r\n:7\r\n",
        );
        check(
            &Reply::Pairs(vec![pair()]),
            "*1\r\n*2\r\n$1\r\nk\r\n:7\r\n",
            "%1\r\n$1\r\nk\r\n:7\r\n",
        );
        check(
            &Reply::Rows(vec![pair(), pair()]),
            "*4\r\n$1\r\nk\r\n:7\r\n$1\r\nk\r\n:7\r\n",
            "*2\r\n*2\r\n$1\r\nk\r\n:7\r\n*2\r\n$1\r\nk\r\n:7\r\n",
        );
        check(
            &Reply::Set(vec![Reply::Integer(7)]),
            "*1\r\n:7\r\n",
            "~1\r\n:7\r\n",
        );
        let number = Double::new(0.5).expect("it is a number");
        check(&Reply::Double(number), "$3\r\n0.5\r\n", ",0.5\r\n");
        let push = || Reply::Push(vec![Reply::Integer(7)]);
        check(
            &Reply::Several(vec![push(), push()]),
            "*1\r\n:7\r\n*1\r\n:7\r\n",
            ">1\r\n:7\r\n>1\r\n:7\r\n",
        );
    }

    #[test]
    fn an_error_is_one_line() {
        check(
            &Reply::Error("ERR a\r\n+OK".into()),
            "-ERR a  +OK\r\n",
            "-ERR a  +OK\r\n",
        );
    }
}
