//! Where the log begins.
//!
//! Invariant: it begins later only when the snapshot of that place is durable, and nothing older is being sent.

use noraft::{LogPosition, Node};

use crate::record::Base;
use crate::replica::Replica;
use crate::replica::content::Content;
use crate::replica::repair::Repair;

use super::Snapshots;

/// Lets the log begin later: changes no state, and sends nothing.
pub(in crate::replica) struct LogStart<'a> {
    node: &'a mut Node,
    content: &'a mut Content,
    repair: &'a mut Repair,
    snapshots: &'a mut Snapshots,
}

impl Replica {
    pub(in crate::replica) fn log_start(&mut self) -> LogStart<'_> {
        LogStart {
            node: &mut self.node,
            content: &mut self.content,
            repair: &mut self.repair,
            snapshots: &mut self.snapshots,
        }
    }
}

impl LogStart<'_> {
    /// Lets the log begin at the older of the two snapshots. Only while no sync is in flight.
    pub(in crate::replica) fn compact(&mut self) {
        let is_sent = |to: LogPosition| {
            let mut transfers = self.snapshots.sending.transfers.values();
            transfers.any(|transfer| transfer.id.position.index < to.index)
        };
        let Some(to) = self.snapshots.taking.compact_to.take_if(|to| !is_sent(*to)) else {
            return;
        };
        if to.index <= self.node.log().snapshot_position().index {
            return;
        }
        let Some((position, config)) = self.node.log().get_position_and_config(to.index) else {
            return;
        };
        let base = Base {
            position,
            config: config.clone(),
            chain: None,
        };
        if self
            .node
            .handle_snapshot_installed(base.position, base.config.clone())
        {
            self.on_begun(base);
        }
    }

    /// A snapshot knows which configuration was in force there. If the log says another one, the entry that set it is
    /// damaged, and is applied: then the log begins behind it, or the next snapshot would hold a wrong one.
    pub(in crate::replica) fn trust(&mut self, base: Base) {
        let log = self.node.log();
        let is_known = log
            .get_position_and_config(base.position.index)
            .is_none_or(|(_, config)| *config == base.config);
        if is_known {
            return;
        }
        let (position, config) = (base.position, base.config.clone());
        if self.node.handle_snapshot_installed(position, config) {
            self.on_begun(base);
        }
    }

    /// The core's log begins at `base`; the next batch says so on the disk.
    fn on_begun(&mut self, mut base: Base) {
        self.content.begin_at(&mut base, true);
        self.snapshots.taking.new_base = Some(base);
        self.repair.forget_void(self.node.log());
    }
}
