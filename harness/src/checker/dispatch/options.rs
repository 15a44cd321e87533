//! How to check a history.

use crate::checker::model_name::ModelName;
use crate::checker::usage::NilReads;

/// How to check.
#[derive(Clone, Debug)]
pub struct Options {
    /// Model, unless it is to be guessed.
    pub model: Option<ModelName>,
    /// Value before the first operation, in EDN or JSON, unless the history says: of every register, of a set its
    /// elements, of accounts their balances or total, of a lock the token of its holder.
    pub initial: Option<String>,
    /// Whether values are `[key value]` pairs, unless all operations together are to say.
    pub independent: Option<bool>,
    /// What a read of nil means: without an answer nil is a value, except in a register that is never nil.
    pub nil_reads: Option<NilReads>,
    /// Threads for the parts of one history.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            model: None,
            initial: None,
            independent: None,
            nil_reads: None,
            threads: 1,
        }
    }
}
