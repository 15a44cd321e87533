//! Members in the order of their scores, with the rank of each: a weight-balanced tree.
//!
//! Invariant: members come by their score, then by their bytes. Of two subtrees none has more than three times as many members as the other
//! has, one added to each (Hirai and Yamamoto, "Balancing weight-balanced trees", 2011: delta 3, gamma 2), so no order of changes makes a tree
//! deeper than its number of members allows. A clone costs nothing, and a change copies the path to what it changes.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::protocol::resp::Double;

/// Members by score.
#[derive(Debug, Clone, Default)]
pub(super) struct Ranked(Link);

type Link = Option<Arc<Node>>;

#[derive(Debug, Clone)]
struct Node {
    score: Double,
    member: Bytes,
    /// Of this subtree.
    size: usize,
    left: Link,
    right: Link,
}

/// A member with its score.
pub(super) type Scored<'a> = (&'a Bytes, Double);

impl Ranked {
    pub(super) fn len(&self) -> usize {
        size(&self.0)
    }

    /// Adds a member that is not there.
    pub(super) fn insert(&mut self, score: Double, member: Bytes) {
        insert(&mut self.0, score, member);
    }

    /// Removes a member that has this score; false when there is none.
    pub(super) fn remove(&mut self, score: Double, member: &[u8]) -> bool {
        remove(&mut self.0, score, member)
    }

    /// How many members come first for which `is_before` holds; it holds for none behind one for which it does not.
    pub(super) fn count_before(&self, is_before: impl Fn(Double, &[u8]) -> bool) -> usize {
        let (mut link, mut count) = (&self.0, 0);
        while let Some(node) = link {
            link = if is_before(node.score, &node.member) {
                count += size(&node.left) + 1;
                &node.right
            } else {
                &node.left
            };
        }
        count
    }

    /// How many come before this member.
    pub(super) fn rank(&self, score: Double, member: &[u8]) -> usize {
        self.count_before(|other, name| (other, name) < (score, member))
    }

    /// The members of these ranks, last first if it is to be so.
    pub(super) fn range(&self, ranks: Range<usize>, reverse: bool) -> impl Iterator<Item = Scored<'_>> {
        let end = ranks.end.min(self.len());
        let count = end.saturating_sub(ranks.start);
        let skipped = if reverse { self.len() - end } else { ranks.start };
        let mut walk = Walk {
            path: Vec::new(),
            reverse,
        };
        walk.enter(&self.0, skipped);
        walk.take(count)
    }

    /// All members in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Scored<'_>> {
        self.range(0..self.len(), false)
    }

    /// The last one.
    pub(super) fn last(&self) -> Option<Scored<'_>> {
        self.range(0..self.len(), true).next()
    }
}

/// A walk through a tree: the nodes that are still to be met, the next one last.
struct Walk<'a> {
    path: Vec<&'a Node>,
    reverse: bool,
}

impl<'a> Walk<'a> {
    /// Goes down to the first of a subtree, without so many.
    fn enter(&mut self, mut link: &'a Link, mut skipped: usize) {
        while let Some(node) = link {
            let (before, after) = self.sides(node);
            let first = size(before);
            link = if skipped <= first {
                self.path.push(node);
                before
            } else {
                skipped -= first + 1;
                after
            };
        }
    }

    fn sides(&self, node: &'a Node) -> (&'a Link, &'a Link) {
        match self.reverse {
            false => (&node.left, &node.right),
            true => (&node.right, &node.left),
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Scored<'a>;

    fn next(&mut self) -> Option<Scored<'a>> {
        let node = self.path.pop()?;
        let (_, after) = self.sides(node);
        self.enter(after, 0);
        Some((&node.member, node.score))
    }
}

fn size(link: &Link) -> usize {
    link.as_ref().map_or(0, |node| node.size)
}

fn place(node: &Node, score: Double, member: &[u8]) -> Ordering {
    (score, member).cmp(&(node.score, &node.member[..]))
}

fn insert(link: &mut Link, score: Double, member: Bytes) {
    let Some(node) = link else {
        *link = Some(Arc::new(Node {
            score,
            member,
            size: 1,
            left: None,
            right: None,
        }));
        return;
    };
    let node = Arc::make_mut(node);
    match place(node, score, &member) {
        Ordering::Less => insert(&mut node.left, score, member),
        Ordering::Equal | Ordering::Greater => insert(&mut node.right, score, member),
    }
    node.count();
    balance(link);
}

fn remove(link: &mut Link, score: Double, member: &[u8]) -> bool {
    let Some(node) = link else { return false };
    let node = Arc::make_mut(node);
    let is_removed = match place(node, score, member) {
        Ordering::Less => remove(&mut node.left, score, member),
        Ordering::Greater => remove(&mut node.right, score, member),
        Ordering::Equal => {
            match (node.left.take(), node.right.take()) {
                (left, None) => *link = left,
                (None, right) => *link = right,
                (left, mut right) => {
                    let mut first = take_first(&mut right);
                    if let Some(first) = first.as_mut().map(Arc::make_mut) {
                        (first.left, first.right) = (left, right);
                        first.count();
                    }
                    *link = first;
                    balance(link);
                }
            }
            return true;
        }
    };
    node.count();
    balance(link);
    is_removed
}

/// Takes the first node out of a subtree.
fn take_first(link: &mut Link) -> Link {
    let node = Arc::make_mut(link.as_mut()?);
    if node.left.is_some() {
        let first = take_first(&mut node.left);
        node.count();
        balance(link);
        return first;
    }
    let rest = node.right.take();
    std::mem::replace(link, rest)
}

/// Restores the invariant at the top of a tree in which one member came or went.
fn balance(link: &mut Link) {
    let Some(node) = link.as_mut() else { return };
    let (left, right) = (size(&node.left) + 1, size(&node.right) + 1);
    if left > DELTA * right {
        let node = Arc::make_mut(node);
        if is_double(&node.left, |child| (&child.right, &child.left)) {
            rotate_left(&mut node.left);
        }
        rotate_right(link);
    } else if right > DELTA * left {
        let node = Arc::make_mut(node);
        if is_double(&node.right, |child| (&child.left, &child.right)) {
            rotate_right(&mut node.right);
        }
        rotate_left(link);
    }
}

/// True where the inner part of a child is too large to be moved as it is; `parts` are the inner and the outer one.
fn is_double(child: &Link, parts: impl Fn(&Node) -> (&Link, &Link)) -> bool {
    child.as_ref().is_some_and(|child| {
        let (inner, outer) = parts(child);
        size(inner) + 1 >= GAMMA * (size(outer) + 1)
    })
}

fn rotate_left(link: &mut Link) {
    let Some(mut top) = link.take() else { return };
    let node = Arc::make_mut(&mut top);
    let Some(mut child) = node.right.take() else {
        *link = Some(top);
        return;
    };
    let raised = Arc::make_mut(&mut child);
    node.right = raised.left.take();
    node.count();
    raised.left = Some(top);
    raised.count();
    *link = Some(child);
}

fn rotate_right(link: &mut Link) {
    let Some(mut top) = link.take() else { return };
    let node = Arc::make_mut(&mut top);
    let Some(mut child) = node.left.take() else {
        *link = Some(top);
        return;
    };
    let raised = Arc::make_mut(&mut child);
    node.left = raised.right.take();
    node.count();
    raised.right = Some(top);
    raised.count();
    *link = Some(child);
}

impl Node {
    fn count(&mut self) {
        self.size = size(&self.left) + size(&self.right) + 1;
    }
}

const DELTA: usize = 3;
const GAMMA: usize = 2;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::prng::Prng;

    fn double(number: u64) -> Double {
        Double::new(number as f64).expect("it is a number")
    }

    /// Sizes, order and balance; gives the depth.
    fn check(link: &Link) -> usize {
        let Some(node) = link else { return 0 };
        let (left, right) = (size(&node.left), size(&node.right));
        assert_eq!(node.size, left + right + 1);
        assert!(
            left < DELTA * (right + 1) && right < DELTA * (left + 1),
            "{left} and {right}"
        );
        check(&node.left).max(check(&node.right)) + 1
    }

    #[test]
    fn a_tree_holds_what_a_list_would_at_the_same_ranks() {
        for seed in 0..30 {
            let (mut prng, mut ranked, mut model) = (Prng::new(seed), Ranked::default(), BTreeSet::new());
            for _ in 0..400 {
                let score = double(prng.below(8));
                let member = Bytes::from(prng.below(60).to_string());
                if prng.chance(3, 5) {
                    if model.insert((score, member.clone())) {
                        ranked.insert(score, member);
                    }
                } else {
                    assert_eq!(ranked.remove(score, &member), model.remove(&(score, member)));
                }
                check(&ranked.0);
            }
            let model: Vec<(Double, Bytes)> = model.into_iter().collect();
            let taken = |range: Range<usize>, reverse: bool| {
                let found = ranked.range(range, reverse);
                found
                    .map(|(member, score)| (score, member.clone()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(ranked.len(), model.len());
            for start in 0..=model.len() {
                for end in [start, start + 1, start + 7, model.len(), model.len() + 3] {
                    let expected: Vec<_> = model[start.min(end)..end.min(model.len()).max(start)].to_vec();
                    assert_eq!(taken(start..end, false), expected);
                    assert_eq!(
                        taken(start..end, true),
                        expected.into_iter().rev().collect::<Vec<_>>()
                    );
                }
            }
            for (rank, (score, member)) in model.iter().enumerate() {
                assert_eq!(ranked.rank(*score, member), rank);
            }
        }
    }

    #[test]
    fn a_tree_is_not_deep_whatever_the_order_of_its_members_is() {
        let (mut rising, mut falling) = (Ranked::default(), Ranked::default());
        for n in 0..10_000 {
            rising.insert(double(n), Bytes::from("m"));
            falling.insert(double(10_000 - n), Bytes::from("m"));
        }
        assert!(check(&rising.0) < 32 && check(&falling.0) < 32);
        let before = rising.clone();
        (0..9_000).for_each(|n| assert!(rising.remove(double(n), b"m")));
        assert!(check(&rising.0) < 25);
        assert_eq!(
            (before.len(), rising.len()),
            (10_000, 1_000),
            "a clone stays as it was"
        );
        check(&before.0);
    }
}
