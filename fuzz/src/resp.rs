//! What clients send, and what a node answers.
//!
//! Whether bytes come at once or in pieces makes no difference; what was understood as a request is understood by the
//! other nodes too.

use bytes::{Bytes, BytesMut};
use noraftd::protocol::command::{Parsed, Request, parse};
use noraftd::protocol::resp::{ProtocolError, RequestParser, Value, ValueDecoder, ValueError};

pub(crate) fn run(bytes: &[u8]) {
    let [piece, bytes @ ..] = bytes else { return };
    let piece = usize::from(*piece).max(1);
    let commands = commands(bytes, bytes.len());
    assert!(
        commands == self::commands(bytes, piece),
        "pieces of {piece} bytes make a difference"
    );
    let values = values(bytes, bytes.len());
    assert!(
        values == self::values(bytes, piece),
        "pieces of {piece} bytes make a difference to a reply"
    );
    for args in commands.into_iter().flatten() {
        understand(args);
    }
}

/// All commands in `bytes`, which arrive in pieces; the last one may be an error that ends the connection.
fn commands(bytes: &[u8], piece: usize) -> Vec<Result<Vec<Bytes>, ProtocolError>> {
    let (mut parser, mut buffer, mut found) = (RequestParser::new(), BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            match parser.next(&mut buffer) {
                Ok(None) => break,
                Ok(Some(args)) => found.push(Ok(args)),
                Err(error) => {
                    let goes_on = error.is_skipped();
                    found.push(Err(error));
                    if !goes_on {
                        return found;
                    }
                }
            }
        }
    }
    found
}

fn values(bytes: &[u8], piece: usize) -> Vec<Result<Value, ValueError>> {
    let (mut decoder, mut buffer, mut found) = (ValueDecoder::new(), BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.next(&mut buffer) {
                Ok(None) => break,
                Ok(Some(value)) => found.push(Ok(value)),
                Err(error) => {
                    found.push(Err(error));
                    return found;
                }
            }
        }
    }
    found
}

fn understand(args: Vec<Bytes>) {
    assert!(!args.is_empty(), "a command has a name");
    if let Ok(Parsed::Replicated(request)) = parse(args) {
        let other = Request::decode_checked(request.body.clone());
        assert_eq!(other.as_ref(), Some(&request), "every node understands it");
    }
}
