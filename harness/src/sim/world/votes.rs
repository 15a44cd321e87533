//! A node's votes: they do not wait for the batch that its disk is writing.
//!
//! Invariant: a vote counts when one slot holds it durably; it is written to the other slot after that, before the next
//! vote.

use noraftd::record::HardState;
use noraftd::storage::{VOTE_PAUSE, VoteJob};
use noraftd::store::HARD_STATE_FILE;

use super::World;
use crate::sim::journal::happening::{DiskHappening, Happening};
use crate::sim::parts::checks::kept;
use crate::sim::parts::event::{Event, NodeEvent};
use crate::sim::parts::node::SimNode;

impl World {
    pub(super) fn give_vote(&mut self, at: usize, hard_state: HardState) {
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        process.votes.push_back(VoteJob::Save(hard_state));
        if process.votes.len() == 1 {
            self.begin_vote(at);
        }
    }

    /// No vote is on its way: the last one is in both slots.
    pub(super) fn check_votes(&mut self, at: usize) {
        if !self.is_ever_damaged(at) {
            let (disk, unfinished) = (&self.nodes[at].disk, self.unfinished(at));
            let checked = kept::check_certain(at, disk, unfinished)
                .and_then(|()| kept::check_votes_are_twice(at, disk));
            self.check(checked);
        }
    }

    fn begin_vote(&mut self, at: usize) {
        let (takes, life) = (self.sync_takes(at), self.nodes[at].life);
        self.queue
            .after(takes, Event::node(at, life, NodeEvent::VoteDone));
    }

    /// The disk has written term and vote once, or a second time.
    pub(super) fn vote_done(&mut self, at: usize) {
        let SimNode { process, disk, .. } = &mut self.nodes[at];
        let Some(process) = process.as_mut() else {
            return;
        };
        let Some(job) = process.votes.pop_front() else {
            return;
        };
        let durable = process.driver.store().hard_state();
        let before = disk.content(HARD_STATE_FILE);
        let done = job.run(&process.driver.store().votes());
        let after = disk.content(HARD_STATE_FILE);
        if let Ok(step) = &done
            && let Some(next) = step.next
        {
            process.votes.push_front(next);
        }
        if let Ok(step) = &done {
            process.note_vote(step.waits.as_ref());
        }
        let waits = !process.votes.is_empty();
        let error = match &done {
            Ok(step) => step.waits.as_ref().map(ToString::to_string),
            Err(stop) => Some(stop.to_string()),
        };
        let happening = DiskHappening::DoneVote { node: at, job, error };
        self.journal.note(self.queue.now(), Happening::Disk(happening));
        if !self.is_ever_damaged(at)
            && let (Some(before), Some(after)) = (before, after)
        {
            self.check(kept::check_vote_is_kept(at, durable, &before, &after));
        }
        if self.carry_out_aim(at) {
            return;
        }
        let Ok(step) = done else {
            return self.end_by_disk(at);
        };
        if step.waits.is_some() {
            let node = &self.nodes[at];
            let again = node.clock.instant(self.queue.now()) + VOTE_PAUSE;
            let again = node.clock.when(again, self.queue.now());
            self.queue
                .push(again, Event::node(at, node.life, NodeEvent::VoteDone));
        } else if waits {
            self.begin_vote(at);
        } else {
            self.check_votes(at);
        }
        if let Some(input) = step.input {
            self.arrive(at, input);
        }
    }
}
