//! Commands that the node answers itself.

use bytes::Bytes;

use crate::protocol::resp::RespVersion;

/// A command that the node answers itself, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Local {
    /// `PING [message]`
    Ping(Option<Bytes>),
    /// `ECHO message`
    Echo(Bytes),
    /// `HELLO [2|3 [SETNAME name]]`
    Hello(HelloOptions),
    /// `QUIT`: answer `OK`, then close.
    Quit,
    /// `RESET`: the connection as it was when it was opened.
    Reset,
    /// `SELECT 0`
    Select,
    /// `CLIENT ...`
    Client(ClientCommand),
    /// `COMMAND ...`
    Command(CommandQuery),
    /// `CONFIG GET pattern...`
    ConfigGet(Vec<Bytes>),
    /// `INFO [section...]`: exactly these, in this order.
    Info(Vec<Section>),
    /// `READONLY`: reads may be answered from an older state, that of this node.
    ReadOnly,
    /// `READWRITE`: no longer.
    ReadWrite,
    /// `ROLE`
    Role,
    /// `SENTINEL ...`
    Sentinel(SentinelQuery),
    /// `SUBSCRIBE`, `PSUBSCRIBE`, `UNSUBSCRIBE`, `PUNSUBSCRIBE`
    Subscribe(SubscriptionChange),
    /// `WAIT numreplicas timeout`
    Wait,
    /// `WAITAOF numlocal numreplicas timeout`
    WaitAof,
    /// `TIME`
    Time,
}

/// The arguments of `HELLO`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HelloOptions {
    /// The protocol to speak from now on; the reply is already written in it.
    pub version: Option<RespVersion>,
    /// The connection's new name.
    pub name: Option<Bytes>,
}

/// A `CLIENT` subcommand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCommand {
    /// `CLIENT ID`
    Id,
    /// `CLIENT GETNAME`
    GetName,
    /// `CLIENT SETNAME name`
    SetName(Bytes),
    /// `CLIENT SETINFO LIB-NAME name`
    SetLibName(Bytes),
    /// `CLIENT SETINFO LIB-VER version`
    SetLibVersion(Bytes),
    /// `CLIENT INFO`
    Info,
    /// `CLIENT LIST`
    List,
    /// `CLIENT NO-EVICT` and `CLIENT NO-TOUCH`: nothing is ever evicted or aged here.
    NoEffect,
}

/// A `SENTINEL` subcommand; the names are those of clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SentinelQuery {
    /// `SENTINEL MYID`
    MyId,
    /// `SENTINEL MASTERS`
    Masters,
    /// `SENTINEL MASTER name`
    Master(Bytes),
    /// `SENTINEL REPLICAS name`, and `SLAVES`
    Replicas(Bytes),
    /// `SENTINEL SENTINELS name`
    Sentinels(Bytes),
    /// `SENTINEL GET-MASTER-ADDR-BY-NAME name`
    Address(Bytes),
    /// `SENTINEL CKQUORUM name`
    Quorum(Bytes),
}

/// What a connection is to hear of from now on, or no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionChange {
    /// What the names are.
    pub topic: Topic,
    /// It is to hear of them.
    pub begins: bool,
    /// Which ones; none, at the end of subscriptions, are all.
    pub names: Vec<Bytes>,
}

/// What one subscribes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// A channel.
    Channel,
    /// All channels whose names match.
    Pattern,
}

/// A `COMMAND` subcommand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandQuery {
    /// `COMMAND` and `COMMAND INFO [name...]`; empty means all.
    Info(Vec<Bytes>),
    /// `COMMAND COUNT`
    Count,
    /// `COMMAND LIST [FILTERBY ...]`
    List(CommandFilter),
    /// `COMMAND DOCS [name...]`; empty means all.
    Docs(Vec<Bytes>),
}

/// Which commands `COMMAND LIST` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandFilter {
    /// Every one.
    All,
    /// Those whose names match, whatever their case.
    Pattern(Bytes),
    /// Those of a module or a category: there are no such things here.
    Nothing,
}

/// A section of `INFO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// Version, process, addresses.
    Server,
    /// Connections.
    Clients,
    /// Memory used, and its limits.
    Memory,
    /// `loading:0` and what is durable.
    Persistence,
    /// Counters.
    Stats,
    /// Role, leader, members.
    Replication,
    /// Processor time used.
    Cpu,
    /// Term, indexes, voters.
    Raft,
    /// Number of keys.
    Keyspace,
}

impl Section {
    /// Every section, in the order of the answer.
    pub const ALL: [Self; 9] = [
        Self::Server,
        Self::Clients,
        Self::Memory,
        Self::Persistence,
        Self::Stats,
        Self::Replication,
        Self::Cpu,
        Self::Raft,
        Self::Keyspace,
    ];

    /// The section's heading, which is also how a client asks for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "Server",
            Self::Clients => "Clients",
            Self::Memory => "Memory",
            Self::Persistence => "Persistence",
            Self::Stats => "Stats",
            Self::Replication => "Replication",
            Self::Cpu => "CPU",
            Self::Raft => "Raft",
            Self::Keyspace => "Keyspace",
        }
    }
}
