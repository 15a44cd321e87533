//! Writes and flushes in order, and what a crash after some of them may leave.
//!
//! Invariant: a crash leaves every block that was written before the last flush; of those after it, whichever it likes, each whole,
//! and of two writes of one block the later one, if it leaves both.

use noraftd::prng::Prng;

use super::blocks::{Block, Blocks};

/// What the kernel asked of the disk.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// To write these blocks.
    Write(Vec<(u64, Block)>),
    /// To keep what was written.
    Flush,
}

/// What a crash leaves of what no flush came after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Lost,
    /// Each block or not.
    Torn,
    /// All of it.
    Kept,
}

impl Fate {
    /// A part of it most often.
    pub(super) fn draw(prng: &mut Prng) -> Self {
        match prng.below(4) {
            0 => Self::Lost,
            1 => Self::Kept,
            _ => Self::Torn,
        }
    }

    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Lost => "all that was not flushed is lost",
            Self::Torn => "a part of what was not flushed is lost",
            Self::Kept => "nothing is lost",
        }
    }
}

/// All that was asked of a disk.
#[derive(Debug, Default)]
pub(super) struct Log(Vec<Event>);

impl Log {
    pub(super) fn new(events: Vec<Event>) -> Self {
        Self(events)
    }

    pub(super) fn flushes(&self) -> usize {
        let is_flush = |event: &&Event| matches!(event, Event::Flush);
        self.0.iter().filter(is_flush).count()
    }

    pub(super) fn writes(&self) -> usize {
        self.0.len() - self.flushes()
    }

    /// At most `count` points to crash at, in order. Every other one is just before a flush, where most can be lost.
    pub(super) fn points(&self, count: usize, prng: &mut Prng) -> Vec<usize> {
        let last = self.0.len();
        if last < count {
            return (0..=last).collect();
        }
        let mut points = std::collections::BTreeSet::new();
        while points.len() < count {
            let drawn = prng.below(last as u64 + 1) as usize;
            let is_any = prng.chance(1, 2);
            let flush = self.0[drawn..]
                .iter()
                .position(|event| matches!(event, Event::Flush));
            let point = flush.filter(|_| !is_any).map_or(drawn, |after| drawn + after);
            // Where there are few flushes, their points are taken soon.
            if !points.insert(point) {
                points.insert(drawn);
            }
        }
        points.into_iter().collect()
    }

    /// The disk before everything.
    pub(super) fn walk(&self) -> Walk<'_> {
        Walk {
            events: &self.0,
            at: 0,
            flushed: Blocks::new(),
            unflushed: Vec::new(),
        }
    }
}

/// The disk at a point.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    events: &'a [Event],
    at: usize,
    flushed: Blocks,
    unflushed: Vec<&'a (u64, Block)>,
}

impl Walk<'_> {
    /// Goes on to the point after `point` events.
    pub(super) fn advance(&mut self, point: usize) {
        let events = &self.events[self.at..point];
        for event in events {
            match event {
                Event::Write(blocks) => self.unflushed.extend(blocks),
                Event::Flush => {
                    for (number, block) in self.unflushed.drain(..) {
                        self.flushed.insert(*number, block.clone());
                    }
                }
            }
        }
        self.at = point;
    }

    /// Blocks that no flush came after.
    pub(super) fn unflushed(&self) -> usize {
        self.unflushed.len()
    }

    /// What a crash here leaves.
    pub(super) fn left(&self, fate: Fate, prng: &mut Prng) -> Blocks {
        let mut left = self.flushed.clone();
        for (number, block) in &self.unflushed {
            let stays = match fate {
                Fate::Lost => false,
                Fate::Torn => prng.chance(1, 2),
                Fate::Kept => true,
            };
            if stays {
                left.insert(*number, block.clone());
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;

    fn write(number: u64, byte: u8) -> Event {
        Event::Write(vec![(number, Arc::from([byte].as_slice()))])
    }

    fn bytes(blocks: &Blocks) -> Vec<(u64, u8)> {
        blocks.iter().map(|(number, block)| (*number, block[0])).collect()
    }

    #[test]
    fn what_was_flushed_stays_and_the_rest_may_go_block_by_block() {
        let log = Log::new(vec![
            write(1, 1),
            write(2, 1),
            Event::Flush,
            write(1, 2),
            write(3, 1),
            write(1, 3),
        ]);
        let mut walk = log.walk();
        let mut prng = Prng::new(1);
        walk.advance(2);
        assert_eq!((walk.unflushed(), walk.left(Fate::Lost, &mut prng).len()), (2, 0));
        walk.advance(6);
        assert_eq!(bytes(&walk.left(Fate::Lost, &mut prng)), [(1, 1), (2, 1)]);
        assert_eq!(bytes(&walk.left(Fate::Kept, &mut prng)), [(1, 3), (2, 1), (3, 1)]);
        let torn: BTreeSet<_> = (0..200)
            .map(|_| bytes(&walk.left(Fate::Torn, &mut prng)))
            .collect();
        let all = [(1, 1), (1, 2), (1, 3)]
            .into_iter()
            .flat_map(|first| [vec![first, (2, 1)], vec![first, (2, 1), (3, 1)]]);
        assert_eq!(torn, all.collect());
    }

    #[test]
    fn points_are_in_order_and_all_of_them_when_there_are_few() {
        let events: Vec<Event> = (0..100)
            .map(|at| if at % 10 == 9 { Event::Flush } else { write(at, 0) })
            .collect();
        let log = Log::new(events);
        assert_eq!((log.writes(), log.flushes()), (90, 10));
        let points = log.points(1000, &mut Prng::new(1));
        assert_eq!(points, (0..=100).collect::<Vec<_>>());
        let points = log.points(40, &mut Prng::new(1));
        assert_eq!(points.len(), 40);
        assert!(points.is_sorted());
        let before_a_flush = points.iter().filter(|point| *point % 10 == 9).count();
        assert!(before_a_flush >= 8, "{points:?}");
    }
}
