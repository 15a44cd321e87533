//! A client's connection, whatever it speaks, and what is sent over it.
//!
//! Invariant: all systems get the same keys and values, and a call is over only when every reply was read
//! and found to be what was asked for.

use std::net::SocketAddr;

use noraftd::prng::Prng;

use crate::etcd;
use crate::resp;
use crate::system::Protocol;
use crate::workload::Request;

/// One connection.
pub(crate) enum Client {
    /// To noraftd, Redis or the ceiling prototype.
    Resp(resp::Connection),
    /// To etcd.
    Etcd(etcd::Connection),
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The server answered with an error, or with something else than was asked for.
    #[error("{0}")]
    Refused(String),
    /// The connection cannot be used any more.
    #[error("{0}")]
    Broken(String),
}

impl Client {
    /// Connects.
    pub(crate) async fn connect(protocol: Protocol, address: SocketAddr) -> Result<Self, CallError> {
        match protocol {
            Protocol::Resp => resp::Connection::open(address).await.map(Self::Resp),
            Protocol::Grpc => etcd::Connection::open(address).await.map(Self::Etcd),
        }
    }

    /// Asks for `keys` together and waits for every answer.
    pub(crate) async fn call(
        &mut self,
        request: Request,
        keys: &[Key],
        value: &[u8],
    ) -> Result<(), CallError> {
        match self {
            Self::Resp(connection) => connection.call(request, keys, value).await,
            Self::Etcd(connection) => connection.call(request, keys, value).await,
        }
    }

    /// Asks the node whether it leads.
    pub(crate) async fn leads(&mut self) -> Result<bool, CallError> {
        match self {
            Self::Resp(connection) => connection.leads().await,
            Self::Etcd(connection) => connection.leads().await,
        }
    }
}

/// The name of one of the [`KEYS`] values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) u32);

impl Key {
    /// Appends its name: 16 bytes, as redis-benchmark's.
    pub(crate) fn append_to(self, out: &mut Vec<u8>) {
        let mut name = *b"key:000000000000";
        let mut rest = self.0;
        for digit in name.iter_mut().rev() {
            if rest == 0 {
                break;
            }
            *digit = b'0' + u8::try_from(rest % 10).expect("a digit");
            rest /= 10;
        }
        out.extend_from_slice(&name);
    }
}

/// A value, the same for one seed.
pub(crate) fn value(seed: u64) -> Vec<u8> {
    let mut prng = Prng::new(seed);
    (0..VALUE_BYTES)
        .map(|_| b'a' + u8::try_from(prng.below(26)).expect("a letter"))
        .collect()
}

/// Different keys.
pub(crate) const KEYS: u32 = 10_000;

/// Bytes of a key's name.
pub(crate) const KEY_BYTES: usize = 16;

/// Bytes of a value.
pub(crate) const VALUE_BYTES: usize = 256;
