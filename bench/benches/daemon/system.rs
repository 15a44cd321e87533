//! The systems that are compared.

use clap::ValueEnum;

/// A system under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum System {
    /// Ours: three nodes.
    Noraftd,
    /// etcd-server: three nodes.
    Etcd,
    /// redis-server, every write synced: one node, nothing is replicated.
    Redis,
    /// A prototype that copies, syncs and answers, and does nothing else: three nodes, no consensus.
    Ceiling,
}

/// What a system's clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// RESP2 over TCP.
    Resp,
    /// etcd's API, version 3: gRPC over HTTP/2.
    Grpc,
}

impl System {
    /// All of them, in the order of the report.
    pub(crate) const ALL: [Self; 4] = [Self::Noraftd, Self::Etcd, Self::Redis, Self::Ceiling];

    /// Its name in messages and on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Noraftd => "noraftd",
            Self::Etcd => "etcd",
            Self::Redis => "redis",
            Self::Ceiling => "ceiling",
        }
    }

    /// Its name in the report, which says what it does not do.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Noraftd => "**noraftd** x3",
            Self::Etcd => "etcd x3",
            Self::Redis => "Redis, one node, no consensus",
            Self::Ceiling => "ceiling x3, no consensus",
        }
    }

    /// The processes it consists of.
    pub(crate) const fn nodes(self) -> usize {
        match self {
            Self::Noraftd | Self::Etcd | Self::Ceiling => 3,
            Self::Redis => 1,
        }
    }

    /// What its clients speak.
    pub(crate) const fn protocol(self) -> Protocol {
        match self {
            Self::Etcd => Protocol::Grpc,
            Self::Noraftd | Self::Redis | Self::Ceiling => Protocol::Resp,
        }
    }

    /// True when every node takes commands and a leader is elected.
    pub(crate) const fn is_consensus(self) -> bool {
        match self {
            Self::Noraftd | Self::Etcd => true,
            Self::Redis | Self::Ceiling => false,
        }
    }
}
