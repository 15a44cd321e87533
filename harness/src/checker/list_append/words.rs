//! Why one transaction on lists precedes another, in words.

use super::Lists;
use crate::checker::precedence::{Draft, Edge, Graph, Kind, Words};
use crate::checker::violation::mention;

impl Words for Lists<'_> {
    fn id(&self, txn: u32) -> u32 {
        self.id(txn)
    }

    fn explain(&self, leaves: Edge, arrives: Edge, out: &mut Draft) {
        let (one, other) = (
            mention(out.mentions(self.id(leaves.from))),
            mention(out.mentions(self.id(arrives.to))),
        );
        let list = &self.all[leaves.about.0 as usize];
        let key = self.pool.show(list.key);
        let element = list
            .elements
            .get(leaves.about.1 as usize)
            .map(|element| self.pool.show(*element));
        let sentence = match leaves.kind {
            Kind::Ww => format!("{one} appended to list {key} before {other} did."),
            Kind::Wr => match element {
                Some(element) => format!("{other} read list {key} up to {element}, which {one} appended."),
                None => format!("{other} read what {one} appended to list {key}."),
            },
            Kind::Rw => match element {
                Some(element) => format!("{one} read list {key} without {element}, which {other} appended."),
                None => format!("{one} read list {key} without what {other} appended."),
            },
            Kind::Realtime | Kind::Free | Kind::Inferred => {
                out.uses_time = true;
                format!("{one} returned before {other} was called.")
            }
        };
        out.why.push(sentence);
    }

    fn explain_rest(&self, _graph: &Graph, _out: &mut Draft) {
        // The order of a list's elements is what the longest read shows.
    }
}
