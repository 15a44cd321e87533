//! What a node says of itself.

/// A node's own view. What a system has no word for is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Whether it believes to lead.
    pub leads: bool,
    /// Its term, or what stands for one: of two that claim to lead, the later one has the higher.
    pub term: u64,
    /// The last entry that it knows to be committed.
    pub commit_index: u64,
    /// The last entry that it has applied.
    pub applied_index: u64,
    /// Where its log or its state, or another node's, is not that of the others, in the node's words.
    pub divergence: Option<String>,
}
