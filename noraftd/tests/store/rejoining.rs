//! A member that begins again has forgotten for certain what its predecessor acknowledged, until it has caught up.

use std::sync::Arc;

use noraft::Term;
use noraftd::machine::Machine;
use noraftd::record::Abstain;
use noraftd::recovered::Recovered;
use noraftd::store::disk::memory::MemDisk;
use noraftd::store::{SetUp, Store, Vacant};

use crate::common::*;
use crate::compaction::{head, small_segments};

/// A member begins again on an empty disk, from a snapshot of entry 5, in term 7.
pub(crate) fn begin_again(disk: &MemDisk) -> (Store, Recovered) {
    let vacant = Vacant::look(Arc::new(disk.clone()), SetUp::Rejoin).unwrap();
    let begun = Store::create_rejoining(
        vacant,
        small_segments(),
        identity(),
        Term::new(7),
        &head(at(3, 5)),
        &mut Machine::new().chunks(),
    );
    begun.unwrap()
}

#[test]
fn a_member_that_begins_again_says_that_it_lost_entries_until_it_has_caught_up() {
    let disk = MemDisk::new();
    let open = || Store::open(Arc::new(disk.clone()), small_segments(), owner()).unwrap();
    let (store, recovered) = begin_again(&disk);
    assert_eq!(recovered.abstain, Abstain::Loss);
    assert_eq!(
        (recovered.hard_state.term(), recovered.hard_state.voted_for()),
        (Term::new(7), None)
    );
    drop(store);

    let (mut store, recovered) = open();
    assert_eq!(recovered.abstain, Abstain::Loss, "a restart changes nothing");
    store.mark_caught_up().unwrap();
    drop(store);
    assert_eq!(open().1.abstain, Abstain::No);
}
