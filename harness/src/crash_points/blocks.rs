//! Blocks of a disk.

use std::sync::Arc;

use imbl::OrdMap;

/// Bytes that are written as a whole or not at all.
pub(super) const BLOCK: usize = 4096;

/// The bytes of a block.
pub(super) type Block = Arc<[u8]>;
/// Blocks by their number; a copy of them costs nothing.
pub(super) type Blocks = OrdMap<u64, Block>;
