//! Which versions of a key come later than others, and why.

/// Why a version precedes the version that a transaction wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Because {
    /// It was there at the beginning.
    Beginning,
    /// The transaction read it.
    Replaced,
    /// This transaction, which wrote or read it or one directly behind it, precedes that one, which wrote or read the
    /// other, by links that came before this one.
    Precedes(u32, u32),
}

/// An edge from a version to the writer of a later one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) earlier: u32,
    pub(super) later: u32,
    pub(super) because: Because,
}
