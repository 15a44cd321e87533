//! Where the log begins, when what said so is lost, or what led there.

use noraft::LogPosition;

use super::{Certainty, Replay};
use crate::record::Base;

impl Replay {
    /// True when it is not known where the log begins; or when it is, but none of `snapshots` that is whole leads there. That one
    /// has gone when the log began later before something was lost (its tail now, or what it abstains for); it may also be
    /// damaged, and what was lost be the entries up to a later snapshot.
    pub(in crate::store) fn lacks_base(
        &self,
        snapshots: &[LogPosition],
        is_whole: impl Fn(LogPosition) -> bool,
        is_tail_lost: bool,
    ) -> bool {
        let shape = &self.log().shape;
        let Some(base) = shape.base() else { return true };
        let leads_there = |at: &LogPosition| at.index >= base.position.index && shape.contains(*at);
        let has_lost = self.is_cut() || is_tail_lost || self.abstain.abstains();
        let is_there = || {
            let mut newest_first = snapshots.iter().rev();
            newest_first.any(|at| leads_there(at) && is_whole(*at))
        };
        base.position.index.get() > 0 && has_lost && !is_there()
    }

    /// After all batches: the log begins at `base` from now on, which `segment` will say.
    pub(in crate::store) fn begin_at(&mut self, segment: u64, base: &Base) {
        // No batch says that these entries are void: the log may have gone on to them from there.
        let drops_entries = self.recovered.goes_on_otherwise(base.position);
        self.rebase(segment, base);
        if drops_entries {
            self.certainty = Certainty::Unknown;
        }
    }
}
