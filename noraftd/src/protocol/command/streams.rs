//! What `XREAD` reads: streams, and from where on.

use super::{Args, StreamId};
use crate::protocol::read::Reader;

/// Keys of streams, each with the id after which to read. Always in turn and whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams<'a>(Args<'a>);

impl<'a> Streams<'a> {
    /// Reads keys and, in turn, 16 bytes of id or none; `None` for any other arguments.
    pub fn new(args: Args<'a>) -> Option<Self> {
        let ids_fit = args.pairs().all(|(_, id)| matches!(id.len(), 0 | ID_BYTES));
        (ids_fit && !args.is_empty() && args.len().is_multiple_of(2)).then_some(Self(args))
    }

    pub(super) fn args(&self) -> Args<'a> {
        self.0
    }

    /// The keys and after which id to read each; `None` means `$`, the last entry there is.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<StreamId>)> + use<'a> {
        self.0
            .pairs()
            .map(|(key, id)| (key, StreamId::read(&mut Reader::new(id))))
    }
}

/// Bytes of an id.
pub(super) const ID_BYTES: usize = 16;
