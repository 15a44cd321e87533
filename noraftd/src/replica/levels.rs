//! Which level is in force, and when a leader raises it (`crate::level`).
//!
//! A leader looks at the level when it appends, whichever node asked: what it was asked by another node as well. It raises the
//! level only while it hears from every other member and each has said that it supports the new one. Before there is a membership table,
//! the nodes of the settings that do not vote are members as well: the table, which begins at the first level that is raised, names them.
//!
//! Invariant: nothing is appended that the level in force here does not cover; so nothing that a member does not know.

use bytes::Bytes;
use noraft::{LogIndex, LogPosition, NodeId};

use crate::level::Level;
use crate::protocol::command::Request;
use crate::protocol::outcome::Refusal;
use crate::record::{Record, RecordKind};

use super::Replica;

#[derive(Debug, Default)]
pub(super) struct Levels {
    /// The entry, or the state, that this node does not know enough for.
    unknown: Option<LogIndex>,
    /// The last entry with which this node raised the level, as the leader of its term.
    raising: Option<(LogPosition, Level)>,
}

impl Replica {
    /// The level in force, as far as the log is applied here.
    pub(super) fn level(&self) -> Level {
        self.applied.machine().level()
    }

    /// The entry at which this node stopped, for only a later version knows what it does. Nothing more is applied here.
    pub fn unknown_entry(&self) -> Option<LogIndex> {
        self.levels.unknown
    }

    /// Stops applying at `index`.
    pub(super) fn stop_at_unknown(&mut self, index: LogIndex) {
        self.levels.unknown = Some(index);
    }

    /// True when this node knows what the entry does, and supports the level that it brings.
    pub(super) fn knows(&self, record: &Record) -> bool {
        let raised = || Request::raises_to(&record.payload).unwrap_or_default();
        record.kind != RecordKind::Command
            || (raised() <= self.config.level && self.applied.machine().knows(&record.payload))
    }

    /// Why this leader does not append the request, if the level is the reason.
    pub(super) fn refusal_by_level(&self, request: &Request) -> Option<Refusal> {
        match Request::raises_to(&request.body) {
            Some(level) => (self.supported_by_all() < level).then_some(Refusal::NotSupported),
            None => (request.takes_level() > self.level()).then_some(Refusal::LevelTooLow),
        }
    }

    /// The highest level that every member is known to support, this node among them.
    fn supported_by_all(&self) -> Level {
        let level = |peer| match self.is_at_hand(peer) {
            true => self.features_of(peer).level(),
            // Another version may run there by now.
            false => Level::FIRST,
        };
        let others = self.node.peers().map(level);
        // They follow no leader, and answer nothing: what they said when they were connected is all there is.
        let beside = self.beside_config().map(|id| self.features_of(id).level());
        let all = others.chain(beside).chain([self.config.level]);
        all.min().unwrap_or_default()
    }

    /// The nodes of the settings that the configuration is without, as long as these say who the members are.
    fn beside_config(&self) -> impl Iterator<Item = NodeId> {
        let (config, settings) = (self.node.config(), &self.config.members);
        let named = settings.iter().filter(|_| self.members().is_empty());
        named
            .copied()
            .filter(|id| *id != self.config.id && config.unique_nodes().all(|node| node != *id))
    }

    /// True when `node` is known not to support the level that is in force, or about to be.
    pub(super) fn is_too_old(&self, node: NodeId) -> bool {
        let raising = self.levels.raising.map(|(_, level)| level);
        let level = raising.unwrap_or_default().max(self.level());
        let says = self.leadership.is_connected(node);
        node != self.config.id && says && self.features_of(node).level() < level
    }

    /// A level was appended.
    pub(super) fn note_raising(&mut self, position: LogPosition, level: Level) {
        self.levels.raising = Some((position, level));
    }

    /// Raises the level as far as every member supports it, where that was asked for once and for all.
    pub(super) fn raise_by_itself(&mut self) {
        let may = self.has_committed_in_term() && self.space.is_plenty() && !self.is_handing_over();
        if !self.config.raises_level || !may {
            return;
        }
        let level = self.supported_by_all();
        if level <= self.level() || self.is_raising() {
            return;
        }
        if let Some(position) = self.append_own(Request::to_raise(level).body) {
            self.note_raising(position, level);
        }
    }

    /// True while an entry of this leader's that raises the level is on its way: what becomes of it decides what else is appended.
    pub(super) fn is_raising(&self) -> bool {
        let term = self.node.current_term();
        let is_under_way = |(at, _): (LogPosition, _)| at.term == term && at.index > self.applied.index();
        self.levels.raising.is_some_and(is_under_way)
    }

    /// Appends a command that no client asked for.
    pub(super) fn append_own(&mut self, body: Bytes) -> Option<LogPosition> {
        let position = self.node.propose_command();
        if position.is_invalid() {
            return None;
        }
        self.give_up_superseded(position.index);
        let record = Record::new(position, RecordKind::Command, self.clock.stamp(), body);
        self.content.keep(record);
        Some(position)
    }
}
