//! What a connection listens to.
//!
//! Invariant: what a connection may make this node remember is bounded, in names here and in bytes by their parser.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::facts::{bulk, integer};
use crate::protocol::command::{SubscriptionChange, Topic};
use crate::protocol::glob::{Case, matches};
use crate::protocol::resp::{Reply, RespVersion};

/// The channels and patterns of one connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subscriptions {
    channels: BTreeSet<Bytes>,
    patterns: BTreeSet<Bytes>,
}

impl Subscriptions {
    /// What a connection that speaks `version` may not ask while it listens: in RESP2 an answer could be taken for a message.
    pub fn refuse(&self, args: &[Bytes], version: RespVersion) -> Option<Reply> {
        if version == RespVersion::V3 || self.is_empty() {
            return None;
        }
        let name = args.first()?;
        let may = ALLOWED
            .iter()
            .any(|word| name.eq_ignore_ascii_case(word.as_bytes()));
        (!may).then(|| {
            let name = String::from_utf8_lossy(name.get(..NAME_EXCERPT_BYTES).unwrap_or(name)).to_lowercase();
            Reply::Error(format!(
                "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this \
                 context"
            ))
        })
    }

    /// What the connection hears when `text` is said on `channel`.
    pub fn hear(&self, channel: &Bytes, text: &Bytes) -> Option<Reply> {
        let named = self
            .channels
            .contains(channel)
            .then(|| Reply::Push(vec![bulk("message"), bulk(channel.clone()), bulk(text.clone())]));
        let matching = self
            .patterns
            .iter()
            .filter(|pattern| matches(pattern, channel, Case::Matters))
            .map(|pattern| {
                Reply::Push(vec![
                    bulk("pmessage"),
                    bulk(pattern.clone()),
                    bulk(channel.clone()),
                    bulk(text.clone()),
                ])
            });
        let heard: Vec<Reply> = named.into_iter().chain(matching).collect();
        (!heard.is_empty()).then_some(Reply::Several(heard))
    }

    /// True when it listens to nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    /// Begins or ends what is asked for, and answers for each name.
    pub(super) fn change(&mut self, change: &SubscriptionChange) -> Reply {
        if change.begins && self.len() + change.names.len() > SUBSCRIPTIONS_MAX {
            return Reply::Error(format!(
                "ERR a connection can have at most {SUBSCRIPTIONS_MAX} subscriptions"
            ));
        }
        let names = match (change.names.is_empty(), change.topic) {
            (false, _) => change.names.clone(),
            (true, Topic::Channel) => self.channels.iter().cloned().collect(),
            (true, Topic::Pattern) => self.patterns.iter().cloned().collect(),
        };
        if names.is_empty() {
            return self.answer(change, Reply::Null);
        }
        let mut answers = Vec::new();
        for name in names {
            let held = match change.topic {
                Topic::Channel => &mut self.channels,
                Topic::Pattern => &mut self.patterns,
            };
            if change.begins {
                held.insert(name.clone());
            } else {
                held.remove(&name);
            }
            answers.push(self.answer(change, bulk(name)));
        }
        Reply::Several(answers)
    }

    fn answer(&self, change: &SubscriptionChange, name: Reply) -> Reply {
        let verb = match (change.topic, change.begins) {
            (Topic::Channel, true) => "subscribe",
            (Topic::Channel, false) => "unsubscribe",
            (Topic::Pattern, true) => "psubscribe",
            (Topic::Pattern, false) => "punsubscribe",
        };
        Reply::Push(vec![bulk(verb), name, integer(self.len() as u64)])
    }
}

const ALLOWED: [&str; 7] = [
    "SUBSCRIBE",
    "PSUBSCRIBE",
    "UNSUBSCRIBE",
    "PUNSUBSCRIBE",
    "PING",
    "QUIT",
    "RESET",
];

/// More than any client of a Sentinel has.
const SUBSCRIPTIONS_MAX: usize = 256;

/// As much of a command's name as an error repeats.
const NAME_EXCERPT_BYTES: usize = 128;
