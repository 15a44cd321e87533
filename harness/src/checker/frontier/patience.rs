//! A narrow frontier that goes back when it is stuck.
//!
//! A few configurations decide almost every return, but the right one may be given up now and then.
//! When none is left, the frontier goes back to a checkpoint and tries again with more of them;
//! past the trouble it becomes narrow again. Each time it also asks whether the recent operations alone
//! have no order ([`window`]), since then no width will help. So a violation
//! costs what is around it, not what came before.

use super::checkpoint::Checkpoint;
use super::effort::{StageEnd, WIDTH};
use super::engine::Frontier;
use super::window;
use crate::checker::violation::Stuck;
use crate::recording::budget::{Budget, Limit};

/// Returns between checkpoints.
const SPACING: usize = 64;
/// Checkpoints that are kept at each distance; four times as far back, a quarter of them stay.
const KEPT: usize = 16;
/// Configurations while all goes well, at most.
const WIDTH_MAX: usize = 32;
/// Times a frontier goes back because of the same trouble: twice as far each time, and with four times as
/// many configurations.
const ATTEMPTS_MAX: u32 = 5;
/// Returns past the trouble after which it counts as overcome.
const CALM: usize = 64;
/// Returns without trouble that make half the configurations seem enough.
const CALM_LONG: usize = 4096;

/// A return that could not be passed.
struct Trouble {
    /// Configurations while all goes well.
    width: usize,
    /// How many returns had been dealt with, at most.
    at: usize,
    attempts: u32,
    /// An operation that the recent operations alone exclude.
    proof: Option<Stuck>,
}

impl<const W: usize> Frontier<'_, W> {
    /// Runs, going back where needed.
    pub(super) fn run_patiently(mut self, budget: &Budget) -> StageEnd {
        match self.patiently(budget) {
            Ok(None) => StageEnd::Order(self.witness()),
            Ok(Some(outcome)) => outcome,
            Err(limit) => StageEnd::Limit(limit, self.at.returned as u32),
        }
    }

    fn patiently(&mut self, budget: &Budget) -> Result<Option<StageEnd>, Limit> {
        self.account()?;
        let mut trouble = Trouble {
            width: WIDTH,
            at: 0,
            attempts: 0,
            proof: None,
        };
        while self.at.returned < self.task.returns.len() {
            if self.at.returned.is_multiple_of(SPACING) {
                self.remember();
            }
            let Some(stuck) = self.advance()? else {
                self.relax(&mut trouble);
                continue;
            };
            if !self.truncated {
                return Ok(Some(StageEnd::Stuck(stuck)));
            }
            trouble.at = trouble.at.max(self.at.returned);
            trouble.attempts += 1;
            if let Some(outcome) = self.doubt(&mut trouble, stuck, budget)? {
                return Ok(Some(outcome));
            }
            self.go_back(distance(trouble.attempts), trouble.at);
            self.effort.width = trouble.width << (2 * trouble.attempts);
        }
        Ok(None)
    }

    /// Past the trouble, the frontier becomes narrow again: less so where trouble is frequent.
    fn relax(&mut self, trouble: &mut Trouble) {
        if self.at.returned <= trouble.at + CALM {
            return;
        }
        if trouble.attempts > 0 {
            trouble.attempts = 0;
            trouble.proof = None;
            trouble.width = WIDTH_MAX.min(2 * trouble.width);
            self.effort.width = trouble.width;
        } else if trouble.width > WIDTH && self.at.returned.is_multiple_of(CALM_LONG) {
            trouble.width /= 2;
            self.effort.width = trouble.width;
        }
    }

    /// Asks whether there is any order; an outcome when there is none, or no point in going on.
    fn doubt(
        &mut self,
        trouble: &mut Trouble,
        stuck: Stuck,
        budget: &Budget,
    ) -> Result<Option<StageEnd>, Limit> {
        if trouble.proof.is_none() {
            let from = trouble.at.saturating_sub(distance(trouble.attempts));
            let to = trouble.at + distance(trouble.attempts);
            trouble.proof = window::refute::<W>(self.task, from..to, budget)?;
        }
        Ok(match &trouble.proof {
            // No order gets past it, and one that gets to it exists: it is the first that fits nowhere.
            Some(proof) if proof.op == stuck.op => Some(StageEnd::Stuck(stuck)),
            Some(proof) if trouble.attempts > ATTEMPTS_MAX => Some(StageEnd::Later(proof.clone())),
            None if trouble.attempts > ATTEMPTS_MAX => Some(StageEnd::GaveUp),
            Some(_) | None => None,
        })
    }

    /// Sets a checkpoint, and drops some of those far back.
    fn remember(&mut self) {
        if self
            .checkpoints
            .last()
            .is_some_and(|last| last.returned == self.at.returned)
        {
            return;
        }
        let now = self.at.returned / SPACING;
        self.checkpoints.retain(|one| {
            let at = one.returned / SPACING;
            let far = (now - at) / KEPT;
            let step = if far == 0 { 1 } else { 4 << (2 * (far.ilog2() / 2)) };
            at.is_multiple_of(step)
        });
        self.checkpoints.push(Checkpoint {
            returned: self.at.returned,
            called: self.at.called,
            frontier: self.frontier.clone(),
            pending: self.pending.save(),
            truncated: self.truncated,
        });
    }

    /// Goes back by at least `distance` returns from `trouble`, or to the beginning.
    fn go_back(&mut self, distance: usize, trouble: usize) {
        let enough = |one: &Checkpoint<W>| one.returned + distance <= trouble;
        let keep = self.checkpoints.iter().rposition(enough).unwrap_or(0) + 1;
        self.checkpoints.truncate(keep);
        let checkpoint = self
            .checkpoints
            .last()
            .expect("the beginning is always remembered");
        self.at.returned = checkpoint.returned;
        self.at.called = checkpoint.called;
        self.frontier.clone_from(&checkpoint.frontier);
        self.next.clear();
        self.truncated = checkpoint.truncated;
        self.pending.restore(&checkpoint.pending);
    }
}

/// How many returns to go back.
fn distance(attempts: u32) -> usize {
    SPACING << (attempts - 1)
}
