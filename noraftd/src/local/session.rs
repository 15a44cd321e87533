//! One client connection: what the client has said about itself, and answers to the commands that concern it.

use std::time::Duration;

use bytes::Bytes;

use crate::local::command_docs::render_command;
use crate::local::facts::{ServerFacts, bulk};
use crate::local::info::render_info;
use crate::local::render::{
    render_config, render_hello, render_role, render_time, render_wait, render_wait_aof,
};
use crate::local::sentinel::render_sentinel;
use crate::local::subscriptions::Subscriptions;
use crate::local::transaction::Transaction;
use crate::protocol::command::{ClientCommand, HelloOptions, Local};
use crate::protocol::gate::Gate;
use crate::protocol::resp::{Reply, RespVersion};
use crate::replica::event::Status;

/// The state of a client connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The connection's number, as `CLIENT ID` gives it.
    pub id: u64,
    /// The client's address, for `CLIENT LIST`.
    pub peer: String,
    /// The protocol to write replies in.
    pub version: RespVersion,
    /// The name the client gave it.
    pub name: Bytes,
    /// The client library's name.
    pub lib_name: Bytes,
    /// The client library's version.
    pub lib_version: Bytes,
    /// What it refuses because it refused something before.
    pub gate: Gate,
    /// What it listens to.
    pub subscriptions: Subscriptions,
    /// What its reads may be answered from.
    pub reads: ReadMode,
    /// What it does as one.
    pub transaction: Transaction,
}

/// What the reads of a connection may be answered from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadMode {
    /// This node's own state, which may be old.
    pub may_be_old: bool,
    /// How old it may be; any age when absent.
    pub staleness_max: Option<Duration>,
}

impl ReadMode {
    /// With the limit that was set before, unless reads have to be current.
    fn may_be_old(&mut self, may_be_old: bool) -> Reply {
        let staleness_max = self.staleness_max.filter(|_| may_be_old);
        *self = Self {
            may_be_old,
            staleness_max,
        };
        Reply::Status("OK")
    }
}

/// The answer to a local command. Encode it in the session's version *after* the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What to send.
    pub reply: Reply,
    /// Close the connection once it is sent.
    pub close: bool,
}

impl Session {
    /// A new connection from `peer`.
    pub fn new(id: u64, peer: String) -> Self {
        let empty = Bytes::new();
        Self {
            id,
            peer,
            version: RespVersion::V2,
            name: empty.clone(),
            lib_name: empty.clone(),
            lib_version: empty,
            gate: Gate::default(),
            subscriptions: Subscriptions::default(),
            reads: ReadMode::default(),
            transaction: Transaction::default(),
        }
    }

    /// Carries out a local command. `others` are the other connections' lines, for `CLIENT LIST`.
    pub fn answer(
        &mut self,
        local: Local,
        status: &Status,
        facts: &ServerFacts,
        others: &[String],
    ) -> Answer {
        let reply = match local {
            Local::Ping(message) if self.listens_in_resp2() => {
                Reply::Array(vec![bulk("pong"), bulk(message.unwrap_or_default())])
            }
            Local::Ping(None) => Reply::Status("PONG"),
            Local::Ping(Some(message)) | Local::Echo(message) => Reply::Bulk(message),
            Local::Hello(hello) => self.hello(hello, status, facts),
            Local::Quit => {
                return Answer {
                    reply: Reply::Status("OK"),
                    close: true,
                };
            }
            Local::Reset => self.reset(),
            Local::Select => Reply::Status("OK"),
            Local::Client(command) => self.client(command, others),
            Local::Command(query) => render_command(&query),
            Local::ConfigGet(patterns) => render_config(&patterns, facts),
            Local::Info(sections) => render_info(&sections, status, facts),
            Local::ReadOnly => self.reads.may_be_old(true),
            Local::ReadWrite => self.reads.may_be_old(false),
            Local::Role => render_role(status, facts),
            Local::Sentinel(query) => render_sentinel(&query, status, facts),
            Local::Subscribe(change) => self.subscriptions.change(&change),
            Local::Wait => render_wait(status),
            Local::WaitAof => render_wait_aof(status),
            Local::Time => render_time(facts),
        };
        Answer { reply, close: false }
    }

    /// The connection's line in `CLIENT LIST`, without a line end.
    pub fn line(&self) -> String {
        let Self {
            id,
            peer,
            version,
            name,
            lib_name,
            lib_version,
            gate: _,
            subscriptions: _,
            reads: _,
            transaction: _,
        } = self;
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        format!(
            "id={id} addr={peer} name={} db=0 resp={} lib-name={} lib-ver={}",
            text(name),
            version.number(),
            text(lib_name),
            text(lib_version),
        )
    }

    fn hello(&mut self, hello: HelloOptions, status: &Status, facts: &ServerFacts) -> Reply {
        let HelloOptions { version, name } = hello;
        self.version = version.unwrap_or(self.version);
        if let Some(name) = name {
            self.name = name;
        }
        render_hello(self.version, self.id, status, facts)
    }

    /// Forgets what the client chose, but not its identity.
    fn reset(&mut self) -> Reply {
        self.version = RespVersion::V2;
        self.name = Bytes::new();
        self.subscriptions = Subscriptions::default();
        self.reads = ReadMode::default();
        self.transaction = Transaction::default();
        Reply::Status("RESET")
    }

    /// What is not asked for may come between the answers, and only its form tells them apart.
    fn listens_in_resp2(&self) -> bool {
        self.version == RespVersion::V2 && !self.subscriptions.is_empty()
    }

    fn client(&mut self, command: ClientCommand, others: &[String]) -> Reply {
        match command {
            ClientCommand::Id => return Reply::Integer(i64::try_from(self.id).unwrap_or(i64::MAX)),
            ClientCommand::GetName if self.name.is_empty() => return Reply::Null,
            ClientCommand::GetName => return Reply::Bulk(self.name.clone()),
            ClientCommand::Info => return Reply::Bulk(Bytes::from(self.line() + "\n")),
            ClientCommand::List => return self.list(others),
            ClientCommand::SetName(name) => self.name = name,
            ClientCommand::SetLibName(name) => self.lib_name = name,
            ClientCommand::SetLibVersion(version) => self.lib_version = version,
            ClientCommand::NoEffect => {}
        }
        Reply::Status("OK")
    }

    fn list(&self, others: &[String]) -> Reply {
        let mut text = self.line() + "\n";
        for line in others {
            text.push_str(line);
            text.push('\n');
        }
        Reply::Bulk(Bytes::from(text))
    }
}
