//! How the clients of a system talk to it: one place for what differs from protocol to protocol.
//!
//! Invariant: whatever the protocol, a call is `Refused` or `Unreachable` only when it certainly has no effect.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{CallError, Client, Door, NodeView, Reply, etcd, nats, own, redis};

/// A protocol that clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// RESP as noraftd speaks it: each node takes each command.
    Noraftd,
    /// RESP as Redis speaks it: commands go to the node, or, where nodes have a Sentinel, to the master that it names.
    Redis,
    /// gRPC as etcd, version 3, speaks it.
    Etcd,
    /// NATS, a JetStream of which is the key-value store.
    Nats,
}

/// How the clients of a run reach its nodes.
#[derive(Debug, Clone)]
pub struct Access {
    /// What they speak.
    pub protocol: Protocol,
    /// The nodes.
    pub doors: Vec<Door>,
    /// What each key begins with besides its name: another word each run where others have left their keys. Histories do not have it.
    pub space: String,
}

impl Access {
    /// The command `words` in the key space of this run.
    pub fn in_space<'a>(&self, words: &'a [String]) -> Cow<'a, [String]> {
        if self.space.is_empty() {
            return Cow::Borrowed(words);
        }
        // MGET has nothing but keys; of all others the first argument is the key.
        let keys = match words.first().map(String::as_str) {
            Some("MGET") => 1..words.len(),
            Some(_) | None => 1..words.len().min(2),
        };
        let place = |(at, word): (usize, &String)| match keys.contains(&at) {
            true => format!("{}{word}", self.space),
            false => word.clone(),
        };
        Cow::Owned(words.iter().enumerate().map(place).collect())
    }
}

/// A client's connection.
#[derive(Debug)]
pub enum Session {
    /// To noraftd.
    Noraftd(Client),
    /// To Redis.
    Redis(redis::Session),
    /// To etcd.
    Etcd(etcd::Session),
    /// To NATS.
    Nats(nats::Session),
}

impl Protocol {
    /// Connects to a node.
    ///
    /// # Errors
    ///
    /// [`CallError::Unreachable`].
    pub async fn connect(self, door: Door, patience: Duration) -> Result<Session, CallError> {
        Ok(match self {
            Self::Noraftd => Session::Noraftd(Client::connect(door.address, patience).await?),
            Self::Redis => Session::Redis(redis::Session::connect(door, patience).await?),
            Self::Etcd => Session::Etcd(etcd::Session::connect(door, patience).await?),
            Self::Nats => Session::Nats(nats::Session::connect(door, patience).await?),
        })
    }

    /// Makes what clients need before the first operation, once all nodes answer.
    ///
    /// # Errors
    ///
    /// What is in the way.
    pub async fn prepare(self, doors: &[Door], patience: Duration) -> Result<(), String> {
        match self {
            Self::Noraftd | Self::Redis | Self::Etcd => Ok(()),
            Self::Nats => nats::prepare(doors, patience).await,
        }
    }

    /// Whether a node answers at all.
    pub async fn answers(self, door: Door, patience: Duration) -> bool {
        match self {
            Self::Noraftd => own::answers(door.address, patience).await,
            Self::Redis => redis::answers(door, patience).await,
            Self::Etcd => etcd::view(door, patience).await.is_some(),
            Self::Nats => nats::answers(door, patience).await,
        }
    }

    /// What a node says of itself; `None` when it does not answer in time.
    pub async fn view(self, door: Door, patience: Duration) -> Option<NodeView> {
        match self {
            Self::Noraftd => own::view(door.address, patience).await,
            Self::Redis => timeout(patience, redis::view(door, patience)).await.ok()?,
            Self::Etcd => etcd::view(door, patience).await,
            Self::Nats => nats::view(door, patience).await,
        }
    }

    /// Whether all nodes come to the same applied index once nothing is written any more.
    pub fn has_applied_index(self) -> bool {
        match self {
            Self::Noraftd | Self::Etcd => true,
            Self::Redis | Self::Nats => false,
        }
    }
}

impl Session {
    /// Sends one command, in the words of Redis, and waits for what Redis would answer. An error reply is an `Err`.
    ///
    /// # Errors
    ///
    /// Any [`CallError`].
    pub async fn call(&mut self, words: &[String], patience: Duration) -> Result<Reply, CallError> {
        match self {
            Self::Noraftd(client) => client.call(words, patience).await,
            Self::Redis(session) => session.call(words, patience).await,
            Self::Etcd(session) => session.call(words, patience).await,
            Self::Nats(session) => session.call(words, patience).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_space_of_their_run_and_nothing_else_is() {
        let access = |space: &str| Access {
            protocol: Protocol::Noraftd,
            doors: Vec::new(),
            space: space.to_owned(),
        };
        let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        for (asked, sent) in [
            ("SET k 5", "SET x-k 5"),
            ("MGET k/1 k/2", "MGET x-k/1 x-k/2"),
            ("SET k 2 IFEQ 1 GET", "SET x-k 2 IFEQ 1 GET"),
            ("PING", "PING"),
        ] {
            assert_eq!(access("x-").in_space(&words(asked)).into_owned(), words(sent));
            assert_eq!(access("").in_space(&words(asked)).into_owned(), words(asked));
        }
    }
}
