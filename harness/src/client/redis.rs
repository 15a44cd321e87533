//! Redis, alone or behind its Sentinels.
//!
//! A client of Redis that knows Sentinels asks one for the address of the master and makes sure that it is one ("Guidelines
//! for Redis clients with support for Redis Sentinel", redis.io). Reads go to the master too.
//!
//! Invariant: an error is definite only when its code says that the command was not carried out; of a code that is not known
//! here, the outcome is open.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::wish::Wish;
use super::{CallError, Client, Door, NodeView, Reply};

/// A client's connection to the master of the moment.
#[derive(Debug)]
pub struct Session {
    door: Door,
    /// None after the last one turned out to be no master any more.
    master: Option<Client>,
}

impl Session {
    /// Connects to the node, or to the master that its Sentinel names.
    pub(super) async fn connect(door: Door, patience: Duration) -> Result<Self, CallError> {
        let master = Some(find_master(door, patience).await?);
        Ok(Self { door, master })
    }

    /// Sends one command; a compare-and-set, which Redis has no command for, as a script.
    pub(super) async fn call(&mut self, words: &[String], patience: Duration) -> Result<Reply, CallError> {
        let mut master = match self.master.take() {
            Some(master) => master,
            None => find_master(self.door, patience).await?,
        };
        let reply = match Wish::of(words) {
            Some(Wish::Swap { key, old, new }) => {
                master
                    .ask(&["EVAL", SWAP_SCRIPT, "1", key, old, new], patience)
                    .await?
            }
            Some(Wish::Get(_) | Wish::GetAll(_) | Wish::Set { .. } | Wish::Append { .. }) | None => {
                master.ask(words, patience).await?
            }
        };
        match reply {
            Reply::Error(said) if asks_to_look_again(&said) => Err(CallError::Refused(said)),
            Reply::Error(said) => {
                self.master = Some(master);
                Err(meaning(said))
            }
            reply => {
                self.master = Some(master);
                Ok(reply)
            }
        }
    }
}

/// Whether the node answers, and its Sentinel does.
pub(super) async fn answers(door: Door, patience: Duration) -> bool {
    for address in std::iter::once(door.address).chain(door.sentinel) {
        let ping = async {
            let mut client = Client::connect(address, patience).await?;
            client.call(&["PING"], patience).await
        };
        if ping.await != Ok(Reply::Status("PONG".to_owned())) {
            return false;
        }
    }
    true
}

/// With a Sentinel, whether that one takes its node for the master, and the epoch in which it learned so. Without one, a server
/// that does not know `ROLE` stands alone.
pub(super) async fn view(door: Door, patience: Duration) -> Option<NodeView> {
    let mut server = Client::connect(door.address, patience).await.ok()?;
    let role = server.ask(&["ROLE"], patience).await.ok()?;
    let (is_master, offset) = match &role {
        Reply::Array(parts) => (first_is(parts, "master"), offset(parts)),
        Reply::Error(_) => (true, 0),
        Reply::Status(_) | Reply::Integer(_) | Reply::Bulk(_) | Reply::Null => return None,
    };
    let (leads, term) = match door.sentinel {
        None => (is_master, 0),
        Some(sentinel) => {
            let (master, epoch) = ask_sentinel(sentinel, patience).await?;
            (master == door.address, epoch)
        }
    };
    Some(NodeView {
        leads,
        term,
        commit_index: offset,
        applied_index: offset,
        divergence: None,
    })
}

async fn find_master(door: Door, patience: Duration) -> Result<Client, CallError> {
    let Some(sentinel) = door.sentinel else {
        return Client::connect(door.address, patience).await;
    };
    let unreachable = |why: &str| CallError::Unreachable(why.to_owned());
    let (master, _) = ask_sentinel(sentinel, patience)
        .await
        .ok_or_else(|| unreachable("the Sentinel names no master"))?;
    let mut client = Client::connect(master, patience).await?;
    match client.ask(&["ROLE"], patience).await {
        Ok(Reply::Array(parts)) if first_is(&parts, "master") => Ok(client),
        Ok(_) => Err(unreachable("what the Sentinel names is no master")),
        Err(error) => Err(CallError::Unreachable(error.to_string())),
    }
}

/// The master that a Sentinel names, and the epoch of that decision.
async fn ask_sentinel(sentinel: SocketAddr, patience: Duration) -> Option<(SocketAddr, u64)> {
    let mut client = Client::connect(sentinel, patience).await.ok()?;
    let Ok(Reply::Array(said)) = client.ask(&["SENTINEL", "MASTER", MASTER_NAME], patience).await else {
        return None;
    };
    let fields: BTreeMap<&str, &str> = said
        .chunks_exact(2)
        .filter_map(|pair| Some((pair.first()?.text()?, pair.last()?.text()?)))
        .collect();
    let address = format!("{}:{}", fields.get("ip")?, fields.get("port")?);
    Some((address.parse().ok()?, fields.get("config-epoch")?.parse().ok()?))
}

fn first_is(parts: &[Reply], word: &str) -> bool {
    parts.first().and_then(Reply::text) == Some(word)
}

/// How far the node is in the stream of commands: a master says so second, a replica last.
fn offset(parts: &[Reply]) -> u64 {
    let offset = parts
        .get(1..)
        .unwrap_or_default()
        .iter()
        .rev()
        .find_map(|part| match part {
            Reply::Integer(offset) => u64::try_from(*offset).ok(),
            Reply::Status(_) | Reply::Error(_) | Reply::Bulk(_) | Reply::Null | Reply::Array(_) => None,
        });
    offset.unwrap_or(0)
}

fn code(said: &str) -> &str {
    said.split_ascii_whitespace().next().unwrap_or_default()
}

fn asks_to_look_again(said: &str) -> bool {
    ["READONLY", "LOADING", "MASTERDOWN"].contains(&code(said))
}

fn meaning(said: String) -> CallError {
    if NOT_DONE.contains(&code(&said)) {
        CallError::Refused(said)
    } else {
        CallError::Indefinite(said)
    }
}

/// The name under which the Sentinels know the master.
const MASTER_NAME: &str = "under-test";
/// Redis says these before it carries anything out.
const NOT_DONE: [&str; 9] = [
    "ERR",
    "NOREPLICAS",
    "MISCONF",
    "OOM",
    "BUSY",
    "NOAUTH",
    "NOPERM",
    "WRONGTYPE",
    "NOSCRIPT",
];
const SWAP_SCRIPT: &str = "local v = redis.call('GET', KEYS[1]) \
     if v == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) end return v";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_code_that_is_known_to_come_before_the_command_is_definite() {
        for (said, is_definite) in [
            ("NOREPLICAS Not enough good replicas to write.", true),
            ("ERR unknown command", true),
            ("UNBLOCKED force unblock", false),
            ("EXECABORT", false),
            ("", false),
        ] {
            assert_eq!(meaning(said.to_owned()).is_definite(), is_definite, "{said}");
        }
        assert!(asks_to_look_again(
            "READONLY You can't write against a read only replica."
        ));
        assert!(!asks_to_look_again("ERR READONLY"));
    }

    #[test]
    fn a_master_and_a_replica_say_how_far_they_are() {
        let text = |text: &'static str| Reply::Bulk(text.into());
        let master = [text("master"), Reply::Integer(31), Reply::Array(vec![])];
        let replica = [
            text("slave"),
            text("127.0.0.1"),
            Reply::Integer(6379),
            text("connected"),
            Reply::Integer(29),
        ];
        assert_eq!((offset(&master), offset(&replica)), (31, 29));
        assert!(first_is(&master, "master") && !first_is(&replica, "master"));
    }
}
