//! Where nodes say that they are reached, and what they said of this one.
//!
//! A node that was away while others moved has an old membership table, and cannot get a later one from nodes that it does not
//! reach. But they reach it, and say in their hello where they are. Their links are tried there as well.
//!
//! The same goes for what the log says and is not applied yet.
//!
//! Invariant: what is here was said by a node that had been admitted, or that had proven the secret, or is in the log.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use noraft::NodeId;

use crate::endpoint::Endpoint;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Places {
    own: RefCell<Option<String>>,
    /// Where to connect to in place of an address, as tests want it.
    via: BTreeMap<Endpoint, Endpoint>,
    heard: RefCell<BTreeMap<NodeId, Endpoint>>,
    /// Counts what was heard.
    version: Cell<u64>,
    /// The node that says that this one was removed.
    removed_says: Cell<Option<NodeId>>,
}

impl Places {
    /// Nothing was said. For an address of `via`, another one is dialled.
    pub(super) fn new(via: BTreeMap<Endpoint, Endpoint>) -> Rc<Self> {
        Rc::new(Self {
            via,
            ..Self::default()
        })
    }

    /// The address to dial for a node that is said to be at `address`.
    pub(super) fn way_to(&self, address: &Endpoint) -> Endpoint {
        self.via.get(address).unwrap_or(address).clone()
    }

    /// Where the other nodes reach this one, when it knows.
    pub(super) fn own(&self) -> Option<String> {
        self.own.borrow().clone()
    }

    /// The other nodes reach this one there.
    pub(super) fn set_own(&self, address: Option<String>) {
        self.own.replace(address);
    }

    /// Where this node said that it is reached.
    pub(super) fn heard(&self, node: NodeId) -> Option<Endpoint> {
        self.heard.borrow().get(&node).cloned()
    }

    /// The nodes with an id behind `highest` that said where they are reached.
    pub(super) fn heard_behind(&self, highest: NodeId) -> BTreeMap<NodeId, Endpoint> {
        let heard = self.heard.borrow();
        let later = heard.iter().filter(|(id, _)| **id > highest);
        later.map(|(id, at)| (*id, at.clone())).collect()
    }

    /// How often something new was heard.
    pub(super) fn version(&self) -> u64 {
        self.version.get()
    }

    /// The node says that it is reached there. What is no address is of no use.
    pub(super) fn hear(&self, node: NodeId, address: &str) {
        let Ok(address) = address.parse::<Endpoint>() else {
            return;
        };
        let before = self.heard.borrow_mut().insert(node, address.clone());
        if before != Some(address) {
            self.version.set(self.version.get() + 1);
        }
    }

    /// `by` says that this node was removed.
    pub(super) fn note_removed(&self, by: NodeId) {
        self.removed_says.set(Some(by));
    }

    /// The node that says that this one was removed, if one does.
    pub(super) fn removed_says(&self) -> Option<NodeId> {
        self.removed_says.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_counted_and_another_address_may_be_dialled() {
        let [one, two] = [1, 2].map(NodeId::new);
        let [said, dialled] = ["h:2", "proxy:1"].map(|text| text.parse::<Endpoint>().expect("an address"));
        let places = Places::new([(said.clone(), dialled.clone())].into());
        for (address, count) in [("h:1", 1), ("h:1", 1), ("no address", 1), ("h:2", 2)] {
            places.hear(one, address);
            assert_eq!(places.version(), count, "{address}");
        }
        assert_eq!((places.heard(one), places.heard(two)), (Some(said.clone()), None));
        assert_eq!(
            (places.way_to(&said), places.way_to(&dialled)),
            (dialled.clone(), dialled)
        );
        places.hear(NodeId::new(4), "h:4");
        let later: Vec<u64> = places.heard_behind(two).keys().map(|id| id.get()).collect();
        assert_eq!(later, [4]);
    }
}
