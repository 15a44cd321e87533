//! The log of a node: the entries after its snapshot, and the configuration the snapshot ends with.

use crate::config::ClusterConfig;
use crate::entries::LogEntries;
use crate::types::{LogIndex, LogPosition};

/// The log of a node.
///
/// The entries up to [`Log::snapshot_position`] are in the snapshot; what the log still says of
/// them is the configuration that was in force there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Log {
    snapshot_config: ClusterConfig,
    entries: LogEntries,
}

impl Log {
    /// Makes a log from the configuration at its snapshot and the entries after it.
    ///
    /// A node without a snapshot has an empty configuration and entries after [`LogPosition::ZERO`].
    pub const fn new(snapshot_config: ClusterConfig, entries: LogEntries) -> Self {
        Self {
            snapshot_config,
            entries,
        }
    }

    /// Returns the entries after the snapshot.
    pub fn entries(&self) -> &LogEntries {
        &self.entries
    }

    /// Returns the position of the last entry, or of the snapshot if there is none.
    pub fn last_position(&self) -> LogPosition {
        self.entries.last_position()
    }

    /// Returns the position of the last entry in the snapshot.
    pub fn snapshot_position(&self) -> LogPosition {
        self.entries.prev_position()
    }

    /// Returns the configuration in force at the snapshot.
    pub fn snapshot_config(&self) -> &ClusterConfig {
        &self.snapshot_config
    }

    /// Returns the configuration of the last entry that sets one, committed or not.
    pub fn latest_config(&self) -> &ClusterConfig {
        self.entries
            .last_config()
            .map_or(&self.snapshot_config, |(_, config)| config)
    }

    /// Returns the index of the entry that set the latest configuration, or of the snapshot.
    pub fn latest_config_index(&self) -> LogIndex {
        self.entries
            .last_config()
            .map_or(self.snapshot_position().index, |(index, _)| index)
    }

    /// Returns the position at `index` and the configuration in force there.
    ///
    /// That is what a snapshot at `index` has to record. Returns `None` outside the log.
    pub fn get_position_and_config(&self, index: LogIndex) -> Option<(LogPosition, &ClusterConfig)> {
        let term = self.entries.get_term(index)?;
        let config = self.entries.config_at(index).unwrap_or(&self.snapshot_config);
        Some((LogPosition::new(term, index), config))
    }

    /// Replaces everything after the anchor of `suffix` by `suffix`.
    ///
    /// Returns `false`, and changes nothing, if the log does not contain that anchor. Storage that
    /// replays its records builds the log with this.
    pub fn append_suffix(&mut self, suffix: &LogEntries) -> bool {
        self.entries.append_suffix(suffix)
    }

    /// The configuration in force at `index`, and all that follow it.
    pub(crate) fn configs_from(&self, index: LogIndex) -> impl Iterator<Item = &ClusterConfig> {
        let there = self.entries.config_at(index).unwrap_or(&self.snapshot_config);
        core::iter::once(there).chain(self.entries.configs_after(index))
    }

    /// Cuts everything after `end`, which is not below the snapshot.
    pub(crate) fn truncate_to(&mut self, end: LogIndex) {
        self.entries.truncate_to(end);
    }
}
