//! Trails: how each configuration was reached, as lists that share their beginnings.
//!
//! Invariant: a node's parent was pushed before it. Nodes no configuration leads to are collected
//! when they outnumber the others, so memory follows what is alive.

/// Shared lists of calls.
#[derive(Default)]
pub(crate) struct Trail {
    nodes: Vec<Node>,
    alive: usize,
}

#[derive(Clone, Copy)]
struct Node {
    parent: u32,
    /// Four times the call, plus the step.
    step: u32,
}

impl Node {
    fn read(self) -> (u32, Step) {
        let step = match self.step & 3 {
            0 => Step::Read,
            1 => Step::Change,
            2 => Step::Before,
            _ => Step::Swap,
        };
        (self.step >> 2, step)
    }
}

/// What a call did in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Left the state as it was.
    Read,
    /// Changed the state, whatever it was before.
    Change,
    /// Goes just before the last [`Step::Change`].
    Before,
    /// Changed the state, which had to be a certain one.
    Swap,
}

const COLLECT_AT: usize = 1 << 16;

impl Trail {
    /// The list without calls.
    pub(crate) const EMPTY: u32 = u32::MAX;

    pub(crate) fn push(&mut self, parent: u32, call: u32, step: Step) -> u32 {
        self.nodes.push(Node {
            parent,
            step: call << 2 | step as u32,
        });
        self.nodes.len() as u32 - 1
    }

    /// The calls of a list, first to last.
    pub(crate) fn back(&self, list: u32) -> Vec<(u32, Step)> {
        let mut calls: Vec<(u32, Step)> = self.walk(list).map(Node::read).collect();
        calls.reverse();
        calls
    }

    /// The last call of a list that changed the state.
    pub(crate) fn last_change(&self, list: u32) -> Option<u32> {
        self.walk(list)
            .map(Node::read)
            .find(|(_, step)| matches!(step, Step::Change | Step::Swap))
            .map(|(call, _)| call)
    }

    fn walk(&self, list: u32) -> impl Iterator<Item = Node> {
        let mut at = list;
        std::iter::from_fn(move || {
            let node = self.nodes.get(at as usize).copied()?;
            at = node.parent;
            Some(node)
        })
    }

    /// True when what no list needs may be the larger part.
    pub(crate) fn wants_collection(&self) -> bool {
        self.nodes.len() >= COLLECT_AT.max(2 * self.alive)
    }

    /// Forgets what none of `roots` leads to; moves the roots.
    pub(crate) fn collect<'a>(&mut self, roots: impl Iterator<Item = &'a mut u32>) {
        let roots: Vec<&mut u32> = roots.collect();
        let mut moved = vec![Self::EMPTY; self.nodes.len()];
        for root in &roots {
            let mut at = **root;
            while at != Self::EMPTY && moved[at as usize] == Self::EMPTY {
                moved[at as usize] = 0;
                at = self.nodes[at as usize].parent;
            }
        }
        let mut next = 0;
        for at in 0..self.nodes.len() {
            if moved[at] == Self::EMPTY {
                continue;
            }
            let node = self.nodes[at];
            let parent = if node.parent == Self::EMPTY {
                Self::EMPTY
            } else {
                moved[node.parent as usize]
            };
            self.nodes[next as usize] = Node {
                parent,
                step: node.step,
            };
            moved[at] = next;
            next += 1;
        }
        self.nodes.truncate(next as usize);
        self.alive = self.nodes.len();
        for root in roots {
            if *root != Self::EMPTY {
                *root = moved[*root as usize];
            }
        }
    }

    /// Bytes held, collecting included.
    pub(crate) fn bytes(&self) -> usize {
        self.nodes.capacity() * (size_of::<Node>() + 4)
    }
}
