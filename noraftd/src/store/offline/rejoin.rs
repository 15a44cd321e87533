//! A member that lost what it knew begins again, under the same id and with another incarnation.
//!
//! Invariants: it starts in a term in which its predecessor has not voted, and it abstains, for the entries that its
//! predecessor acknowledged are not here: lost for certain, so that two such members of three elect no
//! leader. The segment comes last: without it, there is no store yet.

use bytes::Bytes;
use noraft::Term;

use crate::record::{Abstain, HardState, SnapshotHead};
use crate::recovered::Recovered;
use crate::store::Store;
use crate::store::format::hard_state::Slot;
use crate::store::format::segment::file_name;
use crate::store::offline::replace::begin;
use crate::store::recovery::create::begin_with_state;
use crate::store::recovery::lock::failure;
use crate::store::recovery::open::open_locked;
use crate::store::recovery::setup::Vacant;
use crate::store::recovery::verdict::OpenError;
use crate::store::types::{Identity, Options};
use crate::store::write::spare::publish;

/// See [`Store::create_rejoining`].
pub(in crate::store) fn create_rejoining(
    vacant: Vacant,
    options: Options,
    identity: Identity,
    term: Term,
    head: &SnapshotHead,
    chunks: &mut dyn Iterator<Item = Bytes>,
) -> Result<(Store, Recovered), OpenError> {
    let hard_state = HardState::new(term, None);
    begin_with_state(&vacant, identity, hard_state, head, chunks)?;
    let disk = &*vacant.locked.disk;
    let slot = Slot {
        identity,
        lsn: 0,
        hard_state,
    };
    begin(disk, options, 1, &slot, head, Abstain::Loss)
        .and_then(|()| publish(disk, 1))
        .map_err(failure(disk, &file_name(1), "creating"))?;
    open_locked(vacant.finish()?, options, identity.owner)
}
