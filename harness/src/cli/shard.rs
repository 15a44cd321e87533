//! `--shard I/N`: one part of what a verb would do.

use std::str::FromStr;

use harness::sim::topologies::Shard;

/// The argument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShardArg(Shard);

impl ShardArg {
    /// What it says.
    pub(crate) fn shard(self) -> Shard {
        self.0
    }
}

impl FromStr for ShardArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || format!("`{text}` is no part: write I/N with I from 1 to N, such as 2/8");
        let (index, count) = text.split_once('/').ok_or_else(wanted)?;
        let index: usize = index.parse().map_err(|_| wanted())?;
        let count: usize = count.parse().map_err(|_| wanted())?;
        if (1..=count).contains(&index) {
            Ok(Self(Shard { index, count }))
        } else {
            Err(wanted())
        }
    }
}
