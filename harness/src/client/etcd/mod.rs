//! etcd, version 3: Put, Range, Txn and Status over gRPC.
//!
//! Reads are linearizable: no Range here is `serializable`.
//!
//! Invariant: a write that the server answers with a status is refused only when that status comes from before the write was
//! proposed; `Unavailable`, a timeout of the server, and whatever is not known here leave the outcome open.

pub mod grpc;
pub mod protobuf;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::timeout;

use super::wish::Wish;
use super::{CallError, Door, NodeView, Reply};
use grpc::{Grpc, GrpcError};
use protobuf::{Field, append_bytes, append_number, find_all, find_bytes, find_varint};

/// A client's connection.
#[derive(Debug)]
pub struct Session {
    grpc: Grpc,
}

/// A value and the revision of its last change; revision 0 and no value of a key that is not there.
type Versioned = (Option<Bytes>, u64);

impl Session {
    /// Connects to a node.
    pub(super) async fn connect(door: Door, patience: Duration) -> Result<Self, CallError> {
        let connected = timeout(patience, Grpc::connect(door.address)).await;
        let grpc = connected
            .map_err(|_| CallError::Unreachable(format!("not accepted within {patience:?}")))?
            .map_err(|error| CallError::Unreachable(error.to_string()))?;
        Ok(Self { grpc })
    }

    /// Does what `words` ask for.
    pub(super) async fn call(&mut self, words: &[String], patience: Duration) -> Result<Reply, CallError> {
        let Some(wish) = Wish::of(words) else {
            return Err(CallError::Refused("UNSUPPORTED by etcd".to_owned()));
        };
        timeout(patience, self.grant(wish))
            .await
            .unwrap_or(Err(CallError::Timeout(patience)))
    }

    async fn grant(&mut self, wish: Wish<'_>) -> Result<Reply, CallError> {
        match wish {
            Wish::Get(key) => Ok(reply_of(self.read(key).await?.0)),
            Wish::GetAll(keys) => self.read_all(keys).await,
            Wish::Set { key, value } => {
                let sent = self.grpc.call(PUT, &put(key, value)).await;
                sent.map_err(of_write)?;
                Ok(Reply::Status("OK".to_owned()))
            }
            Wish::Swap { key, old, new } => self.swap(key, old, new).await,
            Wish::Append { key, piece } => self.append(key, piece).await,
        }
    }

    async fn read(&mut self, key: &str) -> Result<Versioned, CallError> {
        let response = self.grpc.call(RANGE, &range(key)).await.map_err(of_read)?;
        Ok(first_pair(&response))
    }

    /// In one transaction, so that all values are of one moment.
    async fn read_all(&mut self, keys: &[String]) -> Result<Reply, CallError> {
        let mut message = Vec::new();
        for key in keys {
            append_bytes(&mut message, TXN_SUCCESS, &operation(OP_RANGE, &range(key)));
        }
        let response = self.grpc.call(TXN, &message).await.map_err(of_read)?;
        let values = responses(&response)?;
        let values: Vec<Reply> = values
            .into_iter()
            .map(|operation| reply_of(first_pair(find_bytes(operation, OP_RANGE.into())).0))
            .collect();
        Ok(Reply::Array(values))
    }

    async fn swap(&mut self, key: &str, old: &str, new: &str) -> Result<Reply, CallError> {
        let mut compare = comparison(key, TARGET_VALUE);
        append_bytes(&mut compare, COMPARE_VALUE, old.as_bytes());
        let otherwise = operation(OP_RANGE, &range(key));
        let response = self.transact(&compare, key, new, Some(&otherwise)).await?;
        if has_succeeded(&response) {
            return Ok(Reply::Bulk(Bytes::copy_from_slice(old.as_bytes())));
        }
        let found = responses(&response)?.first().copied().unwrap_or_default();
        Ok(reply_of(first_pair(find_bytes(found, OP_RANGE.into())).0))
    }

    /// Reads, and writes the longer value if nothing has changed meanwhile; else again.
    async fn append(&mut self, key: &str, piece: &str) -> Result<Reply, CallError> {
        for _ in 0..APPEND_TRIES_MAX {
            let (value, revision) = self.read(key).await?;
            let longer = format!("{}{piece}", String::from_utf8_lossy(&value.unwrap_or_default()));
            let mut compare = comparison(key, TARGET_MOD_REVISION);
            append_number(&mut compare, COMPARE_MOD_REVISION, revision);
            let response = self.transact(&compare, key, &longer, None).await?;
            if has_succeeded(&response) {
                return Ok(Reply::Integer(i64::try_from(longer.len()).unwrap_or(i64::MAX)));
            }
        }
        Err(CallError::Refused("CONFLICT with other appends".to_owned()))
    }

    async fn transact(
        &mut self,
        compare: &[u8],
        key: &str,
        value: &str,
        otherwise: Option<&[u8]>,
    ) -> Result<BytesMut, CallError> {
        let mut message = Vec::new();
        append_bytes(&mut message, TXN_COMPARE, compare);
        append_bytes(&mut message, TXN_SUCCESS, &operation(OP_PUT, &put(key, value)));
        if let Some(otherwise) = otherwise {
            append_bytes(&mut message, TXN_FAILURE, otherwise);
        }
        self.grpc.call(TXN, &message).await.map_err(of_write)
    }
}

/// Whether the node answers, and what it says of itself.
pub(super) async fn view(door: Door, patience: Duration) -> Option<NodeView> {
    let ask = async {
        let mut grpc = Grpc::connect(door.address).await?;
        grpc.call(STATUS, &[]).await
    };
    let status = timeout(patience, ask).await.ok()?.ok()?;
    let own = find_varint(find_bytes(&status, STATUS_HEADER), HEADER_MEMBER);
    Some(NodeView {
        leads: own != 0 && own == find_varint(&status, STATUS_LEADER),
        term: find_varint(&status, STATUS_TERM),
        commit_index: find_varint(&status, STATUS_INDEX),
        applied_index: find_varint(&status, STATUS_APPLIED),
        divergence: None,
    })
}

fn range(key: &str) -> Vec<u8> {
    let mut message = Vec::new();
    append_bytes(&mut message, REQUEST_KEY, key.as_bytes());
    message
}

fn put(key: &str, value: &str) -> Vec<u8> {
    let mut message = range(key);
    append_bytes(&mut message, PUT_VALUE, value.as_bytes());
    message
}

fn operation(kind: u32, request: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    append_bytes(&mut message, kind, request);
    message
}

/// The beginning of "equal": what it is compared with is still to come.
fn comparison(key: &str, target: u64) -> Vec<u8> {
    let mut message = Vec::new();
    append_number(&mut message, COMPARE_TARGET, target);
    append_bytes(&mut message, COMPARE_KEY, key.as_bytes());
    message
}

fn first_pair(range: &[u8]) -> Versioned {
    match find_all(range, RANGE_PAIRS).unwrap_or_default().first() {
        Some(Field::Bytes(pair)) => (
            Some(Bytes::copy_from_slice(find_bytes(pair, PAIR_VALUE))),
            find_varint(pair, PAIR_MOD_REVISION),
        ),
        Some(Field::Varint(_)) | None => (None, 0),
    }
}

fn responses(transaction: &[u8]) -> Result<Vec<&[u8]>, CallError> {
    let fields = find_all(transaction, TXN_RESPONSES);
    let fields = fields.ok_or_else(|| CallError::Malformed("a response that is none".to_owned()))?;
    let bytes = fields.into_iter().map(|field| match field {
        Field::Bytes(bytes) => bytes,
        Field::Varint(_) => &[],
    });
    Ok(bytes.collect())
}

fn has_succeeded(transaction: &[u8]) -> bool {
    find_varint(transaction, TXN_SUCCEEDED) == 1
}

fn reply_of(value: Option<Bytes>) -> Reply {
    value.map_or(Reply::Null, Reply::Bulk)
}

/// A read has no effect, whatever became of it.
fn of_read(error: GrpcError) -> CallError {
    match error {
        GrpcError::Status { code, message } => CallError::Refused(format!("grpc-{code} {message}")),
        GrpcError::NotSent(why) => CallError::Unreachable(why),
        GrpcError::Broken(why) => CallError::Lost(why),
    }
}

fn of_write(error: GrpcError) -> CallError {
    match error {
        GrpcError::Status { code, message } if BEFORE_PROPOSAL.contains(&code) => {
            CallError::Refused(format!("grpc-{code} {message}"))
        }
        GrpcError::Status { code, message } => CallError::Indefinite(format!("grpc-{code} {message}")),
        GrpcError::NotSent(why) => CallError::Unreachable(why),
        GrpcError::Broken(why) => CallError::Lost(why),
    }
}

/// InvalidArgument, PermissionDenied, ResourceExhausted (too many requests, or no space), Unimplemented, Unauthenticated.
const BEFORE_PROPOSAL: [u32; 5] = [3, 7, 8, 12, 16];
/// Each try is lost only to another append that was made.
const APPEND_TRIES_MAX: usize = 20;

const PUT: &str = "etcdserverpb.KV/Put";
const RANGE: &str = "etcdserverpb.KV/Range";
const TXN: &str = "etcdserverpb.KV/Txn";
const STATUS: &str = "etcdserverpb.Maintenance/Status";

// Field numbers of etcd's `rpc.proto` and `kv.proto`.
const REQUEST_KEY: u32 = 1;
const PUT_VALUE: u32 = 2;
const RANGE_PAIRS: u64 = 2;
const PAIR_MOD_REVISION: u64 = 3;
const PAIR_VALUE: u64 = 5;
const TXN_COMPARE: u32 = 1;
const TXN_SUCCESS: u32 = 2;
const TXN_FAILURE: u32 = 3;
const TXN_SUCCEEDED: u64 = 2;
const TXN_RESPONSES: u64 = 3;
const OP_RANGE: u32 = 1;
const OP_PUT: u32 = 2;
const COMPARE_TARGET: u32 = 2;
const COMPARE_KEY: u32 = 3;
const COMPARE_MOD_REVISION: u32 = 6;
const COMPARE_VALUE: u32 = 7;
const TARGET_MOD_REVISION: u64 = 2;
const TARGET_VALUE: u64 = 3;
const STATUS_HEADER: u64 = 1;
const STATUS_LEADER: u64 = 4;
const STATUS_INDEX: u64 = 5;
const STATUS_TERM: u64 = 6;
const STATUS_APPLIED: u64 = 7;
const HEADER_MEMBER: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u32) -> GrpcError {
        GrpcError::Status {
            code,
            message: "etcdserver: request timed out".to_owned(),
        }
    }

    #[test]
    fn a_write_that_is_unavailable_is_open_and_a_read_never_is_when_it_was_answered() {
        for (code, is_definite) in [(14, false), (4, false), (2, false), (8, true), (3, true)] {
            assert_eq!(of_write(status(code)).is_definite(), is_definite, "{code}");
            assert!(of_read(status(code)).is_definite());
        }
        assert!(!of_write(GrpcError::Broken("reset".to_owned())).is_definite());
        assert!(of_write(GrpcError::NotSent("closed".to_owned())).is_definite());
        assert_eq!(of_write(status(14)).code(), "grpc-14");
    }

    #[test]
    fn a_pair_is_its_value_and_its_revision_and_an_empty_value_is_one() {
        let pair = |value: &[u8]| {
            let mut pair = Vec::new();
            append_bytes(&mut pair, 1, b"k");
            append_number(&mut pair, 3, 7);
            append_bytes(&mut pair, 5, value);
            let mut range = Vec::new();
            append_bytes(&mut range, 2, &pair);
            first_pair(&range)
        };
        assert_eq!(pair(b"v"), (Some(Bytes::from_static(b"v")), 7));
        assert_eq!(pair(b""), (Some(Bytes::new()), 7));
        assert_eq!(first_pair(&[]), (None, 0));
    }
}
