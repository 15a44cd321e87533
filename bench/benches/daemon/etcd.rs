//! A connection to etcd, version 3: Put, Range and Status, over the gRPC of the harness.

use std::net::SocketAddr;

use bytes::BytesMut;
use harness::client::etcd::grpc::{Grpc, GrpcError};
use harness::client::etcd::protobuf::{append_bytes, find_bytes, find_varint};

use crate::wire::{CallError, Key, VALUE_BYTES};
use crate::workload::Request;

/// One HTTP/2 connection.
pub(crate) struct Connection {
    grpc: Grpc,
    message: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, CallError> {
        Ok(Self {
            grpc: Grpc::connect(address).await.map_err(meaning)?,
            message: Vec::new(),
        })
    }

    /// Sends the request for one key after the other: gRPC has no pipeline to compare with RESP's.
    pub(crate) async fn call(
        &mut self,
        request: Request,
        keys: &[Key],
        value: &[u8],
    ) -> Result<(), CallError> {
        for key in keys {
            match request {
                Request::Write => self.put(*key, value).await?,
                Request::Read => self.range(*key).await?,
            }
        }
        Ok(())
    }

    async fn put(&mut self, key: Key, value: &[u8]) -> Result<(), CallError> {
        self.begin(key);
        append_bytes(&mut self.message, PUT_VALUE, value);
        self.exchange("etcdserverpb.KV/Put").await.map(drop)
    }

    /// A Range without `serializable`: linearizable.
    async fn range(&mut self, key: Key) -> Result<(), CallError> {
        self.begin(key);
        let response = self.exchange("etcdserverpb.KV/Range").await?;
        let pair = find_bytes(&response, RANGE_PAIRS);
        match find_bytes(pair, PAIR_VALUE).len() {
            VALUE_BYTES => Ok(()),
            bytes => Err(CallError::Refused(format!("Range gave a value of {bytes} bytes"))),
        }
    }

    /// Asks the node whether it leads.
    pub(crate) async fn leads(&mut self) -> Result<bool, CallError> {
        self.message.clear();
        let status = self.exchange("etcdserverpb.Maintenance/Status").await?;
        let own = find_varint(find_bytes(&status, STATUS_HEADER), HEADER_MEMBER);
        Ok(own != 0 && own == find_varint(&status, STATUS_LEADER))
    }

    fn begin(&mut self, key: Key) {
        self.message.clear();
        let mut name = Vec::new();
        key.append_to(&mut name);
        append_bytes(&mut self.message, REQUEST_KEY, &name);
    }

    async fn exchange(&mut self, method: &str) -> Result<BytesMut, CallError> {
        self.grpc.call(method, &self.message).await.map_err(meaning)
    }
}

fn meaning(error: GrpcError) -> CallError {
    match error {
        GrpcError::Status { .. } => CallError::Refused(error.to_string()),
        GrpcError::NotSent(_) | GrpcError::Broken(_) => CallError::Broken(error.to_string()),
    }
}

// Field numbers of etcd's `rpc.proto` and `kv.proto`.
const REQUEST_KEY: u32 = 1;
const PUT_VALUE: u32 = 2;
const RANGE_PAIRS: u64 = 2;
const PAIR_VALUE: u64 = 5;
const STATUS_HEADER: u64 = 1;
const STATUS_LEADER: u64 = 4;
const HEADER_MEMBER: u64 = 2;
